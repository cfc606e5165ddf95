//! Durations as the Compose Specification writes them: `1h5m30s20ms`.
//!
//! In: text. Out: [`std::time::Duration`]. Pure.

use std::time::Duration;

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a duration: write for example `10s`, `1m30s`, `500ms` or `1h`")]
pub struct DurationError {
    /// The text as given.
    pub input: String,
}

/// Nanoseconds of each unit the Compose Specification knows, longest suffix first.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Reads a duration (Compose Specification, "Specifying durations").
///
/// # Errors
/// When `input` is empty, has an unknown unit, lacks one, or is longer than `u64` nanoseconds.
pub fn parse_duration(input: &str) -> Result<Duration, DurationError> {
    let error = || DurationError { input: input.to_owned() };
    let mut rest = input;
    let mut nanos: u64 = 0;
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(error());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: u64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let (unit, scale) =
            UNITS.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(error)?;
        rest = &rest[unit.len()..];
        nanos = amount.checked_mul(*scale).and_then(|n| nanos.checked_add(n)).ok_or_else(error)?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Writes a duration so that [`parse_duration`] reads it back: `1m30s`.
pub fn format_duration(duration: Duration) -> String {
    let mut nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    let parts = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ]
    .map(|(unit, scale)| {
        let amount = nanos / scale;
        nanos %= scale;
        if amount == 0 { String::new() } else { format!("{amount}{unit}") }
    });
    parts.concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::model::duration::{format_duration, parse_duration};

    #[test]
    fn durations_read_as_compose_writes_them() {
        for (text, millis) in
            [("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("1h", 3_600_000), ("0", 0)]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text).unwrap(), duration, "{text}");
            assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration, "{text}");
        }
        for bad in ["", "10", "s", "1d", "-1s", "1 s", "99999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
