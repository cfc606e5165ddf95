//! Which revision this node believes, and what it resolves to: source → trust → desired.
//!
//! In: settings, the memory, a remote or a work tree. Out: [`Belief`]. Effect: fetches, adopts what
//! was verified, moves the memory's verified tip (saved before it counts).
//!
//! # Guarantees
//! * Whatever goes wrong, what was believed before is believed still.
//! * Only what resolved is kept; the files of a revision are dropped right after.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tracing::{info, warn};

use crate::agent::AgentError;
use crate::agent::below::{Asker, Below, Keep};
use crate::agent::judge::{Case, Judged, applied_files, judge};
use crate::agent::mistakes::{mistakes, undeclared};
use crate::clients::git::FetchProgram;
use crate::clients::host::read_bounded;
use crate::config::{Requirement, Settings};
use crate::model::{CommitId, Digest, Revision, ServiceName};
use crate::reconcile::desired::{DesiredState, ResolveError, resolve};
use crate::reconcile::memory::{FileMemoryStore, Memory, MemoryStore as _};
use crate::reconcile::report::Reach;
use crate::reconcile::source::{Fetch, Snapshot, Source, read_work_tree};
use crate::reconcile::trust::{Refusal, Remembered, RevokedKeys, Standing, Verified, Wait};
use crate::telemetry::Chain;

/// A list of revoked keys longer than this is a mistake.
const REVOKED_BYTES_MAX: u64 = 1 << 20;

/// What this node believes.
#[derive(Debug, Default)]
pub struct Belief {
    /// What the branch points at.
    pub tip: Option<CommitId>,
    /// The newest believed commit.
    pub verified: Option<CommitId>,
    /// What is not believed.
    pub refused: Option<Refusal>,
    /// What is believed later: soaking promotions wait, and commits of the near future.
    pub waits: Option<Wait>,
    /// What should run: the newest believed revision that resolves.
    pub desired: Option<DesiredState>,
    /// The commit time of `desired`'s revision; none where only its resolution is known.
    pub committed_at: Option<Timestamp>,
    /// Whether this node copies images for its environment, by the same revision.
    pub promoter: bool,
    /// Mistakes that make a newer believed revision unusable.
    pub mistakes: Vec<String>,
    /// Why nothing newer can be judged at all: the node's own list of revoked keys is unusable.
    pub unjudged: Option<String>,
    /// Whether Git answers.
    pub git: Reach,
    /// Digest of the revoked keys that all this was judged with.
    revoked: Option<Digest>,
    /// The branches below.
    below: Below,
}

/// Where revisions come from.
#[derive(Debug)]
pub enum Origin {
    /// The configuration repository, judged.
    Repository(Source),
    /// An engineer's own files, which nobody signed.
    WorkTree(PathBuf),
}

impl Origin {
    /// The node's repository.
    ///
    /// # Errors
    /// When its object store cannot be used.
    pub fn repository(settings: &Settings) -> Result<Self, AgentError> {
        Source::open(&settings.state_dir, FetchProgram::current())
            .map(Self::Repository)
            .map_err(AgentError::Source)
    }
}

/// What changed in a belief.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The newly believed commit, and how many commits were judged for it.
    pub verified: Option<(CommitId, usize)>,
    /// The newly refused one.
    pub refused: Option<Refusal>,
}

/// What refreshing works with.
#[derive(Debug, Clone, Copy)]
pub struct Believer<'a> {
    /// The node's configuration.
    pub settings: &'a Settings,
    /// Where revisions come from.
    pub origin: &'a Origin,
    /// Where the memory is saved.
    pub store: &'a FileMemoryStore,
    /// Whether what is learnt is kept.
    pub keep: Keep,
    /// The commit whose every service runs: for `Allow-Removal` trailers, and to fall back on.
    pub applied: Option<CommitId>,
}

impl Believer<'_> {
    /// Asks the remote, judges what is new and resolves it.
    ///
    /// # Errors
    /// When this machine's own files do not work; what a remote or a commit does wrong is part of the
    /// belief instead.
    pub async fn refresh(
        &self,
        belief: &mut Belief,
        memory: &mut Memory,
    ) -> Result<News, AgentError> {
        match self.origin {
            Origin::Repository(source) => self.ask(source, belief, memory).await,
            Origin::WorkTree(dir) => {
                self.look(dir, belief);
                Ok(News::default())
            }
        }
    }

    /// Resolves what was applied once, for this node.
    pub fn resolve_older(&self, revision: &Revision) -> Option<DesiredState> {
        let Origin::Repository(source) = self.origin else { return None };
        let objects = source.objects().ok()?;
        // What was believed once is only read here; an unusable list takes nothing back.
        let revoked = self.revoked().unwrap_or_default();
        let files = applied_files(&objects, self.settings, &revoked, revision)?;
        let resolved = resolve(&files, &self.settings.environment, &self.settings.node);
        resolved.ok().map(|resolution| resolution.state)
    }

    fn look(&self, dir: &Path, belief: &mut Belief) {
        let environment = &self.settings.environment;
        match read_work_tree(dir, Some(environment)) {
            Err(error) => belief.git = Reach::Silent(Chain(&error).to_string()),
            Ok(files) => {
                belief.git = Reach::Answers;
                let revision = Revision::WorkTree { environment: environment.clone() };
                let snapshot =
                    Snapshot { revision, time: None, allow_removal: BTreeSet::new(), files };
                let files = Verified::unverified_own_work_tree(snapshot);
                self.take_files(&files, BTreeSet::new(), belief);
            }
        }
    }

    async fn ask(
        &self,
        source: &Source,
        belief: &mut Belief,
        memory: &mut Memory,
    ) -> Result<News, AgentError> {
        let revoked = match self.revoked() {
            Ok(revoked) => revoked,
            Err(error) => {
                self.keep_what_is_believed(belief, memory, &error);
                return Ok(News::default());
            }
        };
        belief.unjudged = None;
        let digest = revoked.digest();
        let remembered = self.remembered(memory, digest, source)?;
        // A tip whose verdict is known is not brought again, unless it would be judged otherwise now.
        let settled = belief.revoked == Some(digest);
        let due = belief.waits.as_ref().is_some_and(|wait| wait.until <= Timestamp::now());
        let known = match (belief.tip, remembered) {
            // What waits was kept, unless it could not be.
            (Some(tip), _) => {
                let has = !due || source.has(tip).map_err(AgentError::Source)?;
                Some(tip).filter(|_| settled && has)
            }
            (None, Remembered::Verified(id)) => Some(id),
            (None, _) => None,
        };
        let haves: Vec<CommitId> = memory.verified.into_iter().collect();
        let fetched = source.fetch(&self.settings.repository.remote, known, &haves).await;
        let (tip, brought) = match fetched {
            Ok(fetch) => {
                belief.git = Reach::Answers;
                match fetch {
                    Fetch::Unchanged { tip } => (tip, None),
                    Fetch::New(fetched) => (fetched.tip(), Some(fetched)),
                }
            }
            Err(error) => {
                belief.git = Reach::Silent(Chain(&error).to_string());
                let has = |tip: &CommitId| source.has(*tip).unwrap_or(false);
                match belief.tip.filter(has).or(memory.verified) {
                    // The first pass of a process believes what was believed before; what waited is
                    // here already, and so is what other revoked keys may take back.
                    Some(here) if belief.tip.is_none() || due || !settled => (here, None),
                    _ => return Ok(News::default()),
                }
            }
        };
        let is_more = match self.anchor() {
            Some(anchor) => {
                let from = memory.verified.filter(|_| memory.anchor.is_some()).unwrap_or(anchor);
                let (settings, keep) = (self.settings, self.keep);
                let asker = Asker { settings, source, revoked: &revoked, keep };
                belief.below.refresh(asker, brought.as_ref(), from).await?
            }
            None => false,
        };
        if settled && !due && !is_more && belief.tip == Some(tip) {
            return Ok(News::default());
        }
        let objects = source.objects_with(belief.below.unkept().chain(brought.as_ref()));
        let mut case = Case::of(self.settings, tip, remembered, revoked, self.applied);
        case.sights.clone_from(belief.below.sights());
        case.known = Some((self.settings.node.clone(), memory.services.clone()));
        let judged = judge(objects.map_err(AgentError::Source)?, case).await?;
        belief.revoked = Some(digest);
        let news = self.take_verdict(judged, belief);
        if let (Some((commit, _)), Keep::Yes) = (&news.verified, self.keep) {
            // First the objects, then the memory that needs them. What waits is good too.
            let is_new = memory.verified != Some(*commit) || belief.waits.is_some();
            if let Some(fetched) = brought.filter(|_| is_new) {
                fetched.adopt().map_err(AgentError::Source)?;
            }
            self.remember(*commit, digest, memory)?;
            self.tidy(source, memory, belief).await;
        }
        Ok(news)
    }

    /// Without the list of revoked keys nothing new is believed. What was believed goes on: after a
    /// restart from the memory, so that drift is healed meanwhile.
    fn keep_what_is_believed(&self, belief: &mut Belief, memory: &Memory, error: &AgentError) {
        let reason = format!("{}; nothing newer is believed until it can be read", Chain(error));
        if belief.unjudged.as_ref() != Some(&reason) {
            warn!("{reason}");
        }
        belief.unjudged = Some(reason);
        if belief.desired.is_some() {
            return;
        }
        let known = memory.verified.filter(|_| memory.anchor == self.anchor());
        belief.verified = known;
        let environment = &self.settings.environment;
        let resolve = |commit| {
            self.resolve_older(&Revision::Commit { environment: environment.clone(), commit })
        };
        belief.desired = known.into_iter().chain(self.applied).find_map(resolve);
    }

    /// Rewrites the object store as one pack when there are many. It works as well with many.
    async fn tidy(&self, source: &Source, memory: &Memory, belief: &Belief) {
        let applied = memory.services.values().filter_map(|service| service.applied.as_ref());
        let applied = applied.filter_map(|applied| applied.revision.commit());
        let needed: BTreeSet<CommitId> =
            memory.verified.into_iter().chain(self.applied).chain(applied).collect();
        let waiting = belief.tip.filter(|_| belief.waits.is_some());
        let needed = needed.into_iter().chain(belief.below.roots()).chain(waiting);
        let needed: BTreeSet<CommitId> = needed.collect();
        // What a lost store no longer holds cannot be kept.
        let held = |commit: &CommitId| source.has(*commit).unwrap_or(false);
        let roots: Vec<CommitId> = needed.into_iter().filter(held).collect();
        match source.consolidate(&roots).await {
            Ok(false) => {}
            Ok(true) => info!("the object store is one pack again"),
            Err(error) => warn!(error = %Chain(&error), "the object store keeps its many packs"),
        }
    }

    /// What the memory says, if it was judged by the rules that hold now.
    fn remembered(
        &self,
        memory: &Memory,
        revoked: Digest,
        source: &Source,
    ) -> Result<Remembered, AgentError> {
        let Some(verified) = memory.verified else { return Ok(Remembered::Nothing) };
        // What was taken unjudged, while nothing was demanded, neither counts nor binds.
        if memory.anchor.is_none() {
            return Ok(Remembered::Nothing);
        }
        let same = memory.anchor == self.anchor()
            && memory.revoked_keys == Some(revoked)
            // A store that was lost keeps the demand, but not the verdict.
            && source.has(verified).map_err(AgentError::Source)?;
        Ok(if same { Remembered::Verified(verified) } else { Remembered::Demanded(verified) })
    }

    /// What commits are judged from; none while nothing is demanded, whatever else is configured.
    fn anchor(&self) -> Option<CommitId> {
        match self.settings.trust.require {
            Requirement::Signed => self.settings.repository.anchor,
            Requirement::None => None,
        }
    }

    fn remember(
        &self,
        commit: CommitId,
        revoked: Digest,
        memory: &mut Memory,
    ) -> Result<(), AgentError> {
        let anchor = self.anchor();
        let same = memory.verified == Some(commit)
            && memory.anchor == anchor
            && memory.revoked_keys == Some(revoked);
        if same {
            return Ok(());
        }
        memory.verified = Some(commit);
        memory.anchor = anchor;
        memory.revoked_keys = Some(revoked);
        self.store.save(memory).map_err(AgentError::Host)
    }

    fn take_verdict(&self, judged: Judged, belief: &mut Belief) -> News {
        let news = News {
            // What is only kept is no news, and does not move the memory.
            verified: judged
                .verified
                .filter(|_| judged.standing == Standing::Judged)
                .map(|commit| (commit, judged.n_accepted)),
            refused: judged
                .refused
                .clone()
                .filter(|refusal| belief.refused.as_ref() != Some(refusal)),
        };
        belief.tip = Some(judged.tip);
        belief.refused = judged.refused;
        belief.waits = judged.waits;
        if judged.verified.is_some() {
            belief.verified = judged.verified;
        }
        match judged.files {
            Some(Ok(files)) => self.take_files(&files, judged.urgent, belief),
            Some(Err(reason)) => belief.mistakes = vec![reason],
            None => {}
        }
        if belief.desired.is_none()
            && let Some(commit) = self.applied
        {
            // The newest believed revision has mistakes: the one that runs is kept in repair.
            let environment = self.settings.environment.clone();
            belief.desired = self.resolve_older(&Revision::Commit { environment, commit });
            belief.committed_at = None;
        }
        news
    }

    fn take_files(
        &self,
        files: &Verified<Snapshot>,
        urgent: BTreeSet<ServiceName>,
        belief: &mut Belief,
    ) {
        match resolve(files, &self.settings.environment, &self.settings.node) {
            Ok(resolution) => {
                belief.mistakes = undeclared(&resolution.state).into_iter().collect();
                belief.desired = Some(DesiredState { urgent, ..resolution.state });
                belief.committed_at = files.get().time;
                belief.promoter = resolution.promoter;
            }
            Err(ResolveError::Invalid(found)) => {
                belief.mistakes = mistakes(found, &files.get().files);
            }
            Err(error @ ResolveError::TooOld { .. }) => belief.mistakes = vec![error.to_string()],
        }
    }

    fn revoked(&self) -> Result<RevokedKeys, AgentError> {
        let Some(path) = &self.settings.trust.revoked_keys else {
            return Ok(RevokedKeys::default());
        };
        let unusable = |reason: String| AgentError::RevokedKeys { path: path.clone(), reason };
        let bytes = read_bounded(path, REVOKED_BYTES_MAX).map_err(AgentError::Host)?;
        let bytes = bytes.ok_or_else(|| unusable("it is not there".to_owned()))?;
        let text = String::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?;
        RevokedKeys::parse(&text).map_err(|error| unusable(Chain(&error).to_string()))
    }
}
