//! What is wanted and may not happen now, and why not.
//!
//! In: decisions. Out: data for people and programs. Pure.

use serde::{Deserialize, Serialize};

use crate::model::{Revision, ServiceName};

/// Something wanted that may not happen now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The service.
    pub service: ServiceName,
    /// Why not.
    pub reason: HeldReason,
    /// What it would become, if it is a new version.
    pub revision: Revision,
}

/// What being held means to whoever wants the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It comes in its time, or when people let it.
    Waits,
    /// It cannot be done, or could not.
    Fails,
    /// This node refuses it.
    Denied,
}

/// Why something is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "held", rename_all = "snake_case")]
pub enum HeldReason {
    /// No window is open.
    Window {
        /// When the next one opens, RFC 3339.
        opens: Option<String>,
    },
    /// A freeze covers now.
    Freeze {
        /// Why, from the environment's file.
        reason: String,
        /// Until when, RFC 3339.
        until: String,
    },
    /// Set aside.
    Suspended {
        /// Why.
        reason: String,
        /// Until when, RFC 3339.
        until: Option<String>,
    },
    /// This version failed here.
    Failed {
        /// Why.
        reason: String,
    },
    /// Node policy denies it.
    Policy {
        /// Every field that is denied, with what would allow it.
        denied: Vec<String>,
    },
    /// Too much would be removed at once.
    Brake {
        /// Containers that would go.
        removing: usize,
        /// Containers there are.
        of: usize,
    },
    /// A foreign object is in the way.
    Foreign {
        /// What it is called.
        name: String,
    },
    /// Something made by others, which the service joins or uses, is not there.
    Missing {
        /// What it is called.
        name: String,
    },
    /// A volume exists with other settings, which the engine cannot change in place.
    Immutable {
        /// What it is called.
        name: String,
    },
    /// A network has to be made anew for its new settings, and containers of others are on it.
    InUse {
        /// What it is called.
        name: String,
        /// Who is on it.
        by: Vec<String>,
    },
    /// The engine does not show one of its containers whole, so nothing is decided about it.
    Unknown {
        /// What it is called.
        name: String,
        /// What the engine says instead.
        reason: String,
    },
    /// An image cannot be had yet.
    Image {
        /// Which, and why.
        reason: String,
    },
    /// The hub does not have an image yet.
    Hub {
        /// The engine's words about it.
        reason: String,
    },
    /// Something that the new version needs is away, taken or used up for now.
    Later {
        /// What, in the engine's words.
        reason: String,
    },
    /// Where a path of the host leads cannot be seen now.
    Unseen {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// A container of another service of this node still has one of its host ports.
    Taken {
        /// Which, `8080/tcp`.
        port: String,
        /// Which container has it.
        by: String,
    },
    /// Two services, or more in a circle, each have a host port that another one of them is to get.
    Exchange {
        /// Which, `8080/tcp`.
        port: String,
        /// Which container has it.
        by: String,
    },
    /// The revision has no document for this node.
    NodeUndeclared,
}

impl HeldReason {
    /// What it means to whoever wants the change.
    pub fn hold(&self) -> Hold {
        match self {
            Self::Window { .. }
            | Self::Freeze { .. }
            | Self::Suspended { .. }
            | Self::Brake { .. }
            | Self::Taken { .. } => Hold::Waits,
            Self::Policy { .. } => Hold::Denied,
            Self::Failed { .. }
            | Self::Foreign { .. }
            | Self::Missing { .. }
            | Self::Immutable { .. }
            | Self::InUse { .. }
            | Self::Unknown { .. }
            | Self::Image { .. }
            | Self::Hub { .. }
            | Self::Later { .. }
            | Self::Unseen { .. }
            | Self::Exchange { .. }
            | Self::NodeUndeclared => Hold::Fails,
        }
    }
}
