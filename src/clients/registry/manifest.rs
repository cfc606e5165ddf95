//! Manifests and indexes: JSON → what they name. Pure.

use std::fmt;
use std::str::FromStr;

use crate::model::Digest;

/// Media types that name several manifests, one a platform.
const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// Media types that name one image.
const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// What we ask a registry for.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.artifact.manifest.v1+json";

pub(crate) fn is_index_type(media_type: &str) -> bool {
    INDEX_TYPES.contains(&media_type)
}

pub(crate) fn is_manifest_type(media_type: &str) -> bool {
    MANIFEST_TYPES.contains(&media_type)
}

/// A manifest or an index as the registry stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What kind of document it is.
    pub media_type: String,
    /// The digest of `bytes`.
    pub digest: Digest,
    /// Exactly what is stored.
    pub bytes: Vec<u8>,
}

/// An operating system and a processor: `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
    /// `v7`, where there is one.
    pub variant: Option<String>,
}

impl Platform {
    /// The platform that this program runs on, in the registry's words.
    pub fn own() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Whether an image for `self` runs where `wanted` is wanted.
    fn fits(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: write for example `linux/amd64`")]
pub struct PlatformError(String);

impl FromStr for Platform {
    type Err = PlatformError;
    fn from_str(input: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = input.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(PlatformError(input.to_owned())),
        };
        if os.is_empty() || architecture.is_empty() {
            return Err(PlatformError(input.to_owned()));
        }
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// What a manifest names: a digest, its type and size.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Descriptor {
    /// What kind of content it is.
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// In an index: whom it is for.
    pub platform: Option<Platform>,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// One image.
    Image {
        /// Its configuration, whose digest is the image id.
        config: Descriptor,
        /// Its layers, lowest first.
        layers: Vec<Descriptor>,
    },
    /// Images by platform.
    Index(Vec<Descriptor>),
}

// A document may carry any further field (annotations, subject, …), so unknown ones are allowed.
#[derive(serde::Deserialize)]
struct Raw {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Decodes a document; the error says what is wrong with it.
    pub fn decode(document: &Document) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(&document.bytes)
            .map_err(|error| format!("the manifest is not readable: {error}"))?;
        if raw.media_type.as_ref().is_some_and(|own| *own != document.media_type) {
            return Err(format!("served as {}, but calls itself otherwise", document.media_type));
        }
        match (document.media_type.as_str(), raw.config, raw.manifests) {
            (kind, Some(config), None) if is_manifest_type(kind) => {
                Ok(Self::Image { config, layers: raw.layers })
            }
            (kind, None, Some(manifests)) if is_index_type(kind) => Ok(Self::Index(manifests)),
            (kind, _, _) => Err(format!("`{kind}` is not an image manifest or index")),
        }
    }

    /// In an index, the manifest for `wanted`.
    pub fn for_platform<'a>(index: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
        index.iter().find(|entry| entry.platform.as_ref().is_some_and(|p| p.fits(wanted)))
    }
}
