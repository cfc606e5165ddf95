//! `sysctl`: a kernel parameter, now and after the next boot.

use std::sync::Arc;

use crate::compliance::change::Change;
use crate::compliance::kind::{Confs, Judgement};
use crate::model::kernel_parameter::parameter_name;
use crate::model::{HostPath, PathState, Permissions};
use crate::reconcile::desired::rule::kind::SysctlRule;

/// What a rule sees of a kernel parameter.
#[derive(Debug)]
pub struct SysctlSight<'a> {
    /// What the kernel says, white space as single blanks; none if it has no such parameter.
    pub live: Option<String>,
    /// Files that set parameters at boot, by their name there: the last by name wins, as
    /// sysctl.d(5) has it; /etc/sysctl.conf comes after all.
    pub boot: &'a Confs,
    /// /etc/sysctl.conf.
    pub last: &'a str,
    /// The file of ours.
    pub own: PathState,
    /// Folders that are missing on the way to it.
    pub missing: Vec<HostPath>,
    /// User and group of new files.
    pub creator: (u32, u32),
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
    let expected = format!("{key} = {value}, now and at boot");
    let boot = sight.at_boot(key);
    let right_at_boot = boot.as_deref() == Some(value);
    if live == value && right_at_boot {
        return Judgement::Ok { expected };
    }
    let mut changes = Vec::new();
    if !right_at_boot {
        let Some(path) = own_path(rule) else {
            return Judgement::Error { reason: format!("`{key}` gives no file name") };
        };
        changes.extend(sight.keep(path, format!("{key} = {value}\n")));
    }
    if live != value {
        changes.push(Change::Kernel {
            key: key.clone(),
            before: live.clone(),
            after: value.clone(),
        });
    }
    let at_boot =
        boot.map_or_else(|| "nothing at boot".to_owned(), |boot| format!("{boot} at boot"));
    Judgement::NotOk {
        expected,
        actual: format!("{key} = {live} now, {at_boot}"),
        fix: Ok(changes),
    }
}

impl SysctlSight<'_> {
    /// What files set the parameter to at boot.
    fn at_boot(&self, key: &str) -> Option<String> {
        let files = self.boot.values().map(|conf| conf.text.as_str()).chain([self.last]);
        files.filter_map(|text| set_in(text, key)).next_back()
    }

    fn keep(&self, path: HostPath, text: String) -> Vec<Change> {
        let (uid, gid) = self.creator;
        let made = |folder: &HostPath| Change::Path {
            path: folder.clone(),
            before: PathState::Absent,
            after: PathState::Directory { owned: Permissions { mode: 0o755, uid, gid } },
            enclosed: false,
        };
        let content: Arc<[u8]> = text.into_bytes().into();
        let owned = Permissions { mode: 0o644, uid, gid };
        let after = PathState::File { content, owned };
        let mut changes: Vec<Change> = self.missing.iter().map(made).collect();
        let before = self.own.clone();
        changes.push(Change::Path { path, before, after, enclosed: false });
        changes
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
