//! Storing documents and small blobs.
//!
//! In: bytes. Out: nothing, or what the registry said. Effect: HTTP.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::clients::registry::auth::Grant;
use crate::clients::registry::send::{Answer, Request, no_redirect};
use crate::clients::registry::upload::{Begun, Part};
use crate::clients::registry::{
    Document, RegistryClient, RegistryError, RegistryErrorKind, RegistryUpload as _, RegistryWrite,
};
use crate::model::{Digest, RepositoryPath};

impl RegistryWrite for RegistryClient {
    async fn push_blob(
        &self,
        repository: &RepositoryPath,
        bytes: Vec<u8>,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(&bytes);
        if let Begun::Session(upload) = self.begin_upload(repository, &digest, None).await? {
            self.finish_upload(upload, &digest, Some(Part::whole(bytes))).await?;
        }
        Ok(digest)
    }

    async fn push_manifest(
        &self,
        repository: &RepositoryPath,
        document: &Document,
        tag: Option<&str>,
    ) -> Result<Option<Digest>, RegistryError> {
        let name = tag.map_or_else(|| document.digest.to_string(), str::to_owned);
        let operation = format!("push of {repository}:{name} to {}", self.hub);
        let malformed =
            |message: String| RegistryError::new(RegistryErrorKind::Malformed, &operation, message);
        let url = self.url(repository, &format!("manifests/{name}"), &operation)?;
        let grant = Grant::Push(self.name(repository));
        let mut request = Request::new(&operation, grant, Method::PUT, url);
        let media_type = HeaderValue::from_str(&document.media_type)
            .map_err(|_| malformed("its media type is no header".to_owned()))?;
        request.headers.insert(CONTENT_TYPE, media_type);
        request.body = document.bytes.clone().into();
        let answer = stored(&operation, self.send(&request).await?)?;
        // By a tag, the registry was not told which digest to expect.
        let said = answer.header("docker-content-digest").map(str::to_owned);
        match said.filter(|said| *said != document.digest.to_string()) {
            Some(other) => Err(malformed(format!("the hub stored it as {other}"))),
            None => Ok(answer.header("oci-subject").and_then(|subject| subject.parse().ok())),
        }
    }
}

/// 404 where something is stored means that the repository is not there, or not for us.
pub(crate) fn stored(operation: &str, answer: Answer) -> Result<Answer, RegistryError> {
    let answer = no_redirect(operation, answer)?;
    if answer.is_found() {
        return Ok(answer);
    }
    let message = answer.response.status().to_string();
    Err(RegistryError::new(RegistryErrorKind::NotFound, operation, message))
}
