//! HTTP/1.1 to hubs: connections that are kept, and TLS that is set up when it is first needed.
//!
//! In: a request. Out: [`Response`], whose body is read piece by piece. Effect: HTTP(S).
//!
//! # Guarantees
//! * No proxy, no redirect: a request goes where its address says, and nowhere else.
//! * TLS is 1.2 or newer.
//!
//! Reading a machine's authorities takes tens of milliseconds, which is as long as asking a hub
//! whether an image is there: a hub without TLS does not pay for it.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_tls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use native_tls::{Certificate, Protocol, TlsConnector};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Time to reach a hub.
pub(crate) const CONNECT_SECS_MAX: u64 = 5;

/// What a request carries.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// Bytes that are there already.
pub(crate) fn whole(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Why there is no answer, or no more of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Not within the time it had.
    #[error("no answer in time")]
    Timeout,
    /// TLS cannot be set up here.
    #[error("TLS cannot be set up")]
    Tls(#[source] native_tls::Error),
    /// The request is none.
    #[error("the request cannot be sent")]
    Request(#[source] hyper::http::Error),
    /// The connection.
    #[error("the connection failed")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// The answer's body.
    #[error("the answer broke off")]
    Body(#[source] hyper::Error),
}

/// An answer whose body is on its way.
#[derive(Debug)]
pub(crate) struct Response {
    url: Url,
    head: hyper::http::response::Parts,
    body: Incoming,
    /// When all of it must have come; without, the reader keeps deadlines of its own.
    until: Option<Instant>,
}

impl Response {
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The next bytes; none at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = within(self.until, self.body.frame()).await?;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing that is of use here.
            if let Ok(bytes) = frame.map_err(HttpError::Body)?.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// Waits for `work`, until then at most.
async fn within<T>(until: Option<Instant>, work: impl Future<Output = T>) -> Result<T, HttpError> {
    match until {
        Some(until) => timeout_at(until, work).await.map_err(|_| HttpError::Timeout),
        None => Ok(work.await),
    }
}

/// Sends requests.
pub(crate) struct Http {
    plain: Client<HttpConnector, RequestBody>,
    secure: OnceLock<Client<HttpsConnector<HttpConnector>, RequestBody>>,
    authorities: Vec<Certificate>,
}

/// Connections of both kinds are made alike.
fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(CONNECT_SECS_MAX)));
    // Heads and pieces are whole as they are written: nothing is gained by waiting for more.
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector
}

impl Http {
    /// Trusts these authorities (PEM) besides the system's.
    pub(crate) fn new(ca: Option<&[u8]>) -> Result<Self, native_tls::Error> {
        let authorities = ca.map(Certificate::stack_from_pem).transpose()?.unwrap_or_default();
        let plain = Client::builder(TokioExecutor::new()).build(connector());
        Ok(Self { plain, secure: OnceLock::new(), authorities })
    }

    fn secure(&self) -> Result<&Client<HttpsConnector<HttpConnector>, RequestBody>, HttpError> {
        if let Some(known) = self.secure.get() {
            return Ok(known);
        }
        let mut tls = TlsConnector::builder();
        tls.min_protocol_version(Some(Protocol::Tlsv12));
        for authority in &self.authorities {
            tls.add_root_certificate(authority.clone());
        }
        let tls = tls.build().map_err(HttpError::Tls)?;
        let connector = HttpsConnector::from((connector(), tls.into()));
        Ok(self.secure.get_or_init(|| Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request and waits for the answer's head; `until` is for its body as well.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: RequestBody,
        until: Option<Instant>,
    ) -> Result<Response, HttpError> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let request = request.body(body).map_err(HttpError::Request)?;
        let sent = match url.scheme() {
            "https" => self.secure()?.request(request),
            _ => self.plain.request(request),
        };
        let answer = within(until, sent).await?.map_err(HttpError::Connect)?;
        let (head, body) = answer.into_parts();
        Ok(Response { url: url.clone(), head, body, until })
    }
}
