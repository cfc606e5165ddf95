//! What is made beside a path before it has its name: nobody opens it whom the end would not let, or
//! puts something else in its place.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, Uid, XattrFlags, renameat_with, setxattr};
use tidegate::clients::host::Extended;
use tidegate::model::{PathState, Permissions};

use crate::compliance::support::Host;

const SPY: u32 = 1001;
/// Attributes take a while to be given, with a list already there.
const NOTES: [&str; 3] = ["user.a", "user.b", "user.c"];

/// A list that lets the spy do everything, and nobody else but the owner anything.
fn list() -> Vec<u8> {
    let mut list = vec![2, 0, 0, 0];
    let none = u32::MAX;
    for (tag, may, id) in [(1, 7, none), (2, 7, SPY), (4, 0, none), (16, 7, none), (32, 0, none)] {
        list.extend([[tag, 0, may, 0], id.to_le_bytes()].concat());
    }
    list
}

/// Opens what has a hidden name in a folder, or in one within, as another user, until it is `done`.
fn spied(folder: &Path, done: &AtomicBool) -> Vec<File> {
    // Of this thread alone.
    let spy = Uid::from_raw(SPY);
    rustix::thread::set_thread_res_uid(spy, spy, spy).unwrap();
    let mut open = Vec::new();
    while !done.load(Ordering::Relaxed) && open.len() < 100 {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if !entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let at = entry.path();
            let inner = fs::read_dir(&at).into_iter().flatten().flatten();
            for path in inner.map(|entry| entry.path()).chain([at.clone()]) {
                open.extend(OpenOptions::new().read(true).open(&path));
                open.extend(OpenOptions::new().write(true).open(&path));
            }
        }
    }
    open
}

/// How often a spy opens something while `put` is done again and again.
fn n_opened(host: &Host, put: impl Fn()) -> usize {
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (folder, done) = (host.path("/etc"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let ends = Done(&done);
        let spy = scope.spawn(|| spied(&folder, &done).len());
        (0..300).for_each(|_| put());
        drop(ends);
        spy.join().unwrap()
    })
}

fn file(content: &str, mode: u32, uid: u32) -> PathState {
    let owned = Permissions { mode, uid, gid: 0 };
    PathState::File { content: content.as_bytes().into(), owned }
}

#[test]
fn whom_the_old_list_names_never_opens_what_the_new_mode_keeps_from_them() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::default();
    let (path, name) = (host.path("/etc/motd"), "/etc/motd".parse().unwrap());
    let opened = n_opened(&host, || {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        setxattr(&path, "system.posix_acl_access", &list(), XattrFlags::empty()).unwrap();
        for note in NOTES {
            setxattr(&path, note, &[b'x'; 900], XattrFlags::empty()).unwrap();
        }
        let before = file("old", 0o770, 0);
        host.root().put(&name, &before, &file("canary", 0o600, 0), None).unwrap();
    });
    assert_eq!(opened, 0);
    assert_eq!((host.mode("/etc/motd"), host.text("/etc/motd")), (0o600, "canary".to_owned()));
}

#[test]
fn a_new_owner_never_opens_what_the_new_mode_keeps_from_them() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::default();
    let (path, name) = (host.path("/etc/motd"), "/etc/motd".parse().unwrap());
    let opened = n_opened(&host, || {
        fs::write(&path, "old").unwrap();
        chown(&path, Some(0), Some(0)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let before = file("old", 0o644, 0);
        host.root().put(&name, &before, &file("canary", 0o040, SPY), None).unwrap();
    });
    assert_eq!((opened, host.mode("/etc/motd")), (0, 0o040));
}

#[test]
fn whom_a_folders_list_names_never_opens_it_before_it_is_back() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::default();
    let name = "/etc/q".parse().unwrap();
    let mut all = vec![("system.posix_acl_access".to_owned(), hex::encode(list()))];
    all.extend(NOTES.map(|note| (note.to_owned(), "78".repeat(900))));
    let all: serde_json::Map<_, _> = all.into_iter().map(|(k, v)| (k, v.into())).collect();
    let kept: Extended = serde_json::from_value(all.into()).unwrap();
    let opened = n_opened(&host, || {
        let owned = Permissions { mode: 0o700, uid: 0, gid: 0 };
        let after = PathState::Directory { owned };
        host.root().put(&name, &PathState::Absent, &after, Some(&kept)).unwrap();
        fs::remove_dir(host.path("/etc/q")).unwrap();
    });
    assert_eq!(opened, 0);
}

/// Says so when it goes, also by a panic: the other thread would be waited for.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Exchanges the victim with what has a hidden name in a folder, as another user, until it is `done`.
fn exchanged(folder: &Path, done: &AtomicBool) {
    // Of this thread alone.
    let spy = Uid::from_raw(SPY);
    rustix::thread::set_thread_res_uid(spy, spy, spy).unwrap();
    let victim = folder.join("victim");
    while !done.load(Ordering::Relaxed) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') {
                let flags = RenameFlags::EXCHANGE;
                let _done = renameat_with(CWD, &victim, CWD, entry.path(), flags);
            }
        }
    }
}

#[test]
fn what_is_roots_in_a_users_folder_never_becomes_theirs_in_place_of_what_was_made() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::default();
    let (folder, done) = (host.path("/etc/alice"), AtomicBool::new(false));
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(SPY), Some(SPY)).unwrap();
    let theirs = hex::encode(format!("{SPY}:{SPY}"));
    let kept: Extended = serde_json::from_value(serde_json::json!({ "owner": theirs })).unwrap();
    let owned = Permissions { mode: 0o755, uid: SPY, gid: SPY };
    let made = PathState::Directory { owned };
    let name = "/etc/alice/made".parse().unwrap();
    let taken = std::thread::scope(|scope| {
        let _ends = Done(&done);
        scope.spawn(|| exchanged(&folder, &done));
        let mut taken = Vec::new();
        for n in 0..300 {
            let victim = folder.join("victim");
            let is_folder = n % 2 == 0;
            if is_folder {
                fs::create_dir(&victim).unwrap();
                fs::set_permissions(&victim, fs::Permissions::from_mode(0o700)).unwrap();
            } else {
                fs::write(&victim, "canary").unwrap();
            }
            let number = fs::symlink_metadata(&victim).unwrap().ino();
            let link = PathState::Symlink { to: "x".to_owned() };
            let (after, kept) = if is_folder { (&made, None) } else { (&link, Some(&kept)) };
            let _put = host.root().put(&name, &PathState::Absent, after, kept);
            // What is exchanged while it is looked through is found the next time.
            loop {
                let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
                if left.is_empty() {
                    break;
                }
                for entry in left {
                    let Ok(is) = entry.path().symlink_metadata() else { continue };
                    taken.extend((is.ino() == number && is.uid() == SPY).then_some(n));
                    let _gone = fs::remove_file(entry.path());
                    let _gone = fs::remove_dir_all(entry.path());
                }
            }
        }
        taken
    });
    assert!(taken.is_empty(), "{taken:?}");
}
