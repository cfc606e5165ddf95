//! Compares desired with observed and lists, per service, the steps between them.
//!
//! In: [`PlanInput`]. Out: [`Plan`]. Pure.
//!
//! # Guarantees
//! * A plan leaves `apply` nothing to decide: every object is named, every create is whole.
//! * Only objects with this node's ownership proof are changed or removed.
//! * Planning again after a complete apply gives an empty plan.
//! * The same function repairs drift, rolls out, finishes what a crash interrupted and rolls back:
//!   a failed version is simply no longer the target.
//! * Every step has its reason; everything wanted but not done is [`Held`], with its reason.

mod step;
mod held;
pub(crate) mod carry;
pub mod body;
pub mod fields;
pub(crate) mod policy;
mod renewal;
pub(crate) mod ground;
mod matching;
mod ports;
mod objects;
mod rollout;
pub(crate) mod stages;
mod reasons;
mod hold;
mod removal;
mod display;

pub use held::{Held, HeldReason, Hold};
pub use policy::HostLinks;
pub use step::{AwaitCondition, Gate, Kept, Plan, Reason, ServicePlan, Stage, Step, Target};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::config::NodePolicy;
use crate::model::{Digest, ServiceName};
use crate::reconcile::desired::{DesiredService, DesiredState};
use crate::reconcile::memory::{Altered, Memory};
use crate::reconcile::observed::{ObservedState, OwnershipKey};
use crate::reconcile::plan::hold::Decision;

/// Everything a plan is made from.
#[derive(Debug)]
pub struct PlanInput<'a> {
    /// The newest verified revision's state.
    pub desired: &'a DesiredState,
    /// What was last applied of each service whose applied content differs from the newest:
    /// resolved from its own revision, so that drift is healed without upgrading.
    pub applied: &'a BTreeMap<ServiceName, DesiredService>,
    /// What runs.
    pub observed: &'a ObservedState,
    /// What the node remembers.
    pub memory: &'a Memory,
    /// Ids of containers that the engine will never start again, as it says.
    pub stuck: &'a BTreeSet<String>,
    /// Containers whose configs' files were not as they were written.
    pub altered: &'a Altered,
    /// What this node refuses whatever Git says.
    pub policy: &'a NodePolicy,
    /// Where the paths of the host lead that services are given.
    pub links: &'a HostLinks,
    /// Makes labels with proofs.
    pub key: &'a OwnershipKey,
    /// Fresh random hex for new objects.
    pub nonce: &'a str,
    /// Where configs' contents lie on the host, by digest: `<dir>/<hex>-<mode>`.
    pub files_dir: &'a str,
    /// The time.
    pub now: Timestamp,
    /// What an operator allows for this one run.
    pub overrides: &'a Overrides,
    /// Versions, by their whole hash, that lacked something a moment ago: an image at the hub, say.
    pub lacking: &'a BTreeMap<ServiceName, (Digest, HeldReason)>,
}

/// What an operator allows for one run of `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// Services whose removal is allowed past the brake.
    pub allow_removal: BTreeSet<ServiceName>,
    /// Pass windows and freezes, with the reason that the journal keeps.
    pub now: Option<String>,
    /// Only these services are worked on; empty means all. The plan names the others all the same.
    pub services: BTreeSet<ServiceName>,
}

impl Overrides {
    /// Whether a service is worked on.
    pub fn choose(&self, service: &ServiceName) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }
}

/// Compares desired with observed and lists, per service, the steps between them.
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let revision = input.desired.revision.clone();
    if !input.desired.node_declared {
        return undeclared(input);
    }
    let brake = removal::brake(input);
    let braked = |name: &ServiceName, loses: bool| {
        brake.as_ref().filter(|_| loses && !removal::is_allowed(input, name))
    };
    let wanted = input.desired.services.values().map(|service| {
        let own = input.observed.services.get(&service.name);
        let loses = own.is_some_and(|own| {
            own.iter().any(|container| !service.containers.contains_key(&container.owned.key))
        });
        hold::decide(input, service, braked(&service.name, loses))
    });
    let orphans = removal::orphans(input);
    let unwanted = orphans.iter().map(|name| removal::decide(input, name, braked(name, true)));
    let mut plan = Plan { revision, services: Vec::new(), held: Vec::new() };
    for Decision { plan: service, held } in wanted.chain(unwanted) {
        plan.services.extend(service);
        plan.held.extend(held);
    }
    plan.services.sort_by(|a, b| a.service.cmp(&b.service));
    ports::name_exchanges(&mut plan.held, input.observed);
    plan
}

/// Without a document of its own in the revision the node keeps what runs, and says so.
fn undeclared(input: &PlanInput<'_>) -> Plan {
    let revision = input.desired.revision.clone();
    let held = input.observed.services.keys().map(|service| Held {
        service: service.clone(),
        reason: HeldReason::NodeUndeclared,
        revision: revision.clone(),
    });
    Plan { held: held.collect(), services: Vec::new(), revision }
}
