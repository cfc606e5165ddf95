//! Decides which commits count: bytes → [`Verified`], or why not (TRUST.md).
//!
//! In: commits and trees as bytes through [`Objects`], an anchor, revoked keys. Out: [`Verdict`].
//! Pure: the verdict is a function of the anchor, the commit and its history, and the revoked keys.
//!
//! # Guarantees
//! * Only this module builds a [`Verified`]; nothing unverified is ever parsed further on.
//! * Clocks only hold; they never make a commit valid or invalid.

pub mod approval;
pub mod case;
pub mod chain;
pub mod claim;
pub mod commit;
pub mod draft;
mod descent;
mod due;
pub mod explain;
pub mod facts;
pub mod history;
mod hold;
pub mod judge;
pub mod keys;
pub mod kind;
pub mod ledger;
pub mod lineage;
pub mod load;
pub mod message;
pub mod past;
pub mod place;
pub mod policy;
mod promotion;
mod read;
pub mod recent;
pub mod remedy;
pub mod revoked;
pub mod show;
pub mod sight;
pub mod signature;
pub mod snapshot;
mod source;
pub mod tree;
pub mod verdict;
mod walk;

pub use chain::{Remembered, VerifyRequest, verify};
pub use claim::{Claim, Scope};
pub use descent::{Descent, Passed, Sought};
pub use draft::{Draft, DraftRequest, draft};
pub use explain::{Check, Explanation, Hand, explain};
pub use kind::CommitKind;
pub use ledger::{Hotfix, Ledger, Taken};
pub use past::{Moment, Past};
pub use read::{ledger, live_hotfixes};
pub use revoked::RevokedKeys;
pub use show::{PersonSummary, PromotionSummary, TrustSummary, check_anchor, show};
pub use sight::{Sight, Sightings};
pub use snapshot::{ReadError, SnapshotRequest, changed_by, snapshot};
pub use source::ENVIRONMENTS_MAX;
pub use verdict::{
    Accepted, Origin, Refusal, Rule, Signatory, Signed, Standing, Verdict, VerifyDocument, Wait,
};

pub use crate::model::{Objects, ObjectsError};

/// A value from a commit that was judged good.
#[derive(Debug, Clone)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Wraps what nobody signed: for `lint` and `render`, which read their author's own tree, and
    /// for `apply --worktree`, which says UNVERIFIED everywhere. The tidy test allows nobody else.
    pub fn unverified_own_work_tree(value: T) -> Self {
        Self(value)
    }
}
