//! What lies on an engine: images and unused volumes, for checks alone.
//!
//! In: an engine. Out: [`Stock`]. Effect: reads the engine, in two calls.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::clients::docker::client::{Call, DockerClient, LIST_BYTES_MAX};
use crate::clients::docker::{DockerError, DockerErrorKind, decode};

/// `{"dangling":["true"]}`
const UNUSED: &str = "/volumes?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D";

/// What lies on an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Every image but layers in between.
    pub images: Vec<StoredImage>,
    /// Names of volumes that no container uses.
    pub unused_volumes: BTreeSet<String>,
}

/// One image of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The engine's id.
    pub id: String,
    /// Tags, then digests.
    pub names: Vec<String>,
    /// Bytes, with what it shares with others.
    pub size: u64,
}

impl DockerClient {
    /// What lies on it.
    ///
    /// # Errors
    /// When the engine does not answer, or with something else.
    pub async fn stock(&self) -> Result<Stock, DockerError> {
        let call = Call::get("list images", "/images/json").bytes_max(LIST_BYTES_MAX);
        let Value::Array(rows) = self.json(&call).await? else {
            return Err(call.error(DockerErrorKind::Malformed, "the answer is not a list"));
        };
        let images = rows.iter().filter_map(decode::stored).collect();
        let call = Call::get("list unused volumes", UNUSED).bytes_max(LIST_BYTES_MAX);
        let mut answer = self.json(&call).await?;
        let rows = answer.get_mut("Volumes").map(Value::take).unwrap_or_default();
        let rows = if let Value::Array(rows) = rows { rows } else { Vec::new() };
        let volumes = rows.into_iter().filter_map(decode::volume);
        Ok(Stock { images, unused_volumes: volumes.map(|volume| volume.name).collect() })
    }
}
