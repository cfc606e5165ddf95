//! What came of a plan.

use std::time::Duration;

use serde::Serialize;

use crate::clients::docker::{DockerError, DockerErrorKind, is_leftover, is_scarcity};
use crate::model::ServiceName;
use crate::reconcile::plan::{Kept, Reason, Step, Target};

/// What came of one service's plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceOutcome {
    /// The service.
    pub service: ServiceName,
    /// What it was to become; none when it was to be removed or halted.
    pub target: Option<Target>,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Every step that was begun, in the order in which they ended.
    pub steps: Vec<StepOutcome>,
    /// How it ended.
    pub result: ServiceResult,
    /// How long it took.
    pub took: Duration,
    /// What started it.
    pub trigger: String,
}

impl ServiceOutcome {
    /// Whether it led back from a version that failed.
    pub fn is_way_back(&self) -> bool {
        matches!(self.reasons.first(), Some(Reason::Rollback { .. }))
    }
}

/// How a service's plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum ServiceResult {
    /// A new version passed its health gate.
    Applied,
    /// What runs is again as it was applied.
    Repaired,
    /// It is gone, or halted.
    Removed,
    /// A step failed; the ones after it were not begun.
    Failed {
        /// What follows from it.
        class: FailureClass,
        /// The step and its cause, for people.
        reason: String,
    },
    /// It was set aside before its end; the next plan goes on from there.
    Interrupted,
    /// It failed lately: nothing was done before its time.
    Waiting {
        /// How long it still waits.
        remaining: Duration,
    },
}

impl ServiceResult {
    /// Whether everything that was planned was done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Applied | Self::Repaired | Self::Removed)
    }
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Not the version's fault: tried again later.
    Transient,
    /// The new version is bad: not tried again until a commit changes it.
    Version,
    /// What was applied before does not come up: tried again, ever more slowly.
    Repair,
    /// The hub does not have an image yet: held until it has.
    Hub,
    /// Something that the new version needs is away, taken or used up: held for a while, and what
    /// was applied before is healed meanwhile.
    Later,
}

/// What an error is about.
enum Blame {
    Version,
    Hub,
    Moment,
    Nobody,
}

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepOutcome {
    /// The step.
    pub step: Step,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The engine failed or refused.
    #[error("the engine did not do it")]
    Engine {
        /// Its words.
        #[source]
        source: DockerError,
    },
    /// After the pull the engine has another image than the pinned one.
    #[error("{image} is not the pinned image: {found}")]
    WrongImage {
        /// What was pulled.
        image: String,
        /// What the engine has.
        found: String,
    },
    /// A config's content cannot be written.
    #[error("cannot write {path}")]
    File {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A path of the host cannot be looked at.
    #[error("where {path} leads cannot be seen: {reason}")]
    Path {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// A path of the host leads elsewhere than when it was judged.
    #[error("{path} led to {was} when it was judged and leads to {now} now")]
    Moved {
        /// Which.
        path: String,
        /// Where it led.
        was: String,
        /// Where it leads.
        now: String,
    },
    /// A container is gone, or is not ours.
    #[error("{name} is gone, or was not made by this node")]
    NotOurs {
        /// Its name.
        name: String,
    },
    /// A container did not become what it must be. `reason` ends with its last words.
    #[error("{name} {reason}")]
    Unhealthy {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine went away while a container was watched, so nothing is known against it.
    #[error("the engine went away while {name} was watched")]
    EngineLost {
        /// Its name.
        name: String,
    },
    /// The work was to end.
    #[error("set aside before its end")]
    Halted,
    /// What was reached cannot be remembered.
    #[error("cannot save what was reached: {reason}")]
    Memory {
        /// Why.
        reason: String,
    },
}

impl StepError {
    /// What follows for a version from this error in `step`.
    pub(crate) fn class(&self, step: &Step, is_new_version: bool) -> FailureClass {
        match (self.blame(step), is_new_version) {
            (Blame::Version, true) => FailureClass::Version,
            (Blame::Version, false) => FailureClass::Repair,
            (Blame::Hub, true) => FailureClass::Hub,
            (Blame::Moment, true) => FailureClass::Later,
            (Blame::Hub | Blame::Moment | Blame::Nobody, _) => FailureClass::Transient,
        }
    }

    fn blame(&self, step: &Step) -> Blame {
        match self {
            Self::Unhealthy { name, .. } if is_ailing(step, name) => match step {
                // Nothing of the version runs yet, and what was applied is to be healed meanwhile.
                Step::Await { .. } => Blame::Moment,
                _ => Blame::Nobody,
            },
            Self::Unhealthy { .. } => Blame::Version,
            Self::Engine { source } => blame_of(source, step),
            Self::WrongImage { .. }
            | Self::File { .. }
            | Self::Path { .. }
            | Self::Moved { .. } => Blame::Moment,
            _ => Blame::Nobody,
        }
    }
}

/// Whether the container was ill before anything was done.
fn is_ailing(step: &Step, name: &str) -> bool {
    let kept = match step {
        Step::Gate(gate) => gate.kept.get(name),
        Step::Await { kept, .. } => kept.as_ref(),
        _ => None,
    };
    kept == Some(&Kept::Ailing)
}

fn blame_of(error: &DockerError, step: &Step) -> Blame {
    use DockerErrorKind as Kind;
    let away = matches!(
        error.kind,
        Kind::Unreachable | Kind::PermissionDenied | Kind::Interrupted | Kind::Timeout
    );
    match step {
        Step::Pull { .. } if error.kind == Kind::ImageMissing => Blame::Hub,
        Step::Pull { .. } if error.kind == Kind::Timeout => Blame::Moment,
        _ if away || is_leftover(&error.message) => Blame::Nobody,
        Step::Pull { .. } => Blame::Moment,
        _ if is_scarcity(&error.message) => Blame::Moment,
        Step::Create { .. } | Step::Update { .. } | Step::CreateNetwork { .. }
            if error.kind == Kind::Refused =>
        {
            Blame::Version
        }
        // What was on it is stopped by now, so that the way back is what matters.
        Step::RenewNetwork { .. } => Blame::Version,
        Step::Start { .. } | Step::RunOnce { .. } => match error.kind {
            Kind::Refused | Kind::Engine | Kind::NotFound | Kind::Conflict => Blame::Version,
            _ => Blame::Nobody,
        },
        _ => Blame::Nobody,
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
