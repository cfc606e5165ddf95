//! One commit under judgement: its kind, its people, and the rules that need no objects.
//!
//! In: a commit and what its tree and its first parent's say. Out: nothing, or [`Refusal`]. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::reconcile::trust::claim::Claim;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::facts::Facts;
use crate::reconcile::trust::kind::{CommitKind, Declared, KindRule, PathClass, Place};
use crate::reconcile::trust::policy::{PersonName, Role, TrustPolicy};
use crate::reconcile::trust::remedy;
use crate::reconcile::trust::verdict::{Refusal, Rule, Signatory};

/// What a commit is judged against.
#[derive(Debug, Clone, Copy)]
pub struct Base {
    /// Its first parent.
    pub parent: CommitId,
    /// The first parent's tree.
    pub tree: ObjectId,
    /// The commit's own time (TRUST.md, "Time").
    pub time: Timestamp,
}

/// One commit under judgement, with what holds for all its rules.
pub struct Case<'c> {
    /// The commit.
    pub commit: &'c Commit,
    /// What it is judged against.
    pub base: Base,
    /// Its kind.
    pub kind: CommitKind,
    /// What the kind may do.
    pub rule: KindRule,
    /// What it claims to do.
    pub claim: Claim,
    /// What its first parent's tree says.
    pub old: Facts,
    /// What its own tree says.
    pub new: Facts,
}

impl Case<'_> {
    /// A refusal of the commit.
    pub fn refuse(
        &self,
        rule: Rule,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Refusal {
        Refusal::new(self.commit.id, rule, reason, remedy)
    }

    /// The policy that it is judged by.
    pub fn policy(&self) -> &TrustPolicy {
        &self.old.trust.policy
    }
}

/// 3. The kind comes from the trailer; without one it is a change.
pub fn kind(
    commit: &Commit,
    environment: &EnvironmentName,
    policy: &TrustPolicy,
) -> Result<CommitKind, Refusal> {
    let refuse =
        |reason: String, remedy: &str| Err(Refusal::new(commit.id, Rule::Kind, reason, remedy));
    let kind = match commit.message.kind().map(|value| (value, Declared::parse(value))) {
        None => CommitKind::Change,
        Some((_, Declared::Kind(kind, named))) if named == *environment => kind,
        Some((_, Declared::Kind(kind, named))) => {
            let reason = format!("its trailer says `{kind} {named}`, and this is {environment}");
            return refuse(reason, remedy::FOREIGN_TRAILER);
        }
        Some((_, Declared::Anchor(named))) => {
            let reason = format!("it is an anchor of {named}; an anchor is valid in no chain");
            return refuse(reason, remedy::ANCHOR_IN_CHAIN);
        }
        Some((value, Declared::Unknown)) => {
            let shown: String = value.chars().take(80).collect();
            return refuse(format!("`Tidegate: {shown}` is no kind"), remedy::UNKNOWN_KIND);
        }
    };
    match (kind.rule().place, policy.is_first_environment()) {
        (Place::First, false) if commit.message.kind().is_none() => {
            let reason = format!(
                "it has no `Tidegate:` trailer, and {environment} is not the first environment"
            );
            refuse(reason, remedy::SQUASH)
        }
        (Place::First, false) => {
            refuse(format!("`{kind}` is for the first environment alone"), remedy::SQUASH)
        }
        (Place::Others, true) => {
            refuse(format!("`{kind}` is not for a first environment"), remedy::UNKNOWN_KIND)
        }
        _ => Ok(kind),
    }
}

/// What its trailers say of what its kind does.
pub fn claim(
    commit: &Commit,
    kind: CommitKind,
    environment: &EnvironmentName,
) -> Result<Claim, Refusal> {
    Claim::of(commit, kind, environment).map_err(|error| {
        Refusal::new(commit.id, Rule::Trailers, error.to_string(), remedy::claim(kind))
    })
}

/// 4. Distinct people among signer and approvers who hold `role`.
fn holders<'p>(
    policy: &TrustPolicy,
    role: Role,
    signer: &'p Signatory,
    approvers: &'p [Signatory],
) -> BTreeSet<&'p PersonName> {
    let people = std::iter::once(signer).chain(approvers).map(|who| &who.person);
    let role = policy.roles.get(&role);
    people.filter(|person| role.is_some_and(|role| role.people.contains(*person))).collect()
}

/// Whether enough distinct people of `role` signed or approved.
pub fn threshold(
    case: &Case,
    role: Role,
    signer: &Signatory,
    approvers: &[Signatory],
) -> Result<(), Refusal> {
    let count = holders(case.policy(), role, signer, approvers).len();
    let wanted = case.policy().roles.get(&role).map_or(usize::MAX, |role| role.threshold);
    if count >= wanted {
        return Ok(());
    }
    let reason = format!("{count} of {wanted} people of the role `{role}` signed or approved it");
    Err(case.refuse(Rule::Threshold, reason, remedy::THRESHOLD))
}

/// A change touches own paths only by people who hold `local`.
pub fn own_by_change(
    case: &Case,
    path: &str,
    signer: &Signatory,
    approvers: &[Signatory],
) -> Result<(), Refusal> {
    let local = case.policy().roles.get(&Role::Local);
    if !local.is_some_and(|role| role.people.contains(&signer.person)) {
        let reason = format!(
            "it changes `{path}`, and its signer {} does not hold the role `local`",
            signer.person
        );
        return Err(case.refuse(Rule::Structure, reason, remedy::paths(PathClass::Own)));
    }
    threshold(case, Role::Local, signer, approvers)
}

/// No commit changes which repository this is.
pub fn repository(case: &Case) -> Result<(), Refusal> {
    let refuse = |reason| Err(case.refuse(Rule::Repository, reason, remedy::REPOSITORY));
    match (&case.old.repository, &case.new.repository) {
        (_, Err(error)) => refuse(error.to_string()),
        (Ok(Some(old)), Ok(new)) if new.as_ref() != Some(old) => {
            let new = new.as_deref().unwrap_or("nothing");
            refuse(format!("it changes `repository` in tidegate.toml from `{old}` to `{new}`"))
        }
        _ => Ok(()),
    }
}

/// An admin commit must also be met by the same keys under the policy that it brings.
pub fn new_admins(case: &Case, signer: &Signatory, approvers: &[Signatory]) -> Result<(), Refusal> {
    let policy = &case.new.trust.policy;
    let role = policy.roles.get(&Role::Admin);
    let keys = std::iter::once(signer).chain(approvers).map(|who| &who.key);
    let people = keys.filter_map(|key| policy.person_of(key));
    let people = people.filter(|(_, person)| !person.has_expired_at(case.base.time));
    let people = people.map(|(name, _)| name);
    let people: BTreeSet<_> =
        people.filter(|name| role.is_some_and(|role| role.people.contains(*name))).collect();
    let wanted = role.map_or(1, |role| role.threshold);
    if people.len() >= wanted {
        return Ok(());
    }
    let reason = format!(
        "under the new trust.toml its keys are {} of {wanted} people of the role `admin`",
        people.len()
    );
    Err(case.refuse(Rule::Threshold, reason, remedy::NEW_ADMINS))
}
