//! Pins an image: asks the hub which it is, writes that into the ruleset that is about it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::clients::registry::{
    ManifestReference, Platform, RegistryError, RegistryRead, ResolvedImage, resolve,
};
use crate::hub::edit::{EditError, Pin, edit, ruleset_for};
use crate::model::{ContainerName, RepositoryPath, ServiceName};

/// Ruleset files read at most; a repository has one or two a service.
const FILES_MAX: usize = 10_000;
/// Directory levels below `rulesets/`, as deep as a commit may go.
const LEVELS_MAX: usize = 32;

/// What to pin.
#[derive(Debug, Clone)]
pub struct PinRequest {
    /// The service.
    pub service: ServiceName,
    /// Its container.
    pub container: ContainerName,
    /// Where its images lie in the hub.
    pub repository: RepositoryPath,
    /// Which of them.
    pub reference: ManifestReference,
    /// What it is called; a tag's own name if absent.
    pub version: Option<String>,
    /// The ruleset file below the work tree; found if absent.
    pub ruleset: Option<String>,
    /// The nodes' platform, which decides the image id.
    pub platform: Platform,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The file, below the work tree.
    pub file: String,
    /// The image.
    pub image: ResolvedImage,
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
    /// A file could not be read or written.
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

/// Pins an image in the work tree at `root`.
pub async fn pin(
    registry: &impl RegistryRead,
    root: &Path,
    request: &PinRequest,
) -> Result<Pinned, PinError> {
    let image = resolve(registry, &request.repository, &request.reference, &request.platform)
        .await
        .map_err(PinError::Registry)?;
    let file = match &request.ruleset {
        Some(file) => file.clone(),
        None => ruleset_for(&rulesets(root)?, &request.service, &request.container)
            .map_err(PinError::Edit)?,
    };
    let version = request.version.clone().or_else(|| match &request.reference {
        ManifestReference::Tag(tag) => Some(tag.clone()),
        ManifestReference::Digest(_) => None,
    });
    let pin = Pin { digest: image.digest, image_id: image.image_id, version };
    let path = root.join(&file);
    let before = std::fs::read_to_string(&path).map_err(file_error(&path))?;
    let after = edit(&before, &request.container, &pin).map_err(PinError::Edit)?;
    let changed = before != after;
    if changed {
        std::fs::write(&path, after).map_err(file_error(&path))?;
    }
    Ok(Pinned { file, image, changed })
}

/// Every ruleset that flows, path → text. An environment's own rulesets set no pins (TRUST.md).
fn rulesets(root: &Path) -> Result<BTreeMap<String, String>, PinError> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<(PathBuf, usize)> = vec![(root.join("rulesets"), 0)];
    while let Some((dir, level)) = waiting.pop() {
        if !dir.is_dir() || level > LEVELS_MAX {
            continue;
        }
        for entry in std::fs::read_dir(&dir).map_err(file_error(&dir))? {
            let entry = entry.map_err(file_error(&dir))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(file_error(&dir))?);
            if kind.is_dir() {
                waiting.push((path, level + 1));
            } else if path.extension().is_some_and(|e| e == "toml") && found.len() < FILES_MAX {
                let text = std::fs::read_to_string(&path).map_err(file_error(&path))?;
                let name = path.strip_prefix(root).unwrap_or(&path);
                found.insert(name.to_string_lossy().into_owned(), text);
            }
        }
    }
    Ok(found)
}
