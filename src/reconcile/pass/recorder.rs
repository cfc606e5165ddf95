//! What works reach, told to the one who has the memory, and written down before they go on.
//!
//! In: what was reached. Out: the memory, saved. Effect: saves. Everything that is told at the same
//! time is saved at once; what nothing follows from waits for others, for a second at most.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::model::{ContainerName, Digest, ServiceName};
use crate::reconcile::apply::{Follows, Recorder};
use crate::reconcile::memory::{Applied, Failed, Ground, Lost, Memory, MemoryStore, ServiceMemory};
use crate::reconcile::plan::Target;

/// How long what nothing follows from may wait for others.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What a work has reached.
#[derive(Debug)]
enum What {
    Completed { container: ContainerName, spec: Digest, ground: Ground },
    Applied { target: Target, follows: Follows },
    Failed { target: Target, reason: String },
}

/// What one work tells, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Note {
    service: ServiceName,
    what: What,
    done: oneshot::Sender<Result<(), String>>,
}

impl Note {
    fn is_urgent(&self) -> bool {
        !matches!(self.what, What::Applied { follows: Follows::Nothing, .. })
    }
}

/// Notes that are not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    notes: Vec<Note>,
    since: Option<Instant>,
}

impl Waiting {
    /// Adds a note.
    pub(crate) fn add(&mut self, note: Note) {
        self.since.get_or_insert_with(Instant::now);
        self.notes.push(note);
    }

    /// The notes, if they are to be written down now: something follows from one, nobody else of
    /// `n_works` could add another, or the first has waited long enough.
    pub(crate) fn take_due(&mut self, n_works: usize) -> Option<Vec<Note>> {
        let is_old = self.until().is_some_and(|until| until <= Instant::now());
        let is_due = is_old
            || self.notes.iter().any(Note::is_urgent)
            || (!self.notes.is_empty() && self.notes.len() >= n_works);
        is_due.then(|| std::mem::take(self).notes)
    }

    /// When they are to be written down at the latest; none if there are none.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.since.map(|since| since + WAIT_MAX)
    }
}

/// Tells, and waits until it is durable.
#[derive(Debug, Clone)]
pub(crate) struct Teller(pub(crate) mpsc::UnboundedSender<Note>);

impl Teller {
    async fn tell(&self, service: &ServiceName, what: What) -> Result<(), String> {
        let (done, saved) = oneshot::channel();
        let nobody = |()| "nobody writes it down any more".to_owned();
        let note = Note { service: service.clone(), what, done };
        self.0.send(note).map_err(|_| nobody(()))?;
        saved.await.map_err(|_| nobody(()))?
    }
}

impl Recorder for Teller {
    async fn completed(
        &self,
        service: &ServiceName,
        container: &ContainerName,
        spec: Digest,
        ground: &Ground,
    ) -> Result<(), String> {
        let (container, ground) = (container.clone(), ground.clone());
        self.tell(service, What::Completed { container, spec, ground }).await
    }

    async fn applied(
        &self,
        service: &ServiceName,
        target: &Target,
        follows: Follows,
    ) -> Result<(), String> {
        self.tell(service, What::Applied { target: target.clone(), follows }).await
    }

    async fn failed(
        &self,
        service: &ServiceName,
        target: &Target,
        reason: &str,
    ) -> Result<(), String> {
        let (target, reason) = (target.clone(), reason.to_owned());
        self.tell(service, What::Failed { target, reason }).await
    }
}

/// Writes notes into the memory, saves it, and answers those who told.
pub(crate) fn write<S: MemoryStore>(
    notes: Vec<Note>,
    memory: &mut Memory,
    store: &S,
    now: Timestamp,
) {
    let before = notes.iter().map(|note| memory.services.get(&note.service).cloned());
    let before: Vec<Option<ServiceMemory>> = before.collect();
    for note in &notes {
        enter(note, memory, now);
    }
    let saved = store.save(memory).map_err(|error| error.to_string());
    for (Note { service, what, done }, before) in notes.into_iter().zip(before) {
        // Believed and not durable, it would never be saved: its gate is asked again instead.
        if let (Err(_), What::Applied { .. }, Some(before)) = (&saved, &what, before) {
            memory.services.insert(service.clone(), before);
        }
        // Without a version to go back to nothing is won by believing what is not durable: what
        // runs would be stopped for nothing. It is tried again instead.
        if let (Err(_), What::Failed { .. }) = (&saved, what)
            && let Some(memory) = memory.services.get_mut(&service)
            && !memory.was_applied()
        {
            memory.failed = None;
        }
        // A work that was dropped meanwhile does not listen.
        drop(done.send(saved.clone()));
    }
}

fn enter(note: &Note, memory: &mut Memory, at: Timestamp) {
    let memory = memory.services.entry(note.service.clone()).or_default();
    match &note.what {
        What::Completed { container, spec, ground } => {
            memory.once.insert(container.clone(), *spec);
            memory.grounds.insert(container.clone(), ground.clone());
        }
        What::Applied { target, .. } => {
            let (revision, content) = (target.revision.clone(), target.content);
            memory.applied = Some(Applied { revision, content, at });
            (memory.failed, memory.begun, memory.lost) = (None, None, Lost::Nothing);
        }
        What::Failed { target, reason } => {
            let (revision, whole) = (target.revision.clone(), target.whole);
            memory.failed = Some(Failed { revision, whole, reason: reason.clone(), at });
            memory.begun = None;
        }
    }
}
