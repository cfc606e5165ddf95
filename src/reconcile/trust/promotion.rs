//! The rules of promote, pick, hotfix and rollback that need more than the commit and its parent.
//!
//! In: a commit whose people and paths were judged. Out: where it comes from, or [`Refusal`]. Pure.

use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::reconcile::trust::case::Base;
use crate::reconcile::trust::claim::{Claim, Scope};
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::history::{CHAIN_COMMITS_MAX, first_parents, header};
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::kind::{CommitKind, PathClass};
use crate::reconcile::trust::ledger::content;
use crate::reconcile::trust::policy::PromotionPolicy;
use crate::reconcile::trust::source::{ENVIRONMENTS_MAX, Source};
use crate::reconcile::trust::verdict::{Origin, Refusal, Rule};
use crate::reconcile::trust::walk::{Point, Walk, incomplete, unreadable};
use crate::reconcile::trust::{Objects, remedy};

/// Paths that a refusal names; the rest is counted.
const PATHS_SHOWN_MAX: usize = 3;

impl<'a, O: Objects> Walk<'a, O> {
    /// Judges what promotion demands of `commit`; gives where a promote or pick comes from.
    pub(in crate::reconcile::trust) fn promotion(
        &mut self,
        commit: &Commit,
        base: Base,
        kind: CommitKind,
        claim: &Claim,
    ) -> Result<Option<Origin>, Refusal> {
        use CommitKind::{Admin, Change, Hotfix, Local, Pick, Promote, Rollback};
        if matches!(kind, Change | Local | Admin) {
            return Ok(None);
        }
        let judge = &mut self.judge;
        let old = judge.facts.of(&judge.trees, base.tree);
        let old = old.map_err(|e| {
            Refusal::new(commit.id, Rule::Policy, e.to_string(), remedy::FETCH_WHOLE)
        })?;
        let policy = old.trust.policy.promotion.as_ref();
        required(commit, policy)?;
        match (kind, policy, claim.source) {
            (Promote | Pick, Some(policy), Some(source)) => {
                self.read_ledger(base.parent)?;
                let point = self.source(commit.id, policy, source)?;
                self.composed(commit, base, (kind, claim), point.tree)?;
                self.in_order(commit.id, policy, source, &claim.scope)?;
                self.hotfixes(commit, base, claim)?;
                let Point { id, time, .. } = point;
                let (environment, anchor) = (policy.from.clone(), policy.anchor);
                let soak_secs = policy.soak.as_secs();
                Ok(Some(Origin { environment, anchor, commit: id, time, soak_secs }))
            }
            (Rollback, _, Some(target)) => {
                self.read_ledger(base.parent)?;
                let tree = self.target(commit.id, base.parent, target)?;
                self.composed(commit, base, (kind, claim), tree)?;
                Ok(None)
            }
            (Hotfix, Some(_), _) => Ok(None),
            // The kind's row and its trailers were checked: there is nothing else.
            _ => {
                let reason = format!("`{kind}` has no source here");
                Err(Refusal::new(commit.id, Rule::Structure, reason, remedy::SOURCE))
            }
        }
    }

    /// The source verifies on the chain of `from`, under its policies, from the anchor named here.
    fn source(
        &mut self,
        commit: CommitId,
        policy: &PromotionPolicy,
        source: CommitId,
    ) -> Result<Point, Refusal> {
        let from = &policy.from;
        let is_own = *from == self.judge.environment;
        if is_own || self.above.contains(from) || self.above.len() >= ENVIRONMENTS_MAX {
            let line: Vec<&str> = self.above.iter().map(EnvironmentName::as_str).collect();
            let own = &self.judge.environment;
            let reason =
                format!("its source's environment {from} repeats: {line:?}, {own}, {from}");
            return Err(Refusal::new(commit, Rule::Source, reason, remedy::CIRCLE));
        }
        self.below(from, policy.anchor).verify(source).map_err(|refused| {
            if refused.rule == Rule::History {
                return Refusal { commit, ..refused };
            }
            let reason = format!(
                "its source {} does not verify on {from}'s chain: {}: {}",
                source.short(),
                refused.commit,
                refused.reason
            );
            Refusal::new(commit, Rule::Source, reason, remedy::SOURCE)
        })
    }

    /// The chain of `from` from `anchor`.
    fn below(&mut self, from: &EnvironmentName, anchor: CommitId) -> &mut Source<'a, O> {
        let Judge { objects, environment, revoked, .. } = &self.judge;
        self.sources.entry((from.clone(), anchor)).or_insert_with(|| {
            let mut above = self.above.clone();
            above.push(environment.clone());
            Source::new(Judge::new(*objects, from, revoked), above, anchor)
        })
    }

    /// What the commit covers is exactly what lies in `source`, and nothing else changes.
    fn composed(
        &self,
        commit: &Commit,
        base: Base,
        (kind, claim): (CommitKind, &Claim),
        source: ObjectId,
    ) -> Result<(), Refusal> {
        let trees = &self.judge.trees;
        let failed = |error| unreadable(commit.id, &error);
        let refuse = |paths: &[String], what: &str| {
            let shown =
                paths.iter().take(PATHS_SHOWN_MAX).cloned().collect::<Vec<_>>().join("`, `");
            let more = paths.len().saturating_sub(PATHS_SHOWN_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let reason = format!("`{shown}`{more} {what}");
            Err(Refusal::new(commit.id, Rule::Composition, reason, remedy::COMPOSITION))
        };
        let own = &self.judge.environment;
        match &claim.scope {
            Scope::Everything => {
                if !trees.same_flow(commit.tree, source).map_err(failed)? {
                    let mut paths = trees.differences(source, commit.tree).map_err(failed)?;
                    paths.retain(|path| PathClass::of(path, own) == PathClass::Flow);
                    return refuse(&paths, "is not as in its source");
                }
                if kind == CommitKind::Rollback {
                    let mut paths = trees.differences(base.tree, commit.tree).map_err(failed)?;
                    paths.retain(|path| PathClass::of(path, own) != PathClass::Flow);
                    if !paths.is_empty() {
                        return refuse(&paths, "changes, and no `Rollback-Path:` lists it");
                    }
                }
            }
            Scope::Paths(paths) => {
                for path in paths {
                    let find = |root| trees.find(root, path).map_err(failed);
                    if find(commit.tree)? != find(source)? {
                        return refuse(std::slice::from_ref(path), "is not as in its source");
                    }
                }
                let mut changed = trees.differences(base.tree, commit.tree).map_err(failed)?;
                changed.retain(|path| !claim.scope.covers(path));
                if !changed.is_empty() {
                    return refuse(&changed, "changes, and no trailer lists its path");
                }
            }
        }
        Ok(())
    }

    /// The source has on its chain whatever was taken earlier for one of the paths.
    fn in_order(
        &mut self,
        commit: CommitId,
        policy: &PromotionPolicy,
        source: CommitId,
        scope: &Scope,
    ) -> Result<(), Refusal> {
        let taken = self.ledger.as_ref().map(|ledger| ledger.taken.clone()).unwrap_or_default();
        let below = self.below(&policy.from, policy.anchor);
        let overtaken = taken
            .iter()
            .rev()
            .filter(|taken| taken.scope.overlaps(scope))
            .find(|taken| !below.is_after(source, taken.source));
        let Some(overtaken) = overtaken else { return Ok(()) };
        let objects = self.judge.objects;
        let later = first_parents(objects, overtaken.source, source, CHAIN_COMMITS_MAX);
        let reason = if later.is_ok() {
            format!(
                "its source {} is older than {}, which {} took already",
                source.short(),
                overtaken.source.short(),
                overtaken.commit.short()
            )
        } else {
            format!(
                "its source {} does not have {}, which {} took, on its first-parent chain",
                source.short(),
                overtaken.source.short(),
                overtaken.commit.short()
            )
        };
        Err(Refusal::new(commit, Rule::Order, reason, remedy::ORDER))
    }

    /// A live hotfix whose content changes is named.
    fn hotfixes(&self, commit: &Commit, base: Base, claim: &Claim) -> Result<(), Refusal> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let trees = &self.judge.trees;
        let failed = |error| unreadable(commit.id, &error);
        for (hotfix, paths) in ledger.live(trees, base.tree).map_err(failed)? {
            if claim.supersedes.contains(&hotfix.commit) {
                continue;
            }
            for path in paths {
                let [old, new] = [base.tree, commit.tree].map(|tree| content(trees, tree, path));
                if old.map_err(failed)? != new.map_err(failed)? {
                    let reason = format!(
                        "it drops the hotfix {} (`{}`), which is live at `{path}`",
                        hotfix.commit, hotfix.reason
                    );
                    let remedy = remedy::SUPERSEDE;
                    return Err(Refusal::new(commit.id, Rule::Hotfix, reason, remedy));
                }
            }
        }
        Ok(())
    }

    /// The tree of a rollback's target, which is on this environment's own first-parent history.
    fn target(
        &self,
        commit: CommitId,
        parent: CommitId,
        target: CommitId,
    ) -> Result<ObjectId, Refusal> {
        if !self.history.is_on_chain(parent, target) {
            let reason = format!(
                "`Rollback-To: {target}` is not on the first-parent history of {}",
                self.judge.environment
            );
            return Err(Refusal::new(commit, Rule::Rollback, reason, remedy::ROLLBACK));
        }
        let header = header(self.judge.objects, target);
        header.map(|header| header.tree).map_err(|error| incomplete(commit, &error))
    }
}

/// Trailers that `[promotion] require` names.
fn required(commit: &Commit, policy: Option<&PromotionPolicy>) -> Result<(), Refusal> {
    let keys = policy.map(|policy| policy.require.as_slice()).unwrap_or_default();
    match keys.iter().find(|key| commit.message.values(key).next().is_none()) {
        None => Ok(()),
        Some(key) => {
            let reason = format!("it has no trailer `{key}: `, which trust.toml requires");
            Err(Refusal::new(commit.id, Rule::Trailers, reason, remedy::REQUIRED))
        }
    }
}
