//! Dates as auditors write them: a day (UTC), or an instant.
//!
//! In: text. Out: [`Date`]. Pure.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// A day or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Its first instant.
    pub first: Timestamp,
    /// Its last instant: a day counts whole.
    pub last: Timestamp,
}

/// A text that is no date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{input}` is not a date: write a day (UTC) as `2026-11-01`, or an instant as `2026-11-01T14:00:00Z`"
)]
pub struct DateError {
    /// As written.
    pub input: String,
}

impl FromStr for Date {
    type Err = DateError;
    fn from_str(input: &str) -> Result<Self, DateError> {
        let error = || DateError { input: input.to_owned() };
        if input.len() == "2026-11-01".len() {
            let day: civil::Date = input.parse().map_err(|_| error())?;
            let start = |day: civil::Date| {
                let zoned = day.to_zoned(TimeZone::UTC).map_err(|_| error())?;
                Ok(zoned.timestamp())
            };
            let next = day.tomorrow().map_err(|_| error()).and_then(start)?;
            let last = next.checked_sub(jiff::SignedDuration::from_nanos(1));
            return Ok(Self { first: start(day)?, last: last.map_err(|_| error())? });
        }
        let instant: Timestamp = input.parse().map_err(|_| error())?;
        Ok(Self { first: instant, last: instant })
    }
}

#[cfg(test)]
mod tests {
    use crate::audit::date::Date;

    #[test]
    fn a_day_is_whole_and_in_utc() {
        let day: Date = "2026-11-01".parse().unwrap();
        assert_eq!(day.first.to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(day.last.to_string(), "2026-11-01T23:59:59.999999999Z");
    }

    #[test]
    fn an_instant_is_taken_from_any_zone() {
        let instant: Date = "2026-11-01T01:30:00+02:00".parse().unwrap();
        assert_eq!((instant.first, instant.first.to_string().as_str()), {
            (instant.last, "2026-10-31T23:30:00Z")
        });
    }

    #[test]
    fn what_is_no_date_is_told_how_to_write_one() {
        for bad in ["", "yesterday", "2026-13-01", "2026-11-1", "2026-11-01T14:00:00", "1.11.2026"]
        {
            let error = bad.parse::<Date>().unwrap_err().to_string();
            assert!(error.contains("2026-11-01T14:00:00Z"), "{error}");
        }
    }
}
