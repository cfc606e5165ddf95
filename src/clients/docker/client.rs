//! A thin client for the Engine API: deadlines, caps, negotiation, errors that say what to do.
//!
//! In: a socket. Out: [`DockerClient`]. Effect: talks to the engine.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::Value;
use tracing::trace;

use crate::clients::docker::connection::{ConnectionError, Connections};
use crate::clients::docker::{DockerError, DockerErrorKind};

/// Time for a call that only reads.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(10);

/// Time for a call that changes something: an engine on a busy disk takes its time to create.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// The newest API version asked for: its answers are known, and engine 29 still speaks it.
const API_NEWEST: (u32, u32) = (1, 44);

/// Engines up to this one, 29's, answer to [`API_NEWEST`] or, where that is newer than they are, to
/// their own newest version.
const API_NEWEST_WITH_KNOWN_OLDEST: (u32, u32) = (1, 52);

/// The oldest one: engine 20.10's.
const API_OLDEST: (u32, u32) = (1, 41);

/// Bytes of an answer about one thing.
pub(crate) const ONE_BYTES_MAX: usize = 4 << 20;

/// Bytes of a list: thousands of containers with many labels.
pub(crate) const LIST_BYTES_MAX: usize = 32 << 20;

/// Objects in one answer: decoded, the smallest take a hundred times their text. A container listed is
/// about ten.
const OBJECTS_MAX: usize = 100_000;

/// Other parts of one answer, each of which may take 160 bytes. A container listed is under a hundred.
const PARTS_MAX: usize = 600_000;

/// Characters of the engine's own words in an error.
const MESSAGE_CHARS_MAX: usize = 600;

/// An engine, over its Unix socket. Cheap to make: nothing is opened before the first call.
#[derive(Debug)]
pub struct DockerClient {
    pub(crate) connections: Connections,
    version: Mutex<Option<String>>,
}

/// One request, before the API version is put in front.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    /// What it is, for people.
    pub(crate) operation: String,
    pub(crate) method: Method,
    /// `/containers/json?all=true`.
    pub(crate) path: String,
    pub(crate) body: Option<&'a Value>,
    pub(crate) deadline: Duration,
    pub(crate) bytes_max: usize,
}

impl<'a> Call<'a> {
    pub(crate) fn get(operation: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            method: Method::GET,
            path: path.into(),
            body: None,
            deadline: READ_DEADLINE,
            bytes_max: ONE_BYTES_MAX,
        }
    }

    pub(crate) fn post(operation: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: Method::POST, deadline: WRITE_DEADLINE, ..Self::get(operation, path) }
    }

    pub(crate) fn delete(operation: impl Into<String>, path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::post(operation, path) }
    }

    pub(crate) fn body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(crate) fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    pub(crate) fn bytes_max(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    pub(crate) fn error(&self, kind: DockerErrorKind, message: impl Into<String>) -> DockerError {
        DockerError { kind, operation: self.operation.clone(), message: message.into() }
    }

    pub(crate) fn timeout(&self) -> DockerError {
        let secs = self.deadline.as_secs();
        self.error(DockerErrorKind::Timeout, format!("no answer within {secs} s"))
    }

    pub(crate) fn request(
        &self,
        version: &str,
        headers: &[(&'static str, hyper::header::HeaderValue)],
    ) -> Result<Request<Full<Bytes>>, DockerError> {
        let prefix = if version.is_empty() { String::new() } else { format!("/v{version}") };
        let mut builder = Request::builder()
            .method(self.method.clone())
            .uri(format!("{prefix}{}", self.path))
            .header("Host", "docker");
        let bytes = match self.body {
            Some(body) => {
                builder = builder.header("Content-Type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        builder
            .body(Full::new(bytes))
            .map_err(|_| self.error(DockerErrorKind::Refused, "the request cannot be written down"))
    }
}

impl DockerClient {
    /// An engine at a socket: `unix:///run/docker.sock`, or a path.
    ///
    /// # Errors
    /// When the address is neither.
    pub fn new(address: &str) -> Result<Self, DockerError> {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        if !path.starts_with('/') {
            return Err(DockerError {
                kind: DockerErrorKind::Unreachable,
                operation: "connect".to_owned(),
                message: format!(
                    "`{address}` is not an engine's socket: write for example `unix:///run/docker.sock`"
                ),
            });
        }
        Ok(Self { connections: Connections::new(PathBuf::from(path)), version: Mutex::default() })
    }

    /// Sends a call with the negotiated version. Any answer with a status is `Ok`.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<(u16, Vec<u8>), DockerError> {
        let version = self.version(call).await?;
        self.exchange(call, &version).await
    }

    /// Sends a call that must succeed.
    pub(crate) async fn succeed(&self, call: &Call<'_>) -> Result<Vec<u8>, DockerError> {
        let (status, body) = self.send(call).await?;
        match status {
            200..=299 => Ok(body),
            _ => Err(refusal(call, status, &body)),
        }
    }

    /// Sends a call whose answer is JSON.
    pub(crate) async fn json(&self, call: &Call<'_>) -> Result<Value, DockerError> {
        decode(call, &self.succeed(call).await?)
    }

    /// The same; "not there" is none.
    pub(crate) async fn find(&self, call: &Call<'_>) -> Result<Option<Value>, DockerError> {
        match self.send(call).await? {
            (200..=299, body) => decode(call, &body).map(Some),
            (404, _) => Ok(None),
            (status, body) => Err(refusal(call, status, &body)),
        }
    }

    async fn exchange(
        &self,
        call: &Call<'_>,
        version: &str,
    ) -> Result<(u16, Vec<u8>), DockerError> {
        let request = call.request(version, &[])?;
        trace!("engine: {} {}", call.method, call.path);
        let answer = self.connections.call(request, call.bytes_max);
        match tokio::time::timeout(call.deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failure(call, &error)),
            Err(_) => Err(call.timeout()),
        }
    }

    /// What a broken connection means; the engine may come back as another version.
    pub(crate) fn failure(&self, call: &Call<'_>, error: &ConnectionError) -> DockerError {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let socket = self.connections.socket().display();
        match error {
            ConnectionError::Connect(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
                call.error(
                    DockerErrorKind::PermissionDenied,
                    format!(
                        "{socket} may not be opened: join the group docker, or run this as root"
                    ),
                )
            }
            ConnectionError::Connect(io) => call.error(
                DockerErrorKind::Unreachable,
                format!("no Docker engine answers at {socket} ({}): is it running?", io.kind()),
            ),
            ConnectionError::Broken(error) => call.error(
                DockerErrorKind::Interrupted,
                format!("the connection broke before the answer was complete ({error})"),
            ),
            ConnectionError::TooLarge(bytes_max) => call.error(
                DockerErrorKind::Malformed,
                format!("the answer is over the limit of {bytes_max} bytes"),
            ),
        }
    }

    /// The API version that both sides speak, asked for once.
    pub(crate) async fn version(&self, call: &Call<'_>) -> Result<String, DockerError> {
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(version) = known {
            return Ok(version);
        }
        let version = match self.ping(call).await? {
            Some(version) => version,
            None => self.negotiate(call).await?,
        };
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.clone());
        Ok(version)
    }

    /// The version by the cheapest call: engine 20.10 runs three programs to answer `/version`. None
    /// for an engine that is newer than those whose oldest version is known.
    async fn ping(&self, call: &Call<'_>) -> Result<Option<String>, DockerError> {
        let ask = Call { operation: call.operation.clone(), ..Call::get("", "/_ping") };
        let request = ask.request("", &[])?;
        let answer = self.connections.ask(request, ask.bytes_max);
        let (parts, _) = match tokio::time::timeout(ask.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.failure(&ask, &error)),
            Err(_) => return Err(ask.timeout()),
        };
        let newest = parts.headers.get("Api-Version").and_then(|value| value.to_str().ok());
        let newest = newest.filter(|_| parts.status.is_success());
        let known = newest.filter(|text| {
            parse_version(text).is_some_and(|version| version <= API_NEWEST_WITH_KNOWN_OLDEST)
        });
        Ok(known.and_then(|newest| negotiate(newest, "1.0").ok()))
    }

    async fn negotiate(&self, call: &Call<'_>) -> Result<String, DockerError> {
        let ask = Call { operation: call.operation.clone(), ..Call::get("", "/version") };
        let (status, body) = self.exchange(&ask, "").await?;
        if status != 200 {
            return Err(refusal(&ask, status, &body));
        }
        let answer = decode(&ask, &body)?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        negotiate(text("ApiVersion"), text("MinAPIVersion"))
            .map_err(|message| ask.error(DockerErrorKind::Refused, message))
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The version to speak with an engine that speaks `oldest` to `newest`.
fn negotiate(newest: &str, oldest: &str) -> Result<String, String> {
    let engine_newest = parse_version(newest)
        .ok_or_else(|| format!("the engine names no API version (`{newest}`)"))?;
    let engine_oldest = parse_version(oldest).unwrap_or((1, 0));
    let chosen = engine_newest.min(API_NEWEST);
    if chosen < engine_oldest {
        return Err(format!(
            "the engine speaks API {oldest} and newer, this program at most {}.{}: update Tidegate",
            API_NEWEST.0, API_NEWEST.1
        ));
    }
    if chosen < API_OLDEST {
        return Err(format!(
            "the engine speaks API {newest} at most, {}.{} is needed: update it to Docker 20.10 or newer",
            API_OLDEST.0, API_OLDEST.1
        ));
    }
    Ok(format!("{}.{}", chosen.0, chosen.1))
}

fn decode(call: &Call<'_>, body: &[u8]) -> Result<Value, DockerError> {
    let (mut n_objects, mut n_parts) = (0, 0);
    for byte in body {
        match byte {
            b'{' => n_objects += 1,
            b',' | b'[' => n_parts += 1,
            _ => {}
        }
    }
    if n_objects > OBJECTS_MAX || n_parts > PARTS_MAX {
        let words = "the answer has more parts than an engine of thousands of containers gives";
        return Err(call.error(DockerErrorKind::Malformed, words));
    }
    serde_json::from_slice(body).map_err(|error| {
        call.error(DockerErrorKind::Malformed, format!("the answer is not JSON ({error})"))
    })
}

/// The engine's own words in an error answer, bounded.
pub(crate) fn engine_message(status: u16, body: &[u8]) -> String {
    let words = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned());
    let words: String = words.trim().chars().take(MESSAGE_CHARS_MAX).collect();
    if words.is_empty() { format!("the engine answers {status}") } else { words }
}

/// What an error status means.
pub(crate) fn refusal(call: &Call<'_>, status: u16, body: &[u8]) -> DockerError {
    let message = engine_message(status, body);
    let lower = message.to_ascii_lowercase();
    let kind = match status {
        404 if lower.contains("no such image") => DockerErrorKind::ImageMissing,
        404 => DockerErrorKind::NotFound,
        409 => DockerErrorKind::Conflict,
        400..=499 => DockerErrorKind::Refused,
        _ => DockerErrorKind::Engine,
    };
    call.error(kind, message)
}

#[cfg(test)]
mod tests {
    use crate::clients::docker::client::negotiate;

    #[test]
    fn the_api_version_is_the_newest_both_speak() {
        for (newest, oldest, spoken) in [
            ("1.41", "1.12", Ok("1.41")),
            ("1.51", "1.24", Ok("1.44")),
            ("1.52", "1.44", Ok("1.44")),
            ("1.60", "1.45", Err("update Tidegate")),
            ("1.40", "1.12", Err("20.10")),
            ("", "", Err("names no API version")),
        ] {
            match (negotiate(newest, oldest), spoken) {
                (Ok(got), Ok(wanted)) => assert_eq!(got, wanted),
                (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{got}"),
                (got, wanted) => panic!("{newest}: {got:?}, not {wanted:?}"),
            }
        }
    }
}
