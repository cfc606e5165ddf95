//! A limit of bytes a second, shared by all that is read at the same time.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The limit, and when the next bytes may be taken.
#[derive(Debug)]
pub(crate) struct Limit {
    bytes_per_sec: Option<NonZeroU64>,
    next: Mutex<Instant>,
}

impl Limit {
    pub(crate) fn new(bytes_per_sec: Option<NonZeroU64>) -> Self {
        Self { bytes_per_sec, next: Mutex::new(Instant::now()) }
    }

    /// Waits until the time that bytes before these take has passed.
    pub(crate) async fn take(&self, n_bytes: usize) {
        let Some(rate) = self.bytes_per_sec else { return };
        let nanos = n_bytes as u64 * 1_000_000_000 / rate.get();
        let begin = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = (*next).max(Instant::now());
            *next = begin + Duration::from_nanos(nanos);
            begin
        };
        sleep_until(begin).await;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use tokio::time::Instant;

    use crate::hub::copy::limit::Limit;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_time_that_the_limit_says() {
        let limit = Limit::new(NonZeroU64::new(1000));
        let began = Instant::now();
        for _ in 0..11 {
            limit.take(500).await;
        }
        assert_eq!(began.elapsed().as_secs(), 5);
        let unlimited = Limit::new(None);
        unlimited.take(usize::MAX).await;
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}
