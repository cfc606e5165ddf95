//! `container`: how the containers of services run.
//!
//! What is not ours is the business of `unmanaged_container`.

use crate::compliance::facts::{FactValue, Row};
use crate::compliance::kind::{FactSight, Judgement, listed};
use crate::compliance::matching::like;
use crate::model::ServiceName;
use crate::reconcile::desired::container::{DesiredContainer, Run};
use crate::reconcile::desired::rule::Target;
use crate::reconcile::desired::rule::kind::ContainerRule;

/// Judges it.
pub(super) fn judge(rule: &ContainerRule, sight: FactSight<'_>) -> Judgement {
    let rows = match sight.rows("container") {
        Ok(rows) => rows,
        Err(reason) => return Judgement::Error { reason },
    };
    let own: Vec<&Row> = rows.iter().filter(|row| meant(rule, sight, row)).collect();
    let mut found = Vec::new();
    for row in &own {
        let Ok(complaints) = complaints(rule, row, runs_on(sight, row)) else {
            let reason = format!("the engine does not show {} whole", row.text("name"));
            return Judgement::Error { reason };
        };
        if !complaints.is_empty() {
            found.push(format!("{} {}", row.text("name"), complaints.join(", ")));
        }
    }
    let alive = !(rule.states.is_empty() && rule.healths.is_empty());
    let missing = missing(rule, sight, &own);
    if alive {
        found.extend(missing.into_iter().map(|name| format!("{name} is not there")));
    }
    if own.is_empty() && found.is_empty() {
        let reason = "no container that it is about is here".to_owned();
        return Judgement::NotApplicable { reason };
    }
    let expected = wanted(rule);
    if found.is_empty() {
        return Judgement::Ok { expected };
    }
    let fix = Err("containers are what their service says: change that, or the rule".to_owned());
    Judgement::NotOk { expected, actual: listed(&found), fix }
}

fn fits(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| like(pattern, name))
}

fn of_target(target: &Target, service: &str) -> bool {
    match target {
        Target::Node => !service.is_empty(),
        Target::Service(name) => name.as_str() == service,
    }
}

fn meant(rule: &ContainerRule, sight: FactSight<'_>, row: &Row) -> bool {
    of_target(sight.target, row.text("service")) && fits(&rule.containers, row.text("container"))
}

/// Whether it is meant to keep running: what runs once, or nobody asks for, is not.
fn runs_on(sight: FactSight<'_>, row: &Row) -> bool {
    let service = row.text("service").parse::<ServiceName>().ok();
    let service = service.and_then(|name| sight.desired.services.get(&name));
    let mut containers = service.into_iter().flat_map(|service| service.containers.values());
    containers.any(|c| c.name.as_str() == row.text("container") && c.run == Run::Always)
}

/// Containers that should keep running and of which nothing is there.
fn missing(rule: &ContainerRule, sight: FactSight<'_>, own: &[&Row]) -> Vec<String> {
    let mut names = Vec::new();
    for service in sight.desired.services.values() {
        if !of_target(sight.target, service.name.as_str()) {
            continue;
        }
        let there = |wanted: &DesiredContainer| {
            own.iter().any(|row| {
                row.text("service") == service.name.as_str()
                    && row.text("container") == wanted.name.as_str()
            })
        };
        for wanted in service.containers.values() {
            let counts = wanted.run == Run::Always && fits(&rule.containers, wanted.name.as_str());
            if counts && !there(wanted) {
                names.push(format!("{}/{}", service.name, wanted.name));
            }
        }
    }
    names
}

/// The engine does not show what a parameter asks for.
struct NotShown;

fn text<'a>(row: &'a Row, field: &str) -> Result<&'a str, NotShown> {
    row.get(field).map(|_| row.text(field)).ok_or(NotShown)
}

fn number(row: &Row, field: &str) -> Result<i64, NotShown> {
    match row.get(field) {
        Some(FactValue::Number(number)) => Ok(*number),
        _ => Err(NotShown),
    }
}

fn truth(row: &Row, field: &str) -> Result<bool, NotShown> {
    match row.get(field) {
        Some(FactValue::Boolean(truth)) => Ok(*truth),
        _ => Err(NotShown),
    }
}

/// What of a container is not as the rule wants it.
fn complaints(rule: &ContainerRule, row: &Row, runs_on: bool) -> Result<Vec<String>, NotShown> {
    let mut found = life(rule, row, runs_on)?;
    found.extend(rights(rule, row)?);
    for (max, field, what) in [
        (rule.memory_max, "memory_limit", "bytes of memory"),
        (rule.cpu_millis_max, "cpu_millis", "thousandths of a processor"),
        (rule.pids_max, "pids_limit", "processes"),
    ] {
        let Some(max) = max else { continue };
        match number(row, field)? {
            0 => found.push(format!("has no limit of {what}")),
            limit if limit > max => found.push(format!("may use {limit} {what}")),
            _ => {}
        }
    }
    Ok(found)
}

fn life(rule: &ContainerRule, row: &Row, runs_on: bool) -> Result<Vec<String>, NotShown> {
    let mut found = Vec::new();
    if runs_on && !rule.states.is_empty() && !rule.states.iter().any(|s| s == row.text("state")) {
        found.push(format!("is {}", row.text("state")));
    }
    if runs_on && !rule.healths.is_empty() {
        let health = text(row, "health")?;
        if !rule.healths.iter().any(|wanted| wanted == health) {
            found.push(match health {
                "none" => "has no health check".to_owned(),
                health => format!("is {health}"),
            });
        }
    }
    if let Some(max) = rule.restarts_max {
        let restarts = number(row, "restarts")?;
        if restarts > max {
            found.push(format!("was restarted {restarts} times"));
        }
    }
    Ok(found)
}

fn rights(rule: &ContainerRule, row: &Row) -> Result<Vec<String>, NotShown> {
    let mut found = Vec::new();
    for (wanted, field, yes, no) in [
        (rule.privileged, "privileged", "is privileged", "is not privileged"),
        (rule.read_only, "read_only", "has a read-only root", "can write to its root"),
        (rule.no_new_privileges, "no_new_privileges", "gains none", "can gain privileges"),
    ] {
        let Some(wanted) = wanted else { continue };
        let is = truth(row, field)?;
        if is != wanted {
            found.push(if is { yes } else { no }.to_owned());
        }
    }
    if let Some(allowed) = &rule.host_namespaces {
        let shared = text(row, "host_namespaces")?.split(',').filter(|name| !name.is_empty());
        let shared: Vec<&str> = shared.filter(|name| !allowed.iter().any(|a| a == name)).collect();
        if !shared.is_empty() {
            found.push(format!("shares the host's {}", shared.join(", ")));
        }
    }
    if let Some(root) = rule.root {
        let user = text(row, "user")?;
        if is_root(user) != root {
            found.push(if root { format!("runs as {user}") } else { "runs as root".to_owned() });
        }
    }
    if !rule.users.is_empty() {
        let user = text(row, "user")?;
        let user = if user.is_empty() { "root" } else { user };
        if !rule.users.iter().any(|pattern| like(pattern, user)) {
            found.push(format!("runs as {user}"));
        }
    }
    if let Some(allowed) = &rule.cap_add {
        let given = text(row, "cap_add")?.split(',').filter(|name| !name.is_empty());
        let given: Vec<&str> = given.filter(|name| !allowed.iter().any(|a| a == name)).collect();
        if !given.is_empty() {
            found.push(format!("was given {}", given.join(", ")));
        }
    }
    if !rule.cap_drop.is_empty() {
        let lost: Vec<&str> = text(row, "cap_drop")?.split(',').collect();
        let kept = |name: &&String| !lost.contains(&"ALL") && !lost.contains(&name.as_str());
        let kept: Vec<&str> = rule.cap_drop.iter().filter(kept).map(String::as_str).collect();
        if !kept.is_empty() {
            found.push(format!("keeps {}", kept.join(", ")));
        }
    }
    Ok(found)
}

/// `user[:group]`; nothing is root.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name == "root" || name.is_empty() || name.bytes().all(|b| b == b'0')
}

/// The rule in a line.
fn wanted(rule: &ContainerRule) -> String {
    let mut parts = Vec::new();
    let mut one_of = |what: &str, names: &[String]| {
        if !names.is_empty() {
            parts.push(format!("{what}{}", names.join(" or ")));
        }
    };
    one_of("", &rule.states);
    one_of("health ", &rule.healths);
    one_of("user ", &rule.users);
    one_of("without ", &rule.cap_drop);
    for (truth, yes, no) in [
        (rule.privileged, "privileged", "not privileged"),
        (rule.read_only, "read-only", "not read-only"),
        (rule.root, "root", "not root"),
        (rule.no_new_privileges, "no new privileges", "new privileges"),
    ] {
        parts.extend(truth.map(|truth| if truth { yes } else { no }.to_owned()));
    }
    for (what, allowed) in
        [("host namespaces", &rule.host_namespaces), ("capabilities added", &rule.cap_add)]
    {
        let Some(allowed) = allowed else { continue };
        let names = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        parts.push(format!("{what}: {names}"));
    }
    for (what, max) in [
        ("restarts", rule.restarts_max),
        ("bytes of memory", rule.memory_max),
        ("thousandths of a processor", rule.cpu_millis_max),
        ("processes", rule.pids_max),
    ] {
        parts.extend(max.map(|max| format!("at most {max} {what}")));
    }
    parts.join(", ")
}
