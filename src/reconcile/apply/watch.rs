//! Watches containers until they are what they must be, or certainly will not be.
//!
//! In: a container's name, what it must become. Out: nothing, or what is wrong with it, with its
//! last words. Effect: reads the engine.

use std::time::Duration;

use tokio::time::Instant;

use crate::clients::docker::{ContainerInspect, ContainerState, DockerRead};
use crate::reconcile::apply::outcome::StepError;
use crate::reconcile::plan::{AwaitCondition, Gate};

/// First pause between two looks; it doubles up to [`POLL_MAX`], so that a fast start is seen fast.
const POLL_MIN: Duration = Duration::from_millis(10);

/// Longest pause between two looks: one inspect takes under a millisecond.
const POLL_MAX: Duration = Duration::from_millis(500);

/// Lines of a container's output that a failure quotes.
const LOG_LINES_MAX: u32 = 10;

/// Bytes of output that a failure quotes, from the end.
const LOG_BYTES_MAX: usize = 2_000;

/// Restarts during one gate from which it is a crash loop.
const RESTARTS_MAX: i64 = 0;

struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self { next: POLL_MIN }
    }

    async fn pause(&mut self, until: Instant) {
        tokio::time::sleep_until((Instant::now() + self.next).min(until)).await;
        self.next = (self.next * 2).min(POLL_MAX);
    }
}

/// What one look says.
enum Look {
    Good,
    Wait,
    Bad(String),
}

/// Looks until `judge` is content, at most for `timeout`.
async fn watch<D: DockerRead>(
    docker: &D,
    name: &str,
    timeout: Duration,
    mut judge: impl FnMut(&ContainerInspect) -> Look,
) -> Result<ContainerInspect, StepError> {
    let deadline = Instant::now() + timeout;
    let mut pauses = Pauses::new();
    let mut lost = false;
    let bad = |reason: String| StepError::Unhealthy { name: name.to_owned(), reason };
    loop {
        let late = Instant::now() >= deadline;
        match docker.container(name).await {
            Ok(Some(inspect)) => match judge(&inspect) {
                Look::Good => return Ok(inspect),
                Look::Bad(_) if lost => {
                    return Err(StepError::EngineLost { name: name.to_owned() });
                }
                Look::Bad(reason) => {
                    return Err(bad(format!("{reason}{}", last_words(docker, &inspect).await)));
                }
                Look::Wait if late => {
                    let words = last_words(docker, &inspect).await;
                    return Err(bad(format!("{}{words}", still(&inspect, timeout))));
                }
                Look::Wait => {}
            },
            // Removed under our eyes: nothing is known against the version.
            Ok(None) => return Err(StepError::NotOurs { name: name.to_owned() }),
            Err(_) if late => return Err(StepError::EngineLost { name: name.to_owned() }),
            Err(_) => lost = true,
        }
        pauses.pause(deadline).await;
    }
}

fn still(inspect: &ContainerInspect, timeout: Duration) -> String {
    let state = match &inspect.health {
        Some(health) => format!("is still {health}"),
        None => format!("is still {:?}", inspect.state).to_lowercase(),
    };
    format!("{state} after {}", crate::model::duration::format_duration(timeout))
}

/// Why a container that must keep running does not, if so.
fn broken(inspect: &ContainerInspect) -> Option<String> {
    match &inspect.state {
        ContainerState::Exited | ContainerState::Dead | ContainerState::Removing => {
            let error = if inspect.error.is_empty() {
                String::new()
            } else {
                format!(": {}", inspect.error)
            };
            Some(format!("exited with code {}{error}", inspect.exit_code))
        }
        ContainerState::Restarting => {
            Some(format!("crashed with code {} and is restarted", inspect.exit_code))
        }
        ContainerState::Created => Some("was made but does not run".to_owned()),
        _ => None,
    }
}

/// Waits until a container is healthy, or without a health check has run for `stable`.
async fn gate_one<D: DockerRead>(docker: &D, name: &str, gate: &Gate) -> Result<(), StepError> {
    let mut since: Option<(Instant, String, i64)> = None;
    let timeout = gate.health_timeout.max(gate.stable);
    watch(docker, name, timeout, |inspect| {
        if let Some(reason) = broken(inspect) {
            return Look::Bad(reason);
        }
        let (from, started, restarts) = since.get_or_insert_with(|| {
            (Instant::now(), inspect.started_at.clone(), inspect.restart_count)
        });
        if inspect.restart_count - *restarts > RESTARTS_MAX || inspect.started_at != *started {
            return Look::Bad(format!("restarted within {:?} of its start", gate.stable));
        }
        match inspect.health.as_deref() {
            Some("healthy") => Look::Good,
            Some("unhealthy") => Look::Bad("is unhealthy".to_owned()),
            Some("none") | None
                if inspect.state == ContainerState::Running && from.elapsed() >= gate.stable =>
            {
                Look::Good
            }
            _ => Look::Wait,
        }
    })
    .await
    .map(drop)
}

/// Waits until every container of the gate has passed it.
pub(crate) async fn gate<D: DockerRead>(docker: &D, gate: &Gate) -> Result<(), StepError> {
    let all = gate.containers.iter().map(|name| gate_one(docker, name, gate));
    futures_util::future::try_join_all(all).await.map(drop)
}

/// Waits until a dependency has reached its condition.
pub(crate) async fn condition<D: DockerRead>(
    docker: &D,
    name: &str,
    condition: AwaitCondition,
    timeout: Duration,
) -> Result<(), StepError> {
    watch(docker, name, timeout, |inspect| {
        if let Some(reason) = broken(inspect) {
            return Look::Bad(reason);
        }
        let running = inspect.state == ContainerState::Running;
        match (condition, inspect.health.as_deref()) {
            (AwaitCondition::Running, _) if running => Look::Good,
            (AwaitCondition::Healthy, Some("healthy")) => Look::Good,
            (AwaitCondition::Healthy, Some("unhealthy")) => Look::Bad("is unhealthy".to_owned()),
            (AwaitCondition::Healthy, None | Some("none")) => {
                Look::Bad("has no health check that another container waits for".to_owned())
            }
            _ => Look::Wait,
        }
    })
    .await
    .map(drop)
}

/// Waits until a run-once container has exited 0.
pub(crate) async fn completed<D: DockerRead>(
    docker: &D,
    name: &str,
    timeout: Duration,
) -> Result<(), StepError> {
    watch(docker, name, timeout, |inspect| match (&inspect.state, inspect.exit_code) {
        (ContainerState::Exited, 0) => Look::Good,
        (ContainerState::Exited | ContainerState::Dead, code) => {
            Look::Bad(format!("exited with code {code}"))
        }
        _ => Look::Wait,
    })
    .await
    .map(drop)
}

/// What a container said last: its health check if it has one, and its output.
async fn last_words<D: DockerRead>(docker: &D, inspect: &ContainerInspect) -> String {
    let mut words = String::new();
    if let Some(log) = inspect.health_log.as_deref().map(str::trim).filter(|log| !log.is_empty()) {
        words = format!("; health check: {}", tail(log));
    }
    if let Ok(log) = docker.logs(&inspect.id, LOG_LINES_MAX).await {
        let log = log.trim();
        if !log.is_empty() {
            words = format!("{words}; last output: {}", tail(log));
        }
    }
    words
}

/// The end of a text, on a character's boundary.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(LOG_BYTES_MAX);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(from..).unwrap_or_default()
}
