//! Taking back what did not come to its end, and what is in use by now.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tidegate::compliance::change::Change;
use tidegate::compliance::record::{FixRecord, FixResult, FixedBy};
use tidegate::model::{Digest, PathState, Permissions};

use crate::compliance::archives::site;
use crate::compliance::debian;
use crate::compliance::support::{Host, only, rule};

/// The record of a fix of which only the first steps were made before the machine went down.
fn interrupted(host: &Host, rules: &str, n_made: usize) -> FixRecord {
    begun(host, &only(host.check(rules)).changes, n_made)
}

fn begun(host: &Host, changes: &[Change], n_made: usize) -> FixRecord {
    let (by, at) = (FixedBy::Operator, Timestamp::now());
    let begun = host.records().begin(by, "it/a", "node", "prd@x", changes, at);
    let root = host.root();
    for change in changes.iter().take(n_made) {
        match change {
            Change::Path { path, before, after, .. } => {
                root.put(path, before, after, None).unwrap();
            }
            Change::Kernel { key, before, after, .. } => {
                root.set_kernel(key, before, after).unwrap();
            }
            Change::Managed(moves) => root.manage(moves).unwrap(),
        }
    }
    begun.unwrap()
}

/// Every path below a folder of the host.
fn all(host: &Host, path: &str) -> Vec<String> {
    let mut found: Vec<String> = walkdir(&host.path(path));
    found.sort();
    found
}

fn walkdir(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| [vec![path.display().to_string()], walkdir(&path)].concat()).collect()
}

#[test]
fn a_fix_that_was_interrupted_anywhere_is_taken_back_as_far_as_it_came() {
    let archive = site();
    let lines = format!(
        "path = \"/etc/site\"\nsource = \"site.tar\"\ndigest = \"{}\"\nowner = \"root\"\ngroup = \"root\"",
        Digest::of(&archive)
    );
    for (kind, lines, n_steps) in [
        ("archive", lines.as_str(), 6),
        ("sysctl", "key = \"vm.swappiness\"\nvalue = 10", 2),
        ("file", "path = \"/etc/q/b/c.conf\"\ncontent = \"x\"", 3),
    ] {
        for n_made in 0..=n_steps {
            let mut host = Host::default().with("/proc/sys/vm/swappiness", "60\n");
            host.files.insert("site.tar".to_owned(), archive.clone());
            fs::create_dir_all(host.path("/etc/sysctl.d")).unwrap();
            let before = all(&host, "/");
            let rule = rule(kind, lines);
            assert_eq!(only(host.check(&rule)).changes.len(), n_steps, "{kind}");
            let record = interrupted(&host, &rule, n_made);
            assert_eq!(host.restore(&record), FixResult::Fixed, "{kind} {n_made}");
            assert_eq!(all(&host, "/"), before, "{kind} {n_made}");
            assert_eq!(host.text("/proc/sys/vm/swappiness"), "60\n");
            let restored = host.records().all().pop().unwrap();
            let changes = host.records().changes(&restored).unwrap();
            assert_eq!(changes.len(), n_made, "what was not changed is in no record: {kind}");
        }
    }
}

#[test]
fn a_way_back_that_was_interrupted_anywhere_goes_on_and_is_taken_back() {
    for (kind, lines, n_steps) in [
        ("sysctl", "key = \"vm.swappiness\"\nvalue = 10", 2),
        ("file", "path = \"/etc/q/b/c.conf\"\ncontent = \"x\"", 3),
    ] {
        for n_made in 0..=n_steps {
            let host = Host::default().with("/proc/sys/vm/swappiness", "60\n");
            fs::create_dir_all(host.path("/etc/sysctl.d")).unwrap();
            let before = all(&host, "/");
            let record = host.fix(&rule(kind, lines)).unwrap();
            let mended = all(&host, "/");
            let way = host.way_back(&record);
            assert_eq!(way.changes.len(), n_steps, "{kind}");
            let broken_off = begun(&host, &way.changes, n_made);
            assert_eq!(host.way_back(&record).changes, way.changes[n_made..], "{kind} {n_made}");
            assert_eq!(host.restore(&broken_off), FixResult::Fixed, "{kind} {n_made}");
            assert_eq!(all(&host, "/"), mended, "{kind} {n_made}");
            assert_eq!(host.restore(&record), FixResult::Fixed, "{kind} {n_made}");
            assert_eq!(all(&host, "/"), before, "{kind} {n_made}");
            assert_eq!(host.text("/proc/sys/vm/swappiness"), "60\n");
        }
    }
}

#[test]
fn a_folder_that_has_its_owner_but_not_yet_its_mode_goes_back_to_both() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::default();
    let folder = host.path("/etc/q");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let lines = rule("directory", "path = \"/etc/q\"\nmode = \"0700\"\nowner = 7\ngroup = 7");
    let record = interrupted(&host, &lines, 0);
    // What both modes let is what there is in between.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&folder, Some(7), Some(7)).unwrap();
    assert_eq!(host.restore(&record), FixResult::Fixed);
    let now = fs::metadata(&folder).unwrap();
    assert_eq!((now.uid(), host.mode("/etc/q")), (0, 0o755));
    // Somebody else's change is nobody's to take back.
    let record = interrupted(&host, &lines, 0);
    chown(&folder, Some(8), Some(7)).unwrap();
    assert!(matches!(host.restore(&record), FixResult::Failed { .. }));
    assert_eq!(fs::metadata(&folder).unwrap().uid(), 8);
}

#[test]
fn nobody_finds_a_new_folder_with_another_mode_than_its_own() {
    let host = Host::default();
    fs::create_dir_all(host.path("/etc")).unwrap();
    let before = all(&host, "/");
    let (at, over) = (host.path("/etc/q"), AtomicBool::new(false));
    let now = fs::metadata(host.path("/etc")).unwrap();
    let owned = Permissions { mode: 0o751, uid: now.uid(), gid: now.gid() };
    let (none, folder) = (PathState::Absent, PathState::Directory { owned });
    let path = "/etc/q".parse().unwrap();
    let found = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut found = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                found.extend(fs::metadata(&at).map(|now| now.permissions().mode() & 0o7777));
            }
            found
        });
        for _ in 0..300 {
            host.root().put(&path, &none, &folder, None).unwrap();
            host.root().put(&path, &folder, &none, None).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        watch.join().unwrap()
    });
    assert!(found.is_subset(&[0o751].into()), "{found:?}");
    assert_eq!(all(&host, "/"), before, "nor anything beside it");
}

#[test]
fn accounts_that_a_fix_did_not_come_to_make_are_not_removed() {
    let host = debian::host();
    let lines = rule("user", "user = \"carol\"\nsystem = true");
    for n_made in [0, 1] {
        let record = interrupted(&host, &lines, n_made);
        assert_eq!(host.text("/etc/passwd").contains("carol"), n_made == 1);
        assert_eq!(host.restore(&record), FixResult::Fixed);
        assert!(!host.text("/etc/passwd").contains("carol"));
    }
}

#[test]
fn a_folder_that_is_in_use_by_now_stays_and_that_is_said() {
    let host = Host::default();
    let record = host.fix(&rule("file", "path = \"/etc/q/b/c.conf\"\ncontent = \"x\"")).unwrap();
    fs::write(host.path("/etc/q/b/other"), "an app's").unwrap();
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(!host.path("/etc/q/b/c.conf").exists());
    assert_eq!(host.text("/etc/q/b/other"), "an app's");
    let restored = host.records().all().pop().unwrap();
    let note = restored.note.clone().unwrap();
    assert_eq!(note, "left, as something else lies in it by now: /etc/q/b, /etc/q");
    // Once more: the folders that stayed are no part of what is brought back.
    assert_eq!(host.restore(&restored), FixResult::Fixed);
    assert_eq!(host.text("/etc/q/b/c.conf"), "x");
    fs::remove_file(host.path("/etc/q/b/other")).unwrap();
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(!host.path("/etc/q").exists());
    assert_eq!(host.restore(&record), FixResult::Fixed);
    let restored = host.records().all().pop().unwrap();
    assert_eq!(restored.note.as_deref(), Some("nothing was left to take back"));
}

#[test]
fn a_link_comes_back_as_whose_it_was() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for (kind, lines) in [
        ("file_absent", "path = \"/etc/link\""),
        ("symlink", "path = \"/etc/link\"\nto = \"/other\""),
    ] {
        let host = Host::default();
        std::os::unix::fs::symlink("/there", host.path("/etc/link")).unwrap();
        std::os::unix::fs::lchown(host.path("/etc/link"), Some(1000), Some(7)).unwrap();
        let record = host.fix(&rule(kind, lines)).unwrap();
        assert_eq!(record.result, FixResult::Fixed);
        assert_eq!(host.restore(&record), FixResult::Fixed);
        let link = fs::symlink_metadata(host.path("/etc/link")).unwrap();
        assert_eq!((link.uid(), link.gid()), (1000, 7), "{kind}");
    }
}
