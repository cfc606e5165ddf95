//! A commit's bytes, before and after signing. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::model::{CommitId, ObjectId};

/// Whom a commit names as its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For people.
    pub name: String,
    /// For people too.
    pub email: String,
}

impl Identity {
    /// An identity whose parts can stand in a commit header: `<`, `>` and line breaks are dropped.
    pub fn new(name: &str, email: &str) -> Self {
        let clean = |text: &str| -> String {
            text.chars().filter(|c| !matches!(c, '<' | '>') && !c.is_control()).collect()
        };
        Self { name: clean(name).trim().to_owned(), email: clean(email).trim().to_owned() }
    }
}

/// A commit before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitDraft {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, first the one whose line it continues.
    pub parents: Vec<CommitId>,
    /// Author and committer.
    pub identity: Identity,
    /// When.
    pub time: Timestamp,
    /// Subject, body and trailers.
    pub message: String,
}

impl CommitDraft {
    fn headers(&self) -> String {
        let mut text = format!("tree {}\n", self.tree);
        let who = format!(
            "{} <{}> {} +0000",
            self.identity.name,
            self.identity.email,
            self.time.as_second()
        );
        for parent in &self.parents {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "parent {parent}");
        }
        let _ = writeln!(text, "author {who}\ncommitter {who}");
        text
    }

    /// What is signed: the whole commit without its signature.
    pub fn payload(&self) -> Vec<u8> {
        format!("{}\n{}\n", self.headers(), self.message.trim_end()).into_bytes()
    }

    /// The commit with an armored signature as its last header.
    pub fn signed(&self, signature: &str) -> Vec<u8> {
        let folded = signature.trim_end().replace('\n', "\n ");
        format!("{}gpgsig {folded}\n\n{}\n", self.headers(), self.message.trim_end()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::model::ObjectId;
    use crate::promote::commit::{CommitDraft, Identity};

    #[test]
    fn the_signature_is_the_last_header_and_its_lines_are_folded() {
        let draft = CommitDraft {
            tree: ObjectId::from_bytes([1; 20]),
            parents: Vec::new(),
            identity: Identity::new("alice <x>\n", "alice@example.org"),
            time: Timestamp::from_second(1_700_000_000).unwrap(),
            message: "Subject\n\nTidegate: anchor dev\n\n".to_owned(),
        };
        let who = "alice x <alice@example.org> 1700000000 +0000";
        let head = format!("tree {}\nauthor {who}\ncommitter {who}\n", "01".repeat(20));
        let message = "\nSubject\n\nTidegate: anchor dev\n";
        assert_eq!(String::from_utf8(draft.payload()).unwrap(), format!("{head}{message}"));
        assert_eq!(
            String::from_utf8(draft.signed("-----BEGIN\nabc\n-----END\n")).unwrap(),
            format!("{head}gpgsig -----BEGIN\n abc\n -----END\n{message}")
        );
    }
}
