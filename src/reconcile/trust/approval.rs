//! Approvals: a second person's signature over what a commit is going to be.
//!
//! In: trailers `Approved-By:` and the statement that they sign. Out: who approved. Pure.
//!
//! # Guarantees
//! * An approval is bound to repository, environment, kind, first parent, source and tree, so it
//!   cannot be replayed anywhere else.

use std::fmt;

use base64::Engine as _;
use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::signature::SignatureError;
use crate::reconcile::trust::signature::ssh;

/// The trailer that carries one.
pub const TRAILER: &str = "Approved-By";

/// Approvals on one commit: each costs a signature check.
pub const APPROVALS_MAX: usize = 64;

/// Why an approval does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Not `<expires> <base64>`.
    #[error("the trailer is not `Approved-By: <expires> <base64 of the armoured signature>`")]
    Malformed,
    /// Not the one spelling of a time that the statement has.
    #[error("`{text}` is not a time such as 2027-06-30T12:00:00Z")]
    Expires {
        /// As written.
        text: String,
    },
    /// The signature is not good for this statement.
    #[error("{0}")]
    Signature(SignatureError),
}

/// What an approver signs: these lines, each ended by a newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `repository` in tidegate.toml.
    pub repository: String,
    /// The environment whose branch the commit is for.
    pub environment: EnvironmentName,
    /// The commit's kind.
    pub kind: CommitKind,
    /// Its first parent.
    pub from: CommitId,
    /// Its second parent, `Promoted-From` or `Rollback-To`.
    pub source: Option<CommitId>,
    /// Its tree.
    pub tree: ObjectId,
    /// When the approval ends: seconds, UTC.
    pub expires: Timestamp,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tidegate-approval v1")?;
        writeln!(f, "repository: {}", self.repository)?;
        writeln!(f, "environment: {}", self.environment)?;
        writeln!(f, "kind: {}", self.kind)?;
        writeln!(f, "from: {}", self.from)?;
        match self.source {
            Some(source) => writeln!(f, "source: {source}")?,
            None => writeln!(f, "source: -")?,
        }
        writeln!(f, "tree: {}", self.tree)?;
        writeln!(f, "expires: {}", self.expires)
    }
}

/// One trailer `Approved-By:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// When it ends.
    pub expires: Timestamp,
    /// The signature.
    pub armoured: String,
}

impl Approval {
    /// Reads the trailer's value.
    ///
    /// # Errors
    /// When it is not `<expires> <base64>` in the one spelling.
    pub fn parse(value: &str) -> Result<Self, ApprovalError> {
        let (expires, body) = value.split_once(' ').ok_or(ApprovalError::Malformed)?;
        let time: Option<Timestamp> = expires.parse().ok();
        let exact =
            time.filter(|time| time.to_string() == expires && time.subsec_nanosecond() == 0);
        let time = exact.ok_or_else(|| ApprovalError::Expires { text: expires.to_owned() })?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(body);
        let bytes = bytes.map_err(|_| ApprovalError::Malformed)?;
        let armoured = String::from_utf8(bytes).map_err(|_| ApprovalError::Malformed)?;
        Ok(Self { expires: time, armoured })
    }

    /// The trailer's value again.
    pub fn to_trailer(&self) -> String {
        let body = base64::engine::general_purpose::STANDARD.encode(&self.armoured);
        format!("{} {body}", self.expires)
    }

    /// The key that signed `statement`, whose `expires` must be this approval's.
    ///
    /// # Errors
    /// When the signature does not verify.
    pub fn verify(&self, statement: &Statement) -> Result<Key, ApprovalError> {
        let text = statement.to_string();
        ssh::verify(&self.armoured, ssh::NAMESPACE_APPROVAL, text.as_bytes())
            .map_err(ApprovalError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use crate::reconcile::trust::approval::{Approval, Statement};
    use crate::reconcile::trust::kind::CommitKind;

    #[test]
    fn the_statement_is_the_lines_of_the_contract() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let statement = Statement {
            repository: "acme-config".into(),
            environment: "prd".parse().unwrap(),
            kind: CommitKind::Local,
            from: id.parse().unwrap(),
            source: None,
            tree: id.parse().unwrap(),
            expires: "2027-06-30T12:00:00Z".parse().unwrap(),
        };
        insta::assert_snapshot!(statement.to_string(), @r"
        tidegate-approval v1
        repository: acme-config
        environment: prd
        kind: local
        from: 0123456789abcdef0123456789abcdef01234567
        source: -
        tree: 0123456789abcdef0123456789abcdef01234567
        expires: 2027-06-30T12:00:00Z
        ");
    }

    #[test]
    fn an_approval_has_one_spelling() {
        let good = Approval::parse("2027-06-30T12:00:00Z YQ==").unwrap();
        assert_eq!(good.to_trailer(), "2027-06-30T12:00:00Z YQ==");
        for bad in [
            "",
            "2027-06-30T12:00:00Z",
            "2027-06-30T12:00:00+00:00 YQ==",
            "2027-06-30T12:00:00.5Z YQ==",
            "2027-06-30T12:00:00Z !",
        ] {
            assert!(Approval::parse(bad).is_err(), "{bad}");
        }
    }
}
