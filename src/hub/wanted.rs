//! Which images an environment wants: those of all its nodes, by what its files resolve to.
//!
//! In: verified files. Out: [`Wants`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::hub::copy::WantedImage;
use crate::model::{Diagnostics, EnvironmentName, Hub, RepositoryPath};
use crate::reconcile::desired::{DesiredState, Reading, ResolveError};
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// What an environment wants of its hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// The hub, if any node is declared.
    pub hub: Option<(Hub, bool)>,
    /// Images, and the containers that run them: `app1.web`.
    pub images: BTreeMap<WantedImage, BTreeSet<String>>,
    /// What the images are called, for people.
    pub versions: BTreeMap<WantedImage, String>,
    /// Containers pinned by their image id alone: nothing can be copied for them.
    pub unnamed: BTreeSet<String>,
}

impl Wants {
    /// Repositories that hold wanted images, those nearest to `of` first: blobs that an image needs
    /// lie in another image of the same app more often than elsewhere.
    pub fn siblings(&self, of: &BTreeSet<WantedImage>) -> Vec<RepositoryPath> {
        let first = |path: &RepositoryPath| path.as_str().split('/').next().map(str::to_owned);
        let near: BTreeSet<_> = of.iter().map(|image| first(&image.repository)).collect();
        let all: BTreeSet<&RepositoryPath> = self.images.keys().map(|i| &i.repository).collect();
        let (close, far): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|path| near.contains(&first(path)));
        close.into_iter().chain(far).cloned().collect()
    }

    fn take(&mut self, state: &DesiredState) {
        self.hub = Some((state.hub.clone(), state.hub_plain_http));
        for (name, service) in &state.services {
            for (key, container) in &service.containers {
                let (pin, address) = (&container.pin, format!("{name}.{key}"));
                let Some(digest) = pin.digest else {
                    self.unnamed.insert(address);
                    continue;
                };
                let image = WantedImage { repository: pin.repository.clone(), digest };
                if let Some(version) = &pin.version {
                    self.versions.insert(image.clone(), version.clone());
                }
                self.images.entry(image).or_default().insert(address);
            }
        }
    }
}

/// What a node wants, as it was resolved for it.
pub fn wants_of(state: &DesiredState) -> Wants {
    let mut wants = Wants::default();
    wants.take(state);
    wants
}

/// What all nodes of an environment want.
///
/// # Errors
/// With every mistake in the files, or when they ask for a newer version.
pub fn wanted(
    snapshot: &Verified<Snapshot>,
    environment: &EnvironmentName,
) -> Result<Wants, ResolveError> {
    let reading = Reading::new(snapshot.get(), environment)?;
    let mut wants = Wants::default();
    for node in reading.nodes() {
        let resolution =
            reading.node(node).map_err(|found: Diagnostics| ResolveError::Invalid(found))?;
        wants.take(&resolution.state);
    }
    Ok(wants)
}
