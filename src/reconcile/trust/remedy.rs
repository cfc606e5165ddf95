//! What mends a refused commit, in words that a release manager can follow.
//!
//! In: what was refused. Out: text. Pure.

use crate::model::CommitId;
use crate::reconcile::trust::kind::{CommitKind, PathClass};
use crate::reconcile::trust::signature::SignatureError;

/// The history is shallow or damaged.
pub const FETCH_WHOLE: &str =
    "fetch the whole history (`git fetch --unshallow`), or restore the repository from a good copy";
/// A tree that is refused.
pub const TREE: &str = "push a commit without that entry: drop the bad commit from the branch \
    (`git reset --hard` to the last good tip, then push), and keep plain files and directories only";
/// A trust.toml that is refused.
pub const POLICY: &str =
    "mend `trust.toml` or `keys/` in the commit itself (amend, sign, push): it is never skipped";
/// The repository's name changed.
pub const REPOSITORY: &str =
    "put `repository` in tidegate.toml back: another repository needs anchors of its own";
/// A signer nobody lists.
pub const UNKNOWN_SIGNER: &str = "have somebody sign whom trust.toml lists, or add the key with \
    an `admin` commit first: a key counts from the commit after the one that adds it";
/// A role that does not cover the kind.
pub const ROLE: &str =
    "have somebody of that role sign it, or change the roles with an `admin` commit first";
/// An approval that does not verify.
pub const APPROVAL: &str = "ask for the approval again: it is bound to repository, environment, \
    kind, first parent, source, tree and time, so a commit made again needs it again";
/// Too few people.
pub const THRESHOLD: &str = "collect approvals of other people of that role, each a trailer \
    `Approved-By:` on the commit";
/// The new trust.toml would lock its makers out.
pub const NEW_ADMINS: &str = "rotate in two commits: add the new key in one, remove the old one \
    in the next, signed with the new key";
/// A key past its day.
pub const EXPIRED: &str =
    "sign with a key that still counts, or extend `not_after` with an `admin` commit first";
/// A key that this node's operator revoked.
pub const REVOKED: &str = "make the commit again with another key; if it is known to be good, name \
    it after the key in this node's revoked_keys";
/// A kind for another environment.
pub const FOREIGN_TRAILER: &str = "a cherry-pick or merge carried the trailer along: amend the \
    message without it, sign, push; if this is another environment's branch, push the right one";
/// An anchor within a chain.
pub const ANCHOR_IN_CHAIN: &str = "a new anchor counts when each node's operator sets it in the \
    node's configuration; else drop the commit from the branch";
/// No kind.
pub const UNKNOWN_KIND: &str = "write `Tidegate: <kind> <environment>`, kind one of change (first environment), promote, pick, \
    hotfix (others), local, rollback, admin, and sign again";
/// A trailer that the policy demands.
pub const REQUIRED: &str = "amend the message with that trailer, sign, push";
/// A draft on another tip.
pub const OVERTAKEN: &str = "somebody else's commit came first: make it again on top of that one";
/// A source that does not verify.
pub const SOURCE: &str = "promote a commit of the environment below that `tidegate verify` accepts \
    there, from the anchor that trust.toml names";
/// An environment that promotes into itself.
pub const CIRCLE: &str = "the `from` of the environments must form a line that ends: mend it with an \
    `admin` commit";
/// A source that was overtaken.
pub const ORDER: &str = "promote a commit that has the last one taken on its first-parent chain; to \
    go back on purpose, use a rollback";
/// Content that is not the source's.
pub const COMPOSITION: &str = "take what flows from the source as it is: `git restore --source \
    <source> -SW -- <paths>`, commit, sign; a change of its own is a `hotfix`";
/// A hotfix that would be lost.
pub const SUPERSEDE: &str = "bring the hotfix into the first environment and promote that; or name it, \
    if it is no longer wanted: `Supersedes: <its id>`";
/// A rollback to elsewhere.
pub const ROLLBACK: &str = "name a commit of this branch's own first-parent history, not older than \
    its trust.toml: `git log --first-parent`";
/// No trailer where one is needed.
pub const SQUASH: &str = "squash and rebase merges lose the trailer and the signature: land the \
    signed commit itself with a merge, or say its kind with `Tidegate: <kind> <environment>`";
/// Not on the chain.
pub const REWIND: &str = "push the last verified commit back (nodes never moved past it); if it \
    was withdrawn on purpose, set a new anchor";
/// A merge with its parents swapped, as `git pull` makes.
pub const FOXTROT: &str = "if `git pull` made the merge, rebase instead (`git pull --rebase`), \
    sign and push; if this is another environment's branch, push the last verified commit back";
/// The anchor cannot be used.
pub const ANCHOR: &str = "set the right anchor in the configuration: a commit of this environment \
    with a valid trust.toml";
/// A commit object that is refused.
pub const HEADERS: &str = "make the commit again with plain git (`git commit --amend -S`), without extra headers, and push";
/// A message that is refused.
pub const MESSAGE: &str = "amend the message: one `Tidegate:` line at most, in the last paragraph, \
    every line of which is `Key: value` (a foreign trailer from a cherry-pick: drop it), and sign";

/// For an unsigned commit on top of `parent`.
pub fn unsigned(parent: CommitId) -> String {
    format!(
        "sign it: `git rebase --exec 'git commit --amend --no-edit -S' {parent}`, then push \
         (squash and rebase buttons of a forge drop signatures: merge instead)"
    )
}

/// For a signature that does not count.
pub fn signature(error: &SignatureError) -> &'static str {
    match error {
        SignatureError::WeakHash { .. } => "sign with SHA-256 or SHA-512",
        SignatureError::Key(_) => {
            "sign with Ed25519, ECDSA, or RSA of 3072 bits or more, and list that key in trust.toml"
        }
        SignatureError::Untouched => "sign again and touch the security key",
        SignatureError::Revoked { .. } => {
            "sign with another key: the certificate says it is revoked"
        }
        _ => "sign it again: `git commit --amend --no-edit -S`, then push",
    }
}

/// For trailers that do not say what the kind needs.
pub fn claim(kind: CommitKind) -> &'static str {
    match kind {
        CommitKind::Pick => {
            "amend the message: one `Promoted-From: <id>`, and `Promoted-Path: <file or directory>` \
             for each path, never `.`; sign, push"
        }
        CommitKind::Hotfix => "amend the message: one `Hotfix: <reason>`; sign, push",
        CommitKind::Rollback => {
            "amend the message: one `Rollback-To: <id>`, and `Rollback-Path: <file or directory>` \
             for each path if not all that flows goes back; sign, push"
        }
        _ => "amend the message: `Supersedes: <id>` with whole ids; sign, push",
    }
}

/// For a number of parents that does not fit.
pub fn parents(kind: CommitKind, count: usize) -> &'static str {
    match count {
        0 | 1 if kind == CommitKind::Promote => {
            "a promote is a merge whose second parent is its source; squash and rebase merges lose \
             it: land the signed commit itself with a merge"
        }
        0 | 1 => "make it with the parents that its kind has",
        2 => "this kind is no merge: put the change on the branch as one commit (rebase), and sign",
        _ => "an octopus merge is refused: merge one branch at a time",
    }
}

/// For a path that the kind may not change.
pub fn paths(class: PathClass) -> &'static str {
    match class {
        PathClass::Trust => "change trust.toml and keys/ with an `admin` commit of its own",
        PathClass::Own => {
            "change the environment's own files with a `local` commit by its people, or have \
             somebody sign who holds `local` too"
        }
        PathClass::Flow => "what flows changes by promotion (on a first environment: by `change`)",
        PathClass::Foreign => "leave other environments' directories out of this commit",
    }
}
