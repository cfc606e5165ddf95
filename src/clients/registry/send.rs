//! One request: its turn, its deadline, its authorization, its further tries.
//!
//! In: a [`Request`]. Out: an [`Answer`] that is a success or 404. Effect: HTTP.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use crate::clients::registry::auth::Grant;
use crate::clients::registry::http::{CONNECT_SECS_MAX, HttpError, Response, whole};
use crate::clients::registry::manifest;
use crate::clients::registry::pace::Turn;
use crate::clients::registry::{RegistryClient, RegistryError, RegistryErrorKind};

/// Time for a whole answer that is small, and for the head of a large one.
pub(crate) const REQUEST_SECS_MAX: u64 = 30;
/// Tries of one request, while the registry is busy or its connections break.
const TRIES_MAX: u32 = 6;
/// Tries while nothing at all answers: people wait for the message.
const CONNECTS_MAX: u32 = 3;
/// The pause after the first failed try; it doubles.
const PAUSE_MILLIS: u64 = 200;
/// How much of an error's body is told.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// A request before it is sent.
pub(crate) struct Request {
    /// For people.
    pub(crate) operation: String,
    /// What it needs to be allowed.
    pub(crate) grant: Grant,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn new(operation: &str, grant: Grant, method: Method, url: Url) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { operation: operation.to_owned(), grant, method, url, headers, body }
    }
}

/// An answer, and the turn that it still takes.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) turn: Turn,
}

impl Answer {
    pub(crate) fn is_found(&self) -> bool {
        self.response.status() != StatusCode::NOT_FOUND
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }
}

/// Whether the answer's body follows within the same deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// All of it.
    Small,
    /// It is read elsewhere, with deadlines of its own.
    Streamed,
}

impl RegistryClient {
    /// Sends a request until it has an answer; anything but success or 404 is an error.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, RegistryError> {
        self.send_for(request, Body::Small).await
    }

    pub(crate) async fn send_for(
        &self,
        request: &Request,
        body: Body,
    ) -> Result<Answer, RegistryError> {
        let mut n_tries = 0;
        loop {
            n_tries += 1;
            let error = match self.authorized(request, body).await {
                Ok(answer) => match self.judged(&request.operation, answer, n_tries).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let n_tries_max = match error.kind {
                RegistryErrorKind::Busy | RegistryErrorKind::Registry => TRIES_MAX,
                RegistryErrorKind::Unreachable => CONNECTS_MAX,
                RegistryErrorKind::Timeout => 2,
                _ => 1,
            };
            if n_tries >= n_tries_max {
                return Err(error);
            }
            // A busy registry's pause is kept by its pace.
            if error.kind != RegistryErrorKind::Busy {
                sleep(pause(n_tries)).await;
            }
        }
    }

    /// Sends a request, answering one challenge.
    async fn authorized(&self, request: &Request, body: Body) -> Result<Answer, RegistryError> {
        let known = self.known_grant(request).await?;
        let first = self.attempt(request, known.as_deref(), body).await?;
        if first.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let Some(grant) = self.answer(request, &first.response, known.as_deref()).await? else {
            return Ok(first);
        };
        drop(first);
        self.attempt(request, Some(&grant), body).await
    }

    async fn attempt(
        &self,
        request: &Request,
        grant: Option<&str>,
        body: Body,
    ) -> Result<Answer, RegistryError> {
        let turn = self.pace.turn().await;
        let mut headers = authorized(request.headers.clone(), grant);
        headers.insert(ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
        if [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) {
            headers.insert(CONTENT_LENGTH, request.body.len().into());
        }
        let deadline = Instant::now() + Duration::from_secs(REQUEST_SECS_MAX);
        let body_until = (body == Body::Small).then_some(deadline);
        let (method, carried) = (request.method.clone(), whole(request.body.clone()));
        let sent = self.http.send(method, &request.url, headers, carried, body_until);
        let response = timeout_at(deadline, sent).await.map_err(|_| slow(&request.operation))?;
        let response = response.map_err(|error| unreachable(&request.operation, &error))?;
        Ok(Answer { response, turn })
    }

    /// Passes success, redirects and 404 on; turns the rest into an error, and heeds what it asks.
    pub(crate) async fn judged(
        &self,
        operation: &str,
        answer: Answer,
        n_tries: u32,
    ) -> Result<Answer, RegistryError> {
        let status = answer.response.status();
        if matches!(status.as_u16(), 429 | 503) {
            let asked = answer.header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
            self.pace.slow_down(asked.map_or_else(|| pause(n_tries), Duration::from_secs));
        } else if status.is_success() || status == StatusCode::NOT_FOUND {
            self.pace.good();
        }
        let Answer { response, turn } = answer;
        Ok(Answer { response: checked(operation, response).await?, turn })
    }
}

/// The headers with what lets us in.
pub(crate) fn authorized(mut headers: HeaderMap, grant: Option<&str>) -> HeaderMap {
    // A grant that is no header is none: the hub will say so.
    if let Some(mut value) = grant.and_then(|text| HeaderValue::from_str(text).ok()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

/// The pause after `n_tries` failed ones: doubling, and never the same for two clients.
pub(crate) fn pause(n_tries: u32) -> Duration {
    let mut chance = [0];
    let _zero_is_as_good = getrandom::fill(&mut chance);
    let millis = PAUSE_MILLIS << n_tries.saturating_sub(1).min(6);
    Duration::from_millis(millis / 2 + millis * u64::from(chance[0]) / 256)
}

pub(crate) fn slow(operation: &str) -> RegistryError {
    let message = format!("no answer within {REQUEST_SECS_MAX} s");
    RegistryError::new(RegistryErrorKind::Timeout, operation, message)
}

pub(crate) fn unreachable(operation: &str, error: &HttpError) -> RegistryError {
    if matches!(error, HttpError::Timeout) {
        return slow(operation);
    }
    // The innermost cause is what people can act on: a refused connection, a bad certificate.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        let io = inner.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            let message = format!("no connection within {CONNECT_SECS_MAX} s");
            return RegistryError::new(RegistryErrorKind::Timeout, operation, message);
        }
        cause = inner;
    }
    RegistryError::new(RegistryErrorKind::Unreachable, operation, cause.to_string())
}

/// Reads a whole body, at most `bytes_max`.
pub(crate) async fn body(
    operation: &str,
    response: &mut Response,
    bytes_max: usize,
) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| unreachable(operation, &error))?
    {
        if bytes.len() + chunk.len() > bytes_max {
            let message = format!("the answer is over {bytes_max} bytes");
            return Err(RegistryError::new(RegistryErrorKind::Malformed, operation, message));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Passes success, redirects and 404 on; the rest is an error with the registry's own words.
async fn checked(operation: &str, mut response: Response) -> Result<Response, RegistryError> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_FOUND || status.is_redirection() {
        return Ok(response);
    }
    let kind = match status.as_u16() {
        401 | 403 => RegistryErrorKind::Unauthorized,
        429 | 503 => RegistryErrorKind::Busy,
        500.. => RegistryErrorKind::Registry,
        _ => RegistryErrorKind::Refused,
    };
    let reading = body(operation, &mut response, MESSAGE_BYTES_MAX);
    let bytes = timeout(Duration::from_secs(REQUEST_SECS_MAX), reading).await;
    let words = serde_json::from_slice::<serde_json::Value>(
        &bytes.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_default(),
    )
    .ok()
    .and_then(|json| json["errors"][0]["message"].as_str().map(str::to_owned));
    let message = words.map_or_else(|| status.to_string(), |words| format!("{status}: {words}"));
    Err(RegistryError::new(kind, operation, message))
}

/// An answer that is a redirect is of no use here.
pub(crate) fn no_redirect(operation: &str, answer: Answer) -> Result<Answer, RegistryError> {
    let status = answer.response.status();
    if status.is_redirection() {
        let message = format!("{status}: a redirect is not followed here");
        return Err(RegistryError::new(RegistryErrorKind::Malformed, operation, message));
    }
    Ok(answer)
}
