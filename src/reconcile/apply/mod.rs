//! Executes a plan's steps and waits for health.
//!
//! In: [`crate::reconcile::plan::Plan`]. Out: an outcome per service and step.
//! Effect: changes the engine, writes configs' contents, and what was reached into the memory.
//!
//! # Guarantees
//! * Stages one after the other; a failed step ends its service's plan after its stage, no other's.
//! * What passed its gate, and what failed, is remembered durably before anything follows from it.
//! * A create is never blindly repeated: after a call that may have had its effect, the container is
//!   looked for by its nonce.
//! * A container is started by id, after its proof was checked.

mod outcome;
mod execute;
mod watch;

pub use outcome::{FailureClass, ServiceOutcome, ServiceResult, StepError, StepOutcome};

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use crate::clients::docker::{DockerRead, DockerWrite, RegistryAuth};
use crate::model::{ContainerName, Digest, Mode, ServiceName};
use crate::reconcile::apply::execute::execute;
use crate::reconcile::apply::outcome::chain;
use crate::reconcile::observed::OwnershipKey;
use crate::reconcile::plan::{Plan, ServicePlan, Step, Target};

/// Services that are worked on at once. Mostly waiting: the engine is the limit.
const SERVICES_AT_ONCE_MAX: usize = 32;

/// Steps of one stage that run at once.
const STEPS_AT_ONCE_MAX: usize = 8;

/// Where configs' contents are written.
pub trait ConfigFiles {
    /// Makes sure that `path` holds `content` with permission bits `mode`, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()>;
}

/// Remembers what was reached; each call is durable when it returns.
pub trait Recorder {
    /// A run-once container has exited 0.
    ///
    /// # Errors
    /// When it cannot be made durable.
    fn completed(
        &self,
        service: &ServiceName,
        container: &ContainerName,
        spec: Digest,
    ) -> Result<(), String>;
    /// A version has passed its health gate.
    ///
    /// # Errors
    /// When it cannot be made durable.
    fn applied(&self, service: &ServiceName, target: &Target) -> Result<(), String>;
    /// A new version has failed.
    ///
    /// # Errors
    /// When it cannot be made durable; it still counts until the process ends.
    fn failed(&self, service: &ServiceName, target: &Target, reason: &str) -> Result<(), String>;
}

/// Everything that steps act on.
#[derive(Debug)]
pub struct Hands<'a, D, F, R> {
    /// The engine.
    pub docker: &'a D,
    /// The node's store of configs' contents.
    pub files: &'a F,
    /// The memory.
    pub recorder: &'a R,
    /// Checks proofs.
    pub key: &'a OwnershipKey,
    /// Credentials for the environment's hub.
    pub auth: Option<&'a RegistryAuth>,
}

/// Executes a plan: services at the same time, each one's stages in order. Services in report mode
/// are left out.
pub async fn apply<D, F, R>(plan: &Plan, hands: &Hands<'_, D, F, R>) -> Vec<ServiceOutcome>
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    R: Recorder,
{
    let due = plan.services.iter().filter(|service| service.mode == Mode::Apply);
    let work = due.map(|service| apply_service(service, hands));
    let mut outcomes: Vec<ServiceOutcome> =
        stream::iter(work).buffer_unordered(SERVICES_AT_ONCE_MAX).collect().await;
    outcomes.sort_by(|a, b| a.service.cmp(&b.service));
    outcomes
}

async fn apply_service<D, F, R>(plan: &ServicePlan, hands: &Hands<'_, D, F, R>) -> ServiceOutcome
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    R: Recorder,
{
    let began = Instant::now();
    let mut steps = Vec::new();
    let mut failure = None;
    for stage in &plan.stages {
        let work = stage.steps.iter().map(|step| async move {
            let began = Instant::now();
            (step, execute(step, plan, hands).await, began.elapsed())
        });
        let ended: Vec<_> = stream::iter(work).buffer_unordered(STEPS_AT_ONCE_MAX).collect().await;
        for (step, result, took) in ended {
            let error = result.as_ref().err().map(|error| chain(error));
            if let (Err(cause), Some(text), None) = (&result, &error, &failure) {
                failure = Some((
                    cause.class(step, plan.is_new_version),
                    format!("{}: {text}", step.words()),
                ));
            }
            steps.push(StepOutcome { step: step.clone(), error, took });
        }
        if failure.is_some() {
            break;
        }
    }
    let result = match failure {
        Some((class, reason)) => fail(plan, hands, &steps, class, reason),
        None if plan.target.is_none() => ServiceResult::Removed,
        None if plan.is_new_version => ServiceResult::Applied,
        None => ServiceResult::Repaired,
    };
    ServiceOutcome {
        service: plan.service.clone(),
        target: plan.target.clone(),
        reasons: plan.reasons.clone(),
        steps,
        result,
        took: began.elapsed(),
    }
}

/// Remembers a failed version, and names what is not undone.
fn fail<D, F, R: Recorder>(
    plan: &ServicePlan,
    hands: &Hands<'_, D, F, R>,
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
        && let Err(error) = hands.recorder.failed(&plan.service, target, &reason)
    {
        // The way back matters more: this process still knows, only a restart would try again.
        reason = format!("{reason}; and that cannot be saved: {error}");
    }
    ServiceResult::Failed { class, reason }
}

/// How long a service waits after `failures` failures in a row: doubling, bounded.
pub fn backoff(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(300);
    FIRST.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST)
}
