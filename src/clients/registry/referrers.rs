//! What is about an image: signatures, attestations, SBOMs, by the API or by the tag schema.
//!
//! In: a digest. Out: [`Referrer`]s. Effect: HTTP.

use hyper::Method;
use hyper::header::LINK;
use serde::Deserialize;
use url::Url;

use crate::clients::registry::auth::Grant;
use crate::clients::registry::read::MANIFEST_BYTES_MAX;
use crate::clients::registry::send::{Answer, Request, body, no_redirect};
use crate::clients::registry::{Descriptor, RegistryClient, RegistryError, RegistryErrorKind};
use crate::model::{Digest, RepositoryPath};

/// Pages of one list: enough for a thousand signatures.
const PAGES_MAX: usize = 64;

/// An entry of a list of referrers.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// What it points at.
    pub descriptor: Descriptor,
    /// The whole entry, with its type and annotations.
    pub entry: serde_json::Value,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    manifests: Vec<serde_json::Value>,
}

/// Reads the entries of a list, be it a page of the API or the index of the tag schema.
///
/// # Errors
/// When it is no such list.
pub fn read_referrers(bytes: &[u8]) -> Result<Vec<Referrer>, String> {
    let page: Page = serde_json::from_slice(bytes)
        .map_err(|error| format!("the list of referrers is not readable: {error}"))?;
    let read = |entry: serde_json::Value| {
        let descriptor = Descriptor::deserialize(&entry)
            .map_err(|error| format!("an entry of the list of referrers is damaged: {error}"))?;
        Ok(Referrer { descriptor, entry })
    };
    page.manifests.into_iter().map(read).collect()
}

impl RegistryClient {
    /// All pages of the API's list; none where there is no API.
    pub(crate) async fn list_referrers(
        &self,
        repository: &RepositoryPath,
        subject: &Digest,
    ) -> Result<Option<Vec<Referrer>>, RegistryError> {
        if self.lists_no_referrers() {
            return Ok(None);
        }
        let operation = format!("referrers of {subject} of {repository} in {}", self.hub);
        let mut url = self.url(repository, &format!("referrers/{subject}"), &operation)?;
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let grant = Grant::Pull(self.name(repository));
            let request = Request::new(&operation, grant, Method::GET, url.clone());
            let answer = match self.send(&request).await {
                // Registries that do not know the path refuse it in several ways.
                Err(error) if error.kind == RegistryErrorKind::Refused => None,
                answer => Some(no_redirect(&operation, answer?)?),
            };
            let Some(mut answer) = answer.filter(Answer::is_found) else {
                self.note_no_referrers();
                return Ok(None);
            };
            let next = answer.header(LINK.as_str()).and_then(|link| next_page(link, &url));
            let bytes = body(&operation, &mut answer.response, MANIFEST_BYTES_MAX).await?;
            let page = read_referrers(&bytes)
                .map_err(|why| RegistryError::new(RegistryErrorKind::Malformed, &operation, why))?;
            found.extend(page);
            match next {
                None => return Ok(Some(found)),
                Some(next) => url = next,
            }
        }
        let message = format!("the list has more than {PAGES_MAX} pages");
        Err(RegistryError::new(RegistryErrorKind::Malformed, &operation, message))
    }
}

/// The address after `rel="next"`, if it is the same registry's.
fn next_page(link: &str, base: &Url) -> Option<Url> {
    let target = link.split(',').find_map(|part| {
        let (target, parameters) = part.trim().strip_prefix('<')?.split_once('>')?;
        let parameters = parameters.replace(' ', "").to_ascii_lowercase();
        let is_next = parameters.contains("rel=\"next\"") || parameters.contains("rel=next");
        is_next.then_some(target)
    })?;
    base.join(target).ok().filter(|next| same_authority(next, base))
}

pub(crate) fn same_authority(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use crate::clients::registry::referrers::next_page;

    #[test]
    fn the_next_page_is_followed_only_within_the_registry() {
        let base = Url::parse("https://hub/v2/a/referrers/sha256:1").unwrap();
        let next = |link| next_page(link, &base).map(|url| url.to_string());
        let relative = "</v2/a/referrers/sha256:1?n=2>; rel=\"next\"";
        assert_eq!(next(relative).unwrap(), "https://hub/v2/a/referrers/sha256:1?n=2");
        for link in ["<https://evil/x>; rel=\"next\"", "<http://hub/x>; rel=next", "</x>; rel=last"]
        {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
