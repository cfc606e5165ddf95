//! The client over HTTP: one request, its deadline, its cap, its authorization.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::Mutex;

use crate::clients::docker::RegistryAuth;
use crate::clients::registry::auth::{Challenge, Place, may_get_credentials};
use crate::clients::registry::manifest;
use crate::clients::registry::{
    Document, ManifestReference, RegistryError, RegistryErrorKind, RegistryRead, RegistryWrite,
};
use crate::model::{Digest, Hub, RepositoryPath};

/// Time to reach the hub.
const CONNECT_SECS_MAX: u64 = 5;
/// Time for a whole answer; manifests are small.
const REQUEST_SECS_MAX: u64 = 30;
/// The distribution spec asks registries to take manifests of at least 4 MiB.
const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// A token is a signed JSON document of a few KiB.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// How much of an error's body is told.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Whether this hub may be spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// On loopback alone, unless a CA is given.
    Loopback,
    /// Anywhere: a lab's word (`hub_plain_http = true`).
    Allowed,
}

/// How to reach a hub.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Whether without TLS.
    pub plain_http: PlainHttp,
    /// PEM certificates of private authorities, trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    /// Credentials; used only if they are for this hub.
    pub auth: Option<RegistryAuth>,
}

/// One hub.
pub struct RegistryClient {
    hub: Hub,
    scheme: &'static str,
    http: reqwest::Client,
    auth: Option<RegistryAuth>,
    /// `Authorization` values by method kind and repository.
    granted: Mutex<BTreeMap<String, String>>,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("hub", &self.hub).finish_non_exhaustive()
    }
}

fn unreachable(operation: &str, error: &reqwest::Error) -> RegistryError {
    let kind = if error.is_timeout() {
        RegistryErrorKind::Timeout
    } else {
        RegistryErrorKind::Unreachable
    };
    // The innermost cause is what people can act on: a refused connection, a bad certificate.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    RegistryError::new(kind, operation, cause.to_string())
}

fn place(url: &Url) -> Place {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    Place { encrypted: url.scheme() == "https", host }
}

fn same_authority(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// A request before it is sent.
pub(in crate::clients::registry) struct Request {
    pub(in crate::clients::registry) operation: String,
    /// Grants are kept under this.
    pub(in crate::clients::registry) grant: String,
    pub(in crate::clients::registry) method: Method,
    pub(in crate::clients::registry) url: Url,
    pub(in crate::clients::registry) content_type: Option<String>,
    pub(in crate::clients::registry) body: Option<Vec<u8>>,
}

impl RegistryClient {
    /// A client for `hub`; makes no call yet.
    pub fn new(hub: &Hub, options: RegistryOptions) -> Result<Self, RegistryError> {
        let operation = format!("hub {hub}");
        let plain = match options.plain_http {
            PlainHttp::Allowed => true,
            PlainHttp::Loopback => hub.is_loopback() && options.ca.is_none(),
        };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
            .timeout(Duration::from_secs(REQUEST_SECS_MAX));
        if let Some(pem) = &options.ca {
            let malformed = |error: reqwest::Error| {
                let message = format!("the CA file is not PEM: {error}");
                RegistryError::new(RegistryErrorKind::Malformed, &operation, message)
            };
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(malformed)?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|error| unreachable(&operation, &error))?;
        let auth = options.auth.filter(|auth| auth.server == hub.authority());
        let scheme = if plain { "http" } else { "https" };
        Ok(Self { hub: hub.clone(), scheme, http, auth, granted: Mutex::default() })
    }

    /// The hub's name, for messages.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(in crate::clients::registry) fn url(
        &self,
        repository: &RepositoryPath,
        rest: &str,
        operation: &str,
    ) -> Result<Url, RegistryError> {
        let prefix = self.hub.prefix().map(|p| format!("{p}/")).unwrap_or_default();
        let text =
            format!("{}://{}/v2/{prefix}{repository}/{rest}", self.scheme, self.hub.authority());
        Url::parse(&text).map_err(|error| {
            RegistryError::new(RegistryErrorKind::Malformed, operation, error.to_string())
        })
    }

    async fn attempt(
        &self,
        request: &Request,
        grant: Option<&str>,
    ) -> Result<Response, RegistryError> {
        let mut builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .header(ACCEPT, manifest::ACCEPT);
        if let Some(value) = grant {
            builder = builder.header(AUTHORIZATION, value);
        }
        if let Some(kind) = &request.content_type {
            builder = builder.header(CONTENT_TYPE, kind);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|error| unreachable(&request.operation, &error))
    }

    /// Sends a request, answering one challenge; anything but success or 404 is an error.
    pub(in crate::clients::registry) async fn send(
        &self,
        request: Request,
    ) -> Result<Response, RegistryError> {
        let known = self.granted.lock().await.get(&request.grant).cloned();
        let first = self.attempt(&request, known.as_deref()).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return checked(&request.operation, first).await;
        }
        let challenges = first.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenge =
            challenges.filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let Some(challenge) = challenge else {
            return checked(&request.operation, first).await;
        };
        let Some(grant) = self.answer(&request.operation, challenge).await? else {
            return checked(&request.operation, first).await;
        };
        let second = self.attempt(&request, Some(&grant)).await?;
        if second.status() != StatusCode::UNAUTHORIZED {
            self.granted.lock().await.insert(request.grant.clone(), grant);
        }
        checked(&request.operation, second).await
    }

    fn basic(&self) -> Option<String> {
        let auth = self.auth.as_ref()?;
        let text = format!("{}:{}", auth.username, auth.password);
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)))
    }

    /// What to send as `Authorization` for `challenge`; `None` if we have nothing for it.
    async fn answer(
        &self,
        operation: &str,
        challenge: Challenge,
    ) -> Result<Option<String>, RegistryError> {
        let Challenge::Bearer { realm, service, scope } = challenge else {
            return Ok(self.basic());
        };
        let foreign = |message: &str| {
            RegistryError::new(RegistryErrorKind::ForeignRealm, operation, message.to_owned())
        };
        let mut url =
            Url::parse(&realm).map_err(|_| foreign("the hub names a token server wrongly"))?;
        let hub =
            Place { encrypted: self.scheme == "https", host: self.hub.host().to_ascii_lowercase() };
        if hub.encrypted && url.scheme() != "https" {
            return Err(foreign("the hub names a token server without TLS"));
        }
        for (key, value) in [("service", service), ("scope", scope)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, &value);
            }
        }
        let mut builder = self.http.get(url.clone());
        let credentials = self.basic();
        let trusted = may_get_credentials(&hub, &place(&url));
        if let Some(value) = credentials.as_ref().filter(|_| trusted) {
            builder = builder.header(AUTHORIZATION, value);
        }
        let answer = builder.send().await.map_err(|error| unreachable(operation, &error))?;
        if !answer.status().is_success() {
            if credentials.is_some() && !trusted {
                let host = url.host_str().unwrap_or_default();
                return Err(foreign(&format!(
                    "credentials for {} are not sent to the token server on {host}",
                    self.hub.authority()
                )));
            }
            return checked(operation, answer).await.map(|_| None);
        }
        let bytes = body(operation, answer, TOKEN_BYTES_MAX).await?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|_| {
            RegistryError::new(RegistryErrorKind::Malformed, operation, "the token is unreadable")
        })?;
        Ok(token.token.or(token.access_token).map(|token| format!("Bearer {token}")))
    }
}

/// The token server's answer (distribution token spec); other fields are of no use here.
#[derive(serde::Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Reads a whole body, at most `bytes_max`.
pub(in crate::clients::registry) async fn body(
    operation: &str,
    mut answer: Response,
    bytes_max: usize,
) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(operation, &error))? {
        if bytes.len() + chunk.len() > bytes_max {
            let message = format!("the answer is over {bytes_max} bytes");
            return Err(RegistryError::new(RegistryErrorKind::Malformed, operation, message));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Passes success and 404 on; turns the rest into an error with the registry's own words.
async fn checked(operation: &str, answer: Response) -> Result<Response, RegistryError> {
    let status = answer.status();
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(answer);
    }
    let kind = match status.as_u16() {
        401 | 403 => RegistryErrorKind::Unauthorized,
        429 => RegistryErrorKind::Busy,
        300..=399 => RegistryErrorKind::Malformed,
        500.. => RegistryErrorKind::Registry,
        _ => RegistryErrorKind::Refused,
    };
    let bytes = body(operation, answer, MESSAGE_BYTES_MAX).await.unwrap_or_default();
    let words = serde_json::from_slice::<serde_json::Value>(&bytes)
        .ok()
        .and_then(|json| json["errors"][0]["message"].as_str().map(str::to_owned));
    let message = words.map_or_else(|| status.to_string(), |words| format!("{status}: {words}"));
    Err(RegistryError::new(kind, operation, message))
}

impl RegistryRead for RegistryClient {
    async fn manifest(
        &self,
        repository: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Document>, RegistryError> {
        let operation = format!("manifest of {repository}{reference} in {}", self.hub);
        let name = match reference {
            ManifestReference::Tag(tag) => tag.clone(),
            ManifestReference::Digest(digest) => digest.to_string(),
        };
        let url = self.url(repository, &format!("manifests/{name}"), &operation)?;
        let request = Request {
            operation: operation.clone(),
            grant: format!("pull {repository}"),
            method: Method::GET,
            url,
            content_type: None,
            body: None,
        };
        let answer = self.send(request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        let media_type = header("content-type").unwrap_or_default().to_owned();
        let claimed = header("docker-content-digest").map(str::to_owned);
        let bytes = body(&operation, answer, MANIFEST_BYTES_MAX).await?;
        let digest = Digest::of(&bytes);
        let wanted = match reference {
            ManifestReference::Digest(digest) => Some(digest.to_string()),
            ManifestReference::Tag(_) => claimed,
        };
        if wanted.is_some_and(|wanted| wanted != digest.to_string()) {
            let message = format!("the hub sent another manifest, {digest}");
            return Err(RegistryError::new(RegistryErrorKind::Malformed, &operation, message));
        }
        Ok(Some(Document { media_type, digest, bytes }))
    }
}

impl RegistryWrite for RegistryClient {
    async fn push_blob(
        &self,
        repository: &RepositoryPath,
        bytes: Vec<u8>,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(&bytes);
        let operation = format!("push of {digest} to {repository} in {}", self.hub);
        let request = |method, url, body| Request {
            operation: operation.clone(),
            grant: format!("push {repository}"),
            method,
            url,
            content_type: Some("application/octet-stream".to_owned()),
            body,
        };
        let base = self.url(repository, "blobs/uploads/", &operation)?;
        let begun = self.send(request(Method::POST, base.clone(), None)).await?;
        let location = begun.headers().get(LOCATION).and_then(|v| v.to_str().ok());
        let upload = location.and_then(|text| base.join(text).ok());
        let Some(mut upload) = upload.filter(|url| same_authority(url, &base)) else {
            let message = "the hub takes uploads on another host, where nothing is sent";
            return Err(RegistryError::new(RegistryErrorKind::ForeignRealm, &operation, message));
        };
        upload.query_pairs_mut().append_pair("digest", &digest.to_string());
        stored(&operation, &self.send(request(Method::PUT, upload, Some(bytes))).await?)?;
        Ok(digest)
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryPath,
        document: &Document,
        tag: Option<&str>,
    ) -> Result<(), RegistryError> {
        let name = tag.map_or_else(|| document.digest.to_string(), str::to_owned);
        let operation = format!("push of {repository}:{name} to {}", self.hub);
        let request = Request {
            operation: operation.clone(),
            grant: format!("push {repository}"),
            method: Method::PUT,
            url: self.url(repository, &format!("manifests/{name}"), &operation)?,
            content_type: Some(document.media_type.clone()),
            body: Some(document.bytes.clone()),
        };
        stored(&operation, &self.send(request).await?)
    }
}

fn stored(operation: &str, answer: &Response) -> Result<(), RegistryError> {
    if answer.status().is_success() {
        return Ok(());
    }
    Err(RegistryError::new(RegistryErrorKind::NotFound, operation, answer.status().to_string()))
}
