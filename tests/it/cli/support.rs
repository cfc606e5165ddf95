//! Runs the program itself.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program, with nothing of the developer's environment.
pub(crate) fn tidegate(dir: &Path) -> Command {
    like_tidegate(Path::new(env!("CARGO_BIN_EXE_tidegate")), dir)
}

/// The same with a copy of the program.
pub(crate) fn like_tidegate(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", dir).stdin(Stdio::null());
    command
}

/// What one run said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the program in `dir` to its end.
pub(crate) fn run<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>) -> Said {
    tidegate(dir).args(args).output().unwrap().into()
}
