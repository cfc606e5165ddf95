//! What engines of killed tests leave behind, ended by whoever starts the next one.
//!
//! A test holds a lock on a file in its engine's folder as long as it lives; a folder whose lock is
//! free is nobody's any more.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

/// How the folders of engines begin.
pub(crate) const PREFIX: &str = "tg-engine-";

/// The file that is locked.
const LOCK: &str = "owner";

/// Says that a folder is in use, until it is dropped or the process ends.
pub(crate) struct Claim {
    _file: File,
}

impl Claim {
    pub(crate) fn on(dir: &Path) -> Self {
        let file = File::create(dir.join(LOCK)).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        Self { _file: file }
    }
}

/// Ends and removes what tests that were killed left.
pub(crate) fn end_all() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let dir = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // One without the file is just being made.
        let Ok(file) = File::open(dir.join(LOCK)) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            end_below(&dir);
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

/// Kills daemons and containers of the engine in `dir`, known by its path in their command lines.
pub(crate) fn end_below(dir: &Path) {
    let needle = dir.display().to_string();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = id.and_then(Pid::from_raw) else { continue };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&command);
        let program = text.split('\0').next().unwrap_or_default();
        let is_engines = program.contains("containerd") || program.ends_with("dockerd");
        if is_engines && text.contains(&needle) {
            if program.contains("shim") {
                end_children(pid);
            }
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A container's first process is a child of its shim.
fn end_children(shim: Pid) {
    let id = shim.as_raw_nonzero();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
        if let Some(child) = Pid::from_raw(child) {
            let _ = kill_process(child, Signal::KILL);
        }
    }
}
