//! Mounts of a real Debian, made and unmade in a mount namespace of their own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;

use tidegate::clients::host::HostRoot;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::managed::attributes;
use tidegate::model::{Move, Thing};

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};

const INSIDE: &str = "TIDEGATE_TEST_MOUNTS";

/// Whether this process has mounts of its own. One that has not runs the test again in one that has.
pub(super) fn is_inside(test: &str) -> bool {
    is_apart(test, &["--mount"])
}

/// The same for these namespaces, as unshare(1) calls them.
pub(super) fn is_apart(test: &str, namespaces: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut again = Command::new("unshare");
    again.args(namespaces).args(["--propagation", "private", "--"]);
    again.arg(std::env::current_exe().unwrap());
    again.args([&format!("compliance::{test}"), "--exact", "--nocapture"]);
    let ran = again.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Runs a program on the host's folder.
fn mount(host: &Host, args: &[&str], at: &str) {
    fs::create_dir_all(host.path(at)).unwrap();
    let status = Command::new("mount").args(args).arg(host.path(at)).status().unwrap();
    assert!(status.success(), "{args:?}");
}

fn status(host: &Host, lines: &str) -> VerdictStatus {
    only(host.check(&rule("mount", lines))).verdict.status
}

#[test]
fn mounts_do_all_seven_on_a_real_debian() {
    if !is_inside("mounts::mounts_do_all_seven_on_a_real_debian") {
        return;
    }
    let host = debian::host();
    mount(&host, &["-t", "tmpfs", "-o", "nosuid,size=1m", "scratch"], "/srv/scratch");
    fs::create_dir_all(host.path("/srv/shown")).unwrap();
    all_seven(
        &host,
        &[
            Row {
                kind: "mount",
                lines: "path = \"/srv/new/data\"\nsource = \"data\"\ntype = \"tmpfs\"\n\
                        options = \"noexec,nodev,size=1m\"",
                expected: "data at /srv/new/data (tmpfs, noexec,nodev,size=1m), mounted and in",
                actual: "not mounted, not in /etc/fstab",
                fix: Fix::Plan(&[
                    "+++ /srv/new",
                    "+++ mount /srv/new/data",
                    "+options = noexec,nodev,size=1m",
                    "+data /srv/new/data tmpfs noexec,nodev,size=1m 0 0",
                ]),
            },
            Row {
                kind: "mount",
                lines: "path = \"/srv/other\"\nsource = \"/srv/shown\"\noptions = [\"bind\", \"ro\"]\n\
                        state = \"mounted\"",
                expected: "/srv/shown at /srv/other (none, bind,ro), mounted",
                actual: "not mounted",
                fix: Fix::Plan(&["+++ mount /srv/other", "+source = /srv/shown"]),
            },
            Row {
                kind: "mount",
                lines: "path = \"/srv/scratch\"\nsource = \"scratch\"\ntype = \"tmpfs\"\n\
                        options = \"noexec\"\nstate = \"mounted\"",
                expected: "scratch at /srv/scratch (tmpfs, noexec), mounted",
                actual: "mounted with rw,nosuid,dev,exec,diratime,relatime",
                fix: Fix::Plan(&[
                    "--- mount /srv/scratch",
                    "+options = noexec,rw,nosuid,dev,diratime,relatime",
                ]),
            },
            Row {
                kind: "mount",
                lines: "path = \"/srv/boot\"\nsource = \"UUID=1234\"\ntype = \"ext4\"\n\
                        state = \"persisted\"",
                expected: "UUID=1234 at /srv/boot (ext4), in /etc/fstab",
                actual: "not in /etc/fstab",
                fix: Fix::Plan(&["+UUID=1234 /srv/boot ext4 defaults 0 0"]),
            },
            Row {
                kind: "mount",
                lines: "path = \"/srv/scratch\"\nstate = \"absent\"",
                expected: "nothing mounted at /srv/scratch, now or at boot",
                actual: "scratch (tmpfs) is mounted there",
                fix: Fix::Plan(&["--- mount /srv/scratch", "+++ /dev/null"]),
            },
            Row {
                kind: "mount",
                lines: "path = \"/srv/scratch\"\nsource = \"else\"\ntype = \"tmpfs\"\n\
                        state = \"mounted\"",
                expected: "else at /srv/scratch (tmpfs), mounted",
                actual: "scratch (tmpfs) is mounted there",
                fix: Fix::Cannot("something else is mounted at /srv/scratch"),
            },
        ],
    );
}

#[test]
fn a_remount_keeps_what_the_rule_does_not_name() {
    if !is_inside("mounts::a_remount_keeps_what_the_rule_does_not_name") {
        return;
    }
    let host = debian::host();
    mount(&host, &["-t", "tmpfs", "-o", "nosuid,nodev,noatime", "scratch"], "/srv/scratch");
    let lines = "path = \"/srv/scratch\"\nsource = \"scratch\"\ntype = \"tmpfs\"\n\
                 options = \"noexec\"\nstate = \"mounted\"";
    assert_eq!(host.fix(&rule("mount", lines)).unwrap().result, FixResult::Fixed);
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let at = host.path("/srv/scratch").display().to_string();
    let line = table.lines().rfind(|line| line.contains(&at)).unwrap();
    for option in ["nosuid", "nodev", "noatime", "noexec"] {
        assert!(line.contains(option), "{option}: {line}");
    }
}

#[test]
fn a_file_is_never_mounted_through_a_loop_device() {
    if !is_inside("mounts::a_file_is_never_mounted_through_a_loop_device") {
        return;
    }
    let host = debian::host().with("/srv/x.img", "no file system\n");
    let lines = "path = \"/srv/x\"\nsource = \"/srv/x.img\"\ntype = \"ext4\"\nstate = \"mounted\"";
    let FixResult::Failed { reason } = host.fix(&rule("mount", lines)).unwrap().result else {
        panic!("mounted")
    };
    assert!(reason.contains("it is a file, and loop devices"), "{reason}");
}

#[test]
fn a_bind_mount_that_is_taken_away_comes_back_as_the_same_folder() {
    if !is_inside("mounts::a_bind_mount_that_is_taken_away_comes_back_as_the_same_folder") {
        return;
    }
    let host = debian::host();
    mount(&host, &["-t", "tmpfs", "-o", "mode=755", "scratch"], "/srv");
    fs::create_dir_all(host.path("/srv/shown")).unwrap();
    mount(&host, &["--bind", host.path("/srv/shown").to_str().unwrap()], "/srv/second");
    fs::write(host.path("/srv/shown/x"), "x").unwrap();
    let gone = rule("mount", "path = \"/srv/second\"\nstate = \"absent\"");
    let record = host.fix(&gone).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert!(!host.path("/srv/second/x").exists());
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(host.path("/srv/second/x").exists());
}

#[test]
fn what_is_in_use_stays_mounted_and_in_fstab() {
    if !is_inside("mounts::what_is_in_use_stays_mounted_and_in_fstab") {
        return;
    }
    let host = debian::host().with("/etc/fstab", "busy /srv/busy tmpfs defaults 0 0\n");
    mount(&host, &["-t", "tmpfs", "busy"], "/srv/busy");
    fs::write(host.path("/srv/busy/open"), "x").unwrap();
    let held = fs::File::open(host.path("/srv/busy/open")).unwrap();
    let gone = rule("mount", "path = \"/srv/busy\"\nstate = \"absent\"");
    let FixResult::Failed { reason } = host.fix(&gone).unwrap().result else { panic!("unmounted") };
    assert!(reason.contains("busy"), "{reason}");
    assert_eq!(host.text("/etc/fstab"), "busy /srv/busy tmpfs defaults 0 0\n");
    assert!(host.path("/srv/busy/open").exists());
    drop(held);
    assert_eq!(host.fix(&gone).unwrap().result, FixResult::Fixed);
    assert_eq!(host.text("/etc/fstab"), "");
}

#[test]
fn what_nobody_else_would_see_is_not_mounted() {
    if !is_inside("mounts::what_nobody_else_would_see_is_not_mounted") {
        return;
    }
    let side = attributes([("source", "tg"), ("type", "tmpfs"), ("options", "")]);
    let thing = Thing::Mount { name: "/srv/tidegate-test".to_owned() };
    let change = Move { thing, before: None, after: Some(side) };
    let error = HostRoot::open(Path::new("/")).unwrap().manage(&[change]).unwrap_err();
    assert!(error.to_string().contains("this program has mounts of its own"), "{error}");
}

#[test]
fn what_cannot_be_mounted_is_not_kept_for_the_next_boot() {
    if !is_inside("mounts::what_cannot_be_mounted_is_not_kept_for_the_next_boot") {
        return;
    }
    let host = debian::host();
    let before = host.text("/etc/fstab");
    for (options, says) in
        [("", "/dev/nothing"), ("options = \"nofail\"", "/dev/nothing is not there")]
    {
        let lines = "path = \"/srv/data\"\nsource = \"/dev/nothing\"\ntype = \"ext4\"";
        let fixed = host.fix(&rule("mount", &format!("{lines}\n{options}"))).unwrap();
        let FixResult::Failed { reason } = fixed.result else { panic!("mounted") };
        assert!(reason.contains(says), "{reason}");
        assert_eq!(host.text("/etc/fstab"), before);
        assert!(!host.path("/srv/data").exists());
    }
}

#[test]
fn nothing_is_mounted_where_somebody_could_lead_it_elsewhere() {
    if !is_inside("mounts::nothing_is_mounted_where_somebody_could_lead_it_elsewhere") {
        return;
    }
    let host = debian::host();
    for folder in ["/srv/app1/data", "/srv/open/data", "/srv/real/data"] {
        fs::create_dir_all(host.path(folder)).unwrap();
    }
    chown(host.path("/srv/app1"), Some(1000), Some(1000)).unwrap();
    fs::set_permissions(host.path("/srv/open"), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("real", host.path("/srv/link")).unwrap();
    symlink("/etc", host.path("/srv/etc")).unwrap();
    for (path, reason) in [
        ("/srv/app1/data", "others may write to this folder"),
        ("/srv/open/data", "others may write to this folder"),
        ("/srv/link/data", "a link is in the way"),
        ("/srv/etc", "is in its place"),
        ("/etc", "the host would be gone without /etc"),
        ("/var/lib", "the host would be gone without /var/lib"),
    ] {
        let lines = format!("path = \"{path}\"\nsource = \"x\"\ntype = \"tmpfs\"");
        let checked = only(host.check(&rule("mount", &lines)));
        assert_eq!(checked.verdict.status, VerdictStatus::NotOk, "{path}");
        let said = if checked.verdict.fixable {
            format!("{:?}", host.fix(&rule("mount", &lines)).unwrap().result)
        } else {
            checked.verdict.reason.unwrap()
        };
        assert!(said.contains(reason), "{path}: {said}");
    }
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(!table.contains(&host.path("/srv").display().to_string()), "{table}");
}

#[test]
fn a_folder_is_shown_through_a_link_that_root_made_and_through_no_others() {
    if !is_inside("mounts::a_folder_is_shown_through_a_link_that_root_made_and_through_no_others") {
        return;
    }
    let host = debian::host().with("/srv/real/x", "");
    symlink("real", host.path("/srv/link")).unwrap();
    let lines = "path = \"/srv/at\"\nsource = \"/srv/link\"\noptions = \"bind\"";
    assert_eq!(host.fix(&rule("mount", lines)).unwrap().result, FixResult::Fixed);
    assert!(host.path("/srv/at/x").exists());
    fs::create_dir_all(host.path("/srv/app")).unwrap();
    chown(host.path("/srv/app"), Some(1000), Some(1000)).unwrap();
    symlink("/etc", host.path("/srv/app/link")).unwrap();
    let before = host.text("/etc/fstab");
    let lines = "path = \"/srv/in\"\nsource = \"/srv/app/link\"\noptions = \"bind\"";
    let FixResult::Failed { reason } = host.fix(&rule("mount", lines)).unwrap().result else {
        panic!("mounted")
    };
    assert!(reason.contains("it is not followed"), "{reason}");
    assert!(!host.path("/srv/in").exists());
    assert_eq!(host.text("/etc/fstab"), before);
}

#[test]
fn a_mount_is_told_by_its_source_type_and_options() {
    if !is_inside("mounts::a_mount_is_told_by_its_source_type_and_options") {
        return;
    }
    let host = debian::host().with("/etc/fstab", "a /srv/a\\040b tmpfs nodev,noexec 0 0\n");
    mount(&host, &["-t", "tmpfs", "-o", "ro,nodev,noexec", "a"], "/srv/a b");
    let a = "path = \"/srv/a b\"\nsource = \"a\"\ntype = \"tmpfs\"";
    for (more, wanted) in [
        ("", VerdictStatus::Ok),
        ("\noptions = [\"noexec\", \"nodev\"]", VerdictStatus::Ok),
        ("\noptions = \"ro\"\nstate = \"mounted\"", VerdictStatus::Ok),
        ("\noptions = \"rw\"\nstate = \"mounted\"", VerdictStatus::NotOk),
        ("\noptions = \"noexec\"", VerdictStatus::NotOk),
        ("\noptions = \"noexec\"\nstate = \"mounted\"", VerdictStatus::Ok),
    ] {
        assert_eq!(status(&host, &format!("{a}{more}")), wanted, "{more}");
    }
    let other = a.replace("tmpfs", "ramfs");
    assert_eq!(status(&host, &other), VerdictStatus::NotOk);
}

#[test]
fn a_share_of_the_network_is_kept_for_the_next_boot() {
    let host = Host::default().with("/etc/fstab", "");
    let lines = "path = \"/srv/share\"\nsource = \"//files/a/b\"\ntype = \"cifs\"\n\
                 options = \"credentials=/etc/smb,nofail\"\nstate = \"persisted\"";
    let share = rule("mount", lines);
    assert_eq!(host.fix(&share).unwrap().result, FixResult::Fixed);
    let fstab = host.text("/etc/fstab");
    assert!(fstab.contains("//files/a/b /srv/share cifs credentials=/etc/smb,nofail"), "{fstab}");
}

#[test]
fn what_is_mounted_where_a_path_leads_is_not_said_to_be_absent() {
    if !is_inside("mounts::what_is_mounted_where_a_path_leads_is_not_said_to_be_absent") {
        return;
    }
    let absent = "path = \"/home/data\"\nstate = \"absent\"";
    let host = Host::default().with("/etc/fstab", "x /srv//home/./data/ ext4 defaults 0 0\n");
    symlink("srv/home", host.path("/home")).unwrap();
    let reason = |host: &Host| only(host.check(&rule("mount", absent))).verdict.reason.unwrap();
    assert!(reason(&host).contains("leads by a link to /srv/home/data"), "{}", reason(&host));
    let host = host.with("/etc/fstab", "");
    assert_eq!(status(&host, absent), VerdictStatus::Ok);
    mount(&host, &["-t", "tmpfs", "none"], "/srv/home/data");
    assert_eq!(status(&host, absent), VerdictStatus::Error);
    assert!(reason(&host).contains("leads by a link to /srv/home/data"), "{}", reason(&host));
}

#[test]
fn a_path_in_fstab_is_the_same_however_many_slashes_it_has() {
    let host = Host::default().with("/etc/fstab", "x /srv//./x/ ext4 defaults 0 0\nx none swap\n");
    let absent = |path: &str| format!("path = \"{path}\"\nstate = \"absent\"");
    assert_eq!(status(&host, &absent("/srv/x")), VerdictStatus::NotOk);
    assert_eq!(status(&host, &absent("/none")), VerdictStatus::Ok);
}
