//! What keeps a check from beginning another fix: its time, or whoever ends it.
//!
//! In: a time limit, a wish to end. Out: leave to mend, fix by fix. Effect: a lock.
//!
//! # Guarantees
//! * A fix that was begun is waited for; none begins after [`Brake::stop`] or the time limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Later in a check no fix begins: the agent ends a check that takes much longer.
pub const MENDING_TIME_MAX: Duration = Duration::from_secs(240);

/// Says whether another fix may begin.
#[derive(Debug)]
pub struct Brake {
    until: Instant,
    is_stopped: AtomicBool,
    fixing: Mutex<()>,
}

impl Brake {
    /// Fixes may begin for so long.
    pub fn new(time_max: Duration) -> Self {
        let until = Instant::now() + time_max;
        Self { until, is_stopped: AtomicBool::new(false), fixing: Mutex::new(()) }
    }

    /// Leave to make one fix, as long as it is held.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn leave(&self) -> Result<MutexGuard<'_, ()>, &'static str> {
        let leave = self.fixing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped.load(Ordering::SeqCst) {
            return Err("mended by the next check: this one was ended");
        }
        if Instant::now() >= self.until {
            return Err("mended by the next check: this one took too long already");
        }
        Ok(leave)
    }

    /// Lets no further fix begin, and waits for the one under way.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        drop(self.fixing.lock());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::brake::{Brake, MENDING_TIME_MAX};

    #[test]
    fn no_fix_begins_after_a_stop_or_the_time_limit() {
        let brake = Brake::new(MENDING_TIME_MAX);
        drop(brake.leave().unwrap());
        brake.stop();
        assert!(brake.leave().unwrap_err().contains("was ended"));
        assert!(Brake::new(Duration::ZERO).leave().unwrap_err().contains("too long"));
    }
}
