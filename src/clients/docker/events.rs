//! What happens on the engine, as it happens. Events only wake; listing is the truth.
//!
//! In: the engine's stream. Out: [`EngineEvent`]s. Effect: holds a connection open.

use futures_util::Stream;
use futures_util::stream::unfold;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::clients::docker::client::{Call, DockerClient, READ_DEADLINE, refusal};
use crate::clients::docker::connection::{ConnectionError, read_start};
use crate::clients::docker::decode;
use crate::clients::docker::lines::Lines;
use crate::clients::docker::read::segment;
use crate::clients::docker::{DockerError, DockerErrorKind, DockerEvents, EngineEvent};

/// Kinds asked for: those of which anything that goes or changes makes a node differ.
const KINDS: &str = r#"{"type":["container","network","image","volume"]}"#;

enum Listening {
    NotYet,
    Open { body: Incoming, lines: Lines },
    Over,
}

impl DockerEvents for DockerClient {
    fn events(&self) -> impl Stream<Item = Result<EngineEvent, DockerError>> {
        unfold(Listening::NotYet, move |state| async move {
            let mut state = state;
            loop {
                state = match state {
                    Listening::Over => return None,
                    Listening::NotYet => match self.listen().await {
                        Ok(body) => Listening::Open { body, lines: Lines::default() },
                        Err(error) => return Some((Err(error), Listening::Over)),
                    },
                    Listening::Open { body, lines } => match self.hear(body, lines).await {
                        Ok((event, next)) => return Some((Ok(event), next)),
                        Err(Some(error)) => return Some((Err(error), Listening::Over)),
                        Err(None) => return None,
                    },
                };
            }
        })
    }
}

impl DockerClient {
    fn listen_call() -> Call<'static> {
        Call::get("listen to events", format!("/events?filters={}", segment(KINDS)))
    }

    async fn listen(&self) -> Result<Incoming, DockerError> {
        let call = Self::listen_call();
        let request = call.request(&self.version(&call).await?, &[])?;
        let response = tokio::time::timeout(READ_DEADLINE, self.connections.open(request))
            .await
            .map_err(|_| call.timeout())?
            .map_err(|error| self.failure(&call, &error))?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response.into_body());
        }
        let body = read_start(response.into_body(), call.bytes_max).await;
        let body = body.map_err(|error| self.failure(&call, &error))?;
        Err(refusal(&call, status, &body))
    }

    /// The next event; an event that cannot be read is passed over, for it only wakes.
    async fn hear(
        &self,
        mut body: Incoming,
        mut lines: Lines,
    ) -> Result<(EngineEvent, Listening), Option<DockerError>> {
        let call = Self::listen_call();
        loop {
            while let Some(line) = lines.next() {
                let value = serde_json::from_slice::<Value>(&line).ok();
                if let Some(event) = value.as_ref().and_then(decode::event) {
                    return Ok((event, Listening::Open { body, lines }));
                }
            }
            let Some(frame) = body.frame().await else { return Err(None) };
            let frame =
                frame.map_err(|error| self.failure(&call, &ConnectionError::Broken(error)))?;
            let chunk = frame.data_ref().map_or(&[][..], |chunk| chunk.as_ref());
            lines.push(chunk).map_err(|error| call.error(DockerErrorKind::Malformed, error))?;
        }
    }
}
