//! Kept-alive connections to the engine's socket.
//!
//! In: a request. Out: its status and its body, capped. Effect: talks to the socket.
//!
//! # Guarantees
//! * A request that was surely not sent is sent again on a new connection; no other one ever is,
//!   unless it only reads.
//! * An answer given up half-way closes its connection, so that the next caller never reads its rest.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::http::response::Parts;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// Short calls at the same time: enough to hide latency, few enough not to burden the engine.
const CALLS_MAX: usize = 8;

/// Connections that are kept while nobody waits for one: an idle look needs one, each holds buffers
/// of some 40 KiB, and a new one on a local socket costs next to nothing.
const IDLE_CONNECTIONS_MAX: usize = 2;

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum ConnectionError {
    /// The socket could not be opened.
    Connect(std::io::Error),
    /// The connection broke.
    Broken(hyper::Error),
    /// The body is over its cap.
    TooLarge(usize),
}

type Sender = SendRequest<Full<Bytes>>;

/// Connections to one socket.
#[derive(Debug)]
pub(crate) struct Connections {
    socket: PathBuf,
    idle: Mutex<Vec<Sender>>,
    calls: Semaphore,
}

impl Connections {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, idle: Mutex::new(Vec::new()), calls: Semaphore::new(CALLS_MAX) }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// One short call on a kept connection.
    pub(crate) async fn call(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<(u16, Vec<u8>), ConnectionError> {
        let (parts, body) = self.ask(request, bytes_max).await?;
        Ok((parts.status.as_u16(), body))
    }

    /// The same, with the answer's headers.
    pub(crate) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<(Parts, Vec<u8>), ConnectionError> {
        // The semaphore is never closed; without a permit the call would merely be unbounded.
        let _permit = self.calls.acquire().await.ok();
        let (response, sender) = self.send(request).await?;
        let (parts, body) = response.into_parts();
        let body = read(body, bytes_max).await?;
        self.keep(sender);
        Ok((parts, body))
    }

    /// One long call, or one whose answer is a stream, on a connection of its own.
    pub(crate) async fn open(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ConnectionError> {
        let mut sender = self.connect().await?;
        sender.send_request(request).await.map_err(ConnectionError::Broken)
    }

    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Sender), ConnectionError> {
        let only_reads = request.method() == Method::GET;
        while let Some(mut sender) = self.take() {
            let copy = only_reads.then(|| request.clone());
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message().or(copy) {
                    Some(unsent) => request = unsent,
                    None => return Err(ConnectionError::Broken(error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.map_err(ConnectionError::Broken)?;
        Ok((response, sender))
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|sender| !sender.is_closed())
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits for a permit takes it at once.
        let is_waited_for = self.calls.available_permits() == 0;
        if (is_waited_for || idle.len() < IDLE_CONNECTIONS_MAX) && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<Sender, ConnectionError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(ConnectionError::Connect)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ConnectionError::Broken)?;
        // It ends when its sender is dropped or the engine closes it; the sender sees the error.
        tokio::spawn(async move { connection.await.ok() });
        Ok(sender)
    }
}

/// Reads a body up to a cap.
pub(crate) async fn read(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, ConnectionError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ConnectionError::Broken)?;
        let Some(chunk) = frame.data_ref() else { continue };
        if bytes.len() + chunk.len() > bytes_max {
            return Err(ConnectionError::TooLarge(bytes_max));
        }
        bytes.extend_from_slice(chunk);
    }
    Ok(bytes)
}

/// Reads a body until its end or `bytes`, whichever comes first.
pub(crate) async fn read_start(
    mut body: Incoming,
    bytes_max: usize,
) -> Result<Vec<u8>, ConnectionError> {
    let mut bytes = Vec::new();
    while bytes.len() < bytes_max {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(ConnectionError::Broken)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |chunk| chunk.as_ref()));
    }
    bytes.truncate(bytes_max);
    Ok(bytes)
}
