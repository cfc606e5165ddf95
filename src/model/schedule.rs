//! When changes may land: recurring windows and one-off freezes.
//!
//! In: `Sat 02:00-04:00 Europe/Paris`, RFC 3339 bounds, a time. Out: open or closed. Pure.
//!
//! # Guarantees
//! * No days means daily; an end at or before its start crosses midnight.
//! * A start that daylight saving skips is the next time that exists.
//! * The time zone database is part of the program, so that every node agrees.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// A text that is not a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{input}` is not a window: {reason}; write `[days] HH:MM-HH:MM Zone`, for example `Sat,Sun 02:00-04:00 Europe/Paris`"
)]
pub struct WindowError {
    /// The text as given.
    pub input: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A recurring span of time during which changes may land.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    days: Vec<Weekday>,
    start: Time,
    end: Time,
    zone: TimeZone,
    text: String,
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// Windows that are shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shut {
    /// The earliest that they may be open again; none where they never are.
    pub opens: Option<Timestamp>,
}

/// Whether windows are shut at a time. Each set must have an open one; an empty set is always open.
pub fn shut_at<'w>(sets: impl IntoIterator<Item = &'w Vec<Window>>, at: Timestamp) -> Option<Shut> {
    let is_shut = |set: &&Vec<Window>| !set.is_empty() && !set.iter().any(|w| w.is_open(at));
    let mut shut = sets.into_iter().filter(is_shut).peekable();
    shut.peek()?;
    // All must be open at once: not before the last of them opens, and never if one never does.
    let opens: Option<Vec<Timestamp>> =
        shut.map(|set| set.iter().filter_map(|w| w.next_open(at)).min()).collect();
    Some(Shut { opens: opens.and_then(|opens| opens.into_iter().max()) })
}

impl Window {
    /// Whether `at` lies within an occurrence (start included, end excluded).
    pub fn is_open(&self, at: Timestamp) -> bool {
        let today = at.to_zoned(self.zone.clone()).date();
        [today.yesterday().ok(), Some(today)]
            .into_iter()
            .flatten()
            .filter_map(|day| self.occurrence(day))
            .any(|(start, end)| start <= at && at < end)
    }

    /// When it next opens after `at`; `None` only if no such time can be represented.
    pub fn next_open(&self, at: Timestamp) -> Option<Timestamp> {
        let mut day = at.to_zoned(self.zone.clone()).date();
        // Eight days hold every weekday once more than once.
        for _ in 0..=8 {
            if let Some((start, _)) = self.occurrence(day).filter(|(start, _)| *start > at) {
                return Some(start);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The spans that end after `at`, in their order: eight days' worth, which hold every weekday.
    pub fn spans(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = at.to_zoned(self.zone.clone()).date();
        let days = today.yesterday().into_iter().chain(today.series(1.day()).take(9));
        days.filter_map(|day| self.occurrence(day)).filter(move |(_, end)| *end > at)
    }

    /// The span that begins on `day`, if one does.
    fn occurrence(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.is_empty() && !self.days.contains(&day.weekday()) {
            return None;
        }
        let end_day = if self.end <= self.start { day.tomorrow().ok()? } else { day };
        let instant = |date: Date, time: Time| {
            let ambiguous = self.zone.to_ambiguous_timestamp(date.to_datetime(time));
            match ambiguous.offset() {
                // A skipped time starts when the gap ends; a repeated one counts from its first pass.
                AmbiguousOffset::Gap { .. } => {
                    let before = ambiguous.earlier().ok()?.checked_sub(24.hours()).ok()?;
                    self.zone.following(before).next().map(|transition| transition.timestamp())
                }
                AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                    ambiguous.earlier().ok()
                }
            }
        };
        Some((instant(day, self.start)?, instant(end_day, self.end)?))
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn weekdays(text: &str) -> Option<Vec<Weekday>> {
    let day = |name: &str| DAYS.iter().position(|(short, _)| *short == name);
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let length = (last + 7 - first) % 7;
        days.extend((0..=length).map(|n| DAYS[(first + n) % 7].1));
    }
    Some(days)
}

impl FromStr for Window {
    type Err = WindowError;
    fn from_str(input: &str) -> Result<Self, WindowError> {
        let error = |reason| WindowError { input: input.to_owned(), reason };
        let words: Vec<&str> = input.split_whitespace().collect();
        let (days, hours, zone) = match words[..] {
            [days, hours, zone] => (
                weekdays(days)
                    .ok_or_else(|| error("the days are not like `Sat,Sun` or `Mon-Fri`"))?,
                hours,
                zone,
            ),
            [hours, zone] => (Vec::new(), hours, zone),
            _ => return Err(error("it has not two or three words")),
        };
        let span = hours.split_once('-').and_then(|(start, end)| Some((time(start)?, time(end)?)));
        let (start, end) = span.ok_or_else(|| error("the hours are not like `02:00-04:00`"))?;
        let zone = TimeZone::get(zone).map_err(|_| error("the time zone is not known"))?;
        Ok(Self { days, start, end, zone, text: words.join(" ") })
    }
}

impl TryFrom<String> for Window {
    type Error = WindowError;
    fn try_from(input: String) -> Result<Self, WindowError> {
        input.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.text
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A span of time during which nothing new lands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// First instant of it.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
    /// Why, for people.
    pub reason: String,
}

impl Freeze {
    /// Whether `at` lies within it.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::model::schedule::Window;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_open_from_its_start_until_its_end() {
        for (window, time, open) in [
            ("02:00-04:00 UTC", "2026-03-01T02:00:00Z", true),
            ("02:00-04:00 UTC", "2026-03-01T04:00:00Z", false),
            ("Sat 02:00-04:00 Europe/Paris", "2026-02-28T01:30:00Z", true),
            ("Sat 02:00-04:00 Europe/Paris", "2026-02-27T01:30:00Z", false),
            ("22:00-02:00 UTC", "2026-03-01T01:00:00Z", true),
            ("Sat 22:00-02:00 UTC", "2026-03-01T01:00:00Z", true),
            ("Sat 22:00-02:00 UTC", "2026-02-28T01:00:00Z", false),
            ("Mon-Fri 00:00-00:00 UTC", "2026-03-02T12:00:00Z", true),
            ("Mon-Fri 00:00-00:00 UTC", "2026-03-01T12:00:00Z", false),
        ] {
            assert_eq!(
                window.parse::<Window>().unwrap().is_open(at(time)),
                open,
                "{window} {time}"
            );
        }
    }

    #[test]
    fn a_start_that_daylight_saving_skips_is_the_next_time_that_exists() {
        // Paris, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
        let window: Window = "02:30-04:00 Europe/Paris".parse().unwrap();
        assert!(!window.is_open(at("2026-03-29T00:59:59Z")));
        assert!(window.is_open(at("2026-03-29T01:00:00Z")));
        assert!(!window.is_open(at("2026-03-29T02:00:00Z")));
        assert_eq!(window.next_open(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn what_is_wrong_with_a_window_is_said() {
        for (bad, reason) in [
            ("02:00-04:00", "two or three words"),
            ("Sam 02:00-04:00 UTC", "days"),
            ("2-4 UTC", "hours"),
            ("02:00-04:00 Paris", "time zone"),
        ] {
            assert!(bad.parse::<Window>().unwrap_err().to_string().contains(reason), "{bad}");
        }
    }
}
