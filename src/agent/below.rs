//! The branches below the node's own: promotions are judged by them, and soak from when they were
//! seen there.
//!
//! In: settings, a root of trust for the branch below. Out: sightings; the branches' objects in the
//! node's store. Effect: fetches, adopts what was verified, keeps `below.json`.
//!
//! # Guarantees
//! * Only a branch with a newly verified commit is adopted, and only that commit counts as seen.
//! * A branch below that is silent or bad is said once, and stops nothing by itself.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::agent::AgentError;
use crate::clients::host::{DurableFile, HostError};
use crate::config::{BranchName, Remote, Settings};
use crate::model::{CommitId, Digest, EnvironmentName};
use crate::reconcile::source::{Fetch, Fetched, Source};
use crate::reconcile::trust::{
    ENVIRONMENTS_MAX, Remembered, RevokedKeys, Rule, Sightings, Standing, Verdict, VerifyRequest,
    show, verify,
};
use crate::telemetry::Chain;

/// Name of the file within the state directory.
const FILE: &str = "below.json";

/// What this node knows of the branches below its own.
#[derive(Debug, Default)]
pub struct Below {
    kept: Kept,
    is_loaded: bool,
    /// Tips whose verdict is known.
    tips: BTreeMap<EnvironmentName, CommitId>,
    /// What was brought and judged good, and is not kept: for `plan`.
    unkept: Vec<Fetched>,
    /// What was said last about a branch.
    said: BTreeMap<EnvironmentName, String>,
}

/// Whether what is learnt is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// In the object store and the memory.
    Yes,
    /// Not at all: for `plan`.
    No,
}

/// What survives a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    sights: Sightings,
    verified: BTreeMap<EnvironmentName, Judged>,
}

/// The newest verified commit of a branch, and by what it was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Judged {
    commit: CommitId,
    anchor: CommitId,
    revoked_keys: Digest,
}

/// A branch below, asked.
struct Branch {
    environment: EnvironmentName,
    anchor: CommitId,
    brought: Option<Fetched>,
}

/// What refreshing works with.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The node's configuration.
    pub settings: &'a Settings,
    /// Where revisions come from.
    pub source: &'a Source,
    /// Keys revoked on this node.
    pub revoked: &'a RevokedKeys,
    /// Whether what is learnt is kept.
    pub keep: Keep,
}

impl Below {
    /// What was seen, for the soak of promotions.
    pub fn sights(&self) -> &Sightings {
        &self.kept.sights
    }

    /// What was brought and is in no store.
    pub fn unkept(&self) -> impl Iterator<Item = &Fetched> {
        self.unkept.iter()
    }

    /// Commits whose history the store must keep.
    pub fn roots(&self) -> impl Iterator<Item = CommitId> {
        self.kept.verified.values().map(|judged| judged.commit).chain(self.kept.sights.tips())
    }

    /// Reads what was kept, once.
    fn load(&mut self, state_dir: &Path) {
        if !std::mem::replace(&mut self.is_loaded, true) {
            let loaded = file(state_dir).load(|bytes| {
                serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))
            });
            for problem in &loaded.problems {
                warn!("what was seen of the branches below is forgotten: {problem}");
            }
            self.kept = loaded.content.unwrap_or_default();
        }
    }

    /// Asks the branches below: the nearest is the one that the trust.toml of `own` names, a commit of
    /// this node's branch, of which `brought` was fetched just now. Gives whether there is more to
    /// judge promotions by than before.
    ///
    /// # Errors
    /// When this machine's own files do not work.
    pub async fn refresh(
        &mut self,
        asker: Asker<'_>,
        brought: Option<&Fetched>,
        own: CommitId,
    ) -> Result<bool, AgentError> {
        self.load(&asker.settings.state_dir);
        let mut branches: Vec<Branch> = Vec::new();
        let mut next = below(asker, brought, own, &asker.settings.environment)?;
        while let Some((environment, anchor)) = next.take() {
            let repeats = environment == asker.settings.environment
                || branches.iter().any(|branch| branch.environment == environment);
            if repeats || branches.len() + 1 >= ENVIRONMENTS_MAX {
                break;
            }
            let brought = self.ask(asker, &environment, anchor).await;
            let kept = self.kept.verified.get(&environment).map(|judged| judged.commit);
            if let Some(tip) = brought.as_ref().map(Fetched::tip).or(kept) {
                next = below(asker, brought.as_ref(), tip, &environment)?;
            }
            branches.push(Branch { environment, anchor, brought });
        }
        let mut is_new = false;
        // The lowest first: the others' promotions are judged by them.
        while let Some(Branch { environment, anchor, brought }) = branches.pop() {
            if let Some(fetched) = brought {
                is_new |= self.take(asker, environment, anchor, fetched).await?;
            }
        }
        Ok(is_new)
    }

    async fn ask(
        &mut self,
        asker: Asker<'_>,
        environment: &EnvironmentName,
        anchor: CommitId,
    ) -> Option<Fetched> {
        let judged = self.judged(asker, environment, anchor);
        let known = judged.and_then(|judged| self.tips.get(environment).or(Some(&judged.commit)));
        let haves: Vec<CommitId> = self.kept.verified.values().map(|j| j.commit).collect();
        let has = |id: &CommitId| asker.source.has(*id).unwrap_or(false);
        let haves: Vec<CommitId> = haves.into_iter().filter(has).collect();
        let remote = remote(asker.settings, environment);
        match asker.source.fetch(&remote, known.copied(), &haves).await {
            Ok(Fetch::Unchanged { .. }) => None,
            Ok(Fetch::New(fetched)) => Some(fetched),
            Err(error) => {
                self.say(environment, &format!("cannot be fetched: {}", Chain(&error)));
                None
            }
        }
    }

    /// What was verified by the rules that hold now, if the store still has it.
    fn judged(
        &self,
        asker: Asker<'_>,
        environment: &EnvironmentName,
        anchor: CommitId,
    ) -> Option<&Judged> {
        let judged = self.kept.verified.get(environment)?;
        let same = judged.anchor == anchor && judged.revoked_keys == asker.revoked.digest();
        (same && asker.source.has(judged.commit).unwrap_or(false)).then_some(judged)
    }

    /// Judges what a branch brought, and keeps it if something new is good.
    async fn take(
        &mut self,
        asker: Asker<'_>,
        environment: EnvironmentName,
        anchor: CommitId,
        fetched: Fetched,
    ) -> Result<bool, AgentError> {
        let tip = fetched.tip();
        let before = self.judged(asker, &environment, anchor).map(|judged| judged.commit);
        let request = VerifyRequest {
            environment: environment.clone(),
            anchor,
            remembered: before.map_or(Remembered::Nothing, Remembered::Verified),
            tip,
            revoked: asker.revoked.clone(),
            // Whether it waits there is that environment's business.
            now: Timestamp::MAX,
            sights: Sightings::default(),
        };
        let objects = asker.source.objects_with(self.unkept.iter().chain([&fetched]));
        let objects = objects.map_err(AgentError::Source)?;
        let verdict = tokio::task::spawn_blocking(move || verify(&objects, &request))
            .await
            .map_err(|error| AgentError::Panicked { reason: error.to_string() })?;
        self.report(&environment, &verdict);
        // What lacks history may be whole the next time.
        if verdict.refused.as_ref().is_none_or(|refused| refused.rule != Rule::History) {
            self.tips.insert(environment.clone(), tip);
        }
        let good = verdict.verified_id().filter(|_| verdict.standing == Standing::Judged);
        let Some(commit) = good.filter(|commit| Some(*commit) != before) else { return Ok(false) };
        // First the objects, then what needs them.
        match asker.keep {
            Keep::Yes => fetched.adopt().map_err(AgentError::Source)?,
            Keep::No => self.unkept.push(fetched),
        }
        self.kept.sights.record(&environment, commit, Timestamp::now());
        let revoked_keys = asker.revoked.digest();
        self.kept.verified.insert(environment, Judged { commit, anchor, revoked_keys });
        if asker.keep == Keep::Yes {
            self.save(&asker.settings.state_dir).map_err(AgentError::Host)?;
        }
        Ok(true)
    }

    fn report(&mut self, environment: &EnvironmentName, verdict: &Verdict) {
        match &verdict.refused {
            None => {
                if self.said.remove(environment).is_some() {
                    info!("the branch of {environment} is good again");
                }
            }
            Some(refused) => {
                let what =
                    format!("holds {}, which is refused: {}", refused.commit, refused.reason);
                self.say(environment, &what);
            }
        }
    }

    fn say(&mut self, environment: &EnvironmentName, what: &str) {
        if self.said.get(environment).map(String::as_str) != Some(what) {
            warn!("the branch of {environment} {what}");
            self.said.insert(environment.clone(), what.to_owned());
        }
    }

    fn save(&self, state_dir: &Path) -> Result<(), HostError> {
        let bytes = serde_json::to_vec(&self.kept)
            .map_err(|error| HostError::unfit(Path::new(FILE), error.to_string()))?;
        file(state_dir).save(&bytes)
    }
}

/// What is below `environment`, as its trust.toml in `commit` says. Nothing is believed for it: what
/// is fetched from there is judged.
fn below(
    asker: Asker<'_>,
    brought: Option<&Fetched>,
    commit: CommitId,
    environment: &EnvironmentName,
) -> Result<Option<(EnvironmentName, CommitId)>, AgentError> {
    let objects = match brought {
        Some(fetched) => fetched.objects(),
        None => asker.source.objects(),
    };
    let trust = show(&objects.map_err(AgentError::Source)?, commit, environment);
    let promotion = trust.ok().and_then(|trust| trust.promotion);
    Ok(promotion.map(|promotion| (promotion.from, promotion.anchor)))
}

fn file(state_dir: &Path) -> DurableFile {
    DurableFile::new(&state_dir.join(FILE))
}

/// Where a branch below is: in a repository of its own, or beside this node's.
pub fn remote(settings: &Settings, environment: &EnvironmentName) -> Remote {
    let beside =
        || Remote { branch: BranchName::of(environment), ..settings.repository.remote.clone() };
    settings.sources.get(environment).cloned().unwrap_or_else(beside)
}
