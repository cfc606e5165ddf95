//! `sysctl`: a kernel parameter, now and after the next boot.

use crate::compliance::change::{Change, HIDDEN};
use crate::compliance::kind::{Conf, Confs, Judgement, Sight};
use crate::model::kernel_parameter::{is_parameter_like, parameter_name};
use crate::model::{HostPath, PathState, Permissions};
use crate::reconcile::desired::rule::kind::SysctlRule;

/// What a rule sees of a kernel parameter.
#[derive(Debug)]
pub struct SysctlSight<'a> {
    /// What the kernel says; none if it has no such parameter.
    pub live: Option<Parameter>,
    /// Files that set parameters at boot, by their name there: the last by name wins, as
    /// sysctl.d(5) has it; /etc/sysctl.conf comes after all.
    pub boot: &'a Confs,
    /// /etc/sysctl.conf.
    pub last: &'a Conf,
    /// The file of ours.
    pub own: (HostPath, Sight<'a>),
}

/// What a parameter is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// White space as single blanks.
    pub value: String,
    /// Whether not everybody may read it.
    pub hidden: bool,
}

impl Parameter {
    fn shown(&self) -> &str {
        if self.hidden { HIDDEN } else { &self.value }
    }
}

/// Where a rule's parameter is kept: after those of the distribution by name. Steps with dots are
/// told from others by `:`.
pub fn own_path(rule: &SysctlRule) -> Option<HostPath> {
    let key = &rule.key;
    let has_dots = key.contains('/');
    let name = if has_dots { key.replace('.', ":").replace('/', ".") } else { key.clone() };
    format!("/etc/sysctl.d/99-tidegate-{name}.conf").parse().ok()
}

/// Judges it.
pub(crate) fn judge(rule: &SysctlRule, sight: &SysctlSight<'_>) -> Judgement {
    let SysctlRule { key, value } = rule;
    let Some(live) = &sight.live else {
        return Judgement::NotApplicable { reason: format!("this kernel has no `{key}`") };
    };
    let boot = sight.at_boot(key);
    let right_at_boot = boot.as_ref().is_some_and(|boot| boot.value == *value);
    // What is wanted tells what is so, where it is so.
    let hidden = live.hidden || boot.as_ref().is_some_and(|boot| boot.hidden);
    let wanted = Parameter { value: value.clone(), hidden };
    let expected = format!("{key} = {}, now and at boot", wanted.shown());
    if live.value == *value && right_at_boot {
        return Judgement::Ok { expected };
    }
    let mut changes = Vec::new();
    if !right_at_boot {
        changes.extend(sight.keep(format!("{key} = {value}\n"), hidden));
    }
    if live.value != *value {
        changes.push(Change::Kernel {
            key: key.clone(),
            before: live.value.clone(),
            after: value.clone(),
            hidden,
        });
    }
    let at_boot = boot.as_ref().map_or("nothing", Parameter::shown);
    Judgement::NotOk {
        expected,
        actual: format!("{key} = {} now, {at_boot} at boot", live.shown()),
        fix: Ok(changes),
    }
}

impl SysctlSight<'_> {
    /// What files set the parameter to at boot.
    fn at_boot(&self, key: &str) -> Option<Parameter> {
        let files = self.boot.values().chain([self.last]);
        set_in(files.map(|conf| (conf.text.as_str(), conf.hidden)), key)
    }

    fn keep(&self, text: String, hidden: bool) -> Vec<Change> {
        let (path, own) = &self.own;
        let (uid, gid) = own.creator;
        let mode = if hidden { 0o600 } else { 0o644 };
        let owned = Permissions { mode, uid, gid };
        own.change(path, PathState::File { content: text.into_bytes().into(), owned })
    }
}

/// What a line says of a parameter.
enum Said {
    /// A value, or that no pattern sets it.
    Itself(Option<String>),
    /// A value for all that a pattern finds.
    Like(String),
}

/// What files set a parameter to: the last line about itself, or else the last whose pattern finds
/// it, as sysctl.d(5) has it.
fn set_in<'a>(files: impl IntoIterator<Item = (&'a str, bool)>, key: &str) -> Option<Parameter> {
    let (mut itself, mut like) = (None, None);
    for (text, hidden) in files {
        let parameter = |value| Parameter { value, hidden };
        for said in text.lines().filter_map(|line| said(line, key)) {
            match said {
                Said::Itself(value) => itself = Some(value.map(parameter)),
                Said::Like(value) => like = Some(parameter(value)),
            }
        }
    }
    itself.unwrap_or(like)
}

fn said(line: &str, key: &str) -> Option<Said> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name.strip_prefix('-').unwrap_or(name).trim(), Some(value)),
        None => (line.strip_prefix('-')?.trim(), None),
    };
    let value = value.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
    if parameter_name(name).is_some_and(|name| name == key) {
        return Some(Said::Itself(value));
    }
    value.filter(|_| is_parameter_like(key, name)).map(Said::Like)
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::sysctl;

    fn set_in<'a>(files: impl IntoIterator<Item = &'a str>, key: &str) -> Option<String> {
        let files = files.into_iter().map(|text| (text, false));
        sysctl::set_in(files, key).map(|parameter| parameter.value)
    }

    #[test]
    fn the_last_line_of_a_file_wins_in_either_spelling() {
        let text = "vm.a = 1\n# vm.a = 2\n;vm.a=3\n-vm/a =  4  5 \nvm.b = 6\n";
        assert_eq!(set_in([text], "vm.a").as_deref(), Some("4 5"));
        assert_eq!(set_in([text], "vm.c"), None);
        let vlan = "net/ipv4/conf/eth0.100/rp_filter";
        for (line, value) in [
            ("net/ipv4/conf/eth0.100/rp_filter=1", Some("1")),
            ("net.ipv4.conf.eth0/100.rp_filter = 2", Some("2")),
            ("net.ipv4.conf.eth0.100.rp_filter = 3", None),
        ] {
            assert_eq!(set_in([line], vlan).as_deref(), value, "{line}");
        }
    }

    #[test]
    fn a_line_about_a_parameter_itself_wins_over_every_pattern_and_may_keep_all_out() {
        let key = "net.ipv4.conf.eth0.rp_filter";
        for (files, value) in [
            (&["net.ipv4.conf.*.rp_filter = 1"][..], Some("1")),
            (&["net.ipv4.conf.eth0.rp_filter = 2", "net.ipv4.conf.*.rp_filter = 1"], Some("2")),
            (&["net.ipv4.conf.*.rp_filter = 1", "net.ipv4.conf.eth*.rp_filter = 0"], Some("0")),
            (&["net.ipv4.conf.*.rp_filter = 1\n-net.ipv4.conf.eth0.rp_filter"], None),
            (&["net/ipv4/conf/eth0/rp_filter = 2", "-net.ipv4.conf.eth0.rp_filter"], None),
            (&["net.ipv4.conf.all.rp_filter = 1", "net.ipv4.conf.eth0.rp_filter"], None),
        ] {
            assert_eq!(set_in(files.iter().copied(), key).as_deref(), value, "{files:?}");
        }
    }
}
