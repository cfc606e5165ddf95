//! The tip of a local repository.

use std::fs;

use crate::clients::git::{NodeStore, local_tip};

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn a_local_tip_is_a_loose_or_packed_reference_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let branch = "prd".parse().unwrap();
    let tip = || local_tip(dir.path(), &branch).map(|id| id.to_string());
    assert_eq!(tip(), None);
    fs::write(dir.path().join("packed-refs"), format!("# pack-refs\n{ID} refs/heads/prd\n"))
        .unwrap();
    assert_eq!(tip().as_deref(), Some(ID));
    fs::create_dir_all(dir.path().join("refs/heads")).unwrap();
    let loose = dir.path().join("refs/heads/prd");
    for (content, expected) in [(format!("{ID}\n"), Some(ID)), ("ref: refs/heads/x\n".into(), None)]
    {
        fs::write(&loose, content).unwrap();
        assert_eq!(tip().as_deref(), expected);
    }
    fs::write(&loose, vec![b'a'; 10_000]).unwrap();
    assert_eq!(tip(), None, "bounded");
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let store = NodeStore::open(&state).unwrap();
    let held = store.quarantine().unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(NodeStore::open(&state).unwrap_err().to_string().contains("nobody else may write"));
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(state.join("incoming/abandoned")).unwrap();
    fs::write(state.join("incoming/abandoned/lock"), "").unwrap();
    NodeStore::open(&state).unwrap();
    let left = fs::read_dir(state.join("incoming")).unwrap().count();
    assert_eq!(left, 1, "the one that is held stays, the abandoned one is gone");
    drop(held);
}

#[test]
fn objects_elsewhere_are_never_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = NodeStore::open(&dir.path().join("state")).unwrap();
    store.reader().unwrap();
    fs::write(store.objects().join("info/alternates"), "/srv/other/objects\n").unwrap();
    assert!(store.reader().unwrap_err().to_string().contains("points to objects elsewhere"));
}
