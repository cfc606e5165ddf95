//! The built-in rule: rule → definition → running container, one verdict for every container.
//!
//! In: what should run, what was applied, what runs. Out: [`Verdict`]s. Pure.
//!
//! # Guarantees
//! * A container is ok only if it provably runs the image that the newest verified commit pins.
//! * When it does not, the verdict names the first link that is broken.
//! * A container of ours that no rule asks for has a verdict, too.

use std::collections::BTreeMap;

use crate::clients::docker::ContainerState;
use crate::compliance::verdict::{Link, Verdict, VerdictStatus};
use crate::model::{ContainerName, ServiceName};
use crate::reconcile::desired::container::{DesiredContainer, Pin, Run};
use crate::reconcile::desired::rule::RuleSeverity;
use crate::reconcile::desired::{DesiredService, DesiredState, PinSource};
use crate::reconcile::observed::{ObservedContainer, ObservedState};
use crate::reconcile::plan::fields::image_matches;

/// The built-in kind's name.
pub const KIND: &str = "image";

/// What the three links are read from.
#[derive(Debug, Clone, Copy)]
pub struct ImageInput<'a> {
    /// The rule: what the newest verified commit pins.
    pub desired: &'a DesiredState,
    /// The definition: what is in force here, by service; a service that was never applied is absent.
    pub in_force: &'a BTreeMap<ServiceName, DesiredService>,
    /// The container: what the engine shows.
    pub observed: &'a ObservedState,
}

/// One verdict for each container that should run, or does.
pub fn judge(input: ImageInput<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for service in input.desired.services.values() {
        for container in service.containers.values() {
            verdicts.push(chain(input, service, container));
        }
    }
    for (service, containers) in &input.observed.services {
        for container in containers {
            let wanted = input.desired.services.get(service);
            let known = wanted.is_some_and(|s| s.containers.contains_key(&container.owned.key));
            if !known {
                verdicts.push(stray(input, service, container));
            }
        }
    }
    verdicts
}

/// The same verdicts where the engine does not answer: nobody knows, and why.
pub fn unknown(desired: &DesiredState, reason: &str) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for service in desired.services.values() {
        for container in service.containers.values() {
            let mut verdict = named(desired, service, container);
            verdict.status = VerdictStatus::Unknown;
            verdict.reason = Some(reason.to_owned());
            verdicts.push(verdict);
        }
    }
    verdicts
}

/// A pin for people: what a running container is compared with.
fn shown(pin: &Pin) -> String {
    let version = pin.version.as_ref().map(|v| format!(" ({v})")).unwrap_or_default();
    match (&pin.digest, &pin.image_id) {
        (Some(digest), _) => format!("{}@sha256:{}…{version}", pin.repository, digest.short()),
        (None, Some(id)) => {
            let short: String = id.to_string().chars().take(19).collect();
            format!("image_id {short}…{version}")
        }
        (None, None) => "no image".to_owned(),
    }
}

fn same_image(a: &Pin, b: &Pin) -> bool {
    (a.digest.is_some() && a.digest == b.digest)
        || (a.image_id.is_some() && a.image_id == b.image_id)
}

/// A container's verdict before anything was looked at.
fn named(desired: &DesiredState, service: &DesiredService, wanted: &DesiredContainer) -> Verdict {
    let mut verdict = base(desired, &service.name, &wanted.name);
    verdict.expected = shown(&wanted.pin);
    let is_it = |pin: &PinSource| pin.service == service.name && pin.container == wanted.name;
    let ruleset = desired.pins.iter().find(|pin| is_it(pin)).and_then(|p| p.ruleset.as_ref());
    verdict.rule = match ruleset {
        Some(ruleset) => format!("{ruleset}/{}.image", wanted.name),
        None => format!("services/{}/{}.image", service.name, wanted.name),
    };
    verdict
}

fn chain(input: ImageInput<'_>, service: &DesiredService, wanted: &DesiredContainer) -> Verdict {
    let mut verdict = named(input.desired, service, wanted);
    let definition = input.in_force.get(&service.name).and_then(|s| s.containers.get(&wanted.name));
    let all = input.observed.services.get(&service.name).map_or(&[][..], Vec::as_slice);
    let running: Vec<&ObservedContainer> =
        all.iter().filter(|container| container.owned.key == wanted.name).collect();
    let not_ok = |link: Link, actual: String, mut verdict: Verdict| {
        verdict.status = VerdictStatus::NotOk;
        verdict.broken = Some(link);
        verdict.actual = actual;
        verdict
    };
    match definition {
        Some(definition) if same_image(&definition.pin, &wanted.pin) => {}
        Some(definition) => {
            let actual = format!("the definition in force asks for {}", shown(&definition.pin));
            return not_ok(Link::Definition, actual, verdict);
        }
        None => {
            let actual = "no definition is in force here yet".to_owned();
            return not_ok(Link::Definition, actual, verdict);
        }
    }
    let hidden = input.observed.unknown.iter().find(|container| {
        container.owned.service == service.name && container.owned.key == wanted.name
    });
    if let Some(hidden) = hidden {
        verdict.status = VerdictStatus::Unknown;
        verdict.reason = Some(format!("the engine does not show it: {}", hidden.reason));
        return verdict;
    }
    let matches = |container: &ObservedContainer| {
        let id = &container.inspect.image_id;
        image_matches(&wanted.pin, id, input.observed.images.get(id))
    };
    let other = running.iter().find(|c| c.is_running() && !matches(c));
    let right = running.iter().find(|c| matches(c));
    match (right, other, wanted.run) {
        (_, Some(other), _) => not_ok(Link::Container, runs(other), verdict),
        (Some(right), None, run) if run == Run::Once || right.is_running() => {
            verdict.actual = runs(right);
            verdict
        }
        (Some(right), None, _) => not_ok(Link::Container, runs(right), verdict),
        (None, None, Run::Once) => {
            verdict.status = VerdictStatus::NotApplicable;
            verdict.reason = Some("it runs once, and nothing of it is left".to_owned());
            verdict
        }
        (None, None, Run::Always) => {
            let actual =
                running.first().map_or_else(|| "no container runs".to_owned(), |c| runs(c));
            not_ok(Link::Container, actual, verdict)
        }
    }
}

fn runs(container: &ObservedContainer) -> String {
    let inspect = &container.inspect;
    let short: String = inspect.image_id.chars().take(19).collect();
    let verb = match inspect.state {
        ContainerState::Running => "runs",
        _ => "does not run; it is of",
    };
    format!("{} {verb} {short}…", inspect.name)
}

/// A container of ours that nothing asks for.
fn stray(input: ImageInput<'_>, service: &ServiceName, container: &ObservedContainer) -> Verdict {
    let mut verdict = base(input.desired, service, &container.owned.key);
    "(none)".clone_into(&mut verdict.rule);
    verdict.status = VerdictStatus::NotOk;
    verdict.broken = Some(Link::Rule);
    "no container".clone_into(&mut verdict.expected);
    verdict.actual = runs(container);
    verdict.reason = Some("no rule of this revision pins an image for it".to_owned());
    verdict
}

fn base(desired: &DesiredState, service: &ServiceName, container: &ContainerName) -> Verdict {
    let revision = &desired.revision;
    Verdict {
        rule: String::new(),
        kind: KIND.to_owned(),
        target: format!("{service}.{}/{container}", revision.environment()),
        service: Some(service.clone()),
        severity: RuleSeverity::Critical,
        status: VerdictStatus::Ok,
        expected: String::new(),
        actual: String::new(),
        reason: None,
        broken: None,
        fixable: false,
        revision: revision.clone(),
        source: None,
        since: None,
    }
}
