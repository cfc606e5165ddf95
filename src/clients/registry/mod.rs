//! A thin client for registries that speak the OCI distribution protocol.
//!
//! In: a hub, its CA and credentials. Out: [`RegistryRead`], [`RegistryWrite`], [`resolve`].
//! Effect: HTTP(S) to that hub, and to the token server that it names.
//!
//! # Guarantees
//! * Credentials go to the hub, and to a token server on the hub's own host, alone: never to a
//!   foreign realm, never along a redirect, never over less encryption than the hub has.
//! * Every call has a deadline; every body a cap; bytes asked for by digest have that digest.

mod auth;
mod client;
mod error;
mod manifest;
mod resolve;
mod tags;

pub use client::{PlainHttp, RegistryClient, RegistryOptions};
pub use error::{RegistryError, RegistryErrorKind};
pub use manifest::{Descriptor, Document, Manifest, Platform};
pub use resolve::{ResolvedImage, resolve};

use crate::model::{Digest, RepositoryPath};

/// Which manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestReference {
    /// A moving name.
    Tag(String),
    /// Exact content.
    Digest(Digest),
}

impl std::fmt::Display for ManifestReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, ":{tag}"),
            Self::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// What can be asked of a hub; "not there" is `Ok(None)`.
#[expect(async_fn_in_trait, reason = "callers run on one thread and never send these futures")]
pub trait RegistryRead {
    /// A manifest or an index, as stored.
    async fn manifest(
        &self,
        repository: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Document>, RegistryError>;
}

/// What changes a hub.
#[expect(async_fn_in_trait, reason = "callers run on one thread and never send these futures")]
pub trait RegistryWrite {
    /// Stores a blob; returns its digest.
    async fn push_blob(
        &self,
        repository: &RepositoryPath,
        bytes: Vec<u8>,
    ) -> Result<Digest, RegistryError>;
    /// Stores a manifest or an index, byte for byte, under its digest and, if given, a tag.
    async fn push_manifest(
        &self,
        repository: &RepositoryPath,
        document: &Document,
        tag: Option<&str>,
    ) -> Result<(), RegistryError>;
}
