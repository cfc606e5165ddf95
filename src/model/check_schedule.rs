//! When rules are checked: within windows, at an interval, spread over nodes.
//!
//! In: `Mon-Fri 08:00-18:00 Europe/Paris @30m`, a node's share, a time. Out: the next time. Pure.
//!
//! # Guarantees
//! * Nodes with different shares begin at different moments of the interval, or of the window where
//!   there is no interval; one node always at the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::Window;
use crate::model::duration::parse_duration;

/// More often than this, checking would be what the node does.
const EVERY_MIN: Duration = Duration::from_secs(60);
/// More rarely than this, nobody would call it checked.
const EVERY_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// A text that is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{input}` is not a schedule: {reason}; write `[[days] HH:MM-HH:MM Zone] [@interval]`, for example `@1h` or `Mon-Fri 08:00-18:00 Europe/Paris @30m`"
)]
pub struct CheckScheduleError {
    /// The text as given.
    pub input: String,
    /// What is wrong with it.
    pub reason: String,
}

/// When rules are checked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(into = "String")]
pub struct CheckSchedule {
    /// Within which spans; always if there is none.
    window: Option<Window>,
    /// How often; once a span if it is not said.
    every: Option<Duration>,
    text: String,
}

/// Which part of an interval a node waits: the same at any time, another for each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// From 32 bits of a digest of the node's name.
    pub fn of(bits: u32) -> Self {
        Self(bits)
    }

    fn part(self, whole: SignedDuration) -> SignedDuration {
        let secs = whole.as_secs().saturating_mul(i64::from(self.0)) >> 32;
        SignedDuration::from_secs(secs)
    }
}

impl Default for CheckSchedule {
    /// Every hour.
    fn default() -> Self {
        Self { window: None, every: Some(Duration::from_secs(3600)), text: "@1h".to_owned() }
    }
}

impl CheckSchedule {
    /// The first time after `at`; `None` only if no such time can be represented.
    pub fn next(&self, at: Timestamp, share: Share) -> Option<Timestamp> {
        let every =
            self.every.map(|every| SignedDuration::from_secs(every.as_secs().cast_signed()));
        let Some(window) = &self.window else {
            return first_after(at, Timestamp::UNIX_EPOCH, every?, share);
        };
        window.spans(at).find_map(|(start, end)| {
            let whole = end.duration_since(start);
            let found = match every.filter(|every| *every < whole) {
                Some(every) => {
                    first_after(at.max(start - SignedDuration::from_secs(1)), start, every, share)?
                }
                None => start.checked_add(share.part(whole)).ok()?,
            };
            (found > at && found < end).then_some(found)
        })
    }
}

/// The first of `start` + share, and every so long after it, that lies after `at`.
fn first_after(
    at: Timestamp,
    start: Timestamp,
    every: SignedDuration,
    share: Share,
) -> Option<Timestamp> {
    let first = start.checked_add(share.part(every)).ok()?;
    let secs = at.duration_since(first).as_secs();
    let n = if at < first { 0 } else { secs / every.as_secs() + 1 };
    first.checked_add(SignedDuration::from_secs(every.as_secs().checked_mul(n)?)).ok()
}

impl FromStr for CheckSchedule {
    type Err = CheckScheduleError;
    fn from_str(input: &str) -> Result<Self, CheckScheduleError> {
        let error = |reason: String| CheckScheduleError { input: input.to_owned(), reason };
        let (window, every) = match input.split_once('@') {
            Some((window, every)) => (window.trim(), Some(every.trim())),
            None => (input.trim(), None),
        };
        let every = every.map(parse_duration).transpose().map_err(|e| error(e.to_string()))?;
        if every.is_some_and(|every| !(EVERY_MIN..=EVERY_MAX).contains(&every)) {
            return Err(error("an interval is at least 1m and at most 744h".to_owned()));
        }
        let window = match window {
            "" if every.is_none() => return Err(error("it is empty".to_owned())),
            "" => None,
            text => Some(text.parse::<Window>().map_err(|e| error(e.reason.to_owned()))?),
        };
        Ok(Self { window, every, text: input.trim().to_owned() })
    }
}

impl From<CheckSchedule> for String {
    fn from(schedule: CheckSchedule) -> Self {
        schedule.text
    }
}

impl fmt::Display for CheckSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::check_schedule::{CheckSchedule, Share};

    fn next(schedule: &str, at: &str, share: u32) -> String {
        let schedule: CheckSchedule = schedule.parse().unwrap();
        schedule.next(at.parse().unwrap(), Share::of(share)).unwrap().to_string()
    }

    #[test]
    fn the_next_check_is_within_a_window_and_at_the_interval() {
        const HALF: u32 = 1 << 31;
        for (schedule, at, share, then) in [
            ("@1h", "2026-03-01T02:00:00Z", 0, "2026-03-01T03:00:00Z"),
            ("@1h", "2026-03-01T02:00:00Z", HALF, "2026-03-01T02:30:00Z"),
            ("02:00-04:00 UTC @30m", "2026-03-01T01:00:00Z", 0, "2026-03-01T02:00:00Z"),
            ("02:00-04:00 UTC @30m", "2026-03-01T02:00:00Z", 0, "2026-03-01T02:30:00Z"),
            ("02:00-04:00 UTC @30m", "2026-03-01T02:20:00Z", HALF, "2026-03-01T02:45:00Z"),
            ("02:00-04:00 UTC @30m", "2026-03-01T03:50:00Z", 0, "2026-03-02T02:00:00Z"),
            ("02:00-04:00 UTC", "2026-03-01T01:00:00Z", HALF, "2026-03-01T03:00:00Z"),
            ("02:00-04:00 UTC", "2026-03-01T03:00:00Z", HALF, "2026-03-02T03:00:00Z"),
            ("Sat 22:00-02:00 UTC @1h", "2026-03-01T00:30:00Z", 0, "2026-03-01T01:00:00Z"),
            ("Sat 22:00-02:00 UTC @1h", "2026-03-01T01:30:00Z", 0, "2026-03-07T22:00:00Z"),
        ] {
            assert_eq!(next(schedule, at, share), then, "{schedule} after {at}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_schedule_is_said() {
        for (bad, reason) in [
            ("", "empty"),
            ("@", "duration"),
            ("@5s", "at least 1m"),
            ("02:00-04:00", "two or three words"),
            ("hourly", "two or three words"),
        ] {
            let error = bad.parse::<CheckSchedule>().unwrap_err().to_string();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
