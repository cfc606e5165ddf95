//! Executes one service's plan and waits for health.
//!
//! In: a [`ServicePlan`]. Out: a [`ServiceOutcome`]. Effect: changes the engine, writes configs'
//! contents, and what was reached into the memory.
//!
//! # Guarantees
//! * Stages one after the other; a failed step ends its service's plan after its stage, no other's.
//! * What passed its gate, and what failed, is remembered durably before anything follows from it.
//! * A create is never blindly repeated: after a call that may have had its effect, the container is
//!   looked for by its nonce.
//! * A container is started by id, after its proof was checked.
//! * A [`Halt`] ends the work at once where it only waits or pulls, else with the step that is under
//!   way. Then nothing is known against the version: the next plan goes on from there, as after a
//!   crash.

mod outcome;
mod execute;
mod watch;

pub use outcome::{FailureClass, ServiceOutcome, ServiceResult, StepError, StepOutcome};

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch as signal};
use tokio::time::Instant;

use crate::clients::docker::{ContainerId, DockerRead, DockerWrite, RegistryAuth};
use crate::model::{ContainerName, Digest, ServiceName};
use crate::reconcile::apply::execute::execute;
use crate::reconcile::apply::outcome::chain;
use crate::reconcile::memory::Ground;
use crate::reconcile::observed::OwnershipKey;
use crate::reconcile::plan::{HostLinks, ServicePlan, Step, Target};

/// Steps of one stage that run at once.
const STEPS_AT_ONCE_MAX: usize = 8;

/// The host's files: where configs' contents are written, `<hex>-<mode>` by their digest, and what
/// containers are given.
pub trait ConfigFiles {
    /// Makes sure that `path` holds `content` with permission bits `mode`, durably, whole or not at
    /// all.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()>;

    /// Whether `path` holds what its name says.
    fn is_intact(&self, path: &str) -> bool;

    /// Removes every config from `folder` but those in `kept`; one that cannot be removed stays.
    fn sweep(&self, folder: &str, kept: &BTreeSet<String>);

    /// Where paths of the host lead, every link followed; what is not there leads where it says.
    fn links(&self, paths: &BTreeSet<&str>) -> HostLinks;
}

/// Whether something of the same plan follows from what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Old containers are removed, for one: it must be durable before.
    Something,
    /// Nothing waits for it: it may become durable a moment later, together with others.
    Nothing,
}

/// Remembers what was reached; each call is durable when it returns.
#[expect(async_fn_in_trait, reason = "the agent runs on one thread and never sends these futures")]
pub trait Recorder {
    /// A run-once container of this spec has exited 0 on this ground.
    ///
    /// # Errors
    /// When it cannot be made durable.
    async fn completed(
        &self,
        service: &ServiceName,
        container: &ContainerName,
        spec: Digest,
        ground: &Ground,
    ) -> Result<(), String>;
    /// A version has passed its health gate.
    ///
    /// # Errors
    /// When it cannot be made durable.
    async fn applied(
        &self,
        service: &ServiceName,
        target: &Target,
        follows: Follows,
    ) -> Result<(), String>;
    /// A new version has failed.
    ///
    /// # Errors
    /// When it cannot be made durable; it still counts until the process ends.
    async fn failed(
        &self,
        service: &ServiceName,
        target: &Target,
        reason: &str,
    ) -> Result<(), String>;
}

/// Whether work on a service is to end before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Halt {
    /// It goes on.
    No,
    /// Something else is wanted of the service now. What runs once is not left alone half-way.
    Replaced,
    /// The process ends; what runs once goes on without it.
    Ending,
}

/// Everything that steps act on.
pub struct Hands<D, F, R> {
    /// The engine.
    pub docker: Rc<D>,
    /// The node's store of configs' contents.
    pub files: Rc<F>,
    /// The memory.
    pub recorder: R,
    /// Checks proofs.
    pub key: OwnershipKey,
    /// Credentials for the environment's hub.
    pub auth: Option<RegistryAuth>,
    /// The wall clock, to be compared with the engine's words alone; waiting goes by tokio's.
    pub now: Rc<dyn Fn() -> Timestamp>,
    /// How many steps of all services change the engine at once; those that wait are not counted.
    pub slots: Rc<Semaphore>,
    /// Whether the work is to end.
    pub halt: signal::Receiver<Halt>,
    /// Containers that this work has made and not started, by name: they are known to be ours.
    pub made: RefCell<BTreeMap<String, ContainerId>>,
}

impl<D, F, R> fmt::Debug for Hands<D, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("halt", &self.halt).finish_non_exhaustive()
    }
}

/// Executes one service's plan, its stages in order.
pub async fn apply_service<D, F, R>(plan: &ServicePlan, hands: &Hands<D, F, R>) -> Work
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    R: Recorder,
{
    let began = Instant::now();
    let mut steps = Vec::new();
    let mut failure = None;
    let mut halted = false;
    for stage in &plan.stages {
        halted |= *hands.halt.borrow() != Halt::No;
        if failure.is_some() || halted {
            break;
        }
        let work = stage.steps.iter().map(|step| async move {
            let began = Instant::now();
            (step, unless_halted(step, plan, hands).await, began.elapsed())
        });
        let ended: Vec<_> = stream::iter(work).buffer_unordered(STEPS_AT_ONCE_MAX).collect().await;
        for (step, result, took) in ended {
            let error = result.as_ref().err().map(|error| chain(error));
            match (&result, &error) {
                (Err(StepError::Halted), _) => halted = true,
                (Err(cause), Some(text)) if failure.is_none() => {
                    failure = Some((
                        cause.class(step, plan.is_new_version),
                        format!("{}: {text}", step.words()),
                    ));
                }
                _ => {}
            }
            steps.push(StepOutcome { step: step.clone(), error, took });
        }
    }
    let result = match failure {
        Some((class, reason)) => fail(plan, hands, &steps, class, reason).await,
        None if halted => ServiceResult::Interrupted,
        None if plan.target.is_none() => ServiceResult::Removed,
        None if plan.is_new_version => ServiceResult::Applied,
        None => ServiceResult::Repaired,
    };
    Work { steps, result, took: began.elapsed() }
}

/// What came of one service's plan.
#[derive(Debug)]
pub struct Work {
    /// Every step that was begun, in the order in which they ended.
    pub steps: Vec<StepOutcome>,
    /// How it ended.
    pub result: ServiceResult,
    /// How long it took.
    pub took: Duration,
}

/// A step, which ends before its end if it only waits or fetches and nobody wants it any more.
async fn unless_halted<D, F, R>(
    step: &Step,
    plan: &ServicePlan,
    hands: &Hands<D, F, R>,
) -> Result<(), StepError>
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    R: Recorder,
{
    let (waits, ends_at) = match step {
        Step::Gate(_) | Step::Await { .. } => (true, Some(Halt::Replaced)),
        Step::RunOnce { .. } => (true, Some(Halt::Ending)),
        Step::Pull { .. } => (false, Some(Halt::Replaced)),
        // The engine goes on stopping it.
        Step::Stop { .. } => (false, Some(Halt::Ending)),
        _ => (false, None),
    };
    let mut halt = hands.halt.clone();
    let work = async {
        let _slot = if waits { None } else { hands.slots.acquire().await.ok() };
        execute(step, plan, hands).await
    };
    let halted = async {
        match ends_at {
            // One whose other end is gone is told nothing any more.
            Some(from) if halt.wait_for(|halt| *halt >= from).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = work => result,
        () = halted => Err(StepError::Halted),
    }
}

/// Remembers a failed version, and names what is not undone.
async fn fail<D, F, R: Recorder>(
    plan: &ServicePlan,
    hands: &Hands<D, F, R>,
    steps: &[StepOutcome],
    class: FailureClass,
    mut reason: String,
) -> ServiceResult {
    let ran = steps.iter().filter(|s| s.error.is_none()).filter_map(|s| match &s.step {
        Step::RunOnce { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let ran: Vec<&str> = ran.collect();
    if !ran.is_empty() {
        reason = format!("{reason}; what {} did is not undone", ran.join(", "));
    }
    if let (FailureClass::Version, Some(target)) = (class, &plan.target)
        && let Err(error) = hands.recorder.failed(&plan.service, target, &reason).await
    {
        // The way back matters more: this process still knows, only a restart would try again.
        reason = format!("{reason}; and that cannot be saved: {error}");
    }
    ServiceResult::Failed { class, reason }
}

/// How long a service waits after `failures` failures in a row: doubling, up to `longest`.
pub fn backoff(failures: u32, longest: Duration) -> Duration {
    const FIRST: Duration = Duration::from_secs(5);
    const DOUBLED_MAX: u32 = 16;
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(DOUBLED_MAX));
    FIRST.saturating_mul(doubled).min(longest)
}
