//! [`DockerRead`] over the socket.
//!
//! In: questions. Out: what the engine says. Effect: reads the engine.

use serde_json::Value;

use crate::clients::docker::client::{Call, DockerClient, LIST_BYTES_MAX, refusal};
use crate::clients::docker::{
    ContainerId, ContainerInspect, ContainerSummary, DockerError, DockerErrorKind, DockerRead,
    EngineInfo, ImageInspect, NetworkInspect, VolumeInspect, connection, decode,
};

/// Bytes of logs that are read; the rest is cut off at the front by asking for few lines.
const LOG_BYTES_MAX: usize = 256 << 10;

/// Makes a name or id safe in a path: what an engine could be confused by is percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@/".contains(&b);
    text.bytes()
        .map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn list(call: &Call<'_>, answer: Value) -> Result<Vec<Value>, DockerError> {
    match answer {
        Value::Array(rows) => Ok(rows),
        Value::Null => Ok(Vec::new()),
        _ => Err(call.error(DockerErrorKind::Malformed, "the answer is not a list")),
    }
}

/// `Some` that must be, or a malformed answer.
fn whole<T>(call: &Call<'_>, decoded: Option<T>) -> Result<T, DockerError> {
    decoded.ok_or_else(|| call.error(DockerErrorKind::Malformed, "the answer names no id"))
}

impl DockerRead for DockerClient {
    async fn info(&self) -> Result<EngineInfo, DockerError> {
        let call = Call::get("ask the engine who it is", "/info");
        let version = self.version(&call).await?;
        Ok(decode::info(&self.json(&call).await?, version))
    }

    async fn containers(&self) -> Result<Vec<ContainerSummary>, DockerError> {
        let call = Call::get("list containers", "/containers/json?all=true");
        let call = call.bytes_max(LIST_BYTES_MAX);
        let rows = list(&call, self.json(&call).await?)?;
        Ok(rows.iter().filter_map(decode::summary).collect())
    }

    async fn container(&self, id: &str) -> Result<Option<ContainerInspect>, DockerError> {
        let path = format!("/containers/{}/json", segment(id));
        let call = Call::get(format!("inspect container {id}"), path);
        let Some(raw) = self.find(&call).await? else { return Ok(None) };
        whole(&call, decode::container(raw)).map(Some)
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInspect>, DockerError> {
        let path = format!("/images/{}/json", segment(reference));
        let call = Call::get(format!("inspect image {reference}"), path);
        let Some(raw) = self.find(&call).await? else { return Ok(None) };
        whole(&call, decode::image(&raw)).map(Some)
    }

    async fn networks(&self) -> Result<Vec<NetworkInspect>, DockerError> {
        let call = Call::get("list networks", "/networks").bytes_max(LIST_BYTES_MAX);
        let rows = list(&call, self.json(&call).await?)?;
        Ok(rows.into_iter().filter_map(decode::network).collect())
    }

    async fn volumes(&self) -> Result<Vec<VolumeInspect>, DockerError> {
        let call = Call::get("list volumes", "/volumes").bytes_max(LIST_BYTES_MAX);
        let mut answer = self.json(&call).await?;
        let rows = answer.get_mut("Volumes").map(Value::take).unwrap_or_default();
        Ok(list(&call, rows)?.into_iter().filter_map(decode::volume).collect())
    }

    async fn logs(&self, id: &ContainerId, lines_max: u32) -> Result<String, DockerError> {
        let path = format!(
            "/containers/{}/logs?stdout=true&stderr=true&tail={lines_max}",
            segment(id.as_str())
        );
        let call = Call::get(format!("read the logs of {}", id.short()), path);
        let request = call.request(&self.version(&call).await?, &[])?;
        let answer = async {
            let response = self.connections.open(request).await?;
            let status = response.status().as_u16();
            let body = connection::read_start(response.into_body(), LOG_BYTES_MAX).await?;
            Ok((status, body))
        };
        match tokio::time::timeout(call.deadline, answer).await {
            Ok(Ok((200, body))) => Ok(plain(&body)),
            Ok(Ok((status, body))) => Err(refusal(&call, status, &body)),
            Ok(Err(error)) => Err(self.failure(&call, &error)),
            Err(_) => Err(call.timeout()),
        }
    }
}

/// Takes the frames apart in which the engine interleaves stdout and stderr (8 bytes of header:
/// stream, three zeroes, length). A terminal's log has none and is returned as it is.
fn plain(log: &[u8]) -> String {
    let mut rest = log;
    let mut text = Vec::with_capacity(log.len());
    while let [stream @ 0..=2, 0, 0, 0, a, b, c, d, tail @ ..] = rest {
        let _ = stream;
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (frame, next) = tail.split_at(length.min(tail.len()));
        text.extend_from_slice(frame);
        rest = next;
    }
    let whole = if text.is_empty() { log } else { &text };
    String::from_utf8_lossy(whole).into_owned()
}

#[cfg(test)]
mod tests {
    use crate::clients::docker::read::{plain, segment};

    #[test]
    fn logs_are_taken_out_of_their_frames() {
        let framed = [&[1, 0, 0, 0, 0, 0, 0, 3][..], b"out", &[2, 0, 0, 0, 0, 0, 0, 4], b"err\n"];
        assert_eq!(plain(&framed.concat()), "outerr\n");
        assert_eq!(plain(b"a terminal's"), "a terminal's");
        assert_eq!(plain(&[1, 0, 0, 0, 255, 255, 255, 255, b'x']), "x");
    }

    #[test]
    fn a_path_segment_cannot_become_another_request() {
        assert_eq!(segment("a?force=true#x y"), "a%3Fforce%3Dtrue%23x%20y");
        assert_eq!(segment("hub:5000/app1/web@sha256:00"), "hub:5000/app1/web@sha256:00");
    }
}
