//! The loop over observed → plan → apply: one pass for one desired state.
//!
//! In: the newest verified [`DesiredState`], the memory, the engine. Out: [`PassOutcome`].
//! Effect: the plan's; what was reached is saved.
//!
//! # Guarantees
//! * A pass with nothing to do calls nothing that changes the engine and saves nothing.
//! * A new version that fails is followed, in the same pass, by the way back.
//! * No service waits for another. A pass may end while services are under way (a health gate, a
//!   pull); the next one looks and plans beside them. What is under way stays so, with its deadlines,
//!   unless something else is wanted of that service: then it ends with its step, and the new plan
//!   begins where it stopped.
//! * In report mode, and when only asked for the plan, nothing is changed.

mod backoff;
mod configs;
mod lost;
mod older;
mod recorder;
mod rounds;
mod settle;
mod works;

pub use backoff::PassState;

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::clients::docker::{DockerError, DockerRead, DockerWrite, RegistryAuth};
use crate::config::NodePolicy;
use crate::model::{Mode, Revision};
use crate::reconcile::apply::{ConfigFiles, FailureClass, ServiceOutcome, ServiceResult};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::memory::{Memory, MemoryStore};
use crate::reconcile::observed::{Look, ObservedState, OwnershipKey, Viewer, observe};
use crate::reconcile::pass::rounds::Rounds;
use crate::reconcile::pass::settle::{forget, recall, remember_services};
use crate::reconcile::plan::policy::host_paths;
use crate::reconcile::plan::{Overrides, Plan, PlanInput, ServicePlan, plan};

/// What is due is not looked at more often than this while something else is under way.
const DUE_MIN: Duration = Duration::from_secs(1);

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
    /// What started the pass, for the journal.
    pub trigger: &'a str,
    /// Id of the engine that is locked; none changes nothing, or is alone by other means.
    pub engine: Option<&'a str>,
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
pub struct Effects<'a, D, F, S> {
    /// The engine.
    pub docker: &'a Rc<D>,
    /// The node's store of configs' contents.
    pub files: &'a Rc<F>,
    /// Where the memory is saved.
    pub store: &'a S,
    /// The wall clock, for windows and records; waiting goes by tokio's.
    pub now: &'a Rc<dyn Fn() -> Timestamp>,
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
    /// Nothing is begun on an engine that is not ours alone.
    #[error("another engine answers at the socket than the one that this process has locked")]
    OtherEngine,
    /// What is known cannot be made durable, so nothing is begun.
    #[error("cannot save the memory, so nothing is begun: {reason}")]
    Memory {
        /// Why.
        reason: String,
    },
}

/// One pass: looks, plans, and works until nothing is under way, or until `until` is over. Works
/// that go on then are in `state`; ask [`PassState::work`] to let them, and pass again when one ends.
///
/// # Errors
/// When the engine cannot be seen, or the memory not saved before the first change.
pub async fn reconcile_once<D, F, S>(
    input: PassInput<'_>,
    effects: Effects<'_, D, F, S>,
    memory: &mut Memory,
    state: &mut PassState,
    until: impl Future<Output = ()>,
) -> Result<PassOutcome, PassError>
where
    D: DockerRead + DockerWrite + 'static,
    F: ConfigFiles + 'static,
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
    state.older.ask_again(input.look);
    let mut seen = look(&input, &effects, input.look, memory, state).await.map_err(failed)?;
    ours_alone(&input, &seen)?;
    let mut notes = recall(&input, &effects, &seen, memory, state).await;
    let mut now_plan = make_plan(&input, &effects, &seen, memory, state);
    let first = now_plan.clone();
    let mut outcomes = state.take_ended();
    let mut rounds = Rounds::default();
    let mut until = std::pin::pin!(until);
    loop {
        if input.intent == Intent::Apply {
            begin(&now_plan, &input, &effects, &seen, memory, state, &mut rounds)?;
        }
        outcomes.extend(state.take_ended());
        let n_before = outcomes.len();
        let progress =
            progress(&now_plan, &effects, memory, state, &mut outcomes, until.as_mut()).await;
        if outcomes.len() == n_before && progress != Progress::Due {
            break;
        }
        let Ok(again) = look(&input, &effects, Look::Changes, memory, state).await else { break };
        ours_alone(&input, &again)?;
        seen = again;
        notes.extend(recall(&input, &effects, &seen, memory, state).await);
        now_plan = make_plan(&input, &effects, &seen, memory, state);
        if progress == Progress::Over {
            break;
        }
    }
    outcomes.extend(state.take_ended());
    if input.intent == Intent::Apply {
        let waiting = state.waiting(&now_plan, &outcomes).into_iter();
        outcomes.extend(waiting.filter(|waiting| input.overrides.choose(&waiting.service)));
        notes.extend(forget(&input, &now_plan, &seen, &state.altered, &effects, memory));
        if !outcomes.is_empty() {
            configs::sweep(&input, &effects, &seen, state);
        }
    }
    let requeue = state.requeue(&now_plan, (effects.now)());
    Ok(PassOutcome { plan: first, left: now_plan, outcomes, observed: seen, requeue, notes })
}

/// Whether what was seen is the engine that is locked.
fn ours_alone(input: &PassInput<'_>, seen: &ObservedState) -> Result<(), PassError> {
    match input.engine {
        Some(locked) if seen.engine.id != locked => Err(PassError::OtherEngine),
        _ => Ok(()),
    }
}

/// Sets aside what is no longer wanted, and begins what is due and not under way.
fn begin<D, F, S>(
    plan: &Plan,
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    seen: &ObservedState,
    memory: &mut Memory,
    state: &mut PassState,
    rounds: &mut Rounds,
) -> Result<(), PassError>
where
    D: DockerRead + DockerWrite + 'static,
    F: ConfigFiles + 'static,
    S: MemoryStore,
{
    state.works.set_aside(plan, input.desired, memory, state.older.applied());
    let due = plan.services.iter().filter(|service| {
        service.mode == Mode::Apply
            && input.overrides.choose(&service.service)
            && !state.works.has(&service.service)
            && rounds.allow(service)
            && state.remaining(service).is_none()
    });
    let due: Vec<ServicePlan> = due.cloned().collect();
    if due.is_empty() {
        return Ok(());
    }
    configs::check_written(input, effects, &due, seen, state);
    remember_services(&due, &plan.held, &state.altered, seen, effects, memory)?;
    for service in due {
        rounds.begin(&service);
        state.works.begin(service, input, effects);
    }
    Ok(())
}

/// Why working stopped for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing is under way, or what ended asks for another plan.
    Ended,
    /// Something that waited for its time may be due.
    Due,
    /// The pass is over, whatever is under way.
    Over,
}

/// Works until all have ended, one did not do what was planned, or another may be due.
async fn progress<D, F, S: MemoryStore>(
    plan: &Plan,
    effects: &Effects<'_, D, F, S>,
    memory: &mut Memory,
    state: &mut PassState,
    outcomes: &mut Vec<ServiceOutcome>,
    mut until: impl Future<Output = ()> + Unpin,
) -> Progress {
    let now = || (effects.now)();
    let due = state.requeue(plan, now()).map(|after| after.max(DUE_MIN));
    let mut due = std::pin::pin!(async {
        match due {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    });
    while !state.works.is_empty() {
        tokio::select! {
            biased;
            () = &mut until => return Progress::Over,
            Some(outcome) = state.works.next(memory, effects.store, &now) => {
                let mut wants_plan = false;
                let mut next = Some(outcome);
                while let Some(outcome) = next {
                    state.learn(&outcome);
                    wants_plan |= wants_another_plan(&outcome);
                    outcomes.push(outcome);
                    // What ended at the same time is planned for at once.
                    next = state.works.next(memory, effects.store, &now).now_or_never().flatten();
                }
                if wants_plan {
                    return Progress::Ended;
                }
            }
            () = &mut due => return Progress::Due,
        }
    }
    Progress::Ended
}

/// A version that failed wants its way back, one that was set aside what came instead. All else is
/// looked at when everything has ended.
fn wants_another_plan(outcome: &ServiceOutcome) -> bool {
    matches!(
        outcome.result,
        ServiceResult::Failed { class: FailureClass::Version | FailureClass::Later, .. }
            | ServiceResult::Interrupted
    )
}

fn make_plan<D, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    observed: &ObservedState,
    memory: &Memory,
    state: &mut PassState,
) -> Plan {
    let stuck = state.stuck(observed);
    let versions = state.older.versions(input.desired);
    let mut paths: BTreeSet<&str> = versions.flat_map(host_paths).collect();
    if !paths.is_empty() {
        paths.insert(&input.policy.engine_socket);
    }
    let links = effects.files.links(&paths);
    plan(&PlanInput {
        desired: input.desired,
        applied: state.older.applied(),
        observed,
        memory,
        stuck: &stuck,
        altered: &state.altered,
        policy: input.policy,
        links: &links,
        key: input.key,
        nonce: &(effects.nonce)(),
        files_dir: input.files_dir,
        now: (effects.now)(),
        overrides: input.overrides,
        lacking: &state.lacking(),
    })
}

/// Looks at the engine, with the images in view that the plan may ask for: those of the newest
/// version of each service and of the one that was last applied. An engine that is slow to answer
/// holds up no work meanwhile; what ends then is looked at again, since it was seen half done.
async fn look<D: DockerRead, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    look: Look,
    memory: &Memory,
    state: &mut PassState,
) -> Result<ObservedState, DockerError> {
    state.older.resolve(input, memory).await;
    let images = state.older.images(input.desired);
    let environment = input.desired.revision.environment();
    let viewer = Viewer { key: input.key, environment, images: &images };
    let (asked, mut look) = (look, look);
    loop {
        let mut ended = Vec::new();
        let (seen, works) = (&mut state.seen, &mut state.works);
        let observed = async {
            let mut observed = std::pin::pin!(observe(&**effects.docker, viewer, look, seen));
            loop {
                tokio::select! {
                    biased;
                    observed = &mut observed => break observed,
                    outcome = works.next_unwritten() => ended.push(outcome),
                }
            }
        };
        let observed = observed.await?;
        if ended.is_empty() {
            configs::check(input, effects, asked, &observed, memory, state);
            return Ok(observed);
        }
        for outcome in ended {
            state.keep(outcome);
        }
        look = Look::Changes;
    }
}
