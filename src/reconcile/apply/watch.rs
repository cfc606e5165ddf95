//! Watches containers until they are what they must be, or certainly will not be.
//!
//! In: a container's name, what it must become. Out: nothing, or what is wrong with it, with its
//! last words. Effect: reads the engine.
//!
//! # Guarantees
//! * Waiting goes by the monotonic clock. The wall clock only shortens it, to what is left since the
//!   container's start, and never below what a look needs: a crash of ours lengthens no gate, and a
//!   clock that is set passes or fails none.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::clients::docker::{ContainerInspect, ContainerState, DockerRead};
use crate::reconcile::apply::outcome::StepError;
use crate::reconcile::plan::{AwaitCondition, Gate, Kept};

/// First pause between two looks; it doubles up to [`POLL_MAX`], so that a fast start is seen fast.
const POLL_MIN: Duration = Duration::from_millis(10);

/// Longest pause between two looks: one inspect takes under a millisecond.
const POLL_MAX: Duration = Duration::from_millis(500);

/// What a container is given in any case, though its time seems to be over at the first look.
const LEAST: Duration = Duration::from_secs(10);

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

/// How much of `timeout` a container that started at `started_at` has left: what went by before the
/// first look, as before a crash of ours, counts. Two clocks are compared, and both can be wrong, so
/// that it always gets `least`.
fn left(timeout: Duration, least: Duration, started_at: &str, now: Timestamp) -> Duration {
    let since = started_at.parse::<Timestamp>().ok().map(|at| now.duration_since(at));
    // One that has never run, or started in the future, has all of it.
    let gone = since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default();
    let never = started_at.starts_with("0001-");
    if never { timeout } else { timeout.saturating_sub(gone).max(least.min(timeout)) }
}

/// How long a container has to become what it must be.
#[derive(Debug, Clone, Copy)]
struct Limit {
    timeout: Duration,
    /// At least so long from the first look.
    least: Duration,
}

/// Looks until `judge` is content, at most for the limit. `judge` learns how long has been looked.
async fn watch<D: DockerRead>(
    docker: &D,
    clock: &dyn Fn() -> Timestamp,
    name: &str,
    limit: Limit,
    mut judge: impl FnMut(&ContainerInspect, Duration) -> Look,
) -> Result<ContainerInspect, StepError> {
    let mut deadline = Instant::now() + limit.timeout;
    let mut first: Option<Instant> = None;
    let mut pauses = Pauses::new();
    let mut lost = false;
    let bad = |reason: String| StepError::Unhealthy { name: name.to_owned(), reason };
    loop {
        let answer = docker.container(name).await;
        let now = Instant::now();
        if let (Ok(Some(inspect)), None) = (&answer, first) {
            first = Some(now);
            deadline = now + left(limit.timeout, limit.least, &inspect.started_at, clock());
        }
        let late = now >= deadline;
        let looked = first.map(|first| now - first).unwrap_or_default();
        match answer {
            Ok(Some(inspect)) => match judge(&inspect, looked) {
                Look::Good => return Ok(inspect),
                Look::Bad(_) if lost => {
                    return Err(StepError::EngineLost { name: name.to_owned() });
                }
                Look::Bad(reason) => {
                    return Err(bad(format!("{reason}{}", last_words(docker, &inspect).await)));
                }
                Look::Wait if late => {
                    let words = last_words(docker, &inspect).await;
                    return Err(bad(format!("{}{words}", still(&inspect, limit.timeout))));
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

/// Waits until a container is healthy, or without a health check has run for `stable` under our
/// eyes: by the engine's own words alone a clock that is set would pass it.
async fn gate_one<D: DockerRead>(
    docker: &D,
    clock: &dyn Fn() -> Timestamp,
    name: &str,
    gate: &Gate,
) -> Result<(), StepError> {
    let mut since: Option<(String, i64, Duration)> = None;
    let kept = gate.kept.get(name).copied();
    let timeout = gate.health_timeout.max(gate.stable);
    // How long ago one that was kept has started says nothing.
    let least = if kept.is_some() { timeout } else { gate.stable };
    watch(docker, clock, name, Limit { timeout, least }, |inspect, looked| {
        if let Some(wrong) = wrong(inspect, AwaitCondition::Healthy, kept) {
            since = None;
            return wrong;
        }
        let (started, restarts, from) = since
            .get_or_insert_with(|| (inspect.started_at.clone(), inspect.restart_count, looked));
        if inspect.restart_count - *restarts > RESTARTS_MAX || inspect.started_at != *started {
            return Look::Bad(format!("restarted within {:?} of its start", gate.stable));
        }
        match inspect.health.as_deref() {
            Some("healthy") => Look::Good,
            Some("none") | None
                if inspect.state == ContainerState::Running
                    && looked.saturating_sub(*from) >= gate.stable =>
            {
                Look::Good
            }
            _ => Look::Wait,
        }
    })
    .await
    .map(drop)
}

/// What keeps a container from `condition`, if anything certainly does. One that was kept may be ill
/// for a moment, and one that was ill already may be so until its time is over.
fn wrong(
    inspect: &ContainerInspect,
    condition: AwaitCondition,
    kept: Option<Kept>,
) -> Option<Look> {
    let broken = broken(inspect);
    let is_ill =
        condition == AwaitCondition::Healthy && inspect.health.as_deref() == Some("unhealthy");
    let waits = match kept {
        Some(Kept::Ailing) => true,
        Some(Kept::Well) => broken.is_none(),
        None => false,
    };
    let reason = broken.or_else(|| is_ill.then(|| "is unhealthy".to_owned()))?;
    Some(if waits { Look::Wait } else { Look::Bad(reason) })
}

/// Waits until every container of the gate has passed it, and all are well at the end: the first to
/// pass may have died while the last was awaited.
pub(crate) async fn gate<D: DockerRead>(
    docker: &D,
    clock: &dyn Fn() -> Timestamp,
    gate: &Gate,
) -> Result<(), StepError> {
    let all = gate.containers.iter().map(|name| gate_one(docker, clock, name, gate));
    futures_util::future::try_join_all(all).await?;
    if let [_, _, ..] = gate.containers[..] {
        let once = Limit { timeout: LEAST, least: LEAST };
        let last = gate.containers.iter().map(|name| {
            watch(docker, clock, name, once, |inspect, _| {
                let kept = gate.kept.get(name).copied();
                wrong(inspect, AwaitCondition::Healthy, kept).unwrap_or(Look::Good)
            })
        });
        futures_util::future::try_join_all(last).await?;
    }
    Ok(())
}

/// Waits until a container has reached its condition.
pub(crate) async fn condition<D: DockerRead>(
    docker: &D,
    clock: &dyn Fn() -> Timestamp,
    name: &str,
    condition: AwaitCondition,
    kept: Option<Kept>,
    timeout: Duration,
) -> Result<(), StepError> {
    if condition == AwaitCondition::Ended {
        return ended(docker, clock, name, timeout).await;
    }
    let least = if kept.is_some() { timeout } else { LEAST };
    watch(docker, clock, name, Limit { timeout, least }, |inspect, _| {
        if let Some(wrong) = wrong(inspect, condition, kept) {
            return wrong;
        }
        let running = inspect.state == ContainerState::Running;
        match (condition, inspect.health.as_deref()) {
            (AwaitCondition::Running, _) if running => Look::Good,
            (AwaitCondition::Healthy, Some("healthy")) => Look::Good,
            (AwaitCondition::Healthy, None | Some("none")) => {
                Look::Bad("has no health check that another container waits for".to_owned())
            }
            _ => Look::Wait,
        }
    })
    .await
    .map(drop)
}

/// Waits until a container does not run any more, or is not there; one that takes too long is left to
/// the stop that follows.
async fn ended<D: DockerRead>(
    docker: &D,
    clock: &dyn Fn() -> Timestamp,
    name: &str,
    timeout: Duration,
) -> Result<(), StepError> {
    let limit = Limit { timeout, least: LEAST };
    let ended = watch(docker, clock, name, limit, |inspect, _| match inspect.state {
        ContainerState::Running => Look::Wait,
        _ => Look::Good,
    });
    match ended.await {
        Err(error @ StepError::EngineLost { .. }) => Err(error),
        _ => Ok(()),
    }
}

/// Waits until a run-once container has exited 0.
pub(crate) async fn completed<D: DockerRead>(
    docker: &D,
    clock: &dyn Fn() -> Timestamp,
    name: &str,
    timeout: Duration,
) -> Result<(), StepError> {
    watch(docker, clock, name, Limit { timeout, least: LEAST }, |inspect, _| {
        match (&inspect.state, inspect.exit_code) {
            (ContainerState::Exited, 0) => Look::Good,
            (ContainerState::Exited | ContainerState::Dead, code) => {
                Look::Bad(format!("exited with code {code}"))
            }
            _ => Look::Wait,
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::reconcile::apply::watch::left;

    #[test]
    fn what_went_by_before_the_first_look_counts_and_a_clock_that_is_wrong_does_no_harm() {
        let secs = Duration::from_secs;
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        for (started_at, n_left) in [
            ("2026-03-02T12:00:00Z", 60),
            ("2026-03-02T11:59:20.5Z", 20),
            ("2026-03-02T11:00:00Z", 10),
            ("2016-03-02T12:00:00Z", 10),
            ("2036-03-02T12:00:00Z", 60),
            ("0001-01-01T00:00:00Z", 60),
            ("", 60),
        ] {
            let found = left(secs(60), secs(10), started_at, now);
            assert_eq!(found.as_secs(), n_left, "{started_at}");
        }
        assert_eq!(left(secs(2), secs(10), "2016-03-02T12:00:00Z", now), secs(2));
    }
}
