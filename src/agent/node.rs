//! A node: everything that one pass needs, and the pass itself.
//!
//! In: settings. Out: [`Report`]s. Effect: the stages'; the status file and the journal.
//!
//! ```text
//! refresh  source → trust → desired       belief.rs
//! pass     observed → plan → apply        reconcile::pass
//! say      report: status, journal
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{debug, info, warn};

use crate::agent::AgentError;
use crate::agent::belief::{Belief, Believer, Keep, News, Origin};
use crate::agent::effects::{HostFiles, hub_credentials, nonce};
use crate::agent::images;
use crate::agent::record;
use crate::clients::docker::{DockerClient, DockerWrite as _};
use crate::clients::host::NodeKey;
use crate::config::{Requirement, Settings};
use crate::model::{CommitId, ServiceName};
use crate::reconcile::apply::{ServiceOutcome, ServiceResult};
use crate::reconcile::memory::{FileMemoryStore, Memory, MemoryStore as _};
use crate::reconcile::observed::{Look, ObservedState, OwnershipKey};
use crate::reconcile::pass::{
    Effects, Intent, PassError, PassInput, PassOutcome, PassState, reconcile_once,
};
use crate::reconcile::plan::body::image_name;
use crate::reconcile::plan::{Overrides, Plan};
use crate::reconcile::report::{
    Facts, Journal, Reach, Record, Status, StatusFile, TrustLevel, next_status,
};
use crate::telemetry::Chain;

/// Everything that passes need, and what they keep between them.
#[derive(Debug)]
pub struct Node {
    /// The node's configuration.
    pub settings: Settings,
    /// What it believes.
    pub belief: Belief,
    /// What it remembers.
    pub memory: Memory,
    pub(crate) docker: DockerClient,
    pub(crate) store: FileMemoryStore,
    origin: Origin,
    key: NodeKey,
    ownership: OwnershipKey,
    pub(crate) state: PassState,
    status_file: StatusFile,
    status: Option<Status>,
    journal: Journal,
    failures: BTreeMap<ServiceName, String>,
}

/// What a pass is asked to do.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What started it, for the journal.
    pub trigger: String,
    /// Whether the remote is asked first.
    pub fetches: bool,
    /// How closely the engine is looked at.
    pub look: Look,
    /// What an operator allows.
    pub overrides: Overrides,
    /// Whether anything is changed.
    pub intent: Intent,
}

impl Ask {
    /// Looks at everything.
    pub fn whole(trigger: &str, overrides: Overrides, intent: Intent) -> Self {
        let look = Look::Everything;
        Self { trigger: trigger.to_owned(), fetches: true, look, overrides, intent }
    }
}

/// What came of a pass.
#[derive(Debug)]
pub struct Report {
    /// What is said about the node now.
    pub status: Status,
    /// What was to be done when the pass began, if the engine and a revision were there.
    pub plan: Option<Plan>,
    /// What was done.
    pub outcomes: Vec<ServiceOutcome>,
    /// When to look again even if nothing happens.
    pub requeue: Option<Duration>,
}

impl Node {
    /// Opens a node: its key, its memory, its journal. The engine is not asked yet.
    ///
    /// # Errors
    /// When this machine's own files cannot be used.
    pub fn open(settings: Settings, origin: Origin) -> Result<Self, AgentError> {
        let key = NodeKey::load_or_create(&settings.keys.node).map_err(AgentError::Host)?;
        let ownership = OwnershipKey::derive(&*key.secret());
        let store = FileMemoryStore::new(&settings.state_dir);
        let (memory, problems) = store.load();
        for problem in problems {
            warn!("the memory is rebuilt from docker and git: {problem}");
        }
        let status_file = StatusFile::below(&settings.state_dir);
        let status = status_file.read().unwrap_or_else(|error| {
            warn!(error = %Chain(&error), "the last status is forgotten");
            None
        });
        let (node, environment) = (settings.node.clone(), settings.environment.clone());
        let journal =
            Journal::open(&settings.state_dir, node, environment).map_err(AgentError::Report)?;
        let socket = settings.engine.socket.to_string_lossy();
        let docker = DockerClient::new(&socket).map_err(AgentError::Engine)?;
        Ok(Self {
            belief: Belief::default(),
            state: PassState::default(),
            failures: BTreeMap::new(),
            settings,
            memory,
            docker,
            store,
            origin,
            key,
            ownership,
            status_file,
            status,
            journal,
        })
    }

    /// Whether anything at all is demanded of commits.
    pub fn trust(&self) -> TrustLevel {
        match (&self.origin, self.settings.trust.require) {
            (Origin::Repository(_), Requirement::Signed) => TrustLevel::Signed,
            _ => TrustLevel::None,
        }
    }

    /// One pass: refresh what is believed, make what runs match, say so.
    ///
    /// # Errors
    /// When this machine's own files do not work. A silent remote or engine is part of the report.
    pub async fn pass(&mut self, ask: &Ask) -> Result<Report, AgentError> {
        self.refresh(ask).await?;
        let passed = self.make_it_so(ask).await?;
        let report = self.say(ask, passed)?;
        if ask.intent == Intent::Apply && !report.outcomes.is_empty() {
            self.tidy_images(&report.outcomes).await?;
        }
        Ok(report)
    }

    /// Remembers the images that were pulled, and removes those that nothing needs any more. One that
    /// something still uses stays, and is tried again after the next change.
    async fn tidy_images(&mut self, outcomes: &[ServiceOutcome]) -> Result<(), AgentError> {
        let now = Timestamp::now();
        let pulled = images::pulled(outcomes);
        let mut changed = !pulled.is_empty();
        self.memory.images.extend(pulled.into_iter().map(|reference| (reference, now)));
        let wanted = self.wanted_images();
        let keep = self.settings.images.keep;
        for reference in images::superfluous(&self.memory.images, &wanted, keep) {
            match self.docker.remove_image(&reference).await {
                Ok(()) => {
                    info!("removed {reference}, which nothing needs any more");
                    self.memory.images.remove(&reference);
                    changed = true;
                }
                Err(error) => debug!(error = %error, "{reference} stays: {error}"),
            }
        }
        if changed {
            self.store.save(&self.memory).map_err(AgentError::Host)?;
        }
        Ok(())
    }

    /// Images of the newest version of each service, and of the one to go back to.
    fn wanted_images(&self) -> BTreeSet<String> {
        let Some(desired) = &self.belief.desired else { return BTreeSet::new() };
        let services = desired.services.values().chain(self.state.applied().values());
        let pins = services.flat_map(|service| service.containers.values()).map(|c| &c.pin);
        pins.map(|pin| image_name(pin, &desired.hub)).collect()
    }

    /// The commit whose every service runs.
    fn applied(&self) -> Option<CommitId> {
        self.status.as_ref().and_then(|status| status.revision.applied)
    }

    /// Learns what should run without changing or keeping anything.
    ///
    /// # Errors
    /// When this machine's own files do not work.
    pub async fn read(&mut self) -> Result<(), AgentError> {
        self.refresh(&Ask::whole("read", Overrides::default(), Intent::Plan)).await
    }

    async fn refresh(&mut self, ask: &Ask) -> Result<(), AgentError> {
        if !ask.fetches && self.belief.desired.is_some() {
            return Ok(());
        }
        let began = Instant::now();
        let believer = Believer {
            settings: &self.settings,
            origin: &self.origin,
            store: &self.store,
            keep: if ask.intent == Intent::Apply { Keep::Yes } else { Keep::No },
            applied: self.applied(),
        };
        let before = self.belief.verified.or(self.memory.verified);
        let news = believer.refresh(&mut self.belief, &mut self.memory).await?;
        let news = News { verified: news.verified.filter(|(id, _)| Some(*id) != before), ..news };
        if ask.intent == Intent::Plan {
            return Ok(());
        }
        let environment = self.settings.environment.clone();
        for record in record::of_news(&news, &environment, &ask.trigger, began.elapsed()) {
            self.journal_and_log(record)?;
        }
        Ok(())
    }

    /// A pass without an engine: what is believed is refreshed, and said.
    ///
    /// # Errors
    /// When this machine's own files do not work.
    pub async fn pass_blind(&mut self, ask: &Ask, reason: &str) -> Result<Report, AgentError> {
        self.refresh(ask).await?;
        self.say(ask, Some(Err(reason.to_owned())))
    }

    /// Forgets what a pass that panicked may have left half done.
    pub fn forget(&mut self) {
        self.state = PassState::default();
        self.belief = Belief::default();
        self.memory = self.store.load().0;
    }

    async fn make_it_so(
        &mut self,
        ask: &Ask,
    ) -> Result<Option<Result<PassOutcome, String>>, AgentError> {
        let Some(desired) = &self.belief.desired else { return Ok(None) };
        let believer = Believer {
            settings: &self.settings,
            origin: &self.origin,
            store: &self.store,
            keep: Keep::No,
            applied: self.applied(),
        };
        // What runs is kept in repair all the same; a pull says that the hub lets nobody in.
        let auth = hub_credentials(&self.settings, &desired.hub).unwrap_or_else(|error| {
            warn!(error = %Chain(&error), "{}", Chain(&error));
            None
        });
        let files_dir = self.settings.state_dir.join("configs");
        let input = PassInput {
            desired,
            resolve: &|revision| believer.resolve_older(revision),
            policy: &self.settings.policy,
            key: &self.ownership,
            files_dir: &files_dir.to_string_lossy(),
            overrides: &ask.overrides,
            auth: auth.as_ref(),
            look: ask.look,
            intent: ask.intent,
        };
        let effects = Effects {
            docker: &self.docker,
            files: &HostFiles,
            store: &self.store,
            now: &Timestamp::now,
            nonce: &nonce,
        };
        let passed = reconcile_once(input, effects, &mut self.memory, &mut self.state).await;
        match passed {
            Ok(outcome) => Ok(Some(Ok(outcome))),
            Err(error @ PassError::Engine { .. }) => Ok(Some(Err(Chain(&error).to_string()))),
            Err(error) => Err(AgentError::Pass(error)),
        }
    }

    /// Status and journal.
    fn say(
        &mut self,
        ask: &Ask,
        passed: Option<Result<PassOutcome, String>>,
    ) -> Result<Report, AgentError> {
        let (outcome, engine) = match passed {
            None => (None, Reach::Answers),
            Some(Ok(outcome)) => (Some(outcome), Reach::Answers),
            Some(Err(reason)) => (None, Reach::Silent(reason)),
        };
        let outcomes = outcome.as_ref().map_or(&[][..], |outcome| &outcome.outcomes);
        for record in record::of_outcomes(outcomes, &ask.trigger, &self.failures) {
            self.journal_and_log(record)?;
        }
        self.learn(outcome.as_ref());
        let facts = self.facts(
            engine,
            outcome.as_ref().map(|outcome| &outcome.left),
            outcome.as_ref().map(|outcome| &outcome.observed),
        );
        let status = next_status(self.status.as_ref(), &facts);
        if ask.intent == Intent::Apply && self.status.as_ref() != Some(&status) {
            self.status_file.write(&status).map_err(AgentError::Report)?;
            self.status = Some(status.clone());
        }
        for note in outcome.iter().flat_map(|outcome| &outcome.notes) {
            warn!("{note}");
        }
        Ok(match outcome {
            None => Report { status, plan: None, outcomes: Vec::new(), requeue: None },
            Some(PassOutcome { plan, outcomes, requeue, .. }) => {
                Report { status, plan: Some(plan), outcomes, requeue }
            }
        })
    }

    /// Keeps why services could not be changed until they could.
    fn learn(&mut self, outcome: Option<&PassOutcome>) {
        for outcome in outcome.iter().flat_map(|outcome| &outcome.outcomes) {
            match &outcome.result {
                ServiceResult::Failed { reason, .. } => {
                    self.failures.insert(outcome.service.clone(), reason.clone());
                }
                ServiceResult::Waiting { .. } => {}
                _ => drop(self.failures.remove(&outcome.service)),
            }
        }
        if let Some(outcome) = outcome {
            let left =
                |name: &ServiceName| outcome.left.services.iter().any(|s| s.service == *name);
            self.failures.retain(|name, _| left(name));
        }
    }

    fn facts<'a>(
        &'a self,
        engine: Reach,
        left: Option<&'a Plan>,
        observed: Option<&'a ObservedState>,
    ) -> Facts<'a> {
        let belief = &self.belief;
        Facts {
            node: &self.settings.node,
            environment: &self.settings.environment,
            trust: self.trust(),
            tip: belief.tip,
            verified: belief.verified,
            refused: belief.refused.as_ref().map(|refusal| {
                (
                    refusal.commit,
                    refusal.rule.name(),
                    refusal.reason.clone(),
                    refusal.remedy.clone(),
                )
            }),
            git: belief.git.clone(),
            engine,
            mistakes: belief.mistakes.clone(),
            desired: belief.desired.as_ref(),
            plan: left,
            observed,
            failures: self.failures.clone(),
            memory: &self.memory,
            now: Timestamp::now(),
        }
    }

    /// Adds to the journal, and says it where the agent's own events go.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn journal_and_log(&mut self, record: Record) -> Result<(), AgentError> {
        let revision = record.revision.as_ref().map(ToString::to_string).unwrap_or_default();
        let service = record.service.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = record.why.first().map_or("", String::as_str);
        let (what, trigger) = (&record.what, &record.trigger);
        let about = if service.is_empty() { &revision } else { &service };
        match &record.error {
            None => info!(service.name = %service, revision = %revision, trigger = %trigger,
                "{what} {about}: {why}"),
            Some(error) if what == "refuse" => warn!(revision = %revision, trigger = %trigger,
                "refused {about}: {error}; {why}"),
            Some(error) => warn!(service.name = %service, revision = %revision,
                trigger = %trigger, "{what} {about} failed: {error} ({why})"),
        }
        self.journal.add(record, &self.key, Timestamp::now()).map_err(AgentError::Report)
    }
}
