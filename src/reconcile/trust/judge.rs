//! Judges one commit against its first parent, in the order of TRUST.md, "The chain".
//!
//! In: a commit, its first parent, its time. Out: [`Accepted`], or [`Refusal`]. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::approval::{APPROVALS_MAX, Approval, Statement, TRAILER};
use crate::reconcile::trust::case::{
    Base, Case, claim, kind, new_admins, own_by_change, repository, threshold,
};
use crate::reconcile::trust::commit::{Commit, Header};
use crate::reconcile::trust::facts::FactsReader;
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::kind::{CommitKind, PathClass};
use crate::reconcile::trust::remedy;
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::signature::{Format, SignatureError, ssh};
use crate::reconcile::trust::tree::Trees;
use crate::reconcile::trust::verdict::{Accepted, Refusal, Rule, Signatory};

/// Commits read to learn what lies before the commit that a line of `revoked_keys` names.
const BEFORE_MAX: usize = 1_000_000;

/// A commit with what was found out about it on its own.
pub struct Candidate {
    /// The commit.
    pub commit: Commit,
    /// The key of its SSH signature, which needs no policy to check; none for other signatures.
    pub ssh_key: Option<Result<Key, SignatureError>>,
}

impl Candidate {
    /// Checks the commit's SSH signature, if it has one.
    pub fn new(commit: Commit) -> Self {
        let armoured = commit.signature.as_deref();
        let armoured = armoured.filter(|text| Format::of(text) == Ok(Format::Ssh));
        let ssh_key =
            armoured.map(|text| ssh::verify(text, ssh::NAMESPACE_COMMIT, commit.payload()));
        Self { commit, ssh_key }
    }
}

/// Judges the commits of one environment, remembering what they share.
pub struct Judge<'a, O> {
    /// Where bytes come from.
    pub objects: &'a O,
    /// Whose chain it is.
    pub environment: EnvironmentName,
    /// Checked trees.
    pub trees: Trees<'a, O>,
    /// Policies by tree.
    pub facts: FactsReader<'a, O>,
    /// Keys that count no more.
    pub revoked: &'a RevokedKeys,
    before: HashMap<CommitId, HashSet<CommitId>>,
}

/// A commit that breaks no rule but, perhaps, that of enough people.
pub struct Judged {
    /// What it is.
    pub accepted: Accepted,
    /// Whether enough people signed or approved it.
    pub people: Result<(), Refusal>,
}

impl<'a, O: Objects> Judge<'a, O> {
    /// A judge who has seen nothing yet.
    pub fn new(objects: &'a O, environment: &EnvironmentName, revoked: &'a RevokedKeys) -> Self {
        Self {
            objects,
            environment: environment.clone(),
            trees: Trees::new(objects),
            facts: FactsReader::new(objects, environment),
            revoked,
            before: HashMap::new(),
        }
    }

    /// Judges one commit, whose headers (1) were read already. People who are missing are told apart:
    /// what is refused for them alone lacks nothing else.
    ///
    /// # Errors
    /// With the first rule that it breaks.
    pub fn judge(&mut self, candidate: &Candidate, base: Base) -> Result<Judged, Refusal> {
        let commit = &candidate.commit;
        if commit.signature.is_none() {
            let remedy = remedy::unsigned(base.parent);
            return Err(Refusal::new(commit.id, Rule::Signature, "it is not signed", remedy));
        }
        let case = self.open(commit, base)?;
        // 4. Signed, by enough people.
        let signer = self.signer(&case, candidate)?;
        let approvers = self.approvers(&case)?;
        let mut people = threshold(&case, case.rule.role, &signer, &approvers);
        // 5. Its structure fits the kind.
        self.structure(&case, Some((&signer, &approvers)))?;
        if case.kind == CommitKind::Admin {
            people = people.and_then(|()| new_admins(&case, &signer, &approvers));
        }
        let Case { kind, claim, .. } = case;
        let (commit, time, origin) = (commit.id, base.time, None);
        let accepted = Accepted { commit, kind, signer, approvers, time, claim, origin };
        Ok(Judged { accepted, people })
    }

    /// What a commit is and says: its tree (2), its kind and its claim (3).
    ///
    /// # Errors
    /// With the first rule that it breaks.
    pub fn open<'c>(&mut self, commit: &'c Commit, base: Base) -> Result<Case<'c>, Refusal> {
        let refuse =
            |rule, reason: String, remedy: &str| Refusal::new(commit.id, rule, reason, remedy);
        // The parent's facts come first: they are the ones read last.
        let old = self.facts.of(&self.trees, base.tree);
        let old = old.map_err(|e| refuse(Rule::Policy, e.to_string(), remedy::FETCH_WHOLE))?;
        let checked = self.trees.check(commit.tree);
        checked.map_err(|e| refuse(Rule::Tree, e.to_string(), remedy::TREE))?;
        let new = self.facts.of(&self.trees, commit.tree);
        let new = new.map_err(|e| refuse(Rule::Policy, e.to_string(), remedy::POLICY))?;
        let kind = kind(commit, &self.environment, &old.trust.policy)?;
        let claim = claim(commit, kind, &self.environment)?;
        Ok(Case { commit, base, kind, rule: kind.rule(), claim, old, new })
    }

    fn signer(&mut self, case: &Case, candidate: &Candidate) -> Result<Signatory, Refusal> {
        let refuse = |error: SignatureError| {
            case.refuse(Rule::Signature, error.to_string(), remedy::signature(&error))
        };
        let armoured = case.commit.signature.as_deref().unwrap_or_default();
        let key = match (Format::of(armoured).map_err(refuse)?, &candidate.ssh_key) {
            (Format::Ssh, Some(checked)) => checked.clone(),
            (Format::Ssh, None) => {
                ssh::verify(armoured, ssh::NAMESPACE_COMMIT, case.commit.payload())
            }
            (Format::OpenPgp, _) => {
                let trust = &case.old.trust;
                let listed = trust.policy.openpgp_keys();
                trust.certificates.verify(armoured, case.commit.payload(), listed)
            }
        };
        let key = key.map_err(|error| match &error {
            SignatureError::UnknownIssuer { .. } => {
                case.refuse(Rule::Signer, error.to_string(), remedy::UNKNOWN_SIGNER)
            }
            _ => refuse(error),
        })?;
        let Some((person, _)) = case.policy().person_of(&key) else {
            let reason = format!(
                "it is signed by {key}, whom trust.toml in its first parent {} does not list",
                case.base.parent.short()
            );
            return Err(case.refuse(Rule::Signer, reason, remedy::UNKNOWN_SIGNER));
        };
        let signer = Signatory { person: person.clone(), key };
        self.allowed(case, &signer, "signed")?;
        let holders = case.policy().roles.get(&case.rule.role);
        if !holders.is_some_and(|role| role.people.contains(&signer.person)) {
            let reason = format!(
                "its signer {} does not hold the role `{}`, which `{}` needs",
                signer.person, case.rule.role, case.kind
            );
            return Err(case.refuse(Rule::Signer, reason, remedy::ROLE));
        }
        Ok(signer)
    }

    fn approvers(&mut self, case: &Case) -> Result<Vec<Signatory>, Refusal> {
        let values: Vec<&str> = case.commit.message.values(TRAILER).collect();
        let refuse = |reason: String| case.refuse(Rule::Approval, reason, remedy::APPROVAL);
        if values.len() > APPROVALS_MAX {
            return Err(refuse(format!("it has more than {APPROVALS_MAX} approvals")));
        }
        let mut approvers = Vec::new();
        for value in values {
            let approval = Approval::parse(value)
                .map_err(|error| refuse(format!("an approval cannot be read: {error}")))?;
            let Ok(Some(repository)) = &case.old.repository else {
                let reason = "an approval names its repository, and tidegate.toml has none";
                return Err(refuse(reason.to_owned()));
            };
            let statement = Statement {
                repository: repository.to_string(),
                environment: self.environment.clone(),
                kind: case.kind,
                from: case.base.parent,
                source: case.claim.source,
                tree: case.commit.tree,
                expires: approval.expires,
            };
            let key = approval.verify(&statement).map_err(|error| {
                refuse(format!("an approval does not verify for this commit: {error}"))
            })?;
            let Some((person, _)) = case.policy().person_of(&key) else {
                return Err(refuse(format!("an approval is by {key}, whom nobody lists")));
            };
            let approver = Signatory { person: person.clone(), key };
            self.allowed(case, &approver, "approved")?;
            let holders = case.policy().roles.get(&case.rule.role);
            if !holders.is_some_and(|role| role.people.contains(&approver.person)) {
                let (person, role) = (&approver.person, case.rule.role);
                return Err(refuse(format!("its approver {person} does not hold `{role}`")));
            }
            if case.base.time > approval.expires {
                let reason = format!(
                    "the approval by {} ended {}, before the commit's time {}",
                    approver.person, approval.expires, case.base.time
                );
                return Err(case.refuse(Rule::Expired, reason, remedy::APPROVAL));
            }
            approvers.push(approver);
        }
        Ok(approvers)
    }

    /// Whether the key still counts at the commit's time, and was not revoked on this node.
    fn allowed(&mut self, case: &Case, who: &Signatory, did: &str) -> Result<(), Refusal> {
        let person = case.policy().people.get(&who.person);
        if let Some(day) = person.filter(|p| p.has_expired_at(case.base.time)) {
            let last = day.not_after.map(|day| day.to_string()).unwrap_or_default();
            let reason = format!(
                "{did} by {}, whose keys count until {last}; the commit's time is {}",
                who.person, case.base.time
            );
            return Err(case.refuse(Rule::Expired, reason, remedy::EXPIRED));
        }
        let untils: Vec<_> = self.revoked.of(&who.key).map(|line| line.until).collect();
        for until in untils {
            let spared = until.is_some_and(|until| self.lies_before(case.commit.id, until));
            if !spared {
                let reason = format!("{did} with {}, which this node's operator revoked", who.key);
                return Err(case.refuse(Rule::Revoked, reason, remedy::REVOKED));
            }
        }
        Ok(())
    }

    /// Whether `commit` is `until` or an ancestor of it: its id vouches for them.
    fn lies_before(&mut self, commit: CommitId, until: CommitId) -> bool {
        if !self.before.contains_key(&until) {
            let mut found = HashSet::new();
            let mut open = vec![until];
            while let Some(id) = open.pop().filter(|_| found.len() < BEFORE_MAX) {
                let header = self.objects.commit(id).ok().and_then(|bytes| Header::read(&bytes));
                if let Some(header) = header.filter(|_| found.insert(id)) {
                    open.extend(header.parents);
                }
            }
            self.before.insert(until, found);
        }
        self.before.get(&until).is_some_and(|found| found.contains(&commit))
    }

    /// Whether repository, parents and changed paths fit the kind; of a commit that nobody signed
    /// yet, as far as that can be said.
    ///
    /// # Errors
    /// With the first thing that does not fit.
    pub fn structure(
        &self,
        case: &Case,
        people: Option<(&Signatory, &[Signatory])>,
    ) -> Result<(), Refusal> {
        repository(case)?;
        let (least, most) = case.rule.parents;
        let parents = case.commit.parents.len();
        if !(least..=most).contains(&parents) {
            let wanted =
                if least == most { most.to_string() } else { format!("{least} or {most}") };
            let has = if parents == 1 { "1 parent".into() } else { format!("{parents} parents") };
            let reason = format!("it has {has}; `{}` has {wanted}", case.kind);
            return Err(case.refuse(Rule::Structure, reason, remedy::parents(case.kind, parents)));
        }
        let paths = self.trees.differences(case.base.tree, case.commit.tree);
        let paths = paths
            .map_err(|error| case.refuse(Rule::Tree, error.to_string(), remedy::FETCH_WHOLE))?;
        let mut classes: BTreeMap<PathClass, &str> = BTreeMap::new();
        for path in &paths {
            classes.entry(PathClass::of(path, &self.environment)).or_insert(path);
        }
        for (class, path) in classes {
            if case.rule.may_change.contains(&class) {
                continue;
            }
            if (case.kind, class) == (CommitKind::Change, PathClass::Own) {
                people.map_or(Ok(()), |(signer, approvers)| {
                    own_by_change(case, path, signer, approvers)
                })?;
                continue;
            }
            let reason = format!("it changes `{path}`, which `{}` may not", case.kind);
            return Err(case.refuse(Rule::Structure, reason, remedy::paths(class)));
        }
        Ok(())
    }
}
