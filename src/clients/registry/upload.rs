//! Uploads: a session that a registry opens, parts that it acknowledges, the end.
//!
//! In: parts of a blob. Out: [`Upload`], [`Begun`]. Effect: HTTP.
//!
//! # Guarantees
//! * Nothing is sent to another host than the hub itself, whatever a session's address says.
//! * A part is not held in memory: it is sent as it comes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use crate::clients::registry::auth::Grant;
use crate::clients::registry::http::{HttpError, RequestBody, Response};
use crate::clients::registry::referrers::same_authority;
use crate::clients::registry::send::{Answer, Request, authorized, unreachable};
use crate::clients::registry::write::stored;
use crate::clients::registry::{RegistryClient, RegistryError, RegistryErrorKind, RegistryUpload};
use crate::model::{Digest, RepositoryPath};

/// Time without any progress of a part. Longer than a source may take for a piece.
const STALL_SECS_MAX: u64 = 120;
/// Time for the answer once all is sent: a registry may copy the whole blob within its store.
const COMMIT_SECS_MAX: u64 = 300;

/// A session that a registry opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    repository: RepositoryPath,
    url: Url,
    /// Bytes that the registry acknowledged.
    pub n_bytes: u64,
}

impl Upload {
    /// Its address, by which it can be found again.
    pub fn session(&self) -> &str {
        self.url.as_str()
    }
}

/// What came of asking for an upload.
#[derive(Debug)]
pub enum Begun {
    /// The blob is there: the registry took it from the repository that was named.
    Mounted,
    /// It has to be sent.
    Session(Upload),
}

/// Consecutive bytes of a blob, as they come.
pub struct Part {
    n_bytes: u64,
    pieces: mpsc::Receiver<Bytes>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("n_bytes", &self.n_bytes).finish_non_exhaustive()
    }
}

impl Part {
    /// A part of exactly `n_bytes`, and where its pieces are put. Dropping that too early breaks it
    /// off.
    pub fn new(n_bytes: u64) -> (mpsc::Sender<Bytes>, Self) {
        // A piece is up to 400 KiB: what is on its way stays small, whatever the blob's size.
        let (sender, pieces) = mpsc::channel(1);
        (sender, Self { n_bytes, pieces })
    }

    /// A part that is there already.
    pub fn whole(bytes: Vec<u8>) -> Self {
        let (sender, part) = Self::new(bytes.len() as u64);
        // The channel holds one piece.
        drop(sender.try_send(bytes.into()));
        part
    }

    /// As a request's body, counting what was taken.
    fn into_body(self, n_taken: Arc<AtomicU64>) -> RequestBody {
        let pieces = futures_util::stream::unfold(self.pieces, move |mut pieces| {
            let n_taken = Arc::clone(&n_taken);
            async move {
                let piece = pieces.recv().await?;
                n_taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Some((Ok(Frame::data(piece)), pieces))
            }
        });
        RequestBody::new(StreamBody::new(pieces))
    }
}

impl RegistryUpload for RegistryClient {
    async fn begin_upload(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        mount: Option<&RepositoryPath>,
    ) -> Result<Begun, RegistryError> {
        let operation = format!("upload of {digest} to {repository} in {}", self.hub);
        let mut url = self.url(repository, "blobs/uploads/", &operation)?;
        let mut grant = Grant::Push(self.name(repository));
        if let Some(from) = mount {
            let from = self.name(from);
            let digest = digest.to_string();
            url.query_pairs_mut().append_pair("mount", &digest).append_pair("from", &from);
            grant = Grant::Mount(self.name(repository), from);
        }
        let request = Request::new(&operation, grant, Method::POST, url);
        let answer = stored(&operation, self.send(&request).await?)?;
        if answer.response.status() == StatusCode::CREATED {
            return Ok(Begun::Mounted);
        }
        session_of(&operation, repository, &answer, 0).map(Begun::Session)
    }

    async fn resume_upload(
        &self,
        repository: &RepositoryPath,
        session: &str,
    ) -> Result<Option<Upload>, RegistryError> {
        let operation = self.upload_operation(repository);
        let base = self.url(repository, "", &operation)?;
        let Some(url) = Url::parse(session).ok().filter(|url| same_authority(url, &base)) else {
            return Ok(None);
        };
        let grant = Grant::Push(self.name(repository));
        let request = Request::new(&operation, grant, Method::GET, url.clone());
        let answer = match self.send(&request).await {
            Ok(answer) if answer.response.status().is_success() => answer,
            // It is over, or was never one of ours.
            Ok(_) => return Ok(None),
            Err(error) if error.kind == RegistryErrorKind::Refused => return Ok(None),
            Err(error) => return Err(error),
        };
        let n_bytes = answer.header(RANGE.as_str()).and_then(acknowledged).unwrap_or(0);
        let url = if answer.header(LOCATION.as_str()).is_some() {
            session_of(&operation, repository, &answer, n_bytes)?.url
        } else {
            url
        };
        Ok(Some(Upload { repository: repository.clone(), url, n_bytes }))
    }

    async fn send_part(&self, upload: &mut Upload, part: Part) -> Result<(), RegistryError> {
        let operation = self.upload_operation(&upload.repository);
        let n_bytes = upload.n_bytes + part.n_bytes;
        let answer =
            self.stream(&operation, Method::PATCH, upload, upload.url.clone(), part).await?;
        let n_acknowledged = answer.header(RANGE.as_str()).and_then(acknowledged);
        let n_acknowledged = n_acknowledged.unwrap_or(n_bytes);
        let moved = session_of(&operation, &upload.repository, &answer, n_acknowledged)?;
        *upload = moved;
        Ok(())
    }

    async fn finish_upload(
        &self,
        upload: Upload,
        digest: &Digest,
        last: Option<Part>,
    ) -> Result<(), RegistryError> {
        let operation = format!("upload of {digest} to {} in {}", upload.repository, self.hub);
        let mut url = upload.url.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let answer = if let Some(part) = last {
            self.stream(&operation, Method::PUT, &upload, url, part).await?
        } else {
            let grant = Grant::Push(self.name(&upload.repository));
            self.send(&Request::new(&operation, grant, Method::PUT, url)).await?
        };
        stored(&operation, answer).map(drop)
    }

    async fn cancel_upload(&self, upload: Upload) -> Result<(), RegistryError> {
        let operation = self.upload_operation(&upload.repository);
        let grant = Grant::Push(self.name(&upload.repository));
        let request = Request::new(&operation, grant, Method::DELETE, upload.url);
        self.send(&request).await.map(drop)
    }
}

impl RegistryClient {
    fn upload_operation(&self, repository: &RepositoryPath) -> String {
        format!("upload to {repository} in {}", self.hub)
    }

    /// Sends a part once: it cannot be sent again, since it was not kept.
    async fn stream(
        &self,
        operation: &str,
        method: Method,
        upload: &Upload,
        url: Url,
        part: Part,
    ) -> Result<Answer, RegistryError> {
        let grant = Grant::Push(self.name(&upload.repository));
        let mut request = Request::new(operation, grant, method, url.clone());
        request.headers.insert(CONTENT_LENGTH, part.n_bytes.into());
        let octets = HeaderValue::from_static("application/octet-stream");
        request.headers.insert(CONTENT_TYPE, octets);
        if request.method == Method::PATCH && part.n_bytes > 0 {
            let last = upload.n_bytes + part.n_bytes - 1;
            if let Ok(range) = HeaderValue::from_str(&format!("{}-{last}", upload.n_bytes)) {
                request.headers.insert(CONTENT_RANGE, range);
            }
        }
        let turn = self.pace.turn().await;
        let known = self.known_grant(&request).await?;
        let headers = authorized(request.headers.clone(), known.as_deref());
        let (n_bytes, n_taken) = (part.n_bytes, Arc::new(AtomicU64::new(0)));
        let body = part.into_body(Arc::clone(&n_taken));
        let sent = self.http.send(request.method.clone(), &url, headers, body, None);
        let response = watched(operation, sent, n_bytes, &n_taken).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && self.answer(&request, &response, known.as_deref()).await?.is_some()
        {
            let message = "what it let us in with had expired";
            return Err(RegistryError::new(RegistryErrorKind::Registry, operation, message));
        }
        let answer = self.judged(operation, Answer { response, turn }, 1).await?;
        stored(operation, answer)
    }
}

/// Waits for the answer to a part as long as it moves.
async fn watched(
    operation: &str,
    sent: impl Future<Output = Result<Response, HttpError>>,
    n_bytes: u64,
    n_taken: &AtomicU64,
) -> Result<Response, RegistryError> {
    let mut sent = std::pin::pin!(sent);
    let mut n_before = 0;
    loop {
        let is_sent = n_before >= n_bytes;
        let secs = if is_sent { COMMIT_SECS_MAX } else { STALL_SECS_MAX };
        if let Ok(answer) = timeout(Duration::from_secs(secs), sent.as_mut()).await {
            return answer.map_err(|error| unreachable(operation, &error));
        }
        let n_now = n_taken.load(Ordering::Relaxed);
        if is_sent || n_now == n_before {
            let message = format!("the hub takes nothing more since {secs} s");
            return Err(RegistryError::new(RegistryErrorKind::Timeout, operation, message));
        }
        n_before = n_now;
    }
}

/// The session that an answer opens or moves.
fn session_of(
    operation: &str,
    repository: &RepositoryPath,
    answer: &Answer,
    n_bytes: u64,
) -> Result<Upload, RegistryError> {
    let base = answer.response.url();
    let url = answer.header(LOCATION.as_str()).and_then(|text| base.join(text).ok());
    let url = url.filter(|url| same_authority(url, base)).ok_or_else(|| {
        let message = "the hub takes uploads on another host, where nothing is sent";
        RegistryError::new(RegistryErrorKind::ForeignRealm, operation, message)
    })?;
    Ok(Upload { repository: repository.clone(), url, n_bytes })
}

/// `0-1023` → 1024. Distribution says `0-0` for nothing at all.
fn acknowledged(range: &str) -> Option<u64> {
    let text = range.strip_prefix("bytes=").unwrap_or(range);
    let (_, last) = text.split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

#[cfg(test)]
mod tests {
    use crate::clients::registry::upload::acknowledged;

    #[test]
    fn what_was_acknowledged_is_read_from_its_last_byte() {
        for (range, n) in [("0-1023", 1024), ("bytes=0-9", 10), ("0-0", 0)] {
            assert_eq!(acknowledged(range), Some(n), "{range}");
        }
        assert_eq!(acknowledged("none"), None);
    }
}
