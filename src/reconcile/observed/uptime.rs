//! What a list's status text says: `Up 3 minutes (healthy)`.
//!
//! In: the text. Out: the part that does not change by itself, and the uptime. Pure.

/// Seconds of each unit the engine writes.
const UNITS: [(&str, u64); 7] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
    ("week", 604_800),
    ("month", 2_592_000),
    ("year", 31_536_000),
];

/// The words in parentheses: health, `Paused`, an exit code; with them the first word.
pub(crate) fn health_of(status: &str) -> (&str, Vec<&str>) {
    let first = status.split(' ').next().unwrap_or_default();
    let inner = status.split('(').skip(1).filter_map(|part| part.split(')').next());
    (first, inner.collect())
}

/// How long it has been up, as coarsely as the engine says; zero where it does not.
pub(crate) fn uptime_secs(status: &str) -> u64 {
    let Some(text) = status.strip_prefix("Up ") else { return 0 };
    let text = text.split('(').next().unwrap_or_default().trim();
    if text.starts_with("Less than") {
        return 0;
    }
    let mut words = text.trim_start_matches("About ").split(' ');
    let amount = words.next().map_or(0, |word| word.parse().unwrap_or(1));
    let unit = words.next().unwrap_or_default();
    let scale = UNITS.iter().find(|(name, _)| unit.starts_with(name)).map_or(0, |(_, secs)| *secs);
    amount * scale
}

#[cfg(test)]
mod tests {
    use crate::reconcile::observed::uptime::{health_of, uptime_secs};

    #[test]
    fn time_that_goes_by_is_no_change_and_a_restart_is() {
        for (before, now, same_words, grew) in [
            ("Up 3 seconds", "Up 2 minutes", true, true),
            ("Up About a minute (healthy)", "Up About an hour (healthy)", true, true),
            ("Up 2 hours (healthy)", "Up 2 hours (unhealthy)", false, true),
            ("Up 2 hours", "Up 3 seconds", true, false),
            ("Up 5 minutes", "Up Less than a second", true, false),
            ("Up 5 minutes", "Up 5 minutes (Paused)", false, true),
            ("Exited (0) 3 minutes ago", "Exited (0) 2 hours ago", true, true),
            ("Exited (0) 3 minutes ago", "Exited (1) 1 second ago", false, true),
            ("Up 3 weeks", "Up 2 months", true, true),
        ] {
            assert_eq!(health_of(before) == health_of(now), same_words, "{before} → {now}");
            assert_eq!(uptime_secs(before) <= uptime_secs(now), grew, "{before} → {now}");
        }
    }
}
