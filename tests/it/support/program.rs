//! Programs that tests put somewhere and run at once.
//!
//! Whatever this process has open for writing, another test's child has too until it is a program of its
//! own, and the kernel refuses to run it for as long. So a child writes.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A copy of a program that anybody may run.
#[track_caller]
pub(crate) fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let mut install = Command::new("install");
    let install = install.args(["-D", "-m", "755"]).args([from.as_ref(), to.as_ref()]);
    assert!(install.status().unwrap().success());
}

/// A script that anybody may run, folders and all.
#[track_caller]
pub(crate) fn write_program(path: impl AsRef<Path>, script: &str) {
    let text = tempfile::NamedTempFile::new().unwrap();
    fs::write(text.path(), script).unwrap();
    copy_program(text.path(), path);
}
