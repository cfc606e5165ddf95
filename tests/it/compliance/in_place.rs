//! Mode and owner are changed on the file that is there: whoever has it open keeps it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};

use jiff::Timestamp;
use rustix::fs::{XattrFlags, getxattr, setxattr};
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
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!((inode(&host, "/etc/motd"), host.mode("/etc/motd")), (before, 0o644));
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

#[test]
fn a_list_that_a_user_made_does_not_stay_on_a_file_that_becomes_roots() {
    const ACCESS: &str = "system.posix_acl_access";
    let host = Host::default().with("/etc/motd", "old\n");
    let path = host.path("/etc/motd");
    chown(&path, Some(1000), Some(1000)).unwrap();
    // User 1001 may read and write as well.
    let mut list = vec![2, 0, 0, 0];
    for (tag, may, id) in
        [(1, 6, u32::MAX), (2, 6, 1001), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend([[tag, 0, may, 0], id.to_le_bytes()].concat());
    }
    setxattr(&path, ACCESS, &list, XattrFlags::empty()).unwrap();
    setxattr(&path, "user.note", b"x", XattrFlags::empty()).unwrap();
    let has = |name: &str| getxattr(&path, name, &mut [0; 99][..]).is_ok();
    let record = host.fix(&rule("file", "path = \"/etc/motd\"\nowner = \"root\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert!(!has(ACCESS) && has("user.note"));
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(has(ACCESS));
}

#[test]
fn a_file_between_owner_and_mode_goes_back_to_both() {
    let host = Host::default().with("/etc/motd", "x\n");
    let lines = rule("file", "path = \"/etc/motd\"\nowner = 1000\nmode = \"0600\"");
    let changes = only(host.check(&lines)).changes;
    let records = host.records();
    let now = Timestamp::now();
    let begun = records.begin(FixedBy::Operator, "it/a", "node", "prd@x", &changes, now);
    chown(host.path("/etc/motd"), Some(1000), None).unwrap();
    assert_eq!(host.restore(&begun.unwrap()), FixResult::Fixed);
    let uid = fs::metadata(host.path("/etc/motd")).unwrap().uid();
    assert_eq!((uid, host.mode("/etc/motd")), (0, 0o644));
}
