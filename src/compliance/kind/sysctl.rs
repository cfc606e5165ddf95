//! `sysctl`: a kernel parameter, now and after the next boot.

use std::collections::BTreeMap;

use crate::compliance::change::{Change, HIDDEN};
use crate::compliance::kind::{Judgement, Sight};
use crate::model::kernel_parameter::{ParameterPattern, parameter_name};
use crate::model::{HostPath, PathState, Permissions};
use crate::reconcile::desired::rule::kind::SysctlRule;

/// What a rule sees of a kernel parameter.
#[derive(Debug)]
pub struct SysctlSight<'a> {
    /// What the kernel says; none if it has no such parameter.
    pub live: Option<Parameter>,
    /// What files set at boot.
    pub boot: &'a BootSettings,
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
    let boot = sight.boot.of(key);
    let right_at_boot = boot.is_some_and(|boot| boot.value == *value);
    // What is wanted tells what is so, where it is so.
    let hidden = live.hidden || boot.is_some_and(|boot| boot.hidden);
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
    let at_boot = boot.map_or("nothing", Parameter::shown);
    Judgement::NotOk {
        expected,
        actual: format!("{key} = {} now, {at_boot} at boot", live.shown()),
        fix: Ok(changes),
    }
}

impl SysctlSight<'_> {
    fn keep(&self, text: String, hidden: bool) -> Vec<Change> {
        let (path, own) = &self.own;
        let (uid, gid) = own.creator;
        let mode = if hidden { 0o600 } else { 0o644 };
        let owned = Permissions { mode, uid, gid };
        own.change(path, PathState::File { content: text.into_bytes().into(), owned })
    }
}

/// What files set parameters to at boot, as sysctl.d(5) has it: the last line about a parameter itself,
/// or else the last whose pattern finds it.
#[derive(Debug, Default)]
pub struct BootSettings {
    /// By the one spelling of their name; none: no pattern sets it.
    named: BTreeMap<String, Option<Parameter>>,
    like: Vec<(ParameterPattern, Parameter)>,
}

impl BootSettings {
    /// Reads files in their order, each with whether it is hidden.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let mut all = Self::default();
        for (text, hidden) in files {
            text.lines().for_each(|line| all.add(line.trim(), hidden));
        }
        all
    }

    fn add(&mut self, line: &str, hidden: bool) {
        if line.starts_with(['#', ';']) {
            return;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.strip_prefix('-').unwrap_or(name), Some(value)),
            None => match line.strip_prefix('-') {
                Some(name) => (name, None),
                None => return,
            },
        };
        let plain = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
        let parameter = value.map(|value| Parameter { value: plain(value), hidden });
        if let Some(name) = parameter_name(name.trim()) {
            self.named.insert(name, parameter);
        } else if let (Some(pattern), Some(parameter)) =
            (ParameterPattern::parse(name.trim()), parameter)
        {
            self.like.push((pattern, parameter));
        }
    }

    /// What the last line about a parameter itself says; inner none: that no pattern sets it.
    pub fn named(&self, key: &str) -> Option<Option<&Parameter>> {
        self.named.get(key).map(Option::as_ref)
    }

    /// What a parameter is set to; none if nothing sets it.
    pub fn of(&self, key: &str) -> Option<&Parameter> {
        match self.named(key) {
            Some(itself) => itself,
            None => self.like.iter().rfind(|(like, _)| like.finds(key)).map(|(_, set)| set),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::sysctl::BootSettings;

    fn set_in<'a>(files: impl IntoIterator<Item = &'a str>, key: &str) -> Option<String> {
        let files = files.into_iter().map(|text| (text, false));
        BootSettings::read(files).of(key).map(|parameter| parameter.value.clone())
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
