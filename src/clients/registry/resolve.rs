//! A tag or a digest → exactly which image, for one platform.

use crate::clients::registry::{
    Document, Manifest, ManifestReference, Platform, RegistryError, RegistryErrorKind, RegistryRead,
};
use crate::model::{Digest, RepositoryPath};

/// An image, all its names known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// What the reference names: a manifest, or an index over platforms. This is what is pulled.
    pub digest: Digest,
    /// The manifest for the platform; `digest` itself where there is no index.
    pub manifest: Digest,
    /// The image's configuration: what classic Docker calls the image id.
    pub image_id: Digest,
}

/// Asks the hub which image `reference` is for `platform`.
pub async fn resolve(
    registry: &impl RegistryRead,
    repository: &RepositoryPath,
    reference: &ManifestReference,
    platform: &Platform,
) -> Result<ResolvedImage, RegistryError> {
    let operation = format!("{repository}{reference}");
    let fail = |kind, message: String| RegistryError::new(kind, &operation, message);
    let missing = || fail(RegistryErrorKind::NotFound, "the hub has no such image".to_owned());
    let decode = |document: &Document| {
        Manifest::decode(document).map_err(|why| fail(RegistryErrorKind::Malformed, why))
    };
    let top = registry.manifest(repository, reference).await?.ok_or_else(missing)?;
    let index = match decode(&top)? {
        Manifest::Image { config, .. } => {
            let image_id = config.digest;
            return Ok(ResolvedImage { digest: top.digest, manifest: top.digest, image_id });
        }
        Manifest::Index(index) => index,
    };
    let entry = Manifest::for_platform(&index, platform).ok_or_else(|| {
        let offered: Vec<String> =
            index.iter().filter_map(|e| e.platform.as_ref()).map(ToString::to_string).collect();
        let message = format!("not made for {platform}, only for {}", offered.join(", "));
        fail(RegistryErrorKind::NotFound, message)
    })?;
    let inner = ManifestReference::Digest(entry.digest);
    let document = registry.manifest(repository, &inner).await?.ok_or_else(missing)?;
    match decode(&document)? {
        Manifest::Image { config, .. } => Ok(ResolvedImage {
            digest: top.digest,
            manifest: entry.digest,
            image_id: config.digest,
        }),
        Manifest::Index(_) => {
            Err(fail(RegistryErrorKind::Malformed, "an index within an index".to_owned()))
        }
    }
}
