//! A blob of the source, read to its end even if the source breaks off now and then.
//!
//! In: a hub, a blob, where to begin. Out: pieces. Effect: asks the hub, again from where it broke.

use bytes::Bytes;
use tokio::time::sleep;

use crate::clients::registry::{BlobReader, RegistryError, RegistryErrorKind, RegistryRead, pause};
use crate::hub::copy::BlobCopy;

/// Failures in a row, that is without the progress below between them.
const FAILURES_MAX: u32 = 5;
/// Progress after which failures are counted anew.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Whether another try may end otherwise.
pub(crate) fn may_pass(error: &RegistryError) -> bool {
    use RegistryErrorKind as Kind;
    matches!(error.kind, Kind::Unreachable | Kind::Timeout | Kind::Busy | Kind::Registry)
}

/// A blob being read.
pub(crate) struct SourceBlob<'a, S> {
    hub: &'a S,
    blob: &'a BlobCopy,
    reader: Option<BlobReader>,
    at: u64,
    n_failures: u32,
    failed_at: u64,
}

impl<'a, S: RegistryRead> SourceBlob<'a, S> {
    pub(crate) fn new(hub: &'a S, blob: &'a BlobCopy, at: u64) -> Self {
        Self { hub, blob, reader: None, at, n_failures: 0, failed_at: at }
    }

    /// The next piece; none at the blob's end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let error = match self.try_piece().await {
                Ok(piece) => {
                    self.at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                    return Ok(piece);
                }
                Err(error) => error,
            };
            if self.at - self.failed_at >= PROGRESS_BYTES {
                self.n_failures = 0;
            }
            (self.n_failures, self.failed_at) = (self.n_failures + 1, self.at);
            if !may_pass(&error) || self.n_failures >= FAILURES_MAX {
                return Err(error);
            }
            self.reader = None;
            sleep(pause(self.n_failures)).await;
        }
    }

    async fn try_piece(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let BlobCopy { repository, digest, size, .. } = self.blob;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None if self.at >= *size => return Ok(None),
            None => {
                let found = self.hub.blob(repository, digest, *size, self.at).await?;
                let reader = found.ok_or_else(|| {
                    let operation = format!("blob {digest} of {repository}");
                    let message = "the source hub lacks it";
                    RegistryError::new(RegistryErrorKind::NotFound, &operation, message)
                })?;
                self.reader.insert(reader)
            }
        };
        reader.piece().await
    }
}
