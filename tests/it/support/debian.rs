//! A Debian that debootstrap made, once for all runs, below `target`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

/// The root; whoever changes it works on a copy.
pub(crate) fn debian() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab");
    std::fs::create_dir_all(&lab).unwrap();
    let root = lab.join("debian");
    let lock = File::create(lab.join("debian.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if root.is_dir() {
        return root;
    }
    let part = lab.join("debian.part");
    let _gone = std::fs::remove_dir_all(&part);
    let mirror = mirror();
    let made = Command::new("debootstrap")
        .args(["--variant=minbase", "bookworm"])
        .arg(&part)
        .args(mirror.as_slice())
        .stdin(Stdio::null())
        .output();
    let made =
        made.unwrap_or_else(|error| panic!("debootstrap: {error}; run `make setup` as root"));
    let said = String::from_utf8_lossy(&made.stdout);
    assert!(made.status.success(), "debootstrap failed, as root it should not: {said}");
    std::fs::rename(&part, &root).unwrap();
    root
}

/// The first mirror that this machine's own apt uses, so that what it can reach is asked.
fn mirror() -> Vec<String> {
    let said = Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let sites = said.unwrap_or_default();
    sites.lines().find(|line| !line.contains("security")).map(str::to_owned).into_iter().collect()
}
