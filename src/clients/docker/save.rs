//! An image out of the engine, as `docker save` gives it.
//!
//! In: an image's name or id, a file. Out: the file holds the archive. Effect: the engine reads the
//! image; the file is written.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::clients::docker::client::{Call, DockerClient, engine_message};
use crate::clients::docker::connection::{ConnectionError, read_start};
use crate::clients::docker::read::segment;
use crate::clients::docker::{DockerError, DockerErrorKind};

/// Silence after which it is given up: the engine puts the whole archive together before it begins.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// No image is larger.
const ARCHIVE_BYTES_MAX: u64 = 256 << 30;

impl DockerClient {
    /// Writes an image's archive into `file`.
    ///
    /// # Errors
    /// When the engine has no such image, breaks off, or the file cannot be written.
    pub async fn save_image(&self, name: &str, mut file: &File) -> Result<(), DockerError> {
        let path = format!("/images/{}/get", segment(name));
        let call = Call::get(format!("save {name}"), path).deadline(IDLE_MAX);
        let request = call.request(&self.version(&call).await?, &[])?;
        let opened = timeout(IDLE_MAX, self.connections.open(request)).await;
        let answer = opened.map_err(|_| call.timeout())?;
        let answer = answer.map_err(|error| self.failure(&call, &error))?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        if status != 200 {
            let words = read_start(body, call.bytes_max).await;
            let words = words.map_err(|error| self.failure(&call, &error))?;
            let kind = match status {
                404 => DockerErrorKind::ImageMissing,
                _ => DockerErrorKind::Engine,
            };
            return Err(call.error(kind, engine_message(status, &words)));
        }
        let mut n_bytes = 0;
        loop {
            let frame = timeout(IDLE_MAX, body.frame()).await.map_err(|_| call.timeout())?;
            let Some(frame) = frame else { return Ok(()) };
            let frame =
                frame.map_err(|error| self.failure(&call, &ConnectionError::Broken(error)))?;
            let Some(bytes) = frame.data_ref() else { continue };
            n_bytes += bytes.len() as u64;
            if n_bytes > ARCHIVE_BYTES_MAX {
                let message = format!("the archive is over {ARCHIVE_BYTES_MAX} bytes");
                return Err(call.error(DockerErrorKind::Malformed, message));
            }
            file.write_all(bytes).map_err(|error| {
                let message = format!("the archive cannot be kept here meanwhile: {error}");
                call.error(DockerErrorKind::Refused, message)
            })?;
        }
    }
}
