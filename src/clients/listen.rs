//! One page over HTTP, for whoever asks.
//!
//! In: an address, a page. Out: answers. Effect: listens at that address.
//!
//! # Guarantees
//! * At most [`CONNECTIONS_MAX`] are answered at a time, each for at most [`TIME_MAX`]; others wait
//!   in the kernel's queue. Whoever is slow holds up only who asks beside them.
//! * Nothing is read but one request's head, and nothing is answered but the page, with `GET`.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Answered at the same time: a few who scrape, and somebody who looks.
const CONNECTIONS_MAX: usize = 8;
/// From the connection to its end: who scrapes gives up by then, too.
const TIME_MAX: Duration = Duration::from_secs(10);
/// A request's head; hyper takes no less.
const HEAD_BYTES_MAX: usize = 8192;
/// Before the next try when the process has no more files.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Listens, and answers once it is asked to.
#[derive(Debug)]
pub struct Listener(tokio::net::TcpListener);

/// What is answered.
pub struct Page<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its text, made anew for each who asks.
    pub text: &'a dyn Fn() -> String,
}

impl std::fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When it is not to be had: in use, not this machine's, or not this user's.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener).map(Self)
    }

    /// Answers whoever asks, for ever. May be dropped at any time: then nobody is answered any more.
    pub async fn answer(&self, page: &Page<'_>) -> Infallible {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                stream = self.next(), if open.len() < CONNECTIONS_MAX => {
                    open.extend(stream.map(|stream| one(stream, page)));
                }
                Some(()) = open.next() => {}
            }
        }
    }

    async fn next(&self) -> Option<TcpStream> {
        if let Ok((stream, _)) = self.0.accept().await {
            return Some(stream);
        }
        tokio::time::sleep(ACCEPT_AGAIN).await;
        None
    }
}

/// One connection, one answer.
async fn one(stream: TcpStream, page: &Page<'_>) {
    let service = service_fn(|request| ready(Ok::<_, Infallible>(reply(&request, page))));
    let mut http = http1::Builder::new();
    // Without a timer hyper has no limit of its own, and none is needed below ours.
    http.keep_alive(false).max_buf_size(HEAD_BYTES_MAX).header_read_timeout(None);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // Who asks wrongly, goes away or is slow is nobody's concern here.
    let _ended = tokio::time::timeout(TIME_MAX, connection).await;
}

fn reply(request: &Request<Incoming>, page: &Page<'_>) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    let (status, media_type, text) = if request.uri().path() != page.path {
        (StatusCode::NOT_FOUND, plain, format!("there is nothing here but {}\n", page.path))
    } else if request.method() != Method::GET {
        (StatusCode::METHOD_NOT_ALLOWED, plain, "it is only to be read: GET\n".to_owned())
    } else {
        (StatusCode::OK, page.media_type, (page.text)())
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(media_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
    }
    response
}
