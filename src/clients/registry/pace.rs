//! How many requests a registry is asked to bear at once: half as many after it said that they are
//! too many, slowly more again after good answers.
//!
//! In: answers. Out: turns. Effect: waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Requests at once: a connection each, and a registry takes as many from a few nodes that pull.
const RUNNING_MAX: usize = 32;
/// Longer than this no registry is waited for at a time, whatever it asks.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The pace of one registry.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    n_running: usize,
    n_running_max: usize,
    /// Good answers since the limit last changed.
    n_good: usize,
    not_before: Option<Instant>,
}

/// The right to have one request under way; given back on drop.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Pace>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state().n_running -= 1;
        self.0.freed.notify_one();
    }
}

enum Next {
    Go,
    Full,
    At(Instant),
}

impl Pace {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { n_running: 0, n_running_max: RUNNING_MAX, n_good: 0, not_before: None };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more request may go.
    pub(crate) async fn turn(self: &Arc<Self>) -> Turn {
        loop {
            let next = self.next();
            match next {
                Next::Go => return Turn(Arc::clone(self)),
                Next::Full => self.freed.notified().await,
                Next::At(time) => sleep_until(time).await,
            }
        }
    }

    fn next(&self) -> Next {
        let mut state = self.state();
        match state.not_before {
            Some(time) if time > Instant::now() => return Next::At(time),
            _ => state.not_before = None,
        }
        if state.n_running >= state.n_running_max {
            return Next::Full;
        }
        state.n_running += 1;
        Next::Go
    }

    /// The registry answered well.
    pub(crate) fn good(&self) {
        let mut state = self.state();
        state.n_good += 1;
        if state.n_good >= state.n_running_max && state.n_running_max < RUNNING_MAX {
            state.n_running_max += 1;
            state.n_good = 0;
            drop(state);
            self.freed.notify_one();
        }
    }

    /// The registry wants less: half as many, and none for `wait`.
    pub(crate) fn slow_down(&self, wait: Duration) {
        let until = Instant::now() + wait.min(WAIT_MAX);
        let mut state = self.state();
        // Answers to requests of the same moment count once.
        if state.not_before.is_none() {
            state.n_running_max = (state.n_running_max / 2).max(1);
            state.n_good = 0;
        }
        state.not_before = Some(state.not_before.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use crate::clients::registry::pace::{Pace, RUNNING_MAX};

    fn limit(pace: &Arc<Pace>) -> usize {
        pace.state().n_running_max
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_as_long_as_it_was_asked_to_and_goes_on_at_half() {
        let pace = Pace::new();
        let began = Instant::now();
        pace.slow_down(Duration::from_secs(7));
        pace.slow_down(Duration::from_secs(2));
        let turn = pace.turn().await;
        assert_eq!(began.elapsed().as_secs(), 7);
        assert_eq!(limit(&pace), RUNNING_MAX / 2);
        drop(turn);
        for _ in 0..10_000 {
            pace.good();
        }
        assert_eq!(limit(&pace), RUNNING_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_run_at_once_and_one_always_may() {
        let pace = Pace::new();
        for _ in 0..10 {
            pace.slow_down(Duration::ZERO);
            drop(pace.turn().await);
        }
        assert_eq!(limit(&pace), 1);
        let only = pace.turn().await;
        let mut second = std::pin::pin!(pace.turn());
        let waited = tokio::time::timeout(Duration::from_secs(1), second.as_mut()).await;
        assert!(waited.is_err());
        drop(only);
        drop(second.await);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_made_to_wait_for_a_day() {
        let pace = Pace::new();
        let began = Instant::now();
        pace.slow_down(Duration::from_secs(86_400));
        drop(pace.turn().await);
        assert_eq!(began.elapsed().as_secs(), 60);
    }
}
