//! Triggers that have come and are not answered yet.
//!
//! In: triggers, and which of them only tell what works under way do themselves. Out: [`Wake`]s.
//! Effect: receives.
//!
//! # Guarantees
//! * Nothing that came is lost: what does not press is answered with what does, or when nothing is
//!   under way any more.
//! * However much comes, what is kept is bounded by the containers it is about; of more events than
//!   that, only that there were some.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::agent::trigger::{Trigger, Wake};

/// Triggers that wait one by one, as while a fetch lasts.
const TRIGGERS_MAX: usize = 256;

/// What came while so many waited, as one.
type Beyond = Arc<Mutex<Option<Wake>>>;

/// Where triggers are left.
#[derive(Debug, Clone)]
pub struct Post {
    to: mpsc::Sender<Trigger>,
    beyond: Beyond,
}

impl Post {
    /// Leaves a trigger; never waits.
    pub fn put(&self, trigger: Trigger) {
        // Locked before it is known to be full: whoever empties it looks here afterwards.
        let mut beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(TrySendError::Full(trigger)) = self.to.try_send(trigger) else { return };
        add(
            &mut beyond,
            &match trigger {
                Trigger::Engine { .. } => Trigger::EventsLost,
                other => other,
            },
        );
    }
}

/// Triggers on their way to a pass.
#[derive(Debug)]
pub struct Inbox {
    from: mpsc::Receiver<Trigger>,
    beyond: Beyond,
    wake: Option<Wake>,
    presses: bool,
}

impl Inbox {
    /// An empty one, and where to leave what it is to have.
    pub fn new() -> (Post, Self) {
        let (to, from) = mpsc::channel(TRIGGERS_MAX);
        let beyond = Beyond::default();
        let post = Post { to, beyond: Arc::clone(&beyond) };
        (post, Self { from, beyond, wake: None, presses: false })
    }

    /// Waits until something has come that is not the works' `own` doing. May be dropped at any
    /// time.
    pub async fn news(&mut self, is_own: &impl Fn(&Trigger) -> bool) {
        while !self.presses {
            let Some(trigger) = self.from.recv().await else {
                return std::future::pending().await;
            };
            add(&mut self.wake, &trigger);
            self.presses |= !is_own(&trigger);
            self.presses |= self.take_beyond();
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
            add(&mut self.wake, &trigger);
        }
        self.take_beyond();
    }

    /// Whether more came than could wait one by one.
    fn take_beyond(&mut self) -> bool {
        let beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(beyond) = beyond else { return false };
        match &mut self.wake {
            Some(wake) => wake.join(beyond),
            None => self.wake = Some(beyond),
        }
        true
    }
}

fn add(wake: &mut Option<Wake>, trigger: &Trigger) {
    match wake {
        Some(wake) => wake.add(trigger),
        None => *wake = Some(Wake::by(trigger.clone())),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use crate::agent::inbox::{Inbox, TRIGGERS_MAX};
    use crate::agent::trigger::Trigger;
    use crate::reconcile::observed::Look;

    #[test]
    fn what_comes_after_more_events_than_can_wait_is_answered_all_the_same() {
        let event = || Trigger::Engine {
            action: "die".to_owned(),
            name: "somebodys".to_owned(),
            kind: "container".to_owned(),
            container: Some("0123".to_owned()),
        };
        for word in [Trigger::Hangup, Trigger::Configuration] {
            let (post, mut inbox) = Inbox::new();
            (0..TRIGGERS_MAX).for_each(|_| post.put(event()));
            assert!(inbox.news(&|_| true).now_or_never().is_none(), "it is all our own doing");
            (0..=TRIGGERS_MAX).for_each(|_| post.put(event()));
            post.put(word.clone());
            assert!(inbox.news(&|_| true).now_or_never().is_some(), "{word}");
            let wake = inbox.take(None).unwrap();
            assert!(wake.reloads && wake.events_lost && wake.look == Look::Everything, "{word}");
            assert!(inbox.is_empty());
        }
    }
}
