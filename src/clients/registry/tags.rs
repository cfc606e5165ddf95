//! The tags of a repository.

use hyper::Method;

use crate::clients::registry::auth::Grant;
use crate::clients::registry::send::{Request, body};
use crate::clients::registry::{RegistryClient, RegistryError, RegistryErrorKind};
use crate::model::RepositoryPath;

/// A page of tags; registries that give no pages send all at once.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Tags of one repository: more are a mistake.
const TAGS_MAX: usize = 100_000;
/// Tags asked for at once.
const PAGE_TAGS: usize = 1_000;

#[derive(serde::Deserialize)]
struct Page {
    // A repository whose tags were all removed has `null` here.
    tags: Option<Vec<String>>,
}

impl RegistryClient {
    /// All tags of a repository; `None` if the hub does not know it.
    ///
    /// # Errors
    /// When the hub does not say, or has too many.
    pub async fn tags(
        &self,
        repository: &RepositoryPath,
    ) -> Result<Option<Vec<String>>, RegistryError> {
        let operation = format!("tags of {repository} in {}", self.hub());
        let malformed =
            |message: &str| RegistryError::new(RegistryErrorKind::Malformed, &operation, message);
        let mut tags: Vec<String> = Vec::new();
        loop {
            let mut url = self.url(repository, "tags/list", &operation)?;
            url.query_pairs_mut().append_pair("n", &PAGE_TAGS.to_string());
            if let Some(last) = tags.last() {
                url.query_pairs_mut().append_pair("last", last);
            }
            let grant = Grant::Pull(self.name(repository));
            let mut answer = self.send(&Request::new(&operation, grant, Method::GET, url)).await?;
            if !answer.is_found() {
                return Ok(None);
            }
            let more = answer.header("link").is_some();
            let bytes = body(&operation, &mut answer.response, PAGE_BYTES_MAX).await?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|_| malformed("the list of tags is unreadable"))?;
            let page = page.tags.unwrap_or_default();
            // A hub that sends the same page for ever is left.
            let is_new = page.last() != tags.last();
            let ended = page.is_empty() || !more || !is_new;
            tags.extend(page);
            if tags.len() > TAGS_MAX {
                return Err(malformed("the repository has too many tags"));
            }
            if ended {
                return Ok(Some(tags));
            }
        }
    }
}
