//! What a command says when it cannot do its work: what, why, what to do, and the exit code.
//!
//! In: any stage's error. Out: [`CommandError`]. Pure.

use std::error::Error;
use std::fmt;
use std::io;

use crate::telemetry::Chain;

/// How a command ended when it did its work. The codes are part of the contract (DESIGN §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or in sync.
    Done,
    /// There are differences.
    Differences,
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Differences => 2,
        }
    }
}

/// What kind of failure it was, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something failed.
    Failed,
    /// Refused by trust or by node policy.
    Refused,
    /// Waited long enough.
    TimedOut,
    /// The command line, or what it names, is wrong.
    Usage,
    /// Ctrl-C.
    Interrupted,
    /// Whoever read our output is gone: quiet.
    BrokenPipe,
}

impl ErrorKind {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Failed => 1,
            Self::Refused => 3,
            Self::TimedOut => 4,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub struct CommandError {
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// What failed, with its causes, each once.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Shown before the message as it is: places and lines of files.
    pub detail: Option<String>,
}

impl CommandError {
    /// A failure described in words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, detail: None }
    }

    /// An ordinary failure, from a stage's error and all its causes.
    pub fn failed(error: &dyn Error) -> Self {
        Self::new(ErrorKind::Failed, Chain(error).to_string())
    }

    /// What was asked for does not exist or makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Trust or policy says no.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with places and lines of files, shown first.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Writing our own output failed: a reader that has gone is no failure of ours.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
            _ => ErrorKind::Failed,
        };
        Self::new(kind, format!("cannot write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::error::{CommandError, ErrorKind, Outcome};

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = [
            Outcome::Done.code(),
            ErrorKind::Failed.code(),
            Outcome::Differences.code(),
            ErrorKind::Refused.code(),
            ErrorKind::TimedOut.code(),
            ErrorKind::Usage.code(),
        ];
        assert_eq!(codes, [0, 1, 2, 3, 4, 64]);
    }

    #[test]
    fn a_reader_that_has_gone_is_not_a_failure() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(CommandError::from(gone).kind.code(), 0);
    }
}
