//! Reading documents: manifests, and what exists.
//!
//! In: names. Out: documents and digests. Effect: HTTP.

use hyper::Method;
use hyper::header::HeaderName;

use crate::clients::registry::auth::Grant;
use crate::clients::registry::blob::BlobReader;
use crate::clients::registry::referrers::Referrer;
use crate::clients::registry::send::{Answer, Request, body, no_redirect};
use crate::clients::registry::{
    Document, ManifestReference, RegistryClient, RegistryError, RegistryErrorKind, RegistryRead,
};
use crate::model::{Digest, RepositoryPath};

/// The distribution spec asks registries to take manifests of at least 4 MiB.
pub(crate) const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// What a registry says that a document's digest is.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl RegistryClient {
    async fn ask_manifest(
        &self,
        method: Method,
        repository: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<(String, Option<Answer>), RegistryError> {
        let repository = self.read_from(repository);
        let operation = format!("manifest of {repository}{reference} in {}", self.hub);
        let name = match reference {
            ManifestReference::Tag(tag) => tag.clone(),
            ManifestReference::Digest(digest) => digest.to_string(),
        };
        let url = self.url(repository, &format!("manifests/{name}"), &operation)?;
        let grant = Grant::Pull(self.name(repository));
        let answer = self.send(&Request::new(&operation, grant, method, url)).await?;
        let answer = no_redirect(&operation, answer)?;
        let found = answer.is_found().then_some(answer);
        Ok((operation, found))
    }
}

impl RegistryRead for RegistryClient {
    async fn manifest(
        &self,
        repository: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Document>, RegistryError> {
        let (operation, answer) = self.ask_manifest(Method::GET, repository, reference).await?;
        let Some(mut answer) = answer else { return Ok(None) };
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        let claimed = answer.header(CONTENT_DIGEST.as_str()).map(str::to_owned);
        let bytes = body(&operation, &mut answer.response, MANIFEST_BYTES_MAX).await?;
        let digest = Digest::of(&bytes);
        let wanted = match reference {
            ManifestReference::Digest(digest) => Some(digest.to_string()),
            ManifestReference::Tag(_) => claimed,
        };
        if wanted.is_some_and(|wanted| wanted != digest.to_string()) {
            let message = format!("the hub sent another manifest, {digest}");
            return Err(RegistryError::new(RegistryErrorKind::Malformed, &operation, message));
        }
        Ok(Some(Document { media_type, digest, bytes }))
    }

    async fn manifest_digest(
        &self,
        repository: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Digest>, RegistryError> {
        let (_, answer) = self.ask_manifest(Method::HEAD, repository, reference).await?;
        let Some(answer) = answer else { return Ok(None) };
        if let ManifestReference::Digest(digest) = reference {
            return Ok(Some(*digest));
        }
        let said = answer.header(CONTENT_DIGEST.as_str()).and_then(|text| text.parse().ok());
        drop(answer);
        match said {
            Some(digest) => Ok(Some(digest)),
            // A registry that does not say has to be read.
            None => Ok(self.manifest(repository, reference).await?.map(|found| found.digest)),
        }
    }

    async fn has_blob(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let repository = self.read_from(repository);
        let operation = format!("blob {digest} of {repository} in {}", self.hub);
        let url = self.url(repository, &format!("blobs/{digest}"), &operation)?;
        let grant = Grant::Pull(self.name(repository));
        let answer = self.send(&Request::new(&operation, grant, Method::HEAD, url)).await?;
        // A redirect leads to where it lies.
        Ok(answer.is_found())
    }

    async fn blob(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        size: u64,
        from: u64,
    ) -> Result<Option<BlobReader>, RegistryError> {
        self.open_blob(self.read_from(repository), digest, size, from).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryPath,
        subject: &Digest,
    ) -> Result<Option<Vec<Referrer>>, RegistryError> {
        self.list_referrers(self.read_from(repository), subject).await
    }
}
