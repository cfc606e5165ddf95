//! Reading a blob piece by piece, from any place in it, wherever the registry keeps it.
//!
//! In: a digest, a size, where to begin. Out: [`BlobReader`]. Effect: HTTP.
//!
//! # Guarantees
//! * Redirects are followed a few times, without our credentials, and never out of TLS.
//! * No more and no less than the blob's size is ever read; a source that hangs or drips is left.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONTENT_RANGE, HeaderValue, LOCATION, RANGE};
use hyper::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::clients::registry::auth::Grant;
use crate::clients::registry::http::{Response, whole};
use crate::clients::registry::send::{Answer, Body, Request, slow, unreachable};
use crate::clients::registry::{RegistryClient, RegistryError, RegistryErrorKind};
use crate::model::{Digest, RepositoryPath};

/// Registries keep blobs in object stores, perhaps behind a CDN.
const REDIRECTS_MAX: usize = 5;
/// Bytes that are read from a file at once.
const PIECE_BYTES: usize = 256 << 10;
/// Time between two pieces.
const PIECE_SECS_MAX: u64 = 30;
/// Over so much time of waiting, a source must bring …
const DRIP_SECS: u64 = 30;
/// … so much: less would take a day for a small image.
const DRIP_BYTES_MIN: u64 = 32 << 10;

/// A blob on its way from a hub.
#[derive(Debug)]
pub struct BlobReader {
    operation: String,
    source: Source,
    /// Bytes to pass over, if the registry began before the place asked for.
    n_skip: u64,
    n_left: u64,
    waited: Duration,
    n_got: u64,
}

/// Where its bytes are.
#[derive(Debug)]
enum Source {
    /// On their way.
    Hub(Box<Response>),
    /// Here, from this place on.
    File(Arc<File>, u64),
}

impl BlobReader {
    /// A blob of `size` bytes that lies in a file.
    pub(crate) fn of_file(operation: String, file: Arc<File>, at: u64, size: u64) -> Self {
        let source = Source::File(file, at);
        Self { operation, source, n_skip: 0, n_left: size, waited: Duration::ZERO, n_got: 0 }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        match &mut self.source {
            Source::Hub(response) => {
                let piece = timeout(Duration::from_secs(PIECE_SECS_MAX), response.chunk()).await;
                let piece = piece.map_err(|_| slow(&self.operation))?;
                piece.map_err(|error| unreachable(&self.operation, &error))
            }
            Source::File(file, at) => {
                let n = usize::try_from(self.n_left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let mut bytes = vec![0; n];
                let n = file.read_at(&mut bytes, *at).map_err(|error| {
                    let (kind, words) = (RegistryErrorKind::Malformed, error.to_string());
                    RegistryError::new(kind, &self.operation, words)
                })?;
                bytes.truncate(n);
                *at += n as u64;
                Ok((n > 0).then(|| bytes.into()))
            }
        }
    }

    fn malformed(&self, message: &str) -> RegistryError {
        RegistryError::new(RegistryErrorKind::Malformed, &self.operation, message)
    }

    /// The next piece; none at the end, which is exactly where it must be.
    ///
    /// # Errors
    /// When the source breaks off, hangs, drips, or goes on too long.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let began = Instant::now();
            let Some(mut piece) = self.next().await? else {
                if self.n_left > 0 {
                    let message = format!("it ended {} bytes too early", self.n_left);
                    let kind = RegistryErrorKind::Unreachable;
                    return Err(RegistryError::new(kind, &self.operation, message));
                }
                return Ok(None);
            };
            self.measure(began.elapsed(), piece.len() as u64)?;
            let n_skip = usize::try_from(self.n_skip).unwrap_or(usize::MAX).min(piece.len());
            self.n_skip -= n_skip as u64;
            drop(piece.split_to(n_skip));
            if piece.is_empty() {
                continue;
            }
            let n_left = self.n_left.checked_sub(piece.len() as u64);
            self.n_left = n_left.ok_or_else(|| self.malformed("it is longer than its size"))?;
            return Ok(Some(piece));
        }
    }

    /// Only time spent waiting counts: the reader may be slow for reasons of its own.
    fn measure(&mut self, waited: Duration, n_bytes: u64) -> Result<(), RegistryError> {
        self.waited += waited;
        self.n_got += n_bytes;
        if self.waited.as_secs() >= DRIP_SECS {
            if self.n_got < DRIP_BYTES_MIN {
                let message = format!("only {} bytes came in {DRIP_SECS} s", self.n_got);
                let kind = RegistryErrorKind::Timeout;
                return Err(RegistryError::new(kind, &self.operation, message));
            }
            (self.waited, self.n_got) = (Duration::ZERO, 0);
        }
        Ok(())
    }
}

impl RegistryClient {
    pub(crate) async fn open_blob(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        size: u64,
        from: u64,
    ) -> Result<Option<BlobReader>, RegistryError> {
        let operation = format!("blob {digest} of {repository} in {}", self.hub);
        let url = self.url(repository, &format!("blobs/{digest}"), &operation)?;
        let grant = Grant::Pull(self.name(repository));
        let mut request = Request::new(&operation, grant, Method::GET, url);
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            request.headers.insert(RANGE, range);
        }
        let mut answer = self.send_for(&request, Body::Streamed).await?;
        for n_redirects in 0.. {
            if !answer.response.status().is_redirection() {
                break;
            }
            if n_redirects >= REDIRECTS_MAX {
                let message = "it is redirected again and again";
                let kind = RegistryErrorKind::Malformed;
                return Err(RegistryError::new(kind, &operation, message));
            }
            answer = self.follow(&request, answer).await?;
        }
        if !answer.is_found() {
            return Ok(None);
        }
        let n_skip = match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let begins = answer.header(CONTENT_RANGE.as_str()).and_then(first_byte);
                match begins {
                    Some(at) if at <= from => from - at,
                    _ => {
                        let message = "it sent another part than was asked for";
                        let kind = RegistryErrorKind::Malformed;
                        return Err(RegistryError::new(kind, &operation, message));
                    }
                }
            }
            _ => from,
        };
        Ok(Some(BlobReader {
            operation,
            // Its turn ends here: whoever reads may wait for a turn at another hub meanwhile, and
            // somebody there for a turn here.
            source: Source::Hub(Box::new(answer.response)),
            n_skip,
            n_left: size.saturating_sub(from),
            waited: Duration::ZERO,
            n_got: 0,
        }))
    }

    /// Goes where a redirect leads. Our credentials stay here.
    async fn follow(&self, request: &Request, from: Answer) -> Result<Answer, RegistryError> {
        let operation = &request.operation;
        let base = from.response.url().clone();
        let target = from.header(LOCATION.as_str()).and_then(|text| base.join(text).ok());
        let encrypted = |url: &Url| url.scheme() == "https";
        let allowed = |url: &Url| encrypted(url) || (url.scheme() == "http" && !encrypted(&base));
        let Some(target) = target.filter(allowed) else {
            let message = "it is redirected to nowhere, or out of TLS";
            return Err(RegistryError::new(RegistryErrorKind::Malformed, operation, message));
        };
        let (headers, nothing) = (request.headers.clone(), whole(Bytes::new()));
        let sent = self.http.send(Method::GET, &target, headers, nothing, None);
        let sent = timeout(Duration::from_secs(PIECE_SECS_MAX), sent).await;
        let response = sent.map_err(|_| slow(operation))?;
        let response = response.map_err(|error| unreachable(operation, &error))?;
        let answer = Answer { response, turn: from.turn };
        self.judged(operation, answer, 1).await
    }
}

/// `bytes 100-199/200` → 100.
fn first_byte(content_range: &str) -> Option<u64> {
    content_range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::clients::registry::blob::first_byte;

    #[test]
    fn a_part_says_where_it_begins() {
        assert_eq!(first_byte("bytes 100-199/200"), Some(100));
        for bad in ["", "bytes */200", "items 1-2/3"] {
            assert_eq!(first_byte(bad), None, "{bad}");
        }
    }
}
