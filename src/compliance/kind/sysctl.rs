//! `sysctl`: a kernel parameter, now and after the next boot.

use crate::compliance::change::{Change, HIDDEN};
use crate::compliance::kind::{Conf, Confs, Judgement, Sight};
use crate::model::kernel_parameter::parameter_name;
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
        let set = |conf: &Conf| {
            set_in(&conf.text, key).map(|value| Parameter { value, hidden: conf.hidden })
        };
        self.boot.values().chain([self.last]).filter_map(set).next_back()
    }

    fn keep(&self, text: String, hidden: bool) -> Vec<Change> {
        let (path, own) = &self.own;
        let (uid, gid) = own.creator;
        let mode = if hidden { 0o600 } else { 0o644 };
        let owned = Permissions { mode, uid, gid };
        own.change(path, PathState::File { content: text.into_bytes().into(), owned })
    }
}

/// The last value that a file sets a parameter to.
fn set_in(text: &str, key: &str) -> Option<String> {
    let one = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix('-').unwrap_or(line);
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (name, value) = line.split_once('=')?;
        let same = parameter_name(name.trim()).is_some_and(|name| name == key);
        same.then(|| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    text.lines().filter_map(one).next_back()
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::sysctl::set_in;

    #[test]
    fn the_last_line_of_a_file_wins_in_either_spelling() {
        let text = "vm.a = 1\n# vm.a = 2\n;vm.a=3\n-vm/a =  4  5 \nvm.b = 6\n";
        assert_eq!(set_in(text, "vm.a").as_deref(), Some("4 5"));
        assert_eq!(set_in(text, "vm.c"), None);
        let vlan = "net/ipv4/conf/eth0.100/rp_filter";
        for (line, value) in [
            ("net/ipv4/conf/eth0.100/rp_filter=1", Some("1")),
            ("net.ipv4.conf.eth0/100.rp_filter = 2", Some("2")),
            ("net.ipv4.conf.eth0.100.rp_filter = 3", None),
        ] {
            assert_eq!(set_in(line, vlan).as_deref(), value, "{line}");
        }
    }
}
