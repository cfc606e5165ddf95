//! What happens while images are copied, for whoever listens: a bar, a log, JSON.

use crate::hub::copy::WantedImage;
use crate::model::Digest;

/// How a blob came to be where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobEnd {
    /// It went through here.
    Copied,
    /// The target took it from another of its repositories.
    Mounted,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum CopyEvent {
    /// So many bytes more were acknowledged or are on their way.
    Bytes {
        /// How many.
        n_bytes: u64,
    },
    /// A blob is in the target.
    Blob {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
        /// How.
        end: BlobEnd,
    },
    /// A blob's transfer broke and is tried again; its last bytes count again.
    Retry {
        /// Which.
        digest: Digest,
        /// Why.
        reason: String,
        /// How many of the counted bytes were in vain.
        n_bytes_lost: u64,
    },
    /// An image is in the target, whole.
    Image {
        /// Which.
        image: WantedImage,
    },
    /// An image could not be copied.
    Failed {
        /// Which.
        image: WantedImage,
        /// Why.
        reason: String,
    },
}
