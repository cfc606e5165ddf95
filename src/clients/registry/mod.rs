//! A thin client for registries that speak the OCI distribution protocol.
//!
//! In: a hub, its CA and credentials. Out: [`RegistryRead`], [`RegistryUpload`], [`RegistryWrite`],
//! [`resolve()`].
//! Effect: HTTP(S) to that hub, and to the token server that it names.
//!
//! # Guarantees
//! * Credentials go to the hub, and to a token server on the hub's own host, alone: never to a
//!   foreign realm, never along a redirect, never over less encryption than the hub has.
//! * Every call has a deadline; every body a cap; bytes asked for by digest have that digest.

mod auth;
mod blob;
mod client;
mod error;
mod grant;
mod http;
mod manifest;
mod pace;
mod read;
mod references;
mod referrers;
mod resolve;
mod send;
mod tags;
mod upload;
mod write;

pub use blob::BlobReader;
pub use client::{PlainHttp, RegistryClient, RegistryOptions};
pub use error::{RegistryError, RegistryErrorKind};
pub use manifest::{Descriptor, Document, Manifest, Platform};
pub use references::References;
pub use referrers::{Referrer, read_referrers};
pub use resolve::{ResolvedImage, resolve};
pub(crate) use send::pause;
pub use upload::{Begun, Part, Upload};

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
    /// Which manifest is there under a name, without bringing it.
    async fn manifest_digest(
        &self,
        repository: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Digest>, RegistryError>;
    /// Whether the repository holds a blob.
    async fn has_blob(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
    ) -> Result<bool, RegistryError>;
    /// A blob of `size` bytes, from the byte `from` on; its digest is for the reader to check.
    async fn blob(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        size: u64,
        from: u64,
    ) -> Result<Option<BlobReader>, RegistryError>;
    /// What is about `subject`; `None` where the hub keeps no such list, but the tag schema.
    async fn referrers(
        &self,
        repository: &RepositoryPath,
        subject: &Digest,
    ) -> Result<Option<Vec<Referrer>>, RegistryError>;
}

/// Blobs on their way to a hub.
#[expect(async_fn_in_trait, reason = "callers run on one thread and never send these futures")]
pub trait RegistryUpload {
    /// Asks to store a blob: taken from the repository `mount` if the hub finds it there.
    async fn begin_upload(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        mount: Option<&RepositoryPath>,
    ) -> Result<Begun, RegistryError>;
    /// Finds a session again; `None` if it is over.
    async fn resume_upload(
        &self,
        repository: &RepositoryPath,
        session: &str,
    ) -> Result<Option<Upload>, RegistryError>;
    /// Sends one part, which the hub acknowledges.
    async fn send_part(&self, upload: &mut Upload, part: Part) -> Result<(), RegistryError>;
    /// Ends a session, with the last part if some is left; the hub checks the digest.
    async fn finish_upload(
        &self,
        upload: Upload,
        digest: &Digest,
        last: Option<Part>,
    ) -> Result<(), RegistryError>;
    /// Gives a session up.
    async fn cancel_upload(&self, upload: Upload) -> Result<(), RegistryError>;
}

/// What changes a hub.
#[expect(async_fn_in_trait, reason = "callers run on one thread and never send these futures")]
pub trait RegistryWrite: RegistryUpload {
    /// Stores a small blob; returns its digest.
    async fn push_blob(
        &self,
        repository: &RepositoryPath,
        bytes: Vec<u8>,
    ) -> Result<Digest, RegistryError>;
    /// Stores a manifest or an index, byte for byte, under its digest and, if given, a tag. Returns
    /// what it is about, if the hub entered it into its own list of that.
    async fn push_manifest(
        &self,
        repository: &RepositoryPath,
        document: &Document,
        tag: Option<&str>,
    ) -> Result<Option<Digest>, RegistryError>;
}
