//! Reads commits in batches and checks their SSH signatures on several threads.
//!
//! In: ids. Out: [`Loaded`], in the same order whatever the threads do. Pure.

use crate::model::CommitId;
use crate::reconcile::trust::commit::{Commit, CommitError, Header};
use crate::reconcile::trust::judge::Candidate;
use crate::reconcile::trust::{Objects, ObjectsError};

/// Commits whose signatures are checked together; bounds what is held in memory.
pub const BATCH_COMMITS: usize = 512;
/// Fewer are not worth a thread.
const SHARED_COMMITS_MIN: usize = 16;
/// Threads that share a batch.
const THREADS_MAX: usize = 8;

/// A commit read from the store, its signature checked as far as that goes without a policy.
pub struct Loaded {
    /// Its id.
    pub id: CommitId,
    /// What can be read of it without judging.
    pub header: Result<Header, ObjectsError>,
    /// The commit, if it can be judged.
    pub candidate: Result<Candidate, CommitError>,
}

/// Reads commits and checks their SSH signatures, in the order given.
pub fn load(objects: &impl Objects, ids: &[CommitId]) -> Vec<Loaded> {
    let read = ids.iter().map(|id| (*id, objects.commit(*id))).collect::<Vec<_>>();
    let check = |(id, bytes): &(CommitId, Result<Vec<u8>, ObjectsError>)| {
        let id = *id;
        let unreadable = || ObjectsError::Unreadable {
            id: id.to_string(),
            reason: "not a commit that can be read".to_owned(),
        };
        let none: &[u8] = &[];
        let plain = bytes.as_ref().map_or(none, Vec::as_slice);
        let header = match bytes {
            Ok(bytes) => Header::read(bytes).ok_or_else(unreadable),
            Err(error) => Err(error.clone()),
        };
        Loaded { id, header, candidate: Commit::parse(id, plain).map(Candidate::new) }
    };
    if read.len() < SHARED_COMMITS_MIN {
        return read.iter().map(check).collect();
    }
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let share = read.len().div_ceil(n_threads);
    std::thread::scope(|scope| {
        let check_all = |part: &[_]| part.iter().map(check).collect::<Vec<_>>();
        let handles: Vec<_> =
            read.chunks(share).map(|part| (part, scope.spawn(move || check_all(part)))).collect();
        // A thread that could not finish is no verdict: its share is checked here.
        let joined = handles
            .into_iter()
            .map(|(part, handle)| handle.join().unwrap_or_else(|_| check_all(part)));
        joined.flatten().collect()
    })
}
