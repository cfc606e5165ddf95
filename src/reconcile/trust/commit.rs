//! A commit's bytes, read strictly: what is accepted serialises back to exactly what was signed.
//!
//! In: the bytes of a commit object. Out: [`Commit`], or for history that is only read, [`Header`].
//! Pure.
//!
//! # Guarantees
//! * The headers are tree, parents, author, committer, gpgsig, in this order, gpgsig last and once.
//! * [`Commit::payload`] is the object without its signature: nothing else was left out.

use jiff::Timestamp;

use crate::model::{CommitId, ObjectId};
use crate::reconcile::trust::message::{Message, MessageError};

/// The largest commit object, message and signature included.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// Why bytes are not a commit that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Over [`COMMIT_BYTES_MAX`].
    #[error("the commit object has {bytes} bytes; the limit is {COMMIT_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A repository of another object format.
    #[error("its object ids are SHA-256, which this version does not read")]
    Sha256,
    /// A header that is valid in Git, and refused by name.
    #[error("it has the header `{name}`, which this version refuses")]
    ExtraHeader {
        /// Its name.
        name: String,
    },
    /// More than one signature.
    #[error("it has two signatures")]
    TwoSignatures,
    /// Something that Git itself would not write.
    #[error("its header is malformed at `{what}`")]
    Malformed {
        /// The header that was expected or is wrong.
        what: &'static str,
    },
    /// The message breaks the rules of trailers.
    #[error("{0}")]
    Message(MessageError),
}

/// An author or committer line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// `Name <address>`, as written.
    pub who: String,
    /// Seconds since the epoch.
    pub time: Timestamp,
    /// `+0100`, as written.
    pub zone: String,
}

/// A commit that can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, each once.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Ident,
    /// Who made the commit.
    pub committer: Ident,
    /// The signature's armoured text, if there is one.
    pub signature: Option<String>,
    /// The message and its trailers.
    pub message: Message,
    payload: Vec<u8>,
}

impl Commit {
    /// Reads the bytes of commit `id` strictly.
    ///
    /// # Errors
    /// When anything in them is not as Git writes it, or is refused by name.
    pub fn parse(id: CommitId, bytes: &[u8]) -> Result<Self, CommitError> {
        if bytes.len() > COMMIT_BYTES_MAX {
            return Err(CommitError::TooLarge { bytes: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("text in UTF-8"))?;
        let (head, body) = text.split_once("\n\n").ok_or(malformed("end of the headers"))?;
        if text.contains('\0') {
            return Err(malformed("NUL byte"));
        }
        let mut lines = head.split('\n').peekable();
        let tree = object_id(expected(lines.next(), "tree ", "tree")?)?;
        let mut parents = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("parent ")) {
            parents.push(CommitId::from_bytes(*object_id(&line["parent ".len()..])?.as_bytes()));
        }
        if parents.iter().enumerate().any(|(at, parent)| parents[..at].contains(parent)) {
            return Err(malformed("parent"));
        }
        let author = ident(expected(lines.next(), "author ", "author")?, "author")?;
        let committer = ident(expected(lines.next(), "committer ", "committer")?, "committer")?;
        let signature = signature(&mut lines)?;
        let message = Message::parse(body).map_err(CommitError::Message)?;
        let mut commit =
            Self { id, tree, parents, author, committer, signature, message, payload: Vec::new() };
        // What was signed is what is judged: nothing of the bytes may be lost in reading.
        if commit.to_bytes() != bytes {
            return Err(malformed("spelling"));
        }
        commit.payload = commit.serialise(None);
        Ok(commit)
    }

    /// What the signature is over: the object without its `gpgsig` header.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The object's bytes again.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.serialise(self.signature.as_deref())
    }

    fn serialise(&self, signature: Option<&str>) -> Vec<u8> {
        let mut out = format!("tree {}\n", self.tree);
        for parent in &self.parents {
            out.extend(["parent ", &parent.to_string(), "\n"]);
        }
        for (name, ident) in [("author", &self.author), ("committer", &self.committer)] {
            let seconds = ident.time.as_second();
            let seconds = seconds.to_string();
            out.extend([name, " ", &ident.who, " ", &seconds, " ", &ident.zone, "\n"]);
        }
        if let Some(text) = signature {
            let lines = text.strip_suffix('\n').unwrap_or(text).replace('\n', "\n ");
            out.extend(["gpgsig ", &lines, "\n"]);
        }
        out.push('\n');
        out.push_str(self.message.text());
        out.into_bytes()
    }
}

/// What history below an anchor is read for: nothing in it is verified, its id vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// When it was committed, where that can be told.
    pub time: Option<Timestamp>,
}

impl Header {
    /// Reads what can be read; `None` when not even tree and parents can.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut tree = None;
        let mut parents = Vec::new();
        let mut time = None;
        for line in bytes.split(|b| *b == b'\n').take_while(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            if let Some(id) = line.strip_prefix("tree ") {
                tree = tree.or(Some(id.parse().ok()?));
            } else if let Some(id) = line.strip_prefix("parent ") {
                parents.push(id.parse().ok()?);
            } else if let Some(rest) = line.strip_prefix("committer ") {
                let seconds = rest.rsplit(' ').nth(1).and_then(|text| text.parse().ok());
                time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            }
        }
        Some(Self { tree: tree?, parents, time })
    }

    /// The first parent.
    pub fn first_parent(&self) -> Option<CommitId> {
        self.parents.first().copied()
    }
}

fn malformed(what: &'static str) -> CommitError {
    CommitError::Malformed { what }
}

fn expected<'a>(
    line: Option<&'a str>,
    prefix: &str,
    what: &'static str,
) -> Result<&'a str, CommitError> {
    line.and_then(|line| line.strip_prefix(prefix)).ok_or(malformed(what))
}

fn object_id(text: &str) -> Result<ObjectId, CommitError> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(CommitError::Sha256);
    }
    text.parse().map_err(|_| malformed("object id"))
}

/// `Name <address> seconds +hhmm`, in the one spelling that Git writes.
fn ident(text: &str, what: &'static str) -> Result<Ident, CommitError> {
    let error = || malformed(what);
    let (who, rest) = text.split_once("> ").ok_or_else(error)?;
    let (name, address) = who.split_once('<').ok_or_else(error)?;
    let spaced = name.is_empty() || name.ends_with(' ');
    if !spaced || [name, address].iter().any(|part| part.contains(['<', '>'])) {
        return Err(error());
    }
    let (seconds, zone) = rest.split_once(' ').ok_or_else(error)?;
    let plain = seconds == "0" || seconds.starts_with(|c: char| ('1'..='9').contains(&c));
    let time = seconds.parse().ok().filter(|_| plain).ok_or_else(error)?;
    let time = Timestamp::from_second(time).map_err(|_| error())?;
    let digits = zone.strip_prefix(['+', '-']).ok_or_else(error)?;
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    Ok(Ident { who: format!("{who}>"), time, zone: zone.to_owned() })
}

/// Reads what follows the committer: nothing, or one signature and nothing else.
fn signature<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
) -> Result<Option<String>, CommitError> {
    let Some(line) = lines.next() else { return Ok(None) };
    let Some(first) = line.strip_prefix("gpgsig ") else {
        return Err(unexpected(line));
    };
    let mut text = format!("{first}\n");
    for line in lines {
        let Some(rest) = line.strip_prefix(' ') else {
            let again = line.starts_with("gpgsig ");
            return Err(if again { CommitError::TwoSignatures } else { unexpected(line) });
        };
        text.push_str(rest);
        text.push('\n');
    }
    Ok(Some(text))
}

fn unexpected(line: &str) -> CommitError {
    let name = line.split(' ').next().unwrap_or_default();
    match name {
        "tree" | "parent" | "author" | "committer" => malformed("order of the headers"),
        "gpgsig-sha256" => CommitError::TwoSignatures,
        "" => malformed("folded line"),
        _ => CommitError::ExtraHeader { name: name.chars().take(40).collect() },
    }
}
