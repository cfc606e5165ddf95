//! Services that are being worked on: each its own future, which outlives the pass that began it.
//!
//! In: plans of services, what is wanted of them now. Out: what came of them. Effect: theirs, while
//! somebody asks for the next one that ends; the memory is written by who asks.
//!
//! # Guarantees
//! * One work a service at a time.
//! * No work waits for another: a gate that lasts holds up its own service alone.
//! * A work that panics is a failure of its service.
//! * Dropping everything is what a crash does: the next plan goes on from there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::clients::docker::{DockerRead, DockerWrite};
use crate::model::{Mode, ServiceName};
use crate::reconcile::apply::{
    ConfigFiles, FailureClass, Halt, Hands, ServiceOutcome, ServiceResult, Work, apply_service,
};
use crate::reconcile::desired::{DesiredService, DesiredState};
use crate::reconcile::memory::{Memory, MemoryStore};
use crate::reconcile::pass::recorder::{Note, Teller, Waiting, write};
use crate::reconcile::pass::{Effects, PassInput};
use crate::reconcile::plan::{HeldReason, Plan, ServicePlan, Target};

/// Steps of all services that change the engine at once: the engine is the limit.
const STEPS_AT_ONCE_MAX: usize = 32;

/// Every work under way.
pub(crate) struct Works {
    running: FuturesUnordered<LocalBoxFuture<'static, ServiceOutcome>>,
    under_way: BTreeMap<ServiceName, UnderWay>,
    names: Rc<RefCell<BTreeSet<ServiceName>>>,
    teller: Teller,
    told: mpsc::UnboundedReceiver<Note>,
    waiting: Waiting,
    slots: Rc<Semaphore>,
}

/// What one work is about.
#[derive(Debug)]
struct UnderWay {
    target: Option<Target>,
    why: String,
    halt: watch::Sender<Halt>,
}

impl Default for Works {
    fn default() -> Self {
        let (to, told) = mpsc::unbounded_channel();
        Self {
            running: FuturesUnordered::new(),
            under_way: BTreeMap::new(),
            names: Rc::default(),
            teller: Teller(to),
            told,
            waiting: Waiting::default(),
            slots: Rc::new(Semaphore::new(STEPS_AT_ONCE_MAX)),
        }
    }
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Works").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Works {
    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether this service is being worked on.
    pub(crate) fn has(&self, service: &ServiceName) -> bool {
        self.under_way.contains_key(service)
    }

    /// The services that are being worked on.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.under_way.keys()
    }

    /// Why each of them is worked on.
    pub(crate) fn reasons(&self) -> BTreeMap<ServiceName, String> {
        let reasons = self.under_way.iter().map(|(name, work)| (name.clone(), work.why.clone()));
        reasons.collect()
    }

    /// Their names, as they will be whenever they are looked at.
    pub(crate) fn names(&self) -> Rc<RefCell<BTreeSet<ServiceName>>> {
        Rc::clone(&self.names)
    }

    fn ended(&mut self, service: &ServiceName) {
        self.under_way.remove(service);
        self.names.borrow_mut().remove(service);
    }

    /// Begins one service's plan. It goes on whenever somebody asks for what comes next.
    pub(crate) fn begin<D, F, S>(
        &mut self,
        plan: ServicePlan,
        input: &PassInput<'_>,
        effects: &Effects<'_, D, F, S>,
    ) where
        D: DockerRead + DockerWrite + 'static,
        F: ConfigFiles + 'static,
    {
        let (halt, halted) = watch::channel(Halt::No);
        let hands = Hands {
            docker: Rc::clone(effects.docker),
            files: Rc::clone(effects.files),
            recorder: self.teller.clone(),
            key: input.key.clone(),
            auth: input.auth.cloned(),
            now: Rc::clone(effects.now),
            slots: Rc::clone(&self.slots),
            halt: halted,
            made: RefCell::default(),
        };
        let target = plan.target.clone();
        let why = plan.reasons.first().map(ToString::to_string).unwrap_or_default();
        self.names.borrow_mut().insert(plan.service.clone());
        self.under_way.insert(plan.service.clone(), UnderWay { target, why, halt });
        let trigger = input.trigger.to_owned();
        self.running.push(Box::pin(async move {
            let work = AssertUnwindSafe(apply_service(&plan, &hands)).catch_unwind().await;
            let Work { steps, result, took } = work.unwrap_or_else(|_| panicked());
            let ServicePlan { service, target, reasons, .. } = plan;
            ServiceOutcome { service, target, reasons, steps, result, took, trigger }
        }));
    }

    /// Lets go of works that a newer plan does not want: what they lead to is neither the newest
    /// version nor the one that was applied, or is not to be touched now. In report mode none goes on.
    pub(crate) fn set_aside(
        &self,
        plan: &Plan,
        desired: &DesiredState,
        memory: &Memory,
        applied: &BTreeMap<ServiceName, DesiredService>,
    ) {
        for (service, work) in &self.under_way {
            let target = work.target.as_ref();
            let newest = desired.services.get(service);
            let known = memory.services.get(service).and_then(|known| known.applied.as_ref());
            let is_current = target.is_none_or(|target| {
                newest.is_some_and(|newest| newest.whole_hash() == target.whole)
                    || known.is_some_and(|known| known.content == target.content)
                    // Hashed by this very program, so that an upgrade of it withdraws nothing.
                    || applied.get(service).is_some_and(|a| a.content_hash() == target.content)
            });
            let mode = newest.map_or(desired.mode, |newest| newest.mode);
            if !is_current || mode == Mode::Report || !is_wanted(service, target, plan) {
                work.halt.send_if_modified(|halt| raise(halt, Halt::Replaced));
            }
        }
    }

    /// Ends all with the step that is under way, since the process is to end.
    pub(crate) fn end(&self) {
        for work in self.under_way.values() {
            work.halt.send_if_modified(|halt| raise(halt, Halt::Ending));
        }
    }

    /// Works until one has ended; none when nothing is under way. May be dropped at any time.
    pub(crate) async fn next<S: MemoryStore>(
        &mut self,
        memory: &mut Memory,
        store: &S,
        now: &dyn Fn() -> Timestamp,
    ) -> Option<ServiceOutcome> {
        while !self.under_way.is_empty() {
            let until = self.waiting.until();
            let late = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(note) = self.told.recv() => self.waiting.add(note),
                Some(outcome) = self.running.next() => {
                    self.ended(&outcome.service);
                    return Some(outcome);
                }
                () = late => {}
            }
            while let Ok(note) = self.told.try_recv() {
                self.waiting.add(note);
            }
            if let Some(notes) = self.waiting.take_due(self.under_way.len()) {
                write(notes, memory, store, now());
            }
        }
        None
    }

    /// Works without the memory, as long as it is asked: who has something to be written down waits.
    pub(crate) async fn next_unwritten(&mut self) -> ServiceOutcome {
        match self.running.next().await {
            Some(outcome) => {
                self.ended(&outcome.service);
                outcome
            }
            None => std::future::pending().await,
        }
    }
}

fn raise(halt: &mut Halt, to: Halt) -> bool {
    let raised = *halt < to;
    *halt = to.max(*halt);
    raised
}

fn panicked() -> Work {
    let class = FailureClass::Transient;
    let reason = "a part of the agent panicked; its log says where".to_owned();
    let result = ServiceResult::Failed { class, reason };
    Work { steps: Vec::new(), result, took: Duration::ZERO }
}

/// Whether the newest plan still wants what a work leads to. What only may not begin now, but is
/// under way, finishes.
fn is_wanted(service: &ServiceName, target: Option<&Target>, plan: &Plan) -> bool {
    let whole = |target: Option<&Target>| target.map(|target| target.whole);
    let held = plan.held.iter().find(|held| &held.service == service).map(|held| &held.reason);
    let planned = plan.services.iter().find(|planned| &planned.service == service);
    match (planned, held) {
        (_, Some(HeldReason::Suspended { .. } | HeldReason::Policy { .. })) => false,
        (
            _,
            Some(HeldReason::Window { .. } | HeldReason::Freeze { .. } | HeldReason::Brake { .. }),
        )
        | (None, _) => true,
        (Some(planned), _) => whole(planned.target.as_ref()) == whole(target),
    }
}
