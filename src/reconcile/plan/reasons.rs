//! Why a rollout does what it does: the field and the two values, the drift, or the commit.
//!
//! In: a [`Rollout`]. Out: [`Reason`]s, most important first. Pure.

use std::fmt;

use crate::clients::docker::ContainerState;
use crate::reconcile::desired::container::Run;
use crate::reconcile::observed::Owned;
use crate::reconcile::plan::body::image_name;
use crate::reconcile::plan::held::HeldReason;
use crate::reconcile::plan::matching::Slot;
use crate::reconcile::plan::renewal::outdated;
use crate::reconcile::plan::rollout::Rollout;
use crate::reconcile::plan::step::Reason;

/// Why this rollout is needed; empty if nothing differs any more but its end.
pub(crate) fn of(rollout: &Rollout<'_>) -> Vec<Reason> {
    let view = &rollout.view;
    let revision = view.revision.clone();
    if rollout.is_new && view.own().is_empty() {
        return vec![Reason::New { revision }];
    }
    let mut reasons: Vec<Reason> = rollback(rollout).into_iter().collect();
    for network in outdated(view.input, view.service) {
        let (setting, expected, actual) = network.setting.clone();
        let field = format!("network {}.{setting}", network.name());
        reasons.push(difference(rollout, field, expected, actual));
    }
    for slot in &rollout.slots {
        slot_reasons(rollout, slot, &mut reasons);
    }
    for surplus in &rollout.surplus {
        let field = surplus.owned.key.to_string();
        let actual = state(&surplus.inspect.state).to_owned();
        reasons.push(difference(rollout, field, "not wanted".to_owned(), actual));
    }
    reasons
}

/// The failed version that this rollout takes back, if containers of it are still there.
fn rollback(rollout: &Rollout<'_>) -> Option<Reason> {
    let view = &rollout.view;
    let failed = view.input.memory.services.get(&view.service.name)?.failed.as_ref()?;
    let label = Owned::revision_label(&failed.revision);
    let fits = |id: &str| {
        let found = rollout.slots.iter().filter_map(|slot| slot.found.as_ref());
        found.into_iter().any(|found| found.observed.inspect.id.as_str() == id)
    };
    let left = view.own().iter().any(|c| c.owned.revision == label && !fits(c.inspect.id.as_str()));
    (!rollout.is_new && left && failed.whole != view.service.whole_hash()).then(|| {
        Reason::Rollback { revision: failed.revision.clone(), because: failed.reason.clone() }
    })
}

fn slot_reasons(rollout: &Rollout<'_>, slot: &Slot<'_>, reasons: &mut Vec<Reason>) {
    let key = &slot.container.name;
    let mut push = |field: String, expected: &str, actual: &str| {
        reasons.push(difference(rollout, field, expected.to_owned(), actual.to_owned()));
    };
    if let Some(found) = &slot.found {
        let inspect = &found.observed.inspect;
        if inspect.name != slot.fresh.name {
            push(format!("{key}.Name"), &slot.fresh.name, &inspect.name);
        }
        for d in &found.differences {
            push(format!("{key}.{}", d.field), &d.expected, &d.actual);
        }
        if rollout.needs_start(slot) && slot.container.run == Run::Always && !rollout.is_new {
            let actual = match state(&inspect.state) {
                "exited" => format!("exited ({})", inspect.exit_code),
                other => other.to_owned(),
            };
            push(format!("{key}.State"), "running", &actual);
        }
    } else if rollout.needs_create(slot) {
        for d in &slot.differences {
            push(format!("{key}.{}", d.field), &d.expected, &d.actual);
        }
        if rollout.lost_ground(slot).is_some() {
            push(key.to_string(), "done on the data of now", "done on data that is gone");
        } else if slot.differences.is_empty() {
            let image = image_name(&slot.container.pin, &rollout.view.input.desired.hub);
            push(key.to_string(), &image, "missing");
        }
    }
}

/// A difference is the commit's where the version is new, and somebody's by hand where it is not.
fn difference(rollout: &Rollout<'_>, field: String, expected: String, actual: String) -> Reason {
    if rollout.is_new {
        let revision = rollout.view.revision.clone();
        Reason::Changed { revision, field, from: actual, to: expected }
    } else {
        Reason::Drift { field, expected, actual }
    }
}

fn state(state: &ContainerState) -> &str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
        ContainerState::Other(other) => other,
    }
}

fn users(by: &[String]) -> String {
    let names: Vec<String> = by.iter().map(|name| format!("`{name}`")).collect();
    format!("{} {}", names.join(", "), if by.len() == 1 { "is" } else { "are" })
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { revision } => write!(f, "new in {revision}"),
            Self::Changed { revision, field, from, to } => {
                write!(f, "{revision} changes {field}: {from} → {to}")
            }
            Self::Drift { field, expected, actual } => {
                write!(f, "drift in {field}: is {actual}, should be {expected}")
            }
            Self::Removed { revision } => write!(f, "no longer wanted here since {revision}"),
            Self::Rollback { revision, because } => write!(f, "{revision} failed: {because}"),
            Self::Resume { revision } => {
                write!(f, "finishing an interrupted rollout of {revision}")
            }
            Self::Urgent { held } => {
                write!(f, "a hotfix or rollback made it, which passes: {held}")
            }
            Self::Confirm { revision } => write!(f, "health gate of {revision} has not passed yet"),
        }
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { opens: Some(opens) } => write!(f, "no window is open before {opens}"),
            Self::Window { opens: None } => f.pad("no window is open"),
            Self::Freeze { reason, until } => write!(f, "frozen until {until}: {reason}"),
            Self::Suspended { reason, until: Some(until) } => {
                write!(f, "suspended until {until}: {reason}")
            }
            Self::Suspended { reason, until: None } => write!(f, "suspended: {reason}"),
            Self::Failed { reason } => {
                write!(f, "failed here, held until a commit changes the service: {reason}")
            }
            Self::Policy { denied } => {
                write!(f, "this node's policy denies it; agent.toml would allow it with: ")?;
                f.write_str(&denied.join("; "))
            }
            Self::Brake { removing, of } => write!(
                f,
                "{removing} of {of} containers would be removed at once: allow it with a trailer \
                 `Allow-Removal: <service>` or `apply --allow-removal <service>`"
            ),
            Self::Foreign { name } => {
                write!(f, "`{name}` exists and was not made by this node: remove or rename it")
            }
            Self::Missing { name } => {
                write!(f, "`{name}` is external and does not exist: make it, or drop `external`")
            }
            Self::Immutable { name } => write!(
                f,
                "volume `{name}` exists with other settings, which cannot change in place, and its \
                 data is never dropped: give the volume another key in the service; or, if the data \
                 may go or was saved, suspend the service, remove its containers and the volume by \
                 hand, and resume it"
            ),
            Self::InUse { name, by } => write!(
                f,
                "network `{name}` has to be made anew for its new settings, but {} on it: \
                 disconnect or remove what is not this service's, or give the network another key \
                 in the service",
                users(by)
            ),
            Self::Unknown { name, reason } => {
                write!(f, "the engine does not show {name}: {reason}")
            }
            Self::Image { reason } => write!(f, "image: {reason}"),
            Self::Hub { reason } => write!(f, "hub: an image is not there yet: {reason}"),
            Self::Later { reason } => write!(f, "could not be done for now, tried again: {reason}"),
            Self::Taken { port, by } => {
                write!(f, "host port {port} still belongs to `{by}`: waits until that is removed")
            }
            Self::Exchange { port, by } => write!(
                f,
                "host port {port} belongs to `{by}`, whose service waits for this one in turn: first \
                 give one of them a port that is free, in a commit of its own"
            ),
            Self::Unseen { path, reason } => {
                write!(f, "where {path} leads cannot be seen: {reason}")
            }
            Self::NodeUndeclared => {
                f.pad("the revision has no document for this node: what runs is kept")
            }
        }
    }
}

impl HeldReason {
    /// What kind of reason it is, in a word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Window { .. } => "window",
            Self::Freeze { .. } => "freeze",
            Self::Suspended { .. } => "suspended",
            Self::Failed { .. } => "failed",
            Self::Policy { .. } => "policy",
            Self::Brake { .. } => "brake",
            Self::Foreign { .. } => "foreign",
            Self::Missing { .. } => "missing",
            Self::Immutable { .. } => "immutable",
            Self::InUse { .. } => "in_use",
            Self::Unknown { .. } => "unknown",
            Self::Image { .. } => "image",
            Self::Hub { .. } => "hub",
            Self::NodeUndeclared => "node_undeclared",
            Self::Later { .. } => "later",
            Self::Taken { .. } => "taken",
            Self::Exchange { .. } => "exchange",
            Self::Unseen { .. } => "unseen",
        }
    }
}
