//! One blob into the target: mounted, or sent part by part while its digest is checked.
//!
//! In: a [`BlobCopy`]. Out: how it came there. Effect: reads the source, writes to the target.
//!
//! # Guarantees
//! * The last bytes of a blob are sent only if all of them have the digest and the size; where none
//!   are left to send, the target is told only then that this was all.
//! * A blob larger than a part goes on from what the target acknowledged, after a failure as after
//!   a kill.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::join;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use crate::clients::registry::{
    Begun, Part, RegistryError, RegistryErrorKind, RegistryRead, RegistryWrite, Upload, pause,
};
use crate::hub::copy::execute::{is_large, stopped};
use crate::hub::copy::hash::Hasher;
use crate::hub::copy::limit::Limit;
use crate::hub::copy::notes::Notes;
use crate::hub::copy::source::{SourceBlob, may_pass};
use crate::hub::copy::{BlobCopy, BlobEnd, CopyEvent};
use crate::model::RepositoryPath;

/// What is acknowledged at once: so much is sent again at most.
const PART_BYTES: u64 = 32 << 20;
/// Failures in a row without a part acknowledged between them.
const FAILURES_MAX: u32 = 6;
/// Times that a blob is begun anew, because the target gave its session up. Distribution does when a
/// part broke off in its middle.
const RESTARTS_MAX: u32 = 4;

/// What transfers share.
pub(crate) struct Wires<'a, S, T> {
    pub(crate) source: &'a S,
    pub(crate) target: &'a T,
    pub(crate) limit: Limit,
    pub(crate) notes: Notes,
    /// Permits to send large blobs.
    pub(crate) large: Semaphore,
    pub(crate) listen: &'a dyn Fn(&CopyEvent),
    pub(crate) stop: &'a AtomicBool,
}

/// How far a blob is: the session, and the hash up to a byte that it acknowledged.
struct Sending {
    upload: Upload,
    hasher: Hasher,
}

impl<S: RegistryRead, T: RegistryRead + RegistryWrite> Wires<'_, S, T> {
    /// Brings a blob into every repository that needs it.
    pub(crate) async fn transfer(&self, blob: &BlobCopy) -> Result<BlobEnd, RegistryError> {
        let end = self.bring(blob, &blob.repository, &blob.candidates).await?;
        for repository in &blob.further {
            self.bring(blob, repository, std::slice::from_ref(&blob.repository)).await?;
        }
        Ok(end)
    }

    async fn bring(
        &self,
        blob: &BlobCopy,
        repository: &RepositoryPath,
        candidates: &[RepositoryPath],
    ) -> Result<BlobEnd, RegistryError> {
        let noted = self.noted(blob, repository).await?;
        let mut sending = match noted {
            Some(sending) => sending,
            None => match self.begin(blob, repository, candidates).await? {
                Begun::Mounted => return Ok(BlobEnd::Mounted),
                Begun::Session(upload) => Sending { upload, hasher: Hasher::new() },
            },
        };
        let _permit = if is_large(blob) { self.large.acquire().await.ok() } else { None };
        if self.stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        let (mut n_failures, mut n_restarts) = (0, 0);
        loop {
            let before = sending.hasher.n_bytes();
            let mut n_sent = 0;
            let sent = self.send(blob, repository, &mut sending, &mut n_sent).await;
            let Err(error) = sent else {
                self.notes.forget(repository, &blob.digest);
                return Ok(BlobEnd::Copied);
            };
            if self.stop.load(Ordering::Relaxed) {
                return Err(error);
            }
            let after = sending.hasher.n_bytes();
            n_failures = if after > before { 1 } else { n_failures + 1 };
            if !may_pass(&error) || n_failures >= FAILURES_MAX || n_restarts >= RESTARTS_MAX {
                if !may_pass(&error) {
                    let _gone = self.target.cancel_upload(sending.upload).await;
                    self.notes.forget(repository, &blob.digest);
                }
                return Err(error);
            }
            sleep(pause(n_failures)).await;
            let n_kept = self.go_on(blob, repository, &mut sending).await?;
            n_restarts += u32::from(n_kept == 0 && after > 0);
            let n_bytes_lost = (before + n_sent).saturating_sub(n_kept);
            let (digest, reason) = (blob.digest, error.to_string());
            (self.listen)(&CopyEvent::Retry { digest, reason, n_bytes_lost });
        }
    }

    /// Asks the target to take the blob from where it may have it, else for a session.
    async fn begin(
        &self,
        blob: &BlobCopy,
        repository: &RepositoryPath,
        candidates: &[RepositoryPath],
    ) -> Result<Begun, RegistryError> {
        let mut opened = None;
        for candidate in candidates {
            // The first is asked right away; once a session is open, only who surely has it.
            let asked = match &opened {
                None => true,
                Some(_) => self.target.has_blob(candidate, &blob.digest).await.unwrap_or(false),
            };
            if !asked {
                continue;
            }
            let begun = self.target.begin_upload(repository, &blob.digest, Some(candidate)).await;
            match begun {
                Ok(Begun::Mounted) => {
                    if let Some(upload) = opened {
                        let _gone = self.target.cancel_upload(upload).await;
                    }
                    return Ok(Begun::Mounted);
                }
                Ok(Begun::Session(upload)) => {
                    if let Some(unneeded) = opened.replace(upload) {
                        let _gone = self.target.cancel_upload(unneeded).await;
                    }
                }
                // Not for us to read, or not there: it was only a guess.
                Err(error) if !may_pass(&error) => {}
                Err(error) => return Err(error),
            }
        }
        match opened {
            Some(upload) => Ok(Begun::Session(upload)),
            None => self.target.begin_upload(repository, &blob.digest, None).await,
        }
    }

    /// The upload that an earlier process left, if the target still knows it.
    async fn noted(
        &self,
        blob: &BlobCopy,
        repository: &RepositoryPath,
    ) -> Result<Option<Sending>, RegistryError> {
        let Some(note) = self.notes.find(repository, &blob.digest) else { return Ok(None) };
        let found = self.target.resume_upload(repository, &note.session).await?;
        let sending = found.zip(note.hasher()).map(|(upload, hasher)| Sending { upload, hasher });
        let sending = sending.filter(|sending| sending.upload.n_bytes >= sending.hasher.n_bytes());
        if let Some(sending) = &sending {
            // These need not be sent again.
            (self.listen)(&CopyEvent::Bytes { n_bytes: sending.hasher.n_bytes() });
        } else {
            self.notes.forget(repository, &blob.digest);
        }
        Ok(sending)
    }

    /// After a failure: what the target has of the blob, or a new session. Gives what it has.
    async fn go_on(
        &self,
        blob: &BlobCopy,
        repository: &RepositoryPath,
        sending: &mut Sending,
    ) -> Result<u64, RegistryError> {
        if sending.hasher.n_bytes() > 0 {
            let session = sending.upload.session().to_owned();
            let found = self.target.resume_upload(repository, &session).await?;
            if let Some(upload) = found.filter(|u| u.n_bytes >= sending.hasher.n_bytes()) {
                sending.upload = upload;
                return Ok(sending.hasher.n_bytes());
            }
        }
        self.notes.forget(repository, &blob.digest);
        let _gone = self.target.cancel_upload(sending.upload.clone()).await;
        match self.target.begin_upload(repository, &blob.digest, None).await? {
            Begun::Session(upload) => *sending = Sending { upload, hasher: Hasher::new() },
            Begun::Mounted => {
                let message = "the hub says that the blob is there, unasked";
                let kind = RegistryErrorKind::Malformed;
                return Err(RegistryError::new(kind, &blob.digest.to_string(), message));
            }
        }
        Ok(0)
    }

    /// Sends what is left. `sending` moves with what is acknowledged.
    async fn send(
        &self,
        blob: &BlobCopy,
        repository: &RepositoryPath,
        sending: &mut Sending,
        n_sent: &mut u64,
    ) -> Result<(), RegistryError> {
        let mut pump = Pump {
            source: SourceBlob::new(self.source, blob, sending.hasher.n_bytes()),
            hasher: sending.hasher.clone(),
            carry: Bytes::new(),
            limit: &self.limit,
            listen: self.listen,
            n_sent,
        };
        pump.pass_over(sending.upload.n_bytes).await?;
        loop {
            let n_left = blob.size.saturating_sub(sending.upload.n_bytes);
            if n_left <= PART_BYTES {
                let (pieces, part) = Part::new(n_left);
                let part = (n_left > 0).then_some(part);
                let upload = sending.upload.clone();
                let pumped = pump.last(n_left, &blob.digest, pieces);
                if part.is_none() {
                    // The target has every byte: no last one keeps it waiting while all is checked.
                    ended((pumped.await, Ok(())))?;
                    return self.target.finish_upload(upload, &blob.digest, part).await;
                }
                let finished = self.target.finish_upload(upload, &blob.digest, part);
                return ended(join(pumped, finished).await);
            }
            let (pieces, part) = Part::new(PART_BYTES);
            let n_wanted = sending.upload.n_bytes + PART_BYTES;
            let pumped = pump.part(PART_BYTES, pieces);
            ended(join(pumped, self.target.send_part(&mut sending.upload, part)).await)?;
            if sending.upload.n_bytes != n_wanted {
                let message = "the hub acknowledged another number of bytes than were sent";
                let operation = blob.digest.to_string();
                return Err(RegistryError::new(RegistryErrorKind::Registry, &operation, message));
            }
            sending.hasher = pump.hasher.clone();
            self.notes.keep(repository, &blob.digest, sending.upload.session(), &sending.hasher);
            if self.stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
        }
    }
}

/// Why pumping ended early.
enum Broken {
    /// The source's fault.
    Source(RegistryError),
    /// The target takes no more; its own answer says why.
    Target,
}

/// The source's error comes first: the target's is then only what follows from it.
fn ended(
    (pumped, sent): (Result<(), Broken>, Result<(), RegistryError>),
) -> Result<(), RegistryError> {
    match (pumped, sent) {
        (Err(Broken::Source(error)), _) | (_, Err(error)) => Err(error),
        (Ok(()) | Err(Broken::Target), Ok(())) => Ok(()),
    }
}

/// Moves bytes from the source into parts, hashing them on the way.
struct Pump<'a, S> {
    source: SourceBlob<'a, S>,
    hasher: Hasher,
    /// What was read beyond the end of a part.
    carry: Bytes,
    limit: &'a Limit,
    listen: &'a dyn Fn(&CopyEvent),
    n_sent: &'a mut u64,
}

impl<S: RegistryRead> Pump<'_, S> {
    /// At most `n_max` bytes more, hashed.
    async fn piece(&mut self, n_max: u64) -> Result<Bytes, RegistryError> {
        if self.carry.is_empty() {
            let piece = self.source.piece().await?;
            self.carry = piece.ok_or_else(|| {
                let message = "the source ended early";
                RegistryError::new(RegistryErrorKind::Malformed, "blob", message)
            })?;
            self.limit.take(self.carry.len()).await;
        }
        let n = usize::try_from(n_max).unwrap_or(usize::MAX).min(self.carry.len());
        let piece = self.carry.split_to(n);
        self.hasher.update(&piece);
        *self.n_sent += n as u64;
        (self.listen)(&CopyEvent::Bytes { n_bytes: n as u64 });
        Ok(piece)
    }

    /// Reads and hashes up to `n_bytes` of the blob, which the target has already.
    async fn pass_over(&mut self, n_bytes: u64) -> Result<(), RegistryError> {
        while self.hasher.n_bytes() < n_bytes {
            self.piece(n_bytes - self.hasher.n_bytes()).await?;
        }
        Ok(())
    }

    async fn part(&mut self, n_bytes: u64, pieces: mpsc::Sender<Bytes>) -> Result<(), Broken> {
        let mut n_left = n_bytes;
        while n_left > 0 {
            let piece = self.piece(n_left).await.map_err(Broken::Source)?;
            n_left -= piece.len() as u64;
            pieces.send(piece).await.map_err(|_| Broken::Target)?;
        }
        Ok(())
    }

    /// The last part: its last piece is kept back until all is checked.
    async fn last(
        &mut self,
        n_bytes: u64,
        digest: &crate::model::Digest,
        pieces: mpsc::Sender<Bytes>,
    ) -> Result<(), Broken> {
        let mut n_left = n_bytes;
        let mut kept: Option<Bytes> = None;
        while n_left > 0 {
            let piece = self.piece(n_left).await.map_err(Broken::Source)?;
            n_left -= piece.len() as u64;
            if let Some(before) = kept.replace(piece) {
                pieces.send(before).await.map_err(|_| Broken::Target)?;
            }
        }
        let wrong = |message: String| {
            let operation = format!("blob {digest}");
            Broken::Source(RegistryError::new(RegistryErrorKind::Malformed, &operation, message))
        };
        if !self.carry.is_empty() || self.source.piece().await.map_err(Broken::Source)?.is_some() {
            return Err(wrong("the source sends more than its size".to_owned()));
        }
        let found = self.hasher.digest();
        if found != *digest {
            return Err(wrong(format!("the source sends other bytes, with the digest {found}")));
        }
        match kept {
            Some(last) => pieces.send(last).await.map_err(|_| Broken::Target),
            None => Ok(()),
        }
    }
}
