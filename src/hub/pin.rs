//! Pins an image: asks the hub which it is, writes that into the ruleset that is about it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::clients::host::{HostError, read_tree, write_file};
use crate::clients::registry::{
    ManifestReference, Platform, RegistryError, RegistryRead, ResolvedImage, resolve,
};
use crate::hub::edit::{EditError, Pin, edit};
use crate::hub::work_tree::{ContainerAddress, Files, pin_file};
use crate::model::{RepositoryPath, tag_version};

/// What to pin.
#[derive(Debug, Clone)]
pub struct PinRequest {
    /// Whose image.
    pub address: ContainerAddress,
    /// Where its images lie in the hub.
    pub repository: RepositoryPath,
    /// Which of them.
    pub reference: ManifestReference,
    /// What it is called; a tag's own name if absent.
    pub version: Option<String>,
    /// The ruleset file below the work tree; found if absent.
    pub ruleset: Option<String>,
    /// The nodes' platforms: the image must be made for each; the first one's id is pinned.
    pub platforms: Vec<Platform>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The file, below the work tree.
    pub file: String,
    /// The image.
    pub image: ResolvedImage,
    /// What it is called.
    pub version: Option<String>,
    /// Whether the file changed.
    pub changed: bool,
}

/// A pin that was not written.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The hub did not say which image it is.
    #[error("cannot resolve the image")]
    Registry(#[source] RegistryError),
    /// No file to write it into, or not a good one.
    #[error("cannot write the pin")]
    Edit(#[source] EditError),
    /// The work tree cannot be read.
    #[error("cannot read the work tree")]
    Read(#[source] HostError),
    /// The file cannot be written.
    #[error("the pin was not written")]
    Write(#[source] HostError),
    /// A file could not be read.
    #[error("cannot access `{path}`")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> PinError {
    move |source| PinError::File { path: path.display().to_string(), source }
}

/// The files of a work tree.
pub fn read_files(root: &Path) -> Result<Files, PinError> {
    read_tree(root, |_| false).map_err(PinError::Read)
}

/// Pins an image in the work tree at `root`. Nothing is written unless all is found.
pub async fn pin(
    registry: &impl RegistryRead,
    root: &Path,
    request: &PinRequest,
) -> Result<Pinned, PinError> {
    let mut images = Vec::new();
    for platform in &request.platforms {
        let found = resolve(registry, &request.repository, &request.reference, platform).await;
        images.push(found.map_err(PinError::Registry)?);
    }
    let image = match images.first() {
        Some(image) => image.clone(),
        None => resolve(registry, &request.repository, &request.reference, &Platform::own())
            .await
            .map_err(PinError::Registry)?,
    };
    let file = match &request.ruleset {
        Some(file) => file.clone(),
        None => pin_file(&read_files(root)?, &request.address).map_err(PinError::Edit)?,
    };
    let version = request.version.clone().or_else(|| match &request.reference {
        ManifestReference::Tag(tag) => Some(name_of(tag)),
        ManifestReference::Digest(_) => None,
    });
    let pin = Pin { digest: image.digest, image_id: image.image_id, version: version.clone() };
    let path = root.join(&file);
    let before = std::fs::read_to_string(&path).map_err(file_error(&path))?;
    let after = edit(&before, &request.address.container, &pin).map_err(PinError::Edit)?;
    let changed = before != after;
    if changed {
        let mode = std::fs::metadata(&path).map_err(file_error(&path))?.permissions().mode();
        write_file(&path, after.as_bytes(), mode & 0o7777).map_err(PinError::Write)?;
    }
    Ok(Pinned { file, image, version, changed })
}

/// A tag as a version is written: without the `v`.
fn name_of(tag: &str) -> String {
    tag_version(tag).map_or_else(|| tag.to_owned(), |version| version.to_string())
}
