//! What a file has beside content, mode and owner: access control lists, labels, notes, powers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use rustix::io::Errno;
use tidegate::clients::host::Extended;
use tidegate::compliance::record::FixResult;
use tidegate::model::PathState;

use crate::compliance::support::{Host, rule};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
const POWERS: &str = "security.capability";
/// `cap_net_bind_service` for whoever runs the file.
const BIND: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A list in which user 1000 may read as well; at most this is allowed to others than the owner.
fn list(mask: u8) -> Vec<u8> {
    let one = |tag: u8, may: u8, id: [u8; 4]| [[tag, 0, may, 0], id].concat();
    let none = [0xff; 4];
    let entries = [
        one(1, 6, none),
        one(2, 4, [0xe8, 3, 0, 0]),
        one(4, 4, none),
        one(0x10, mask, none),
        one(0x20, 0, none),
    ];
    [vec![2, 0, 0, 0], entries.concat()].concat()
}

fn set(path: &Path, name: &str, value: &[u8]) {
    setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn all(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 4096];
    let n = listxattr(path, names.as_mut_slice()).unwrap();
    let names = String::from_utf8(names[..n].to_vec()).unwrap();
    let value = |name: &str| {
        let mut value = vec![0; 4096];
        let n = getxattr(path, name, value.as_mut_slice()).unwrap();
        (name.to_owned(), value[..n].to_vec())
    };
    names.split_terminator('\0').map(value).collect()
}

/// A file with all that a file can have, as far as this user may give it.
fn host() -> Host {
    let host = Host::default().with("/etc/motd", "old\n");
    let path = host.path("/etc/motd");
    set(&path, "user.note", b"by hand");
    set(&path, ACCESS, &list(4));
    let given = setxattr(&path, POWERS, &BIND, XattrFlags::empty());
    assert!(matches!(given, Ok(()) | Err(Errno::PERM)), "{given:?}");
    host
}

#[test]
fn a_fix_leaves_a_file_its_lists_and_notes_and_gives_no_new_content_its_powers() {
    let host = host();
    let path = host.path("/etc/motd");
    let before = all(&path);
    let record = host.fix(&rule("file", "path = \"/etc/motd\"\ncontent = \"new\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    let mut left = before.clone();
    left.remove(POWERS);
    assert_eq!((all(&path), host.mode("/etc/motd")), (left, 0o640));
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!((all(&path), host.text("/etc/motd")), (before, "old\n".to_owned()));
}

#[test]
fn a_file_that_was_removed_comes_back_with_all_that_it_had() {
    let host = host();
    let path = host.path("/etc/motd");
    let before = all(&path);
    let record = host.fix(&rule("file_absent", "path = \"/etc/motd\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(all(&path), before);
}

#[test]
fn a_stricter_mode_counts_for_whom_a_list_names() {
    let host = host();
    let lines = "path = \"/etc/motd\"\ncontent = \"new\"\nmode = \"0600\"";
    assert_eq!(host.fix(&rule("file", lines)).unwrap().result, FixResult::Fixed);
    assert_eq!(all(&host.path("/etc/motd")).get(ACCESS), Some(&list(0)));
    assert_eq!(host.mode("/etc/motd"), 0o600);
}

#[test]
fn the_list_of_its_folder_does_not_count_for_a_file_that_had_none() {
    let host = Host::default().with("/etc/motd", "old\n");
    set(&host.path("/etc"), "system.posix_acl_default", &list(4));
    let lines = "path = \"/etc/motd\"\ncontent = \"new\"\nmode = \"0640\"";
    assert_eq!(host.fix(&rule("file", lines)).unwrap().result, FixResult::Fixed);
    assert_eq!(all(&host.path("/etc/motd")), BTreeMap::new());
    // One that is new goes by it, as any other does.
    let lines = "path = \"/etc/issue\"\ncontent = \"new\"\nmode = \"0640\"";
    assert_eq!(host.fix(&rule("file", lines)).unwrap().result, FixResult::Fixed);
    assert_eq!(all(&host.path("/etc/issue")).get(ACCESS), Some(&list(4)));
}

#[test]
fn a_folder_keeps_its_lists_and_notes_when_it_is_mended_and_when_it_comes_back() {
    let host = Host::default();
    let folder = host.path("/etc/q");
    fs::create_dir_all(&folder).unwrap();
    set(&folder, "user.note", b"by hand");
    set(&folder, ACCESS, &list(4));
    set(&folder, DEFAULT, &list(6));
    let (before, mode) = (all(&folder), host.mode("/etc/q"));
    // What is made in /etc would have another list.
    set(&host.path("/etc"), DEFAULT, &list(7));
    for (kind, lines) in
        [("directory", "path = \"/etc/q\"\nmode = \"0610\""), ("file_absent", "path = \"/etc/q\"")]
    {
        let record = host.fix(&rule(kind, lines)).unwrap();
        assert_eq!(record.result, FixResult::Fixed);
        if kind == "directory" {
            assert_eq!(all(&folder).get("user.note"), before.get("user.note"));
            assert_eq!(all(&folder).get(DEFAULT), before.get(DEFAULT));
            assert_eq!(all(&folder).get(ACCESS), Some(&list(1)), "a mode limits whom a list names");
        }
        assert_eq!(host.restore(&record), FixResult::Fixed);
        assert_eq!((all(&folder), host.mode("/etc/q")), (before.clone(), mode), "{kind}");
    }
}

#[test]
fn an_attribute_that_the_kernel_refuses_fails_the_change_and_is_named() {
    let host = Host::default().with("/etc/motd", "old\n");
    let root = host.root();
    let path = "/etc/motd".parse().unwrap();
    let before = root.look(&path, 100).unwrap();
    let PathState::File { owned, .. } = before else { panic!("{before:?}") };
    let kept: Extended = serde_json::from_str(r#"{ "unheard.of": "00" }"#).unwrap();
    for after in
        [PathState::File { content: b"new\n"[..].into(), owned }, PathState::Directory { owned }]
    {
        let path = match after {
            PathState::File { .. } => path.clone(),
            _ => "/etc/q".parse().unwrap(),
        };
        let before = root.look(&path, 100).unwrap();
        let refused = root.put(&path, &before, &after, Some(&kept)).unwrap_err();
        let said = tidegate::telemetry::Chain(&refused).to_string();
        assert!(said.contains("extended attribute unheard.of: "), "{said}");
        assert_eq!(host.text("/etc/motd"), "old\n");
        assert_eq!(fs::read_dir(host.path("/etc")).unwrap().count(), 4, "and nothing beside it");
    }
}

#[test]
fn what_cannot_be_carried_over_fails_the_change_and_leaves_the_old_file() {
    let host = host();
    let odd = OsStr::from_bytes(b"user.\xff");
    setxattr(host.path("/etc/motd"), odd, b"x", XattrFlags::empty()).unwrap();
    let said = match host.fix(&rule("file", "path = \"/etc/motd\"\ncontent = \"new\"")) {
        Ok(record) => format!("{:?}", record.result),
        Err(error) => tidegate::telemetry::Chain(&error).to_string(),
    };
    assert!(said.contains("name of an extended attribute is not UTF-8"), "{said}");
    assert_eq!(host.text("/etc/motd"), "old\n");
    assert_eq!(fs::read_dir(host.path("/etc")).unwrap().count(), 4, "and nothing beside it");
}

#[test]
fn what_somebody_changed_of_them_since_the_fix_is_not_undone() {
    let host = host();
    let path = host.path("/etc/motd");
    let record = host.fix(&rule("file", "path = \"/etc/motd\"\ncontent = \"new\"")).unwrap();
    set(&path, "user.note", b"since");
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("undone") };
    assert!(reason.contains("no longer as the fix left them"), "{reason}");
    assert_eq!(
        (&all(&path)["user.note"][..], host.text("/etc/motd")),
        (&b"since"[..], "new".into())
    );
    set(&path, "user.note", b"by hand");
    assert_eq!(host.restore(&record), FixResult::Fixed);
}
