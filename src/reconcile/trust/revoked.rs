//! Keys that this node's operator has revoked in a hurry.
//!
//! In: the text of the node's `revoked_keys`. Out: [`RevokedKeys`]. Pure.

use crate::model::{CommitId, Digest};
use crate::reconcile::trust::keys::{Key, KeyError};

/// The largest `revoked_keys`.
pub const REVOKED_BYTES_MAX: usize = 1024 * 1024;

/// Why `revoked_keys` is refused: a line that is not understood must not be overlooked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevokedError {
    /// The file is over its limit.
    #[error("it has more than {REVOKED_BYTES_MAX} bytes")]
    TooLarge,
    /// A line that is not `<key> [<commit id>]`.
    #[error("line {line} is not `<key> [<commit id>]`")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with its key.
        #[source]
        source: KeyError,
    },
    /// A commit id that is cut short.
    #[error("line {line} ends with `{text}`; a commit id has 40 hex digits")]
    CommitId {
        /// From 1.
        line: usize,
        /// As written.
        text: String,
    },
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedKey {
    /// The key whose commits and approvals are refused.
    pub key: Key,
    /// Except in this commit and what lies before it.
    pub until: Option<CommitId>,
}

/// Every revoked key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevokedKeys(Vec<RevokedKey>);

impl RevokedKeys {
    /// No key at all.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// Reads the file: a line is `<key> [<commit id>]`; empty lines and those after `#` are skipped.
    ///
    /// # Errors
    /// On any line that is not understood.
    pub fn parse(text: &str) -> Result<Self, RevokedError> {
        if text.len() > REVOKED_BYTES_MAX {
            return Err(RevokedError::TooLarge);
        }
        let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines.map(|(n, line)| revoked_key(n, line)).collect::<Result<_, _>>().map(Self)
    }

    /// The lines about `key`.
    pub fn of<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a RevokedKey> {
        self.0.iter().filter(move |revoked| revoked.key == *key)
    }

    /// What memory keeps to notice a change: another order or comment is no change.
    pub fn digest(&self) -> Digest {
        let line = |revoked: &RevokedKey| {
            let until = revoked.until.map(|id| id.to_string()).unwrap_or_default();
            format!("{} {until}\n", revoked.key.fingerprint())
        };
        let mut lines: Vec<String> = self.0.iter().map(line).collect();
        lines.sort();
        lines.dedup();
        Digest::of(lines.concat().as_bytes())
    }
}

fn revoked_key(line: usize, text: &str) -> Result<RevokedKey, RevokedError> {
    let (key, last) = text.rsplit_once(char::is_whitespace).unwrap_or((text, ""));
    if let Ok(until) = last.parse() {
        let key = key.trim().parse().map_err(|source| RevokedError::Line { line, source })?;
        return Ok(RevokedKey { key, until: Some(until) });
    }
    // Taken for a comment, a cut-off id would revoke more than was meant.
    if last.len() >= 7 && last.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(RevokedError::CommitId { line, text: last.to_owned() });
    }
    let key = text.parse().map_err(|source| RevokedError::Line { line, source })?;
    Ok(RevokedKey { key, until: None })
}

#[cfg(test)]
mod tests {
    use crate::reconcile::trust::revoked::RevokedKeys;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_line_is_a_key_and_perhaps_a_commit() {
        let text = format!("# stolen\n\n{KEY}\n{KEY} alice@laptop {ID}\n");
        let revoked = RevokedKeys::parse(&text).unwrap();
        let key = KEY.parse().unwrap();
        let until: Vec<_> = revoked.of(&key).map(|revoked| revoked.until).collect();
        assert_eq!(until, [None, Some(ID.parse().unwrap())]);
    }

    #[test]
    fn a_line_that_is_not_understood_is_never_skipped() {
        for bad in ["alice", &ID[..10], &format!("{KEY} {}", &ID[..12])] {
            assert!(RevokedKeys::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_revoked_changes_the_digest() {
        let one = RevokedKeys::parse(KEY).unwrap().digest();
        assert_eq!(one, RevokedKeys::parse(&format!("# x\n{KEY} bob\n")).unwrap().digest());
        assert_ne!(one, RevokedKeys::default().digest());
    }
}
