//! The loop over observed → plan → apply: one pass for one desired state.
//!
//! In: the newest verified [`DesiredState`], the memory, the engine. Out: [`PassOutcome`].
//! Effect: the plan's; what was reached is saved.
//!
//! # Guarantees
//! * A pass with nothing to do calls nothing that changes the engine and saves nothing.
//! * A new version that fails is followed, in the same pass, by the way back.
//! * In report mode, and when only asked for the plan, nothing is changed.

mod backoff;
mod lost;
mod recorder;
mod settle;

pub use backoff::PassState;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::clients::docker::{DockerError, DockerRead, DockerWrite, RegistryAuth};
use crate::config::NodePolicy;
use crate::model::{Mode, Revision};
use crate::reconcile::apply::{ConfigFiles, Hands, ServiceOutcome, apply};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::memory::{Memory, MemoryStore};
use crate::reconcile::observed::{Look, ObservedState, OwnershipKey, Viewer, observe};
use crate::reconcile::pass::recorder::SavingRecorder;
use crate::reconcile::pass::settle::{forget, remember_services};
use crate::reconcile::plan::body::image_name;
use crate::reconcile::plan::{Overrides, Plan, PlanInput, plan};

/// Rounds of observe, plan, apply in one pass: the change, the way back, and a look at the result.
const ROUNDS_MAX: usize = 3;

/// What a pass is about.
#[derive(Clone, Copy)]
pub struct PassInput<'a> {
    /// The newest verified revision's state.
    pub desired: &'a DesiredState,
    /// Resolves an older verified revision for this node; none when its files are gone.
    pub resolve: &'a dyn Fn(&Revision) -> Option<DesiredState>,
    /// What this node refuses whatever Git says.
    pub policy: &'a NodePolicy,
    /// Makes and checks proofs.
    pub key: &'a OwnershipKey,
    /// Where configs' contents lie on the host.
    pub files_dir: &'a str,
    /// What an operator allows for this one run.
    pub overrides: &'a Overrides,
    /// Credentials for the environment's hub.
    pub auth: Option<&'a RegistryAuth>,
    /// How closely to look at first.
    pub look: Look,
    /// Whether the plan is carried out.
    pub intent: Intent,
}

impl fmt::Debug for PassInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassInput")
            .field("revision", &self.desired.revision)
            .field("intent", &self.intent)
            .finish_non_exhaustive()
    }
}

/// Whether a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Make it so.
    Apply,
    /// Only say what would be done.
    Plan,
}

/// What a pass acts on and with.
#[derive(Clone, Copy)]
pub struct Effects<'a, D, F, S> {
    /// The engine.
    pub docker: &'a D,
    /// The node's store of configs' contents.
    pub files: &'a F,
    /// Where the memory is saved.
    pub store: &'a S,
    /// The wall clock, for windows and records; waiting goes by tokio's.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Fresh random hex.
    pub nonce: &'a dyn Fn() -> String,
}

impl<D, F, S> fmt::Debug for Effects<'_, D, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects").finish_non_exhaustive()
    }
}

/// What came of a pass.
#[derive(Debug)]
pub struct PassOutcome {
    /// What was to be done when the pass began.
    pub plan: Plan,
    /// What is left to be done now; in sync if nothing is, and nothing held.
    pub left: Plan,
    /// What was done, in order; a version that failed is followed by its way back.
    pub outcomes: Vec<ServiceOutcome>,
    /// What the engine showed last.
    pub observed: ObservedState,
    /// When to look again even if nothing happens.
    pub requeue: Option<Duration>,
    /// What people should know besides, in sentences.
    pub notes: Vec<String>,
}

/// Why a pass could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The engine cannot be seen.
    #[error("cannot see what runs")]
    Engine {
        /// Why.
        #[source]
        source: DockerError,
    },
    /// What is known cannot be made durable, so nothing is begun.
    #[error("cannot save the memory, so nothing is begun: {reason}")]
    Memory {
        /// Why.
        reason: String,
    },
}

/// One pass.
///
/// # Errors
/// When the engine cannot be seen, or the memory not saved before the first change.
pub async fn reconcile_once<D, F, S>(
    input: PassInput<'_>,
    effects: Effects<'_, D, F, S>,
    memory: &mut Memory,
    state: &mut PassState,
) -> Result<PassOutcome, PassError>
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    S: MemoryStore,
{
    let mut scratch = Memory::default();
    let memory = match input.intent {
        Intent::Apply => memory,
        Intent::Plan => {
            scratch.clone_from(memory);
            &mut scratch
        }
    };
    let failed = |source| PassError::Engine { source };
    let mut seen = look(&input, &effects, input.look, memory, state).await.map_err(failed)?;
    let mut notes = lost::rebuild(&input, &seen, memory, (effects.now)());
    let mut now_plan = make_plan(&input, &effects, &seen, memory, state);
    let first = now_plan.clone();
    let mut outcomes = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let due = due(&now_plan, &input, state);
        if due.services.is_empty() {
            break;
        }
        remember_services(&due, &now_plan.held, &effects, memory)?;
        let done = carry_out(&due, &input, &effects, memory).await;
        for outcome in &done {
            state.learn(outcome);
        }
        outcomes.extend(done);
        let Ok(again) = look(&input, &effects, Look::Changes, memory, state).await else { break };
        seen = again;
        now_plan = make_plan(&input, &effects, &seen, memory, state);
    }
    if input.intent == Intent::Apply {
        let waiting = state.waiting(&now_plan, &outcomes).into_iter();
        outcomes.extend(waiting.filter(|waiting| input.overrides.choose(&waiting.service)));
        notes.extend(forget(&input, &now_plan, &seen, &effects, memory));
    }
    let requeue = state.requeue(&now_plan, (effects.now)());
    Ok(PassOutcome { plan: first, left: now_plan, outcomes, observed: seen, requeue, notes })
}

/// The services that are worked on in this round.
fn due(plan: &Plan, input: &PassInput<'_>, state: &PassState) -> Plan {
    let mut due = plan.clone();
    due.held.clear();
    due.services.retain(|service| {
        input.intent == Intent::Apply
            && service.mode == Mode::Apply
            && input.overrides.choose(&service.service)
            && state.remaining(service).is_none()
    });
    due
}

async fn carry_out<D, F, S>(
    plan: &Plan,
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    memory: &mut Memory,
) -> Vec<ServiceOutcome>
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    S: MemoryStore,
{
    let memory = RefCell::new(memory);
    let recorder = SavingRecorder { memory: &memory, store: effects.store, now: effects.now };
    let (docker, files) = (effects.docker, effects.files);
    let hands = Hands { docker, files, recorder: &recorder, key: input.key, auth: input.auth };
    apply(plan, &hands).await
}

fn make_plan<D, F, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    observed: &ObservedState,
    memory: &Memory,
    state: &mut PassState,
) -> Plan {
    state.resolve_applied(input, memory);
    plan(&PlanInput {
        desired: input.desired,
        applied: state.applied(),
        observed,
        memory,
        policy: input.policy,
        key: input.key,
        nonce: &(effects.nonce)(),
        files_dir: input.files_dir,
        now: (effects.now)(),
        overrides: input.overrides,
    })
}

/// Looks at the engine, with the images in view that the plan may ask for: those of the newest
/// version of each service and of the one that was last applied.
async fn look<D: DockerRead, F, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    look: Look,
    memory: &Memory,
    state: &mut PassState,
) -> Result<ObservedState, DockerError> {
    state.resolve_applied(input, memory);
    let services = input.desired.services.values().chain(state.applied().values());
    let pins = services.flat_map(|service| service.containers.values()).map(|c| &c.pin);
    let images: BTreeSet<String> = pins.map(|pin| image_name(pin, &input.desired.hub)).collect();
    let environment = input.desired.revision.environment();
    let viewer = Viewer { key: input.key, environment, images: &images };
    observe(effects.docker, viewer, look, &mut state.seen).await
}
