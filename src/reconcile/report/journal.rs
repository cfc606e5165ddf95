//! The journal's entries: what, when, why, from which commit, by which trigger, how long; signed.
//!
//! In: [`Record`]s, the node's key. Out: lines. No effects, the key and the
//! time being given.
//!
//! A line is `{"entry":{…},"signature":"…"}`: an SSHSIG over the bytes of the entry, in namespace
//! [`JOURNAL_NAMESPACE`]. Each entry names the digest of the line before, so that nothing can be
//! taken out of the middle; what is lost from the beginning is lost to rotation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ssh_key::{PublicKey, SshSig};

use crate::clients::host::{HostError, NodeKey};
use crate::model::{Digest, EnvironmentName, NodeName, Revision, ServiceName};

/// Namespace of the signatures.
pub const JOURNAL_NAMESPACE: &str = "journal@tidegate";

/// Name and version of an entry.
pub const SCHEMA: &str = "tidegate.journal/1";

const HEAD: &str = "{\"entry\":";
const MIDDLE: &str = ",\"signature\":\"";
const TAIL: &str = "\"}";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What: `apply`, `repair`, `remove`, `rollback`, `verify`, `refuse`, `suspend`, `resume`, ….
    pub what: String,
    /// To which service.
    pub service: Option<ServiceName>,
    /// From which commit.
    pub revision: Option<Revision>,
    /// Why, most important first.
    pub why: Vec<String>,
    /// Each step that was taken, in order.
    pub steps: Vec<String>,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// What started it: `poll`, `git`, `docker die app1.prd-web`, `operator`, ….
    pub trigger: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether nothing was demanded of the revision: nobody need have signed it.
    #[serde(default, skip_serializing_if = "is_verified")]
    pub unverified: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_verified(unverified: &bool) -> bool {
    !unverified
}

impl Record {
    /// The most important reason, or else the first step, and how many more there are.
    pub fn brief(&self) -> String {
        let said = if self.why.is_empty() { &self.steps } else { &self.why };
        match &said[..] {
            [] => String::new(),
            [one] => one.clone(),
            [first, more @ ..] => format!("{first} (and {} more)", more.len()),
        }
    }

    /// The revision for people, marked where nobody need have signed it.
    pub fn revision_text(&self) -> String {
        match &self.revision {
            None => String::new(),
            Some(revision @ Revision::Commit { .. }) if self.unverified => {
                format!("{revision} (UNVERIFIED)")
            }
            Some(revision) => revision.to_string(),
        }
    }
}

/// A record in its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// [`SCHEMA`].
    pub schema: String,
    /// Counts from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The node.
    pub node: NodeName,
    /// Its environment.
    pub environment: EnvironmentName,
    /// Digest of the line before; none for the first.
    pub previous: Option<Digest>,
    /// What happened.
    pub record: Record,
}

/// An entry that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be serialised.
    #[error("cannot write a journal entry")]
    Serialise(#[source] serde_json::Error),
    /// It cannot be signed.
    #[error("cannot sign a journal entry with the node's key")]
    Sign(#[source] HostError),
}

/// The signed line of an entry, without its newline.
///
/// # Errors
/// When the key cannot sign.
pub fn line(entry: &Entry, key: &NodeKey) -> Result<String, JournalError> {
    let text = serde_json::to_string(entry).map_err(JournalError::Serialise)?;
    let armored = key.sign(JOURNAL_NAMESPACE, text.as_bytes()).map_err(JournalError::Sign)?;
    Ok(format!("{HEAD}{text}{MIDDLE}{}{TAIL}", STANDARD.encode(armored)))
}

/// The entry of a line, unchecked, with the bytes that were signed and the armored signature.
pub fn parse(line: &str) -> Option<(Entry, &str, String)> {
    let inner = line.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
    let (text, signature) = inner.rsplit_once(MIDDLE)?;
    let armored = String::from_utf8(STANDARD.decode(signature).ok()?).ok()?;
    Some((serde_json::from_str(text).ok()?, text, armored))
}

/// What is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// A line is no entry.
    Unreadable {
        /// Which line, from 1.
        line: usize,
    },
    /// The signature is not of these keys, or not over this entry.
    Signature {
        /// The entry.
        number: u64,
    },
    /// The entry does not follow the one before: something was taken out, or put in.
    Chain {
        /// The entry.
        number: u64,
    },
}

/// What `verify` found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Entries seen.
    pub entries: usize,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Checks every line: signed by one of the node's `keys`, and each following the one before.
pub fn verify<'a>(lines: impl IntoIterator<Item = &'a str>, keys: &[PublicKey]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut before: Option<(u64, Digest)> = None;
    for (at, text) in lines.into_iter().enumerate() {
        let Some((entry, signed, armored)) = parse(text) else {
            verdict.faults.push(Fault::Unreadable { line: at + 1 });
            before = None;
            continue;
        };
        verdict.entries += 1;
        let number = entry.number;
        let good = SshSig::from_pem(&armored).is_ok_and(|signature| {
            let check =
                |key: &PublicKey| key.verify(JOURNAL_NAMESPACE, signed.as_bytes(), &signature);
            keys.iter().any(|key| check(key).is_ok())
        });
        if !good {
            verdict.faults.push(Fault::Signature { number });
        }
        if let Some((last, digest)) = before
            && (entry.previous != Some(digest) || number != last + 1)
        {
            verdict.faults.push(Fault::Chain { number });
        }
        before = Some((number, Digest::of(text.as_bytes())));
    }
    verdict
}
