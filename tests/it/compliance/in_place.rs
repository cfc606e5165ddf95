//! Mode and owner are changed on the file that is there: whoever has it open keeps it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tidegate::compliance::change::Change;
use tidegate::compliance::record::{FixResult, FixedBy};

use crate::compliance::support::{Host, only, rule};

const LOG: &str = "path = \"/etc/app.log\"\nmode = \"0640\"";

fn inode(host: &Host, path: &str) -> u64 {
    fs::metadata(host.path(path)).unwrap().ino()
}

#[test]
fn a_log_that_is_open_loses_nothing_to_a_rule_about_its_mode() {
    let host = Host::default().with("/etc/app.log", "one\n");
    let path = host.path("/etc/app.log");
    let mut open = fs::OpenOptions::new().append(true).open(&path).unwrap();
    fs::hard_link(&path, host.path("/etc/app.log.1")).unwrap();
    let checked = only(host.check(&rule("file", LOG)));
    let diff: String = checked.changes.iter().map(Change::diff).collect();
    assert_eq!(
        diff,
        "--- /etc/app.log\n+++ /etc/app.log\n\
         # a file, mode 0644, owner 0:0 → a file, mode 0640, owner 0:0\n"
    );
    let record = host.fix(&rule("file", LOG)).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    writeln!(open, "two").unwrap();
    assert_eq!(host.text("/etc/app.log"), "one\ntwo\n");
    assert_eq!((host.mode("/etc/app.log"), host.mode("/etc/app.log.1")), (0o640, 0o640));
    // What was written since is nobody's change of the mode.
    assert_eq!(host.restore(&record), FixResult::Fixed);
    writeln!(open, "three").unwrap();
    assert_eq!(
        (host.text("/etc/app.log"), host.mode("/etc/app.log")),
        ("one\ntwo\nthree\n".into(), 0o644)
    );
}

#[test]
fn a_file_that_is_written_between_the_check_and_the_fix_is_mended() {
    let host = Host::default().with("/etc/app.log", "one\n");
    let changes = only(host.check(&rule("file", LOG))).changes;
    fs::write(host.path("/etc/app.log"), "one\ntwo\n").unwrap();
    let [Change::Path { path, before, after, .. }] = &changes[..] else { panic!("{changes:?}") };
    host.root().put(path, before, after, None).unwrap();
    assert_eq!(
        (host.mode("/etc/app.log"), host.text("/etc/app.log")),
        (0o640, "one\ntwo\n".into())
    );
    // Somebody changed what the change is about: it is left alone.
    assert!(host.root().put(path, before, after, None).is_err());
}

#[test]
fn a_file_whose_content_is_right_stays_the_same_file() {
    let host = Host::default().with("/etc/motd", "hello\n");
    let before = inode(&host, "/etc/motd");
    let lines = "path = \"/etc/motd\"\ncontent = \"hello\\n\"\nmode = \"0600\"\nowner = 1000";
    let record = host.fix(&rule("file", lines)).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!((inode(&host, "/etc/motd"), host.mode("/etc/motd")), (before, 0o600));
    // The user may have it open by now, so that the way back is a file of its own.
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(host.mode("/etc/motd"), 0o644);
    assert_ne!(inode(&host, "/etc/motd"), before);
}

#[test]
fn a_second_name_that_a_user_gave_a_file_makes_it_nobodys() {
    let host = Host::default().with("/srv/app/data", "x").with("/etc/secret", "canary\n");
    chown(host.path("/srv/app"), Some(1000), Some(1000)).unwrap();
    fs::remove_file(host.path("/srv/app/data")).unwrap();
    fs::hard_link(host.path("/etc/secret"), host.path("/srv/app/data")).unwrap();
    let lines = "path = \"/srv/app/data\"\nowner = 1000\nmode = \"0600\"";
    let FixResult::Failed { reason } = host.fix(&rule("file", lines)).unwrap().result else {
        panic!("given away")
    };
    assert!(reason.contains("has another name"), "{reason}");
    // With a content of its own it is replaced by a file that is nothing else.
    let lines = format!("{lines}\ncontent = \"canary\\n\"");
    assert_eq!(host.fix(&rule("file", &lines)).unwrap().result, FixResult::Fixed);
    let secret = fs::metadata(host.path("/etc/secret")).unwrap();
    assert_eq!((secret.uid(), host.mode("/etc/secret")), (0, 0o644));
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// A list that lets user 1001 read and write, the file's group only read.
fn list(names: &[u32]) -> Vec<u8> {
    let mut list = vec![2, 0, 0, 0];
    let others = names.iter().map(|name| (2, 6, *name));
    let none = u32::MAX;
    let entries = [(1, 6, none)].into_iter().chain(others);
    for (tag, may, id) in entries.chain([(4, 4, none), (16, 6, none), (32, 0, none)]) {
        list.extend([[tag, 0, may, 0], id.to_le_bytes()].concat());
    }
    list
}

fn value(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 99];
    let n = getxattr(path, name, &mut value[..]).ok()?;
    Some(value[..n].to_vec())
}

/// A file of user 1000 with a list of theirs.
fn listed() -> (Host, PathBuf) {
    let host = Host::default().with("/etc/motd", "old\n");
    let path = host.path("/etc/motd");
    chown(&path, Some(1000), Some(1000)).unwrap();
    setxattr(&path, ACCESS, &list(&[1001]), XattrFlags::empty()).unwrap();
    (host, path)
}

const TO_ROOT: &str = "path = \"/etc/motd\"\nowner = \"root\"";

#[test]
fn whom_a_users_list_names_does_not_pass_on_to_root_and_the_group_may_no_more_than_before() {
    for content in ["", "\ncontent = \"new\""] {
        let (host, path) = listed();
        setxattr(&path, "user.note", b"x", XattrFlags::empty()).unwrap();
        let record = host.fix(&rule("file", &format!("{TO_ROOT}{content}"))).unwrap();
        assert_eq!(record.result, FixResult::Fixed);
        // The group's bits of the mode are the mask.
        assert_eq!((host.mode("/etc/motd"), value(&path, ACCESS)), (0o660, Some(list(&[]))));
        assert!(value(&path, "user.note").is_some());
        assert_eq!(host.restore(&record), FixResult::Fixed);
        assert_eq!((host.mode("/etc/motd"), value(&path, ACCESS)), (0o660, Some(list(&[1001]))));
    }
}

#[test]
fn lists_of_a_folder_that_becomes_roots_name_nobody_and_come_back() {
    let host = Host::default();
    let path = host.path("/etc/q");
    fs::create_dir(&path).unwrap();
    chown(&path, Some(1000), Some(1000)).unwrap();
    for name in [ACCESS, DEFAULT] {
        setxattr(&path, name, &list(&[1001]), XattrFlags::empty()).unwrap();
    }
    let record = host.fix(&rule("directory", "path = \"/etc/q\"\nowner = \"root\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!((value(&path, ACCESS), value(&path, DEFAULT)), (Some(list(&[])), None));
    assert_eq!(host.restore(&record), FixResult::Fixed);
    let named = Some(list(&[1001]));
    assert_eq!((value(&path, ACCESS), value(&path, DEFAULT)), (named.clone(), named));
}

#[test]
fn an_owner_that_cannot_be_changed_costs_a_file_nothing() {
    let (host, path) = listed();
    let fix = || {
        // Of this thread alone.
        let mut has = capabilities(None).unwrap();
        has.effective.remove(CapabilitySet::CHOWN);
        set_capabilities(None, has).unwrap();
        host.fix(&rule("file", TO_ROOT)).unwrap().result
    };
    let result = std::thread::scope(|scope| scope.spawn(fix).join().unwrap());
    assert!(matches!(result, FixResult::Failed { .. }), "{result:?}");
    assert_eq!((host.mode("/etc/motd"), value(&path, ACCESS)), (0o660, Some(list(&[1001]))));
}

#[test]
fn a_list_that_an_interrupted_fix_took_away_comes_back_however_far_it_came() {
    let lines = rule("file", &format!("{TO_ROOT}\nmode = \"0640\""));
    for (uid, mode) in [(1000, 0o660), (1000, 0o640), (0, 0o640)] {
        let (host, path) = listed();
        let changes = only(host.check(&lines)).changes;
        let has = host.root().extended(&"/etc/motd".parse().unwrap()).unwrap();
        let records = host.records();
        let now = Timestamp::now();
        let begun = records.begin(FixedBy::Operator, "it/a", "node", "prd@x", &changes, now);
        let begun = begun.unwrap();
        records.keep(&begun, &[("/etc/motd".parse().unwrap(), has)].into()).unwrap();
        setxattr(&path, ACCESS, &list(&[]), XattrFlags::empty()).unwrap();
        chown(&path, Some(uid), None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(host.way_back(&begun).changes.len(), 1, "{uid} {mode:o}");
        assert_eq!(host.restore(&begun), FixResult::Fixed, "{uid} {mode:o}");
        let uid = fs::metadata(&path).unwrap().uid();
        assert_eq!((uid, host.mode("/etc/motd")), (1000, 0o660));
        assert_eq!(value(&path, ACCESS), Some(list(&[1001])));
        assert!(host.way_back(&begun).changes.is_empty());
    }
}

#[test]
fn a_file_between_owner_and_mode_goes_back_to_both() {
    let lines = rule("file", "path = \"/etc/motd\"\nowner = 1000\nmode = \"4600\"");
    for uid in [0, 1000] {
        let host = Host::default().with("/etc/motd", "x\n");
        let changes = only(host.check(&lines)).changes;
        let records = host.records();
        let now = Timestamp::now();
        let begun = records.begin(FixedBy::Operator, "it/a", "node", "prd@x", &changes, now);
        chown(host.path("/etc/motd"), Some(uid), None).unwrap();
        let both = fs::Permissions::from_mode(0o600);
        fs::set_permissions(host.path("/etc/motd"), both).unwrap();
        assert_eq!(host.restore(&begun.unwrap()), FixResult::Fixed, "{uid}");
        let uid = fs::metadata(host.path("/etc/motd")).unwrap().uid();
        assert_eq!((uid, host.mode("/etc/motd")), (0, 0o644));
    }
}
