//! What is sent as `Authorization`: answers to challenges, each asked for once.
//!
//! In: a hub's challenge, our credentials. Out: header values. Effect: asks the token server.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use hyper::header::WWW_AUTHENTICATE;
use hyper::{HeaderMap, Method};
use tokio::time::Instant;
use url::Url;

use crate::clients::registry::auth::{Challenge, Grant, Place, may_get_credentials};
use crate::clients::registry::http::{Response, whole};
use crate::clients::registry::send::{REQUEST_SECS_MAX, Request, authorized, body, unreachable};
use crate::clients::registry::{RegistryClient, RegistryError, RegistryErrorKind};

/// A token is a signed JSON document of a few KiB.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// The token server's answer (distribution token spec); other fields are of no use here.
#[derive(serde::Deserialize)]
struct Granted {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// How long a token lives that does not say so (distribution token spec).
const TOKEN_SECS: u64 = 60;
/// Longer than this no token is believed to live.
const TOKEN_SECS_MAX: u64 = 24 * 3600;

fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(url: &Url) -> Place {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    Place { encrypted: url.scheme() == "https", host }
}

impl RegistryClient {
    /// What worked before, or will by what the hub asked for before: saves a refused request.
    pub(crate) async fn known_grant(
        &self,
        request: &Request,
    ) -> Result<Option<String>, RegistryError> {
        let challenge = lock(&self.challenge).clone();
        match challenge {
            None => Ok(None),
            Some(challenge) => {
                self.obtain(&request.operation, &request.grant, challenge, None).await
            }
        }
    }

    /// What to send for a 401; `None` if we have nothing for it. `failed` was sent and refused.
    pub(crate) async fn answer(
        &self,
        request: &Request,
        refused: &Response,
        failed: Option<&str>,
    ) -> Result<Option<String>, RegistryError> {
        let challenges = refused.headers().get_all(WWW_AUTHENTICATE).iter();
        let found = challenges.filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let Some(challenge) = found else { return Ok(None) };
        *lock(&self.challenge) = Some(challenge.clone());
        let grant = self.obtain(&request.operation, &request.grant, challenge, failed).await?;
        // The same name and password again would be refused again.
        Ok(grant.filter(|grant| Some(grant.as_str()) != failed))
    }

    async fn obtain(
        &self,
        operation: &str,
        grant: &Grant,
        challenge: Challenge,
        failed: Option<&str>,
    ) -> Result<Option<String>, RegistryError> {
        let Challenge::Bearer { realm, service } = challenge else { return Ok(self.basic()) };
        let _one_at_a_time = self.answering.lock().await;
        let known = lock(&self.granted).get(grant).cloned();
        if let Some((known, until)) = known
            && Some(known.as_str()) != failed
            && Instant::now() < until
        {
            return Ok(Some(known));
        }
        let granted = self.token(operation, grant, &realm, service.as_deref()).await?;
        let secs = granted.expires_in.unwrap_or(TOKEN_SECS).min(TOKEN_SECS_MAX);
        // A part that is begun with it must still be taken.
        let until = Instant::now() + Duration::from_secs(secs * 3 / 4);
        let token = granted.token.or(granted.access_token).map(|token| format!("Bearer {token}"));
        if let Some(token) = &token {
            lock(&self.granted).insert(grant.clone(), (token.clone(), until));
        }
        Ok(token)
    }

    fn basic(&self) -> Option<String> {
        let auth = self.auth.as_ref()?;
        let text = format!("{}:{}", auth.username, auth.password);
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)))
    }

    async fn token(
        &self,
        operation: &str,
        grant: &Grant,
        realm: &str,
        service: Option<&str>,
    ) -> Result<Granted, RegistryError> {
        let foreign =
            |message: &str| RegistryError::new(RegistryErrorKind::ForeignRealm, operation, message);
        let mut url =
            Url::parse(realm).map_err(|_| foreign("the hub names a token server wrongly"))?;
        let hub =
            Place { encrypted: self.scheme == "https", host: self.hub.host().to_ascii_lowercase() };
        if hub.encrypted && url.scheme() != "https" {
            return Err(foreign("the hub names a token server without TLS"));
        }
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in grant.scopes() {
            url.query_pairs_mut().append_pair("scope", &scope);
        }
        let until = Some(Instant::now() + Duration::from_secs(REQUEST_SECS_MAX));
        let credentials = self.basic();
        let trusted = may_get_credentials(&hub, &place(&url));
        let given = credentials.as_deref().filter(|_| trusted);
        let (headers, nothing) = (authorized(HeaderMap::new(), given), whole(Bytes::new()));
        let sent = self.http.send(Method::GET, &url, headers, nothing, until).await;
        let mut answer = sent.map_err(|error| unreachable(operation, &error))?;
        let status = answer.status();
        if !status.is_success() {
            if credentials.is_some() && !trusted {
                let host = url.host_str().unwrap_or_default();
                return Err(foreign(&format!(
                    "credentials for {} are not sent to the token server on {host}",
                    self.hub.authority()
                )));
            }
            let kind = match status.as_u16() {
                429 | 503 => RegistryErrorKind::Busy,
                500.. => RegistryErrorKind::Registry,
                _ => RegistryErrorKind::Unauthorized,
            };
            let message = format!("the token server says {status}");
            return Err(RegistryError::new(kind, operation, message));
        }
        let bytes = body(operation, &mut answer, TOKEN_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|_| {
            RegistryError::new(RegistryErrorKind::Malformed, operation, "the token is unreadable")
        })
    }
}
