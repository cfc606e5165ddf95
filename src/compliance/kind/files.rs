//! Files that tell of a change of what rules are about, and what is looked at for them.

use crate::compliance::kind::{Need, keys_paths, need, own_path, own_paths};
use crate::model::{AccountTables, HostPath};
use crate::reconcile::desired::rule::kind::RuleKind;

/// Files by whose change this rule may begin or cease to hold, what says most first. None where no file
/// tells, or where only looking says which: processes, ports, a user's keys. rpm's database is left out,
/// for rpm writes in it when it is asked.
pub fn files_of(kind: &RuleKind) -> Vec<HostPath> {
    match need(kind) {
        Need::Path(path) | Need::Outside(path) => vec![path.clone()],
        Need::Daemon(rule) => vec![rule.path.clone()],
        Need::Sudoers(rule) | Need::Cron(rule) => vec![rule.path.clone()],
        Need::Certificate(rule) => vec![rule.path.clone()],
        Need::Sysctl(rule) => own_path(rule).into_iter().chain(at(["/etc/sysctl.conf"])).collect(),
        Need::Package(_) | Need::Vulnerable(_) => at(["/var/lib/dpkg/status"]),
        Need::Unit(rule) => at(unit_links(&rule.unit)),
        Need::Accounts => at(["/etc/passwd", "/etc/group"]),
        Need::Time(_) => at(["/etc/localtime"]),
        Need::Module(rule) => at(own_paths(&rule.module)),
        Need::Mount(_) => at(["/etc/fstab"]),
        Need::Archive(rule) => {
            rule.members.keys().filter_map(|inner| rule.path.below(inner)).collect()
        }
        Need::Facts
        | Need::Keys(_)
        | Need::Processes(_)
        | Need::Listeners(_)
        | Need::Command(_) => Vec::new(),
    }
}

/// Paths that are looked at for this rule and may lie on a file system of their own. A user's keys lie
/// where these tables say.
pub fn looked_at(kind: &RuleKind, tables: &AccountTables) -> Vec<HostPath> {
    let mut all = files_of(kind);
    match need(kind) {
        Need::Keys(user) => all.extend(tables.user(user).map(keys_paths).unwrap_or_default()),
        Need::Mount(rule) => {
            all.push(rule.path.clone());
            // A device or a share is no path, or lies where nothing hangs.
            all.extend(rule.wish.iter().flat_map(|wish| at([&wish.source])));
        }
        Need::Archive(rule) => all.push(rule.path.clone()),
        _ => {}
    }
    all
}

/// Where a unit is masked or written anew, and where it is mostly enabled: by a link in the folder of
/// what wants it.
fn unit_links(name: &str) -> Vec<String> {
    let wanted_by: &[&str] = match name.rsplit('.').next() {
        Some("timer") => &["timers"],
        Some("socket") => &["sockets"],
        Some("mount" | "automount") => &["local-fs", "remote-fs", "multi-user"],
        Some("path") => &["paths", "multi-user"],
        _ => &["multi-user", "graphical", "sysinit", "getty", "network-online", "default"],
    };
    let folders = wanted_by.iter().map(|target| format!("/{target}.target.wants"));
    let folders = [String::new()].into_iter().chain(folders);
    folders.map(|folder| format!("/etc/systemd/system{folder}/{name}")).collect()
}

fn at<T: AsRef<str>>(paths: impl IntoIterator<Item = T>) -> Vec<HostPath> {
    paths.into_iter().filter_map(|path| path.as_ref().parse().ok()).collect()
}
