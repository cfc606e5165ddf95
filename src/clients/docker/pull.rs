//! Pulling an image: the engine streams its progress, and its failures too, after a 200.
//!
//! In: a reference by digest. Out: done, or why not. Effect: the engine fetches from the hub.
//!
//! # Guarantees
//! * An error in the stream is an error; so is a stream that ends in the middle of a line.
//! * No progress for [`PULL_IDLE_MAX`] ends it; so does [`PULL_TOTAL_MAX`] altogether. Closing the
//!   connection makes the engine give up, too.
//! * Credentials go only with a reference to the registry that they are for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use crate::clients::docker::client::{Call, DockerClient, engine_message};
use crate::clients::docker::connection::{ConnectionError, read_start};
use crate::clients::docker::lines::Lines;
use crate::clients::docker::read::segment;
use crate::clients::docker::{DockerError, DockerErrorKind, Login, RegistryAuth};
use crate::model::ImageReference;

/// Silence after which a pull is given up; unpacking a large layer reports nothing for a while.
pub(crate) const PULL_IDLE_MAX: Duration = Duration::from_secs(120);

/// Time a pull may take altogether.
pub(crate) const PULL_TOTAL_MAX: Duration = Duration::from_secs(3600);

/// What says that a registry lets nobody in, or not this one; newer engines tell a bare status.
const REFUSALS: [&str; 6] =
    ["unauthorized", "denied", "authentication required", "no basic auth", ": 401 ", ": 403 "];

/// Characters of an engine's message that are kept.
const MESSAGE_CHARS_MAX: usize = 600;

impl DockerClient {
    pub(crate) async fn pull_image(
        &self,
        image: &ImageReference,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), DockerError> {
        let path = format!("/images/create?fromImage={}", segment(&image.to_string()));
        let call = Call::post(format!("pull {image}"), path).deadline(PULL_TOTAL_MAX);
        let mut headers = Vec::new();
        if let Some(auth) = auth {
            headers.push(("X-Registry-Auth", auth_header(&call, image, auth)?));
        }
        let request = call.request(&self.version(&call).await?, &headers)?;
        let pull = async {
            // The engine answers once the registry has been asked for the manifest.
            let opened = tokio::time::timeout(PULL_IDLE_MAX, self.connections.open(request)).await;
            let response =
                opened.map_err(|_| stalled(&call))?.map_err(|error| self.failure(&call, &error))?;
            let status = response.status().as_u16();
            if status != 200 {
                let body = read_start(response.into_body(), call.bytes_max).await;
                let body = body.map_err(|error| self.failure(&call, &error))?;
                return Err(judge(&call, &engine_message(status, &body)));
            }
            self.follow(&call, response.into_body()).await
        };
        tokio::time::timeout(PULL_TOTAL_MAX, pull).await.unwrap_or_else(|_| Err(call.timeout()))
    }

    async fn follow(&self, call: &Call<'_>, mut body: Incoming) -> Result<(), DockerError> {
        let mut lines = Lines::default();
        loop {
            let frame = tokio::time::timeout(PULL_IDLE_MAX, body.frame())
                .await
                .map_err(|_| stalled(call))?;
            let Some(frame) = frame else { break };
            let frame =
                frame.map_err(|error| self.failure(call, &ConnectionError::Broken(error)))?;
            let Some(chunk) = frame.data_ref() else { continue };
            lines.push(chunk).map_err(|error| call.error(DockerErrorKind::Malformed, error))?;
            while let Some(line) = lines.next() {
                progress(call, &line)?;
            }
        }
        if lines.is_empty() { Ok(()) } else { progress(call, &lines.rest()) }
    }
}

fn stalled(call: &Call<'_>) -> DockerError {
    let secs = PULL_IDLE_MAX.as_secs();
    call.error(DockerErrorKind::Timeout, format!("no progress for {secs} s"))
}

/// One line of the stream.
fn progress(call: &Call<'_>, line: &[u8]) -> Result<(), DockerError> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|_| call.error(DockerErrorKind::Malformed, "the engine's progress is not JSON"))?;
    let detail = value.pointer("/errorDetail/message").or_else(|| value.get("error"));
    match detail.and_then(Value::as_str) {
        Some(message) => Err(judge(call, message)),
        None => Ok(()),
    }
}

/// What the engine's words about a registry mean: it gives no code.
fn judge(call: &Call<'_>, message: &str) -> DockerError {
    let lower = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let kind = if says(&["no space left", "read-only file system"]) {
        DockerErrorKind::Engine
    } else if says(&REFUSALS) {
        DockerErrorKind::Unauthorized
    } else if says(&["manifest unknown", "not found", "name unknown", "no matching manifest"]) {
        DockerErrorKind::ImageMissing
    } else {
        DockerErrorKind::Registry
    };
    call.error(kind, message.chars().take(MESSAGE_CHARS_MAX).collect::<String>())
}

fn auth_header(
    call: &Call<'_>,
    image: &ImageReference,
    auth: &RegistryAuth,
) -> Result<HeaderValue, DockerError> {
    if auth.server != image.hub.authority() {
        let message = format!(
            "the credentials are for {}, not for {}: they are not sent",
            auth.server,
            image.hub.authority()
        );
        return Err(call.error(DockerErrorKind::Unauthorized, message));
    }
    let server = &auth.server;
    let body = match &auth.login {
        Login::Password { username, password } => {
            json!({ "username": username, "password": password, "serveraddress": server })
        }
        Login::IdentityToken(token) => json!({ "identitytoken": token, "serveraddress": server }),
    };
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(body.to_string()))
        .map_err(|_| call.error(DockerErrorKind::Refused, "the credentials cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use crate::clients::docker::DockerErrorKind;
    use crate::clients::docker::client::Call;
    use crate::clients::docker::pull::progress;

    #[test]
    fn an_error_in_the_stream_is_an_error() {
        let call = Call::post("pull x", "/");
        assert!(progress(&call, br#"{"status":"Pulling fs layer","id":"a"}"#).is_ok());
        for (message, kind) in [
            ("manifest unknown", DockerErrorKind::ImageMissing),
            (
                "manifest for h/x@sha256:0 not found: manifest unknown",
                DockerErrorKind::ImageMissing,
            ),
            ("Head: no basic auth credentials", DockerErrorKind::Unauthorized),
            ("unauthorized: authentication required", DockerErrorKind::Unauthorized),
            ("pull access denied for x", DockerErrorKind::Unauthorized),
            (
                "unexpected status from HEAD request to http://h/v2/x/manifests/sha256:0: 403 X",
                DockerErrorKind::Unauthorized,
            ),
            ("write /layer: no space left on device", DockerErrorKind::Engine),
            ("unexpected EOF", DockerErrorKind::Registry),
            ("dial tcp 127.0.0.1:5: connect: connection refused", DockerErrorKind::Registry),
        ] {
            let line = serde_json::json!({ "errorDetail": { "message": message } }).to_string();
            assert_eq!(progress(&call, line.as_bytes()).unwrap_err().kind, kind, "{message}");
        }
        let garbage = progress(&call, b"<html>").unwrap_err();
        assert_eq!(garbage.kind, DockerErrorKind::Malformed);
    }
}
