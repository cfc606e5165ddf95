//! What survives, and what is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::clients::host::{
    DurableFile, EngineLock, HostError, HostRoot, NodeKey, read_bounded, read_tree, write_file,
};

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn state_that_is_torn_foreign_or_newer_gives_way_to_the_generation_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/memory.json");
    let file = DurableFile::new(&path);
    assert_eq!(file.load(text).content, None);
    file.save(b"one").unwrap();
    file.save(b"two").unwrap();
    assert_eq!(file.load(text).content.as_deref(), Some("two"));
    assert_eq!(names(path.parent().unwrap()), ["memory.json", "memory.json.previous"]);
    let whole = fs::read(&path).unwrap();
    let damages: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("torn", whole[..whole.len() - 1].to_vec()),
        ("a flipped bit", whole.iter().map(|b| if *b == b't' { b'u' } else { *b }).collect()),
        ("newer", b"tidegate-state/2 3 x\nnew".to_vec()),
        ("foreign", b"{}\n".to_vec()),
    ];
    for (damage, bytes) in damages {
        fs::write(&path, bytes).unwrap();
        let loaded = file.load(text);
        assert_eq!(loaded.content.as_deref(), Some("one"), "{damage}");
        assert_eq!(loaded.problems.len(), 1, "{damage}");
    }
    file.save(b"three").unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(file.load(text).content.as_deref(), Some("one"), "a damaged one is never kept");
    fs::write(path.with_extension("json.previous"), "").unwrap();
    let loaded = file.load(text);
    assert_eq!((loaded.content, loaded.problems.len()), (None, 1));
}

#[test]
fn a_save_that_fails_keeps_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory.json");
    let file = DurableFile::new(&path);
    file.save(b"one").unwrap();
    fs::create_dir(dir.path().join("memory.json.previous")).unwrap();
    file.save(b"two").unwrap_err();
    assert_eq!(file.load(text).content.as_deref(), Some("one"));
    assert_eq!(
        names(dir.path()).iter().filter(|n| n.ends_with("tmp") && !n.contains("previous")).count(),
        0
    );
}

#[test]
fn the_node_key_is_made_once_and_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/node.key");
    assert!(NodeKey::load(&path).unwrap().is_none());
    let made = NodeKey::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = NodeKey::load_or_create(&path).unwrap();
    assert_eq!(*made.secret(), *again.secret());
    assert!(made.public().starts_with("ssh-ed25519 "));
    assert!(!format!("{made:?}").contains("PRIVATE"));
    assert_eq!(names(path.parent().unwrap()), ["node.key"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(NodeKey::load(&path), Err(HostError::Unfit { .. })));
    let rubbish = dir.path().join("rubbish");
    write_file(&rubbish, b"no key", 0o600).unwrap();
    NodeKey::load_or_create(&rubbish).unwrap_err();
    assert_eq!(fs::read(&rubbish).unwrap(), b"no key");
}

#[test]
fn an_unscoped_agent_excludes_all_others_and_a_scoped_one_its_own_scope() {
    let dir = tempfile::tempdir().unwrap();
    let (dev, prd) = ("dev".parse().unwrap(), "prd".parse().unwrap());
    let lock = |scope| EngineLock::acquire(dir.path(), "engine", scope);
    let all = lock(None).unwrap();
    let refused = lock(None).unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    lock(Some(&dev)).unwrap_err();
    EngineLock::acquire(dir.path(), "another", None).unwrap();
    drop(all);
    let held = lock(Some(&dev)).unwrap();
    lock(Some(&dev)).unwrap_err();
    let other = lock(Some(&prd)).unwrap();
    lock(None).unwrap_err();
    drop((held, other));
    lock(None).unwrap();
}

#[test]
fn who_ends_well_leaves_no_lock_and_who_waits_meanwhile_gets_a_real_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("locks");
    let (dev, prd) = ("dev".parse().unwrap(), "prd".parse().unwrap());
    let lock = |scope| EngineLock::acquire(&folder, "engine", scope);
    let (first, second) = (lock(Some(&dev)).unwrap(), lock(Some(&prd)).unwrap());
    assert_eq!(names(&folder).len(), 3);
    drop(first);
    assert_eq!(names(&folder).len(), 2);
    drop(second);
    assert_eq!(names(&folder), [] as [String; 0]);
    // At any moment only one has it, whoever removes its file.
    let holders = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..200 {
                    let Ok(_held) = lock(None) else { continue };
                    assert_eq!(holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
}

#[test]
fn a_file_is_put_with_its_mode_and_left_alone_when_it_is_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("files/abc-0444");
    fs::create_dir_all(&path).unwrap();
    write_file(&path, b"x", 0o444).unwrap();
    let before = fs::metadata(&path).unwrap();
    assert_eq!(before.permissions().mode() & 0o7777, 0o444);
    write_file(&path, b"x", 0o444).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "tampered").unwrap();
    write_file(&path, b"x", 0o444).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn a_work_tree_is_plain_files_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join(".git")).unwrap();
    fs::create_dir_all(dir.path().join("environments/dev")).unwrap();
    fs::write(dir.path().join("tidegate.toml"), "a").unwrap();
    fs::write(dir.path().join("environments/dev/x"), "b").unwrap();
    let paths = |skip: &str| {
        let found = read_tree(dir.path(), |path| path == skip).unwrap();
        found.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(paths(""), ["environments/dev/x", "tidegate.toml"]);
    assert_eq!(paths("environments/dev/"), ["tidegate.toml"]);
    let link = dir.path().join("link");
    symlink("/etc/passwd", &link).unwrap();
    assert!(matches!(read_tree(dir.path(), |_| false), Err(HostError::Unfit { .. })));
    fs::remove_file(&link).unwrap();
    fs::write(dir.path().join("environments/.git"), "gitdir: x").unwrap();
    assert!(read_tree(dir.path(), |_| false).is_err(), "a submodule");
}

#[test]
fn a_read_is_bounded_and_never_waits_for_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    assert_eq!(read_bounded(&path, 1).unwrap(), None);
    fs::write(&path, "xy").unwrap();
    assert!(matches!(read_bounded(&path, 1), Err(HostError::TooLarge { .. })));
    assert_eq!(read_bounded(&path, 2).unwrap().unwrap(), b"xy");
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert!(matches!(read_bounded(&pipe, 1), Err(HostError::Unfit { .. })));
}

#[test]
fn a_path_leads_where_its_links_do_and_never_above_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("srv/app1/data")).unwrap();
    fs::write(root.join("srv/app1/file"), "").unwrap();
    for (link, to) in [
        ("srv/app1/root", "/"),
        ("srv/app1/etc", "../../../../etc"),
        ("srv/app1/own", "data"),
        ("srv/app1/chain", "own/../root/etc"),
        ("srv/app1/dangling", "/nowhere/../secret"),
        ("srv/app1/round", "round"),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    let host = HostRoot::open(root).unwrap();
    for (path, leads) in [
        ("/", "/"),
        ("/srv/app1", "/srv/app1"),
        ("/srv/app1/data/", "/srv/app1/data"),
        ("/srv//app1/./file", "/srv/app1/file"),
        ("/srv/app1/file/below", "/srv/app1/file/below"),
        ("/srv/app1/new/deep", "/srv/app1/new/deep"),
        ("/srv/app1/root", "/"),
        ("/srv/app1/root/usr", "/usr"),
        ("/srv/app1/etc", "/etc"),
        ("/srv/app1/own/x", "/srv/app1/data/x"),
        ("/srv/app1/chain", "/etc"),
        ("/srv/app1/dangling", "/secret"),
    ] {
        assert_eq!(host.leads_to(path).unwrap(), leads, "{path}");
    }
    assert!(host.leads_to("/srv/app1/round").is_err());
}

#[test]
fn a_folder_is_taken_for_the_host_by_its_whole_path() {
    // Programs of the host are run from elsewhere.
    let here = std::env::current_dir().unwrap();
    assert_eq!(HostRoot::open(Path::new("src")).unwrap().folder(), here.join("src"));
    assert_eq!(HostRoot::open(Path::new("./src/")).unwrap().folder(), here.join("src"));
    assert!(HostRoot::open(Path::new("/.")).unwrap().is_this_machine());
}
