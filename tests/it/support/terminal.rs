//! A person at a terminal: what a program asks, and what it is answered.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::cli::support::Said;

/// A program whose standard input is a terminal.
pub(crate) struct AtTerminal {
    child: Child,
    keyboard: File,
    err: String,
}

impl AtTerminal {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        command.stdin(terminal).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), keyboard: keyboard.into(), err: String::new() }
    }

    /// Waits for its next question, and gives what standard error said up to it.
    pub(crate) fn asked(&mut self) -> String {
        let mut said = Vec::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        while !said.ends_with(b"[y/N] ") {
            let mut byte = [0];
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.extend(byte);
        }
        let said = String::from_utf8(said).unwrap();
        self.err.push_str(&said);
        said
    }

    /// Answers it.
    pub(crate) fn answer(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    /// Waits for its end.
    pub(crate) fn said(mut self) -> Said {
        let (mut out, mut err) = (String::new(), std::mem::take(&mut self.err));
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        Said { code: self.child.wait().unwrap().code().unwrap_or(-1), out, err }
    }
}

/// One that waits for an answer would outlive a test that failed.
impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
