//! Carries a plan out: blobs, largest first; each image's documents as soon as its blobs are there.
//!
//! In: a [`CopyPlan`], two hubs. Out: a [`CopyReport`]. Effect: writes to the target.
//!
//! # Guarantees
//! * An image that cannot be copied does not keep the others from it, unless the hub itself is gone
//!   or lets nobody in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use futures_util::future::{Either, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Semaphore;

use crate::clients::registry::{RegistryError, RegistryErrorKind, RegistryRead, RegistryWrite};
use crate::hub::copy::limit::Limit;
use crate::hub::copy::notes::Notes;
use crate::hub::copy::transfer::Wires;
use crate::hub::copy::{
    BlobCopy, BlobEnd, CopyEvent, CopyPlan, CopyReport, CopySettings, DocumentCopy, ImageCopy,
};

/// From this size on a blob takes bandwidth rather than round trips.
const LARGE_BYTES: u64 = 8 << 20;
/// Large blobs sent at once: more would not be faster, and each holds a megabyte of memory.
pub(crate) const LARGE_MAX: usize = 6;
/// Others at once: small ones, and those that are perhaps mounted. They cost round trips, which pass
/// together, as many as the hubs' pace lets.
const SMALL_MAX: usize = 58;

/// Whether sending it takes bandwidth rather than round trips.
pub(crate) fn is_large(blob: &BlobCopy) -> bool {
    blob.size >= LARGE_BYTES
}

/// Whether it is surely sent, and for long.
fn is_long(blob: &BlobCopy) -> bool {
    is_large(blob) && blob.candidates.is_empty()
}

/// Copies what `plan` says, telling `listen` what happens.
pub async fn copy<S: RegistryRead, T: RegistryRead + RegistryWrite>(
    source: &S,
    target: &T,
    plan: &CopyPlan,
    settings: &CopySettings,
    listen: &dyn Fn(&CopyEvent),
) -> CopyReport {
    let wires = Wires {
        source,
        target,
        limit: Limit::new(settings.bytes_per_sec_max),
        notes: Notes::open(settings.notes.as_deref()),
        large: Semaphore::new(LARGE_MAX),
        listen,
        stop: &settings.stop,
    };
    let mut board = Board::new(plan);
    let mut running = FuturesUnordered::new();
    for image in board.ready() {
        running.push(Either::Left(finish(&wires, plan, image)));
    }
    loop {
        if settings.stop.load(Ordering::Relaxed) {
            board.stop_for(stopped(), listen);
        }
        while let Some(blob) = board.next_blob() {
            let wires = &wires;
            running
                .push(Either::Right(async move { Done::Blob(blob, wires.transfer(blob).await) }));
        }
        match running.next().await {
            None => break,
            Some(Done::Image(at, end)) => board.image_ended(at, end, listen),
            Some(Done::Blob(blob, end)) => {
                for image in board.blob_ended(blob, end, listen) {
                    running.push(Either::Left(finish(&wires, plan, image)));
                }
            }
        }
    }
    board.report
}

/// Why something was left when the copy was asked to stop.
pub(crate) fn stopped() -> RegistryError {
    RegistryError::new(RegistryErrorKind::Unreachable, "copy", "stopped before its end")
}

enum Done<'a> {
    Blob(&'a BlobCopy, Result<BlobEnd, RegistryError>),
    Image(usize, Result<(), RegistryError>),
}

/// Stores an image's documents, stage by stage.
async fn finish<'a, S: RegistryRead, T: RegistryRead + RegistryWrite>(
    wires: &Wires<'_, S, T>,
    plan: &'a CopyPlan,
    at: usize,
) -> Done<'a> {
    let ImageCopy { image, stages, .. } = &plan.images[at];
    let stored = async {
        // Some hubs say only now that they keep the lists themselves.
        let mut listed = BTreeSet::new();
        for stage in stages {
            let is_needed =
                |copy: &&DocumentCopy| copy.list_of.is_none_or(|s| !listed.contains(&s));
            let pushes = stage.iter().filter(is_needed).map(|copy| {
                wires.target.push_manifest(&image.repository, &copy.document, copy.tag.as_deref())
            });
            let subjects = try_join_all(pushes).await?;
            listed.extend(subjects.into_iter().flatten());
        }
        Ok(())
    };
    Done::Image(at, stored.await)
}

/// What is left, what is under way, what came of the rest.
struct Board<'a> {
    plan: &'a CopyPlan,
    large: VecDeque<&'a BlobCopy>,
    small: VecDeque<&'a BlobCopy>,
    n_large: usize,
    n_small: usize,
    /// Blobs that each image still waits for.
    n_waiting: BTreeMap<usize, usize>,
    /// Why nothing more is begun.
    stopped: Option<RegistryError>,
    report: CopyReport,
}

impl<'a> Board<'a> {
    fn new(plan: &'a CopyPlan) -> Self {
        let (large, small) = plan.blobs.iter().partition(|blob| is_long(blob));
        let mut n_waiting: BTreeMap<usize, usize> =
            (0..plan.images.len()).map(|at| (at, 0)).collect();
        for image in plan.blobs.iter().flat_map(|blob| &blob.images) {
            *n_waiting.entry(*image).or_default() += 1;
        }
        let (stopped, report) = (None, CopyReport::default());
        Self { plan, large, small, n_large: 0, n_small: 0, n_waiting, stopped, report }
    }

    /// Images all of whose blobs are there already.
    fn ready(&self) -> Vec<usize> {
        self.n_waiting.iter().filter(|(_, n)| **n == 0).map(|(at, _)| *at).collect()
    }

    fn next_blob(&mut self) -> Option<&'a BlobCopy> {
        if self.stopped.is_some() {
            return None;
        }
        let next = |queue: &mut VecDeque<&'a BlobCopy>, n: &mut usize, n_max: usize| {
            let blob = if *n < n_max { queue.pop_front() } else { None };
            *n += usize::from(blob.is_some());
            blob
        };
        next(&mut self.large, &mut self.n_large, LARGE_MAX)
            .or_else(|| next(&mut self.small, &mut self.n_small, SMALL_MAX))
    }

    /// Gives the images that can be completed now.
    fn blob_ended(
        &mut self,
        blob: &BlobCopy,
        end: Result<BlobEnd, RegistryError>,
        listen: &dyn Fn(&CopyEvent),
    ) -> Vec<usize> {
        let n = if is_long(blob) { &mut self.n_large } else { &mut self.n_small };
        *n -= 1;
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                for at in &blob.images {
                    self.fail(*at, &error, listen);
                }
                self.stop_for(error, listen);
                return Vec::new();
            }
        };
        match end {
            BlobEnd::Copied => self.report.bytes_copied += blob.size,
            BlobEnd::Mounted => self.report.bytes_mounted += blob.size,
        }
        listen(&CopyEvent::Blob { digest: blob.digest, size: blob.size, end });
        let mut ready = Vec::new();
        for at in &blob.images {
            if let Some(n) = self.n_waiting.get_mut(at) {
                *n -= 1;
                if *n == 0 && self.stopped.is_none() {
                    ready.push(*at);
                }
            }
        }
        ready
    }

    fn image_ended(
        &mut self,
        at: usize,
        end: Result<(), RegistryError>,
        listen: &dyn Fn(&CopyEvent),
    ) {
        match end {
            Ok(()) => {
                let image = self.plan.images[at].image.clone();
                self.n_waiting.remove(&at);
                listen(&CopyEvent::Image { image: image.clone() });
                self.report.copied.insert(image);
            }
            Err(error) => {
                self.fail(at, &error, listen);
                self.stop_for(error, listen);
            }
        }
    }

    fn fail(&mut self, at: usize, error: &RegistryError, listen: &dyn Fn(&CopyEvent)) {
        if self.n_waiting.remove(&at).is_some() {
            // What only failed images wanted is of no use any more.
            let (large, small, n_waiting) = (&mut self.large, &mut self.small, &self.n_waiting);
            for queue in [large, small] {
                queue.retain(|blob| blob.images.iter().any(|at| n_waiting.contains_key(at)));
            }
            let image = self.plan.images[at].image.clone();
            listen(&CopyEvent::Failed { image: image.clone(), reason: error.to_string() });
            self.report.failed.insert(image, error.clone());
        }
    }

    /// A hub that is gone, or lets nobody in, will not be otherwise for the next blob.
    fn stop_for(&mut self, error: RegistryError, listen: &dyn Fn(&CopyEvent)) {
        use RegistryErrorKind as Kind;
        let is_general =
            matches!(error.kind, Kind::Unreachable | Kind::Unauthorized | Kind::ForeignRealm);
        if is_general && self.stopped.is_none() {
            // Those whose blobs are all there are under way, and say themselves how it ends.
            let waiting = self.n_waiting.iter().filter(|(_, n)| **n > 0).map(|(at, _)| *at);
            for at in waiting.collect::<Vec<usize>>() {
                self.fail(at, &error, listen);
            }
            self.stopped = Some(error);
        }
    }
}
