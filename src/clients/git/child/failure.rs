//! Failures of the child, told by libgit2's words.

use git2::{Error, ErrorClass, ErrorCode};

use crate::clients::git::FailureKind;

/// The longest message that goes on; a remote may have a say in it.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why there is no tip.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let clean = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { kind, message: clean.take(MESSAGE_CHARS_MAX).collect() }
    }

    pub(crate) fn other(message: String) -> Self {
        Self::new(FailureKind::Other, message)
    }

    /// A failure while talking to the remote.
    pub(crate) fn remote(error: &Error) -> Self {
        let kind = kind(error);
        let what = match kind {
            FailureKind::Storage => "this node cannot keep what it fetches",
            _ => "the remote cannot be read",
        };
        Self::new(kind, format!("{what}: {}", error.message()))
    }
}

fn kind(error: &Error) -> FailureKind {
    let text = error.message();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if error.class() == ErrorClass::NoMemory || says(&["ut of memory"]) {
        return FailureKind::TooLarge;
    }
    if says(&["No space left", "Input/output error", "Disk quota", "Read-only file system"]) {
        return FailureKind::Storage;
    }
    match (error.code(), error.class()) {
        (ErrorCode::Auth, _) => FailureKind::Credentials,
        (ErrorCode::Certificate, ErrorClass::Ssh) => FailureKind::HostKey,
        (ErrorCode::Certificate, _) | (_, ErrorClass::Ssl) => FailureKind::Certificate,
        (_, ErrorClass::Ssh) if says(&["uthenticat", "public key", "publickey"]) => {
            FailureKind::Credentials
        }
        (ErrorCode::NotFound, ErrorClass::Repository | ErrorClass::Os) => {
            FailureKind::RepositoryMissing
        }
        (_, ErrorClass::Http) if says(&["404"]) => FailureKind::RepositoryMissing,
        (_, ErrorClass::Net | ErrorClass::Http | ErrorClass::Ssh | ErrorClass::Os) => {
            FailureKind::Unreachable
        }
        (_, ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object) => {
            FailureKind::Garbage
        }
        _ => FailureKind::Other,
    }
}
