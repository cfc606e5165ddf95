//! The client of one hub: where it is, how it is reached, what it let us do so far.
//!
//! In: a hub, [`RegistryOptions`]. Out: [`RegistryClient`]. Effect: none before the first call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use url::Url;

use crate::clients::docker::RegistryAuth;
use crate::clients::registry::auth::{Challenge, Grant};
use crate::clients::registry::http::Http;
use crate::clients::registry::pace::Pace;
use crate::clients::registry::{RegistryError, RegistryErrorKind};
use crate::model::{Hub, RepositoryPath, docker_hub};

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
    pub(crate) hub: Hub,
    pub(crate) scheme: &'static str,
    pub(crate) http: Http,
    pub(crate) auth: Option<RegistryAuth>,
    /// `Authorization` values, and until when each is of use.
    pub(crate) granted: Mutex<BTreeMap<Grant, (String, Instant)>>,
    /// What the hub asked for last.
    pub(crate) challenge: Mutex<Option<Challenge>>,
    /// One asks for a token; who waits for the same one finds it granted.
    pub(crate) answering: tokio::sync::Mutex<()>,
    pub(crate) pace: Arc<Pace>,
    /// Whether the hub was seen not to list referrers.
    without_referrers: AtomicBool,
    /// The repository that is read whichever is asked for.
    only: Option<RepositoryPath>,
    /// The one other `host[:port]` that is given the hub's credentials, to grant tokens for it.
    pub(crate) token_server: Option<String>,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl RegistryClient {
    /// A client for `hub`; makes no call yet.
    pub fn new(hub: &Hub, options: RegistryOptions) -> Result<Self, RegistryError> {
        let plain = match options.plain_http {
            PlainHttp::Allowed => true,
            PlainHttp::Loopback => hub.is_loopback() && options.ca.is_none(),
        };
        let http = Http::new(options.ca.as_deref()).map_err(|error| {
            let (operation, kind) = (format!("hub {hub}"), RegistryErrorKind::Malformed);
            RegistryError::new(kind, &operation, format!("the CA file is not PEM: {error}"))
        })?;
        let auth = options.auth.filter(|auth| auth.server == hub.authority());
        Ok(Self {
            hub: hub.clone(),
            scheme: if plain { "http" } else { "https" },
            http,
            auth,
            granted: Mutex::default(),
            challenge: Mutex::default(),
            answering: tokio::sync::Mutex::default(),
            pace: Pace::new(),
            without_referrers: AtomicBool::new(false),
            only: None,
            token_server: (hub.authority() == docker_hub::REGISTRY)
                .then(|| docker_hub::TOKENS.to_owned()),
        })
    }

    /// The same with a token server on another `host[:port]`, as whoever holds the credentials says:
    /// what the hub names is never believed alone.
    #[must_use]
    pub fn with_token_server(self, host: Option<String>) -> Self {
        Self { token_server: host.or(self.token_server), ..self }
    }

    /// The same for one repository alone: it is read whichever is asked for, so that an image can
    /// have another name where it goes.
    #[must_use]
    pub fn reading_only(self, repository: RepositoryPath) -> Self {
        Self { only: Some(repository), ..self }
    }

    /// The repository that is read when `repository` is asked for.
    pub(crate) fn read_from<'r>(&'r self, repository: &'r RepositoryPath) -> &'r RepositoryPath {
        self.only.as_ref().unwrap_or(repository)
    }

    /// Which hub it is.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The repository's name as the registry knows it.
    pub(crate) fn name(&self, repository: &RepositoryPath) -> String {
        self.hub.prefix().map_or_else(|| repository.to_string(), |p| format!("{p}/{repository}"))
    }

    pub(crate) fn url(
        &self,
        repository: &RepositoryPath,
        rest: &str,
        operation: &str,
    ) -> Result<Url, RegistryError> {
        let name = self.name(repository);
        let text = format!("{}://{}/v2/{name}/{rest}", self.scheme, self.hub.authority());
        Url::parse(&text).map_err(|error| {
            RegistryError::new(RegistryErrorKind::Malformed, operation, error.to_string())
        })
    }

    /// Whether it is known that the hub has no list of referrers.
    pub(crate) fn lists_no_referrers(&self) -> bool {
        self.without_referrers.load(Ordering::Relaxed)
    }

    pub(crate) fn note_no_referrers(&self) {
        self.without_referrers.store(true, Ordering::Relaxed);
    }
}
