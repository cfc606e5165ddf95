//! What one process keeps between its passes: who is being worked on, and who waits how long.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clients::docker::leftover_task;
use crate::model::{Digest, ServiceName};
use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult, StepOutcome, backoff};
use crate::reconcile::memory::{Altered, Memory, MemoryStore};
use crate::reconcile::observed::{ObservedCache, ObservedState};
use crate::reconcile::pass::older::Older;
use crate::reconcile::pass::works::Works;
use crate::reconcile::plan::{Held, HeldReason, Plan, ServicePlan, Step};

/// Longest time until a held plan is looked at again: a window's opening is computed, not awaited
/// blindly, but clocks are set.
const REQUEUE_MAX: Duration = Duration::from_secs(3600);

/// An image that the hub does not have yet is asked for again after this long at most.
const HUB_AGAIN_MAX: Duration = Duration::from_secs(60);

/// What failed is tried again after this long at most: another failure costs only work.
const AGAIN_MAX: Duration = Duration::from_secs(300);

/// A new version for which something was stopped: each try is an outage.
const OUTAGE_AGAIN_MAX: Duration = Duration::from_secs(3600);

/// From so many starts on that fail for a task which the engine lost, the container is made anew.
const LEFTOVERS_MAX: u32 = 2;

/// A container that the engine hides, or is just removing, is asked for again after this long.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(5);

/// What one process keeps between its passes; losing it costs only time.
#[derive(Debug, Default)]
pub struct PassState {
    /// What the last look saw. Events that no list shows make it forget.
    pub seen: ObservedCache,
    /// Containers whose configs' files were not as they should be, until they are gone.
    pub(crate) altered: Altered,
    pub(crate) older: Older,
    waiting: BTreeMap<ServiceName, Backoff>,
    lacking: BTreeMap<ServiceName, (Backoff, HeldReason)>,
    /// How often the engine said of a container that it has a task for it already, by id.
    leftovers: BTreeMap<String, u32>,
    pub(crate) works: Works,
    ended: Vec<ServiceOutcome>,
}

#[derive(Debug)]
struct Backoff {
    failures: u32,
    until: Instant,
    whole: Option<Digest>,
}

impl Backoff {
    /// One failure more than `before`, of the same version.
    fn after(before: Option<&Self>, whole: Option<Digest>, longest: Duration) -> Self {
        let failures = before.map_or(0, |b| b.failures).saturating_add(1);
        Self { failures, until: Instant::now() + backoff(failures, longest), whole }
    }
}

impl PassState {
    /// The services that are being worked on.
    pub fn under_way(&self) -> impl Iterator<Item = &ServiceName> {
        self.works.services()
    }

    /// Why each of them is worked on.
    pub fn reasons_under_way(&self) -> BTreeMap<ServiceName, String> {
        self.works.reasons()
    }

    /// Their names, as they will be whenever they are looked at.
    pub fn names_under_way(&self) -> Rc<RefCell<BTreeSet<ServiceName>>> {
        self.works.names()
    }

    /// Works on what is under way until one of it has ended, for the next pass to report; for ever
    /// if nothing is. May be dropped at any time.
    pub async fn work<S: MemoryStore>(
        &mut self,
        memory: &mut Memory,
        store: &S,
        now: &dyn Fn() -> Timestamp,
    ) {
        match self.works.next(memory, store, now).await {
            Some(outcome) => self.keep(outcome),
            None => std::future::pending().await,
        }
    }

    /// As [`Self::work`], for ever, while the memory is in other hands: what has something to write
    /// down waits.
    pub async fn work_unwritten(&mut self) -> Infallible {
        loop {
            let outcome = self.works.next_unwritten().await;
            self.keep(outcome);
        }
    }

    /// Lets everything under way end with its step: the process is to end.
    pub fn end_works(&self) {
        self.works.end();
    }

    /// Keeps what ended, for the pass to report.
    pub(crate) fn keep(&mut self, outcome: ServiceOutcome) {
        self.learn(&outcome);
        self.ended.push(outcome);
    }

    /// What has ended since it was last asked.
    pub fn take_ended(&mut self) -> Vec<ServiceOutcome> {
        std::mem::take(&mut self.ended)
    }

    /// How long this plan still has to wait after failures of the same version.
    pub(crate) fn remaining(&self, plan: &ServicePlan) -> Option<Duration> {
        let backoff = self.waiting.get(&plan.service)?;
        let whole = plan.target.as_ref().map(|target| target.whole);
        let remaining = backoff.until.saturating_duration_since(Instant::now());
        (backoff.whole == whole && !remaining.is_zero()).then_some(remaining)
    }

    /// Lets a service that failed wait, and forgets that of one that did not.
    pub(crate) fn learn(&mut self, outcome: &ServiceOutcome) {
        let errors = outcome.steps.iter().filter_map(|step| step.error.as_deref());
        for id in errors.filter_map(leftover_task) {
            *self.leftovers.entry(id.to_owned()).or_default() += 1;
        }
        for step in outcome.steps.iter().map(|outcome| &outcome.step) {
            match step {
                Step::Update { id, .. } => self.seen.forget(id.as_str()),
                Step::CreateNetwork { .. }
                | Step::CreateVolume { .. }
                | Step::RenewNetwork { .. }
                | Step::RemoveNetwork { .. } => self.seen.forget_networks_and_volumes(),
                _ => {}
            }
        }
        let whole = outcome.target.as_ref().map(|target| target.whole);
        if matches!(outcome.result, ServiceResult::Failed { .. }) {
            // An image that was believed to be there may have gone.
            self.seen.forget_images();
        }
        match &outcome.result {
            ServiceResult::Failed { class: FailureClass::Version, .. }
            | ServiceResult::Interrupted
            | ServiceResult::Waiting { .. } => {}
            ServiceResult::Failed { class: FailureClass::Hub, reason } => {
                self.lack(outcome, HeldReason::Hub { reason: reason.clone() }, HUB_AGAIN_MAX);
            }
            ServiceResult::Failed { class: FailureClass::Later, reason } => {
                let stopped = |step: &StepOutcome| matches!(step.step, Step::Stop { .. });
                let longest =
                    if outcome.steps.iter().any(stopped) { OUTAGE_AGAIN_MAX } else { AGAIN_MAX };
                self.lack(outcome, HeldReason::Later { reason: reason.clone() }, longest);
            }
            ServiceResult::Failed { .. } => {
                let before = self.waiting.get(&outcome.service).filter(|b| b.whole == whole);
                let waits = Backoff::after(before, whole, AGAIN_MAX);
                self.waiting.insert(outcome.service.clone(), waits);
            }
            // What a version lacked is not forgotten when the one before it is healed meanwhile.
            ServiceResult::Applied | ServiceResult::Repaired | ServiceResult::Removed => {
                self.waiting.remove(&outcome.service);
                let same = |(backoff, _): &(Backoff, HeldReason)| backoff.whole == whole;
                if self.lacking.get(&outcome.service).is_some_and(same) {
                    self.lacking.remove(&outcome.service);
                }
            }
        }
    }

    fn lack(&mut self, outcome: &ServiceOutcome, reason: HeldReason, longest: Duration) {
        let whole = outcome.target.as_ref().map(|target| target.whole);
        let before = self.lacking.get(&outcome.service).map(|(backoff, _)| backoff);
        let waits = Backoff::after(before.filter(|b| b.whole == whole), whole, longest);
        self.lacking.insert(outcome.service.clone(), (waits, reason));
    }

    /// Forgets that the hub lacked images: some have come.
    pub fn ask_hub_again(&mut self) {
        self.lacking.retain(|_, (_, why)| !matches!(why, HeldReason::Hub { .. }));
    }

    /// Versions that lacked something, as long as they are not tried again.
    pub(crate) fn lacking(&self) -> BTreeMap<ServiceName, (Digest, HeldReason)> {
        let now = Instant::now();
        let still = self.lacking.iter().filter(|(_, (backoff, _))| backoff.until > now);
        still.filter_map(|(name, (b, why))| Some((name.clone(), (b.whole?, why.clone())))).collect()
    }

    /// Services that this pass left alone because they failed lately.
    pub(crate) fn waiting(&self, plan: &Plan, done: &[ServiceOutcome]) -> Vec<ServiceOutcome> {
        let left = plan.services.iter().filter(|s| {
            !self.works.has(&s.service) && !done.iter().any(|o| o.service == s.service)
        });
        left.filter_map(|service| {
            let remaining = self.remaining(service)?;
            Some(ServiceOutcome {
                service: service.service.clone(),
                target: service.target.clone(),
                reasons: service.reasons.clone(),
                steps: Vec::new(),
                result: ServiceResult::Waiting { remaining },
                took: Duration::ZERO,
                trigger: String::new(),
            })
        })
        .collect()
    }

    /// Containers that the engine failed to start so often for a task that it lost that they are made
    /// anew; those that are gone are forgotten.
    pub(crate) fn stuck(&mut self, observed: &ObservedState) -> BTreeSet<String> {
        let own = observed.services.values().flatten();
        let own: BTreeSet<&str> = own.map(|c| c.inspect.id.as_str()).collect();
        self.leftovers.retain(|id, _| own.contains(id.as_str()));
        let stuck = self.leftovers.iter().filter(|(_, n)| **n >= LEFTOVERS_MAX);
        stuck.map(|(id, _)| id.clone()).collect()
    }

    /// When something that is not done now may be done, if nothing happens before.
    pub(crate) fn requeue(&self, plan: &Plan, now: Timestamp) -> Option<Duration> {
        let waits = plan.services.iter().filter_map(|service| self.remaining(service));
        let held = plan.held.iter().filter_map(|held| self.again(held, now));
        waits.chain(held).min()
    }

    /// When what is held may be held no more, if that is known.
    fn again(&self, held: &Held, now: Timestamp) -> Option<Duration> {
        let opens = match &held.reason {
            HeldReason::Unknown { .. } | HeldReason::Unseen { .. } => return Some(UNKNOWN_AGAIN),
            HeldReason::Hub { .. } | HeldReason::Later { .. } => {
                let (backoff, _) = self.lacking.get(&held.service)?;
                return Some(backoff.until.saturating_duration_since(Instant::now()));
            }
            HeldReason::Window { opens } => opens.as_ref()?,
            HeldReason::Freeze { until, .. } => until,
            HeldReason::Suspended { until, .. } => until.as_ref()?,
            _ => return None,
        };
        let left = opens.parse::<Timestamp>().ok()?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO).min(REQUEUE_MAX))
    }
}
