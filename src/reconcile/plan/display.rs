//! A plan as people read it.
//!
//! In: a [`Plan`]. Out: lines, `+` made, `~` changed, `-` removed, `!` held. Pure.

use std::fmt;

use crate::model::Mode;
use crate::reconcile::plan::held::Held;
use crate::reconcile::plan::step::{AwaitCondition, Plan, ServicePlan, Step};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_in_sync() {
            return writeln!(f, "in sync with {}", self.revision);
        }
        for service in &self.services {
            service.fmt(f)?;
        }
        for held in &self.held {
            held.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ServicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.mode == Mode::Report { " (report mode: nothing is done)" } else { "" };
        match &self.target {
            Some(target) => writeln!(f, "{} → {}{mode}", self.service, target.revision)?,
            None => writeln!(f, "{} → nothing{mode}", self.service)?,
        }
        for reason in &self.reasons {
            writeln!(f, "  because {reason}")?;
        }
        for step in self.stages.iter().flat_map(|stage| &stage.steps) {
            writeln!(f, "  {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ! held at {}: {}", self.service, self.revision, self.reason)
    }
}

impl Step {
    /// What is done, without the sign that says whether something is made, changed or removed.
    pub fn words(&self) -> String {
        self.to_string().split_off("+ ".len())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { image, .. } => {
                write!(f, "+ pull {}@{}", image.name(), image.digest.short())
            }
            Self::WriteFile { path, .. } => write!(f, "+ write {path}"),
            Self::CreateNetwork { name, .. } => write!(f, "+ create network {name}"),
            Self::CreateVolume { name, .. } => write!(f, "+ create volume {name}"),
            Self::Rename { from, to, .. } => write!(f, "~ rename {from} to {to}"),
            Self::Create { name, .. } => write!(f, "+ create {name}"),
            Self::Stop { name, .. } => write!(f, "~ stop {name}"),
            Self::Start { name, paused: false, .. } => write!(f, "~ start {name}"),
            Self::Start { name, paused: true, .. } => write!(f, "~ unpause {name}"),
            Self::Await { name, condition: AwaitCondition::Running, .. } => {
                write!(f, "~ wait until {name} runs")
            }
            Self::Await { name, condition: AwaitCondition::Healthy, .. } => {
                write!(f, "~ wait until {name} is healthy")
            }
            Self::Await { name, condition: AwaitCondition::Ended, .. } => {
                write!(f, "~ wait until {name} has ended")
            }
            Self::RunOnce { name, .. } => write!(f, "~ run {name} until it exits 0"),
            Self::Update { name, .. } => write!(f, "~ update {name} in place"),
            Self::Connect { name, network, .. } => write!(f, "~ connect {name} to {network}"),
            Self::Disconnect { name, network, .. } => {
                write!(f, "~ disconnect {name} from {network}")
            }
            Self::Gate(gate) => write!(f, "~ health gate of {}", gate.containers.join(", ")),
            Self::Remove { name, .. } => write!(f, "- remove {name}"),
            Self::RenewNetwork { name, .. } => write!(f, "~ make network {name} anew"),
            Self::RemoveNetwork { name, .. } => write!(f, "- remove network {name}"),
        }
    }
}
