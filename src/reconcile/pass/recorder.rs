//! Writes what was reached into the memory, and the memory to its store, before going on.

use std::cell::RefCell;

use jiff::Timestamp;

use crate::model::{ContainerName, Digest, ServiceName};
use crate::reconcile::apply::Recorder;
use crate::reconcile::memory::{Applied, Failed, Memory, MemoryStore, ServiceMemory};
use crate::reconcile::plan::Target;

/// Changes the memory and saves it, durably, in one call.
pub(crate) struct SavingRecorder<'a, 'm, S> {
    pub(crate) memory: &'a RefCell<&'m mut Memory>,
    pub(crate) store: &'a S,
    pub(crate) now: &'a dyn Fn() -> Timestamp,
}

impl<S: MemoryStore> SavingRecorder<'_, '_, S> {
    fn change(
        &self,
        service: &ServiceName,
        change: impl FnOnce(&mut ServiceMemory),
    ) -> Result<(), String> {
        let mut memory = self.memory.borrow_mut();
        change(memory.services.entry(service.clone()).or_default());
        self.store.save(&memory).map_err(|error| error.to_string())
    }
}

impl<S: MemoryStore> Recorder for SavingRecorder<'_, '_, S> {
    fn completed(
        &self,
        service: &ServiceName,
        container: &ContainerName,
        spec: Digest,
    ) -> Result<(), String> {
        self.change(service, |memory| {
            memory.once.insert(container.clone(), spec);
        })
    }

    fn applied(&self, service: &ServiceName, target: &Target) -> Result<(), String> {
        let (revision, content) = (target.revision.clone(), target.content);
        let at = (self.now)();
        self.change(service, |memory| {
            memory.applied = Some(Applied { revision, content, at });
            memory.failed = None;
        })
    }

    fn failed(&self, service: &ServiceName, target: &Target, reason: &str) -> Result<(), String> {
        let (revision, whole) = (target.revision.clone(), target.whole);
        let (reason, at) = (reason.to_owned(), (self.now)());
        let saved = self.change(service, |memory| {
            memory.failed = Some(Failed { revision, whole, reason, at });
        });
        // Without a version to go back to nothing is won by believing what is not durable: what
        // runs would be stopped for nothing. It is tried again instead.
        if saved.is_err()
            && let Some(memory) = self.memory.borrow_mut().services.get_mut(service)
            && memory.applied.is_none()
        {
            memory.failed = None;
        }
        saved
    }
}
