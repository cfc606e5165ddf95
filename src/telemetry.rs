//! How errors and events are told: the error chain, the subscriber, and field names.
//!
//! Field names are dotted and the same everywhere: `service.name`, `commit.id`, `container.name`,
//! `error`. A message can be read alone; its identifiers are repeated as fields. Never secrets,
//! never file contents.

use std::error::Error;
use std::fmt;

use tracing::level_filters::LevelFilter;

/// Shows an error with all its causes, each once: `cannot read x: permission denied`.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// How events are written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, coloured or not.
    Text {
        /// Whether ANSI colours are used.
        ansi: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Starts writing events of `level` and above to standard error.
///
/// Under systemd the journal adds the time itself, so it is left out there.
/// A second call in one process changes nothing.
pub fn start(level: LevelFilter, format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(std::io::stderr);
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text { .. } if in_journal => builder.with_ansi(false).without_time().try_init(),
        LogFormat::Text { ansi } => builder.with_ansi(ansi).try_init(),
    };
    // Only fails when a subscriber is there already, which a test may have started.
    drop(started);
}
