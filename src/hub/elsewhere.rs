//! One repository of another registry, under the name that its images get here.

use crate::clients::registry::{
    BlobReader, Document, ManifestReference, Referrer, RegistryError, RegistryRead,
};
use crate::model::{Digest, RepositoryPath};

/// Whatever repository is asked for, this one is read.
#[derive(Debug)]
pub struct Elsewhere<'a, S> {
    /// The registry.
    pub registry: &'a S,
    /// The repository there.
    pub repository: RepositoryPath,
}

impl<S: RegistryRead> RegistryRead for Elsewhere<'_, S> {
    async fn manifest(
        &self,
        _: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Document>, RegistryError> {
        self.registry.manifest(&self.repository, reference).await
    }

    async fn manifest_digest(
        &self,
        _: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Digest>, RegistryError> {
        self.registry.manifest_digest(&self.repository, reference).await
    }

    async fn has_blob(&self, _: &RepositoryPath, digest: &Digest) -> Result<bool, RegistryError> {
        self.registry.has_blob(&self.repository, digest).await
    }

    async fn blob(
        &self,
        _: &RepositoryPath,
        digest: &Digest,
        size: u64,
        from: u64,
    ) -> Result<Option<BlobReader>, RegistryError> {
        self.registry.blob(&self.repository, digest, size, from).await
    }

    async fn referrers(
        &self,
        _: &RepositoryPath,
        subject: &Digest,
    ) -> Result<Option<Vec<Referrer>>, RegistryError> {
        self.registry.referrers(&self.repository, subject).await
    }
}
