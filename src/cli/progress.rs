//! How far copying is: a bar where somebody watches, lines where nobody does, JSON for programs.
//!
//! In: [`CopyEvent`]s. Out: text on standard error.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::cli::context::{Context, Verbosity};
use crate::cli::output::is_watched;
use crate::hub::copy::{CopyEvent, Survey, WantedImage};

/// Time between two drawings: often enough for the eye.
const DRAW: Duration = Duration::from_millis(100);
/// Speed is told only after so long; before, it would be a guess.
const SPEED_MIN: Duration = Duration::from_secs(1);

/// To whom a copy is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// People: a bar where they watch, lines where they do not.
    People,
    /// A program: each event as a line of JSON.
    Program,
}

/// How events are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Bar,
    Lines,
    Json,
    Nothing,
}

/// Tells how far a copy is.
#[derive(Debug)]
pub struct Progress {
    manner: Manner,
    bytes: u64,
    n_blobs: usize,
    began: Instant,
    /// Images that only get their tag: nothing of them is copied.
    untagged: BTreeSet<WantedImage>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    n_bytes: u64,
    n_blobs: usize,
    drawn: Option<Instant>,
}

/// `12.3 MiB`.
pub fn amount(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

impl Progress {
    /// Begins to tell about the plan of `found`.
    pub fn begin(ctx: &Context, found: &Survey, told: Told) -> Self {
        let manner = match ctx.verbosity {
            _ if told == Told::Program => Manner::Json,
            Verbosity::Quiet => Manner::Nothing,
            _ if is_watched() => Manner::Bar,
            _ => Manner::Lines,
        };
        let (bytes, n_blobs) = (found.plan.bytes(), found.plan.blobs.len());
        let (began, untagged) = (Instant::now(), found.untagged.clone());
        Self { manner, bytes, n_blobs, began, untagged, state: RefCell::default() }
    }

    /// Takes note of an event.
    pub fn event(&self, event: &CopyEvent) {
        let mut state = self.state.borrow_mut();
        match event {
            CopyEvent::Bytes { n_bytes } => state.n_bytes += n_bytes,
            CopyEvent::Retry { n_bytes_lost, .. } => {
                state.n_bytes = state.n_bytes.saturating_sub(*n_bytes_lost);
            }
            CopyEvent::Blob { .. } => state.n_blobs += 1,
            CopyEvent::Image { .. } | CopyEvent::Failed { .. } => {}
        }
        match self.manner {
            Manner::Bar => self.draw(&mut state, event),
            Manner::Lines => self.tell_line(event),
            Manner::Json => tell_json(event),
            Manner::Nothing => {}
        }
    }

    fn draw(&self, state: &mut State, event: &CopyEvent) {
        if !matches!(event, CopyEvent::Bytes { .. } | CopyEvent::Blob { .. }) {
            clear();
            self.tell_line(event);
        } else if state.drawn.is_some_and(|last| last.elapsed() < DRAW) {
            return;
        }
        state.drawn = Some(Instant::now());
        let percent = (state.n_bytes * 100).checked_div(self.bytes).unwrap_or(100).min(100);
        let took = self.began.elapsed();
        let speed = if took < SPEED_MIN {
            String::new()
        } else {
            let per_sec =
                state.n_bytes * 1000 / u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            format!("  {}/s", amount(per_sec))
        };
        let (done, all) = (amount(state.n_bytes), amount(self.bytes));
        let blobs = format!("{}/{} blobs", state.n_blobs, self.n_blobs);
        say(&format!("\r{percent:3} %  {done} of {all}{speed}  {blobs}\x1b[K"));
    }

    fn tell_line(&self, event: &CopyEvent) {
        match event {
            CopyEvent::Image { image } => {
                let word = if self.untagged.contains(image) { "tagged" } else { "copied" };
                say(&format!("{word} {image}\n"));
            }
            CopyEvent::Failed { image, reason } => say(&format!("failed {image}: {reason}\n")),
            CopyEvent::Retry { digest, reason, .. } => {
                say(&format!("trying {} again: {reason}\n", digest.short()));
            }
            CopyEvent::Bytes { .. } | CopyEvent::Blob { .. } => {}
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if self.manner == Manner::Bar {
            clear();
        }
    }
}

fn clear() {
    say("\r\x1b[K");
}

/// Nobody reads standard error: nothing is lost.
fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(write!(err, "{text}").and_then(|()| err.flush()));
}

fn tell_json(event: &CopyEvent) {
    if !matches!(event, CopyEvent::Bytes { .. })
        && let Ok(text) = serde_json::to_string(event)
    {
        say(&format!("{text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::progress::amount;

    #[test]
    fn amounts_are_short_and_never_round_up_to_what_is_not_there() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (200 << 20, "200.0 MiB"),
            ((5 << 30) - 1, "4.9 GiB"),
        ] {
            assert_eq!(amount(bytes), text);
        }
    }
}
