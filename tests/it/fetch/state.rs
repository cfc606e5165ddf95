//! Power loss, full disks and failing syncs, on real file systems and under strace.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate::clients::git::{FailureKind, FetchLimits, GitError};
use tidegate::clients::host::DurableFile;
use tidegate::reconcile::memory::{FileMemoryStore, Memory, MemoryStore};
use tidegate::reconcile::source::SourceError;

use crate::fetch::{open, remote};
use crate::support::git::{Origin, run};

/// Names the folder for [`save_two`], which runs in a process of its own.
const FOLDER: &str = "TIDEGATE_TEST_STATE";

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// A file system mounted for a test.
struct Mount(PathBuf);

impl Mount {
    /// Needs root: such a test needs a file system of its own.
    fn new(at: &Path, args: &[&str]) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test mounts a file system of its own: run `make test` as root"
        );
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(args).arg(at).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _done = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "is run by other tests, under strace"]
fn save_two() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let saved = DurableFile::new(&folder.join("memory.json")).save(b"two");
    fs::write(folder.join("outcome"), if saved.is_ok() { "saved" } else { "failed" }).unwrap();
}

fn strace(folder: &Path, args: &[&str]) -> String {
    let trace = folder.join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-o"]).arg(&trace).args(args).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "fetch::state::save_two", "--ignored"]).env(FOLDER, folder);
    run(&mut command);
    fs::read_to_string(trace).unwrap()
}

#[test]
fn a_save_syncs_the_file_then_renames_then_syncs_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    DurableFile::new(&dir.path().join("memory.json")).save(b"one").unwrap();
    let calls = "trace=write,fsync,rename,renameat,renameat2,link,linkat";
    let trace = strace(dir.path(), &["-e", calls]);
    let lines: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("memory.json") || line.contains("fsync("))
        .collect();
    let at = |what: &dyn Fn(&str) -> bool| lines.iter().position(|line| what(line)).unwrap();
    let written = at(&|line| line.contains("write(") && line.contains(".tmp>"));
    let synced = at(&|line| line.contains("fsync(") && line.contains(".tmp>"));
    let kept = at(&|line| line.contains("rename") && line.contains("memory.json.previous\""));
    let placed = at(&|line| line.contains("rename") && line.contains("memory.json\""));
    let folder = format!("<{}>", dir.path().display());
    let folder_synced = at(&|line| line.contains("fsync(") && line.contains(&folder));
    assert!(
        written < synced && synced < kept && kept < placed && placed < folder_synced,
        "{lines:#?}"
    );
}

#[test]
fn a_sync_that_fails_keeps_what_was_there() {
    for inject in ["fsync:error=EIO", "fsync:error=ENOSPC", "rename:error=EIO", "linkat:error=EIO"]
    {
        let dir = tempfile::tempdir().unwrap();
        let file = DurableFile::new(&dir.path().join("memory.json"));
        file.save(b"one").unwrap();
        let call = inject.split(':').next().unwrap();
        let inject = format!("inject={inject}");
        strace(dir.path(), &["-e", &format!("trace={call}"), "-e", &inject]);
        assert_eq!(fs::read_to_string(dir.path().join("outcome")).unwrap(), "failed", "{inject}");
        assert_eq!(file.load(text).content.as_deref(), Some("one"), "{inject}");
    }
}

#[test]
fn a_power_loss_after_a_save_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("disk");
    fs::write(&image, vec![0; 16 * 1024 * 1024]).unwrap();
    run(Command::new("mkfs.ext4").arg("-q").arg(&image));
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let mounted = Mount::new(&before, &["-o", "loop", image.to_str().unwrap()]);
    let store = FileMemoryStore::new(&before.join("state"));
    let memory = Memory {
        anchor: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
        ..Memory::default()
    };
    store.save(&Memory::default()).unwrap();
    store.save(&memory).unwrap();
    fs::write(before.join("never-synced"), "x").unwrap();
    // The power goes: what is on the disk now is all there is.
    let copy = dir.path().join("copy");
    fs::copy(&image, &copy).unwrap();
    let survived = Mount::new(&after, &["-o", "loop", copy.to_str().unwrap()]);
    let (loaded, problems) = FileMemoryStore::new(&after.join("state")).load();
    assert_eq!((loaded, problems), (memory, Vec::new()));
    drop((mounted, survived));
}

#[tokio::test]
async fn a_power_loss_after_an_adoption_keeps_its_objects() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::new(dir.path());
    let tip = origin.commit("prd", "a", "one");
    let image = dir.path().join("disk");
    fs::write(&image, vec![0; 16 * 1024 * 1024]).unwrap();
    run(Command::new("mkfs.ext4").arg("-q").arg(&image));
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let mounted = Mount::new(&before, &["-o", "loop", image.to_str().unwrap()]);
    let source = open(&before.join("state"), FetchLimits::default());
    let remote = remote(origin.path.to_str().unwrap());
    let tidegate::reconcile::source::Fetch::New(fetched) =
        source.fetch(&remote, None, &[]).await.unwrap()
    else {
        unreachable!()
    };
    fetched.adopt().unwrap();
    let copy = dir.path().join("copy");
    fs::copy(&image, &copy).unwrap();
    let survived = Mount::new(&after, &["-o", "loop", copy.to_str().unwrap()]);
    assert!(open(&after.join("state"), FetchLimits::default()).has(tip).unwrap());
    drop((mounted, survived));
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::new(dir.path());
    let one = origin.commit("prd", "a", "one");
    let disk = dir.path().join("disk");
    let mounted = Mount::new(&disk, &["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"]);
    let source = open(&disk.join("state"), FetchLimits::default());
    let remote = remote(origin.path.to_str().unwrap());
    let tidegate::reconcile::source::Fetch::New(fetched) =
        source.fetch(&remote, None, &[]).await.unwrap()
    else {
        unreachable!()
    };
    fetched.adopt().unwrap();
    let store = FileMemoryStore::new(&disk.join("state"));
    let memory = Memory { verified: Some(one), ..Memory::default() };
    store.save(&memory).unwrap();
    let (mut noise, mut state) = (String::new(), 1_u64);
    while noise.len() < 300_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        write!(noise, "{:08x}", state >> 32).unwrap();
    }
    origin.commit("prd", "b", &noise);
    fs::write(disk.join("filler"), vec![0; 150_000]).unwrap();
    let error = source.fetch(&remote, Some(one), &[one]).await.unwrap_err();
    let SourceError::Fetch { source: error, .. } = error else { unreachable!("{error:?}") };
    let said =
        matches!(error, GitError::Refused { kind: FailureKind::Storage, .. } | GitError::Host(_));
    assert!(said, "{error:?}");
    assert!(!error.to_string().contains("the remote cannot be read"), "{error}");
    let _full = fs::write(disk.join("more"), vec![0; 300_000]);
    store.save(&Memory::default()).unwrap_err();
    assert_eq!(store.load(), (memory, Vec::new()));
    assert!(source.has(one).unwrap());
    drop(mounted);
}
