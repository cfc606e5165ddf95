//! Triggers that have come and are not answered yet.
//!
//! In: triggers, and which of them only tell what works under way do themselves. Out: [`Wake`]s.
//! Effect: receives.
//!
//! # Guarantees
//! * Nothing that came is lost: what does not press is answered with what does, or when nothing is
//!   under way any more.
//! * However much comes, what is kept is bounded by the containers it is about.

use tokio::sync::mpsc;

use crate::agent::trigger::{Trigger, Wake};

/// Triggers on their way to a pass.
#[derive(Debug)]
pub struct Inbox {
    from: mpsc::Receiver<Trigger>,
    wake: Option<Wake>,
    presses: bool,
}

impl Inbox {
    /// What comes from here.
    pub fn new(from: mpsc::Receiver<Trigger>) -> Self {
        Self { from, wake: None, presses: false }
    }

    /// Waits until something has come that is not the works' `own` doing. May be dropped at any
    /// time.
    pub async fn news(&mut self, is_own: &impl Fn(&Trigger) -> bool) {
        while !self.presses {
            let Some(trigger) = self.from.recv().await else {
                return std::future::pending().await;
            };
            self.presses |= !is_own(&trigger);
            self.put(trigger);
        }
    }

    /// Whether anything has come at all.
    pub fn is_empty(&mut self) -> bool {
        self.drain();
        self.wake.is_none()
    }

    /// Everything that has come, as one wake, after `first` if there is one.
    pub fn take(&mut self, first: Option<Trigger>) -> Option<Wake> {
        self.drain();
        self.presses = false;
        let came = self.wake.take();
        match (first.map(Wake::by), came) {
            (Some(mut wake), Some(came)) => {
                wake.join(came);
                Some(wake)
            }
            (first, came) => first.or(came),
        }
    }

    fn drain(&mut self) {
        while let Ok(trigger) = self.from.try_recv() {
            self.put(trigger);
        }
    }

    fn put(&mut self, trigger: Trigger) {
        match &mut self.wake {
            Some(wake) => wake.add(&trigger),
            None => self.wake = Some(Wake::by(trigger)),
        }
    }
}
