//! A line of environments in one repository, dev → tst → prd, promoted with plain git.

use tidegate::model::CommitId;
use tidegate::reconcile::trust::kind::CommitKind;

use crate::trust::history::{By, History};

/// dev: alice and bob change. tst: bob and carol do everything, carol signs alone. prd: two promote.
pub(crate) const DEV: &str = "change = { people = [\"alice\", \"bob\"] }\n\
    local = { people = [\"bob\"] }\nrollback = { people = [\"alice\"] }\n\
    admin = { people = [\"alice\"] }\n";
pub(crate) const LATER: &str = "promote = { people = [\"bob\", \"carol\"] }\n\
    local = { people = [\"bob\", \"carol\"] }\nhotfix = { people = [\"carol\"] }\n\
    rollback = { people = [\"bob\", \"carol\"] }\nadmin = { people = [\"carol\"] }\n";

impl History {
    /// dev, tst and prd, each at its anchor with the same content; the work tree is dev's.
    pub(crate) fn line() -> Self {
        let mut h = Self::new("dev", DEV, "");
        h.begin("tst", LATER, &promotion("dev", h.anchor, ""));
        let tst = h.anchor;
        h.begin("prd", LATER, &promotion("tst", tst, ""));
        h.on("dev");
        h
    }

    /// Commits the work tree, which takes from nowhere, as a kind of the environment.
    pub(crate) fn commit_as(&mut self, by: &str, kind: &str, trailers: &str) -> CommitId {
        let message = format!("Work\n\nTidegate: {kind} {}{trailers}", self.environment);
        self.commit(By::Ssh(by), &message)
    }

    /// Makes what flows in the work tree that of `source`, as the manual's recipe does.
    pub(crate) fn restore(&self, source: CommitId) {
        let own = format!(":!environments/{}", self.environment);
        let source = source.to_string();
        self.git(&["restore", "--source", &source, "-SW", "--", ".", &own]);
    }

    /// Makes `path` in the work tree as it is in `source`.
    pub(crate) fn restore_path(&self, source: CommitId, path: &str) {
        self.git(&["rm", "-rqf", "--ignore-unmatch", "--", path]);
        let source = source.to_string();
        if !self.git(&["ls-tree", &source, "--", path]).is_empty() {
            self.git(&["checkout", "-q", &source, "--", path]);
        }
    }

    /// Commits the work tree as a merge of `source`.
    pub(crate) fn merge(&mut self, by: &str, source: CommitId, trailers: &str) -> CommitId {
        let tree = self.tree();
        let message = format!("Promote\n\nTidegate: promote {}{trailers}", self.environment);
        self.tip = self.make(&tree, &[self.tip, source], By::Ssh(by), &message);
        self.tip
    }

    /// A whole promotion of `source`.
    pub(crate) fn promote(&mut self, by: &str, source: CommitId) -> CommitId {
        self.promote_with(by, source, "")
    }

    pub(crate) fn promote_with(&mut self, by: &str, source: CommitId, more: &str) -> CommitId {
        self.restore(source);
        self.merge(by, source, more)
    }

    /// A pick of `paths` from `source`.
    pub(crate) fn pick(&mut self, by: &str, source: CommitId, paths: &[&str]) -> CommitId {
        self.pick_with(by, source, paths, "")
    }

    pub(crate) fn pick_with(
        &mut self,
        by: &str,
        source: CommitId,
        paths: &[&str],
        more: &str,
    ) -> CommitId {
        let mut listed = String::new();
        for path in paths {
            self.restore_path(source, path);
            listed.extend(["\nPromoted-Path: ", path]);
        }
        self.commit_as(by, "pick", &format!("\nPromoted-From: {source}{listed}{more}"))
    }

    /// A hotfix of one file.
    pub(crate) fn hotfix(&mut self, path: &str, text: &str) -> CommitId {
        self.hotfix_with(path, text, "")
    }

    pub(crate) fn hotfix_with(&mut self, path: &str, text: &str, more: &str) -> CommitId {
        self.write(path, text);
        self.commit_as("carol", "hotfix", &format!("\nHotfix: the night is dark{more}"))
    }

    /// A rollback of all that flows.
    pub(crate) fn rollback(&mut self, by: &str, to: CommitId) -> CommitId {
        let source = to.to_string();
        self.git(&["restore", "--source", &source, "-SW", "--", ".", ":!environments"]);
        self.commit_as(by, "rollback", &format!("\nRollback-To: {to}"))
    }

    /// A change of `path` on dev.
    pub(crate) fn develop(&mut self, path: &str, text: &str) -> CommitId {
        self.on("dev");
        self.write(path, text);
        self.commit(By::Ssh("alice"), "Change")
    }

    /// dev's tip, promoted to tst.
    pub(crate) fn promote_to_tst(&mut self) -> CommitId {
        let dev = self.tip_of("dev");
        self.on("tst");
        self.promote("bob", dev)
    }

    /// tst's tip, promoted to prd.
    pub(crate) fn promote_to_prd(&mut self) -> CommitId {
        let tst = self.tip_of("tst");
        self.on("prd");
        self.promote("carol", tst)
    }

    /// The kinds of what was accepted, in order.
    pub(crate) fn kinds(&self) -> Vec<CommitKind> {
        self.assert_good().accepted.iter().map(|accepted| accepted.kind).collect()
    }
}

/// The section `[promotion]`.
pub(crate) fn promotion(from: &str, anchor: CommitId, more: &str) -> String {
    format!("[promotion]\nfrom = \"{from}\"\nanchor = \"{anchor}\"\n{more}\n")
}
