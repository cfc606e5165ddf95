//! Why a commit is good: what each rule found, for people.
//!
//! In: an accepted commit. Out: [`Explanation`]. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::claim::{Claim, Scope};
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::policy::{PersonName, Role, Threshold};
use crate::reconcile::trust::show::show;
use crate::reconcile::trust::verdict::{Accepted, Origin, Refusal, Signatory};
use crate::reconcile::trust::walk::incomplete;

/// Somebody who signed or approved, and with which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hand {
    /// Who.
    pub person: PersonName,
    /// The key's fingerprint.
    pub key: String,
}

/// What one rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule, as refusals name it.
    pub rule: &'static str,
    /// What it found, in words.
    pub found: String,
}

/// Why a commit is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The commit.
    pub commit: CommitId,
    /// On whose chain.
    pub environment: EnvironmentName,
    /// Its kind.
    pub kind: CommitKind,
    /// Its time (TRUST.md, "Time").
    pub time: Timestamp,
    /// Who signed it.
    pub signer: Hand,
    /// Who approved it.
    pub approvers: Vec<Hand>,
    /// The role that its kind needs.
    pub role: Role,
    /// How many of that role it took.
    pub threshold: usize,
    /// What it claims to do.
    pub claim: Claim,
    /// Where a promote or pick comes from.
    pub origin: Option<Origin>,
    /// What each rule found.
    pub checks: Vec<Check>,
}

/// Explains a commit that was judged good on the chain of `environment`.
///
/// # Errors
/// When its first parent cannot be read.
pub fn explain(
    objects: &impl Objects,
    environment: &EnvironmentName,
    accepted: &Accepted,
) -> Result<Explanation, Refusal> {
    let commit = accepted.commit;
    let header = header(objects, commit).map_err(|error| incomplete(commit, &error))?;
    let parent = header.first_parent().unwrap_or(commit);
    let policy = show(objects, parent, environment)?;
    let role = accepted.kind.rule().role;
    let threshold = policy.roles.get(&role).map_or(1, |role: &Threshold| role.threshold);
    let hand = |who: &Signatory| Hand { person: who.person.clone(), key: who.key.fingerprint() };
    let (signer, approvers) =
        (hand(&accepted.signer), accepted.approvers.iter().map(hand).collect::<Vec<_>>());
    let require = policy.promotion.map(|promotion| promotion.require).unwrap_or_default();
    let mut checks = vec![
        Check { rule: "headers", found: "read whole; one signature, last".into() },
        Check {
            rule: "tree",
            found: "plain files in plain places, with a valid trust.toml".into(),
        },
        Check { rule: "kind", found: format!("`{}` for {environment}", accepted.kind) },
        Check {
            rule: "signer",
            found: format!(
                "{} ({}) holds `{role}` in the trust.toml of {}",
                signer.person,
                signer.key,
                parent.short()
            ),
        },
    ];
    checks.extend(approvers.iter().map(|hand| Check {
        rule: "approval",
        found: format!("{} ({}) approved this very commit", hand.person, hand.key),
    }));
    let people = std::iter::once(&signer).chain(&approvers).map(|hand| &hand.person);
    let people: std::collections::BTreeSet<_> = people.collect();
    let found = format!("{} of {threshold} people of `{role}`", people.len());
    checks.push(Check { rule: "threshold", found });
    let found = format!("keys and approvals count at {}; none was revoked here", accepted.time);
    checks.push(Check { rule: "expired", found });
    let parents = if header.parents.len() == 1 { "one parent" } else { "two parents" };
    let found = format!("{parents}; it changes only what `{}` may", accepted.kind);
    checks.push(Check { rule: "structure", found });
    promotion(accepted, &require, &mut checks);
    let Accepted { kind, time, claim, origin, .. } = accepted.clone();
    let environment = environment.clone();
    Ok(Explanation {
        commit,
        environment,
        kind,
        time,
        signer,
        approvers,
        role,
        threshold,
        claim,
        origin,
        checks,
    })
}

/// What the rules of promote, pick, hotfix and rollback found.
fn promotion(accepted: &Accepted, require: &[String], checks: &mut Vec<Check>) {
    use CommitKind::{Admin, Change, Local};
    let claim = &accepted.claim;
    if matches!(accepted.kind, Admin | Change | Local) {
        return;
    }
    let mut add = |rule, found| checks.push(Check { rule, found });
    if !require.is_empty() {
        add("trailers", format!("{} are there", require.join(", ")));
    }
    if let Some(Origin { environment, anchor, commit, time, .. }) = &accepted.origin {
        let from = anchor.short();
        add("source", format!("{commit} of {time} verifies on {environment}'s chain from {from}"));
        add("order", "it has every source taken before for these paths on its chain".to_owned());
    }
    match (&claim.reason, claim.source, &claim.scope) {
        (Some(reason), ..) => add("trailers", format!("its reason: {reason}")),
        (None, Some(source), scope) => {
            if accepted.kind == CommitKind::Rollback {
                add("rollback", format!("{source} is on this environment's own history"));
            }
            let rest = if *scope == Scope::Everything { "" } else { "; nothing else changes" };
            add("composition", format!("{scope}: exactly as in {}{rest}", source.short()));
        }
        _ => {}
    }
    if accepted.origin.is_some() {
        let named: Vec<String> = claim.supersedes.iter().map(CommitId::short).collect();
        let found = if named.is_empty() {
            "no live hotfix is lost".to_owned()
        } else {
            format!("no live hotfix is lost but those it names: {}", named.join(", "))
        };
        add("hotfix", found);
    }
}
