//! A node: everything that one pass needs, and the pass itself.
//!
//! In: settings. Out: [`Report`]s. Effect: the stages'; the status file and the journal.
//!
//! ```text
//! refresh  source → trust → desired       belief.rs
//! pass     observed → plan → apply        reconcile::pass
//! say      report: status, journal
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{debug, info, warn};

use crate::agent::AgentError;
use crate::agent::belief::{Belief, Believer, News, Origin};
use crate::agent::below::Keep;
use crate::agent::effects::{HostFiles, hub_credentials, nonce};
use crate::agent::failures::Failures;
use crate::agent::images;
use crate::agent::record;
use crate::agent::trigger::Trigger;
use crate::clients::docker::{DockerClient, DockerWrite as _};
use crate::clients::host::NodeKey;
use crate::config::{Requirement, Settings};
use crate::model::CommitId;
use crate::reconcile::apply::ServiceOutcome;
use crate::reconcile::memory::{FileMemoryStore, Memory, MemoryStore as _};
use crate::reconcile::observed::{Look, OwnershipKey};
use crate::reconcile::pass::{
    Effects, Intent, PassError, PassInput, PassOutcome, PassState, reconcile_once,
};
use crate::reconcile::plan::{Overrides, Plan};
use crate::reconcile::report::{Journal, Measures, Reach, Status, StatusFile, TrustLevel};
use crate::telemetry::Chain;

/// What passes and checks add to, and whoever asks for metrics is shown.
pub type Meter = Rc<RefCell<Measures>>;

/// Everything that passes need, and what they keep between them.
#[derive(Debug)]
pub struct Node {
    /// The node's configuration.
    pub settings: Settings,
    /// What it believes.
    pub belief: Belief,
    /// What it remembers.
    pub memory: Memory,
    pub(crate) docker: Rc<DockerClient>,
    pub(crate) store: FileMemoryStore,
    /// Kept as long as the agent: it knows which file systems hang.
    pub(crate) files: Rc<HostFiles>,
    pub(crate) origin: Origin,
    pub(crate) key: NodeKey,
    pub(crate) ownership: OwnershipKey,
    pub(crate) state: PassState,
    pub(crate) status_file: StatusFile,
    pub(crate) status: Option<Status>,
    pub(crate) journal: Journal,
    pub(crate) failures: Failures,
    /// What passes add to, where anybody may ask for it.
    pub(crate) meter: Option<Meter>,
    /// Whether that is where the configuration says.
    pub(crate) metrics: Reach,
    /// Whether what its configuration's files say is in use.
    pub(crate) unused: Reach,
    /// Id of the engine that is locked; none once another was seen in its place.
    pub(crate) locked: Option<String>,
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
        let files = Rc::new(HostFiles::below(settings.host.root.clone()));
        Ok(Self {
            belief: Belief::default(),
            state: PassState::default(),
            failures: Failures::default(),
            locked: None,
            meter: None,
            metrics: Reach::Answers,
            unused: Reach::Answers,
            settings,
            memory,
            docker: Rc::new(docker),
            store,
            files,
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

    /// Whether images are copied for the environment. The copy reads the configuration anew: not
    /// while what lies there is another one than is in force.
    pub(crate) fn copies(&self) -> bool {
        let is_signed = self.trust() == TrustLevel::Signed;
        self.belief.promoter && is_signed && self.unused == Reach::Answers
    }

    /// One pass: refresh what is believed, make what runs match, say so. It ends with `until` at the
    /// latest, though services are still under way; then [`Node::work`] lets them go on.
    ///
    /// # Errors
    /// When this machine's own files do not work. A silent remote or engine is part of the report.
    pub async fn pass(
        &mut self,
        ask: &Ask,
        until: impl Future<Output = ()>,
    ) -> Result<Report, AgentError> {
        self.refresh(ask).await?;
        let passed = self.make_it_so(ask, until).await?;
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
        let desired = self.belief.desired.as_ref();
        let wanted = desired.map(|desired| self.state.older.images(desired)).unwrap_or_default();
        let keep = self.settings.images.keep;
        for reference in images::superfluous(&self.memory.images, &wanted, keep) {
            let removed = tokio::select! {
                biased;
                removed = self.docker.remove_image(&reference) => removed,
                // A large image takes long; that holds up nothing that is under way.
                never = self.state.work_unwritten() => match never {},
            };
            match removed {
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

    /// The commit whose every service runs.
    fn applied(&self) -> Option<CommitId> {
        self.status.as_ref().and_then(|status| status.revision.applied)
    }

    /// Learns what should run and changes nothing; with [`Intent::Plan`] nothing of it is kept.
    ///
    /// # Errors
    /// When this machine's own files do not work.
    pub async fn read(&mut self, trigger: &str, intent: Intent) -> Result<(), AgentError> {
        self.refresh(&Ask::whole(trigger, Overrides::default(), intent)).await
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
        let news = tokio::select! {
            biased;
            news = believer.refresh(&mut self.belief, &mut self.memory) => news?,
            // A remote that is slow holds up nothing that is under way.
            never = self.state.work_unwritten() => match never {},
        };
        let news = News { verified: news.verified.filter(|(id, _)| Some(*id) != before), ..news };
        if ask.intent == Intent::Plan {
            return Ok(());
        }
        let environment = self.settings.environment.clone();
        for record in record::of_news(&news, &environment, &ask.trigger, began.elapsed()) {
            self.note(record)?;
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

    /// Works on what is under way until one of it has ended; for ever if nothing is.
    pub async fn work(&mut self) {
        self.state.work(&mut self.memory, &self.store, &Timestamp::now).await;
    }

    /// Lets everything under way end with its step, at most for `grace`, and journals what ended.
    /// What has not ended then is dropped: the next process recognises it.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn finish(&mut self, grace: Duration) -> Result<(), AgentError> {
        self.state.end_works();
        let ended = async {
            while self.state.under_way().next().is_some() {
                self.state.work(&mut self.memory, &self.store, &Timestamp::now).await;
            }
        };
        let late = tokio::time::timeout(grace, ended).await.is_err();
        if late {
            warn!("a step takes longer than {} s; the next process goes on", grace.as_secs());
        }
        let ended = self.state.take_ended();
        self.note_outcomes(&ended)
    }

    /// Whether anything is under way.
    pub fn is_working(&self) -> bool {
        self.state.under_way().next().is_some()
    }

    /// Tells events that only say what a service does that is being worked on.
    pub fn own_events(&self) -> impl Fn(&Trigger) -> bool + use<> {
        let environment = self.settings.environment.clone();
        let names = self.state.names_under_way();
        move |trigger| {
            let Trigger::Engine { name, .. } = trigger else { return false };
            names.borrow().iter().any(|service| {
                let rest = name.strip_prefix(&format!("{service}.{environment}"));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
            })
        }
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
        until: impl Future<Output = ()>,
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
            trigger: &ask.trigger,
            engine: self.locked.as_deref(),
        };
        let now: Rc<dyn Fn() -> Timestamp> = Rc::new(Timestamp::now);
        let effects = Effects {
            docker: &self.docker,
            files: &self.files,
            store: &self.store,
            now: &now,
            nonce: &nonce,
        };
        let (memory, state) = (&mut self.memory, &mut self.state);
        match reconcile_once(input, effects, memory, state, until).await {
            Ok(outcome) => Ok(Some(Ok(outcome))),
            Err(error @ PassError::OtherEngine) => {
                self.locked = None;
                Ok(Some(Err(error.to_string())))
            }
            Err(error @ PassError::Engine { .. }) => Ok(Some(Err(Chain(&error).to_string()))),
            Err(error) => Err(AgentError::Pass(error)),
        }
    }
}
