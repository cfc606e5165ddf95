//! What is sent as `Authorization`: answers to challenges, each asked for once.
//!
//! In: a hub's challenge, our credentials. Out: header values. Effect: asks the token server.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, Method};
use tokio::time::Instant;
use url::Url;

use crate::clients::docker::Login;
use crate::clients::registry::auth::{Challenge, Grant, Place, may_get_credentials};
use crate::clients::registry::http::{Response, whole};
use crate::clients::registry::send::{REQUEST_SECS_MAX, Request, authorized, body, unreachable};
use crate::clients::registry::{RegistryClient, RegistryError, RegistryErrorKind};

/// A token is a signed JSON document of a few KiB.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// Who we are to token servers that ask.
const CLIENT_ID: &str = "tidegate";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

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

fn basic(login: &Login) -> Option<String> {
    let Login::Password { username, password } = login else { return None };
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    Some(format!("Basic {text}"))
}

/// How a token is asked for: with a name and a password, or as nobody, in the address; an identity
/// token goes into a form (the distribution's token spec for `OAuth2`).
fn asking(
    login: Option<&Login>,
    grant: &Grant,
    service: Option<&str>,
    url: &mut Url,
) -> (Method, HeaderMap, Bytes) {
    let service = service.map(|service| ("service", service.to_owned()));
    if let Some(Login::IdentityToken(token)) = login {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", CLIENT_ID);
        form.append_pair("refresh_token", token).append_pair("scope", &grant.scopes().join(" "));
        form.extend_pairs(service);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, FORM)]);
        return (Method::POST, headers, form.finish().into());
    }
    let scopes = grant.scopes().into_iter().map(|scope| ("scope", scope));
    url.query_pairs_mut().extend_pairs(service.into_iter().chain(scopes));
    let given = login.and_then(basic);
    (Method::GET, authorized(HeaderMap::new(), given.as_deref()), Bytes::new())
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
        let Challenge::Bearer { realm, service } = challenge else {
            if self.auth.as_ref().is_some_and(|a| matches!(a.login, Login::IdentityToken(_))) {
                let message =
                    "the hub wants a name and a password, and an identity token is neither";
                let kind = RegistryErrorKind::Unauthorized;
                return Err(RegistryError::new(kind, operation, message));
            }
            return Ok(self.basic());
        };
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
        basic(&self.auth.as_ref()?.login)
    }

    /// What the token server at `realm` may be given: the credentials on the hub's own host, and on
    /// the one other that was named with them.
    fn for_realm(&self, hub: &Place, realm: &Url) -> Option<&Login> {
        let at = place(realm);
        let name = authority(realm);
        let is_named = self.token_server.as_ref().is_some_and(|named| *named == name);
        let is_named = is_named && (at.encrypted || !hub.encrypted);
        let auth = self.auth.as_ref().filter(|_| is_named || may_get_credentials(hub, &at));
        auth.map(|auth| &auth.login)
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
        let until = Some(Instant::now() + Duration::from_secs(REQUEST_SECS_MAX));
        let login = self.for_realm(&hub, &url);
        let (method, headers, text) = asking(login, grant, service, &mut url);
        let sent = self.http.send(method, &url, headers, whole(text), until).await;
        let mut answer = sent.map_err(|error| unreachable(operation, &error))?;
        let status = answer.status();
        if !status.is_success() {
            if self.auth.is_some() && login.is_none() {
                return Err(foreign(&format!(
                    "credentials for {} are not sent to the token server on {}, which nobody \
                     but the hub names (docs/hubs.md)",
                    self.hub.authority(),
                    authority(&url)
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

/// `host[:port]`, as people name it.
fn authority(url: &Url) -> String {
    let host = place(url).host;
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}
