//! What a hub holds of the images that are wanted, and how large they are.
//!
//! In: a hub, images. Out: [`Stock`]. Effect: asks the hub for documents, never for blobs.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};

use crate::clients::registry::{RegistryError, RegistryErrorKind, RegistryRead};
use crate::hub::copy::{WantedImage, WithReferrers, tree};
use crate::model::Digest;

/// Images asked for at once.
const IMAGES_MAX: usize = 16;

/// One image in a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It is there.
    Present {
        /// Bytes of its blobs, each counted once.
        bytes: u64,
        /// Of these, bytes that other wanted images need as well.
        bytes_shared: u64,
    },
    /// It is not there.
    Missing,
    /// Its root is there, but not all that it names.
    Damaged(String),
}

/// What a hub holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Each wanted image.
    pub images: BTreeMap<WantedImage, Held>,
    /// Bytes of all blobs, each counted once.
    pub bytes: u64,
}

/// Takes stock of `images`.
///
/// # Errors
/// When the hub does not answer, or not to us.
pub async fn stock(
    hub: &impl RegistryRead,
    images: impl IntoIterator<Item = &WantedImage>,
) -> Result<Stock, RegistryError> {
    let reads = images
        .into_iter()
        .map(|image| async move { (image, tree::read(hub, image, WithReferrers::No).await) });
    let mut reads = stream::iter(reads).buffered(IMAGES_MAX);
    let mut found: BTreeMap<&WantedImage, BTreeMap<Digest, u64>> = BTreeMap::new();
    let mut stock = Stock::default();
    while let Some((image, read)) = reads.next().await {
        match read {
            Ok(Some(documents)) => drop(found.insert(image, documents.blobs())),
            Ok(None) => drop(stock.images.insert(image.clone(), Held::Missing)),
            Err(error) if is_about_the_image(&error) => {
                stock.images.insert(image.clone(), Held::Damaged(error.message));
            }
            Err(error) => return Err(error),
        }
    }
    let mut users: BTreeMap<Digest, (u64, usize)> = BTreeMap::new();
    for (digest, size) in found.values().flatten() {
        users.entry(*digest).or_insert((*size, 0)).1 += 1;
    }
    stock.bytes = users.values().map(|(size, _)| size).sum();
    for (image, blobs) in found {
        let shared = blobs.iter().filter(|(digest, _)| users.get(digest).is_some_and(|u| u.1 > 1));
        let held = Held::Present {
            bytes: blobs.values().sum(),
            bytes_shared: shared.map(|(_, size)| size).sum(),
        };
        stock.images.insert(image.clone(), held);
    }
    Ok(stock)
}

fn is_about_the_image(error: &RegistryError) -> bool {
    matches!(error.kind, RegistryErrorKind::NotFound | RegistryErrorKind::Malformed)
}
