//! Two texts, line by line.
//!
//! In: what was, what is to be. Out: their differences. Pure, except that it takes no longer than
//! [`COMPARE_TIME_MAX`]: what is not compared by then counts as different.

use std::time::Duration;

use similar::TextDiff;

/// Texts that share little are compared in time that grows with the square of their lines, and whose
/// file it is decides how many there are.
const COMPARE_TIME_MAX: Duration = Duration::from_millis(500);

/// The differences.
pub(super) fn compared<'a>(old: &'a str, new: &'a str) -> TextDiff<'a, 'a, 'a, str> {
    TextDiff::configure().timeout(COMPARE_TIME_MAX).diff_lines(old, new)
}
