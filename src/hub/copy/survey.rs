//! What a hub has of the images that are wanted, and how to bring the rest.
//!
//! In: two hubs, a [`CopyRequest`]. Out: a [`Survey`]. Effect: asks both hubs.
//!
//! # Guarantees
//! * An image whose keep-tag is there costs one request to the target and none to the source.

use std::collections::BTreeSet;

use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt as _};

use crate::clients::registry::{
    ManifestReference, References, RegistryError, RegistryErrorKind, RegistryRead,
};
use crate::hub::copy::stages::{TargetLists, tree};
use crate::hub::copy::tree::{self, Ask, Documents};
use crate::hub::copy::{CopyRequest, ImageTree, Scrutiny, Survey, WantedImage, plan};
use crate::model::{Digest, RepositoryPath};

/// Images read at once: their manifests are held in memory, so that the next ones wait.
const IMAGES_MAX: usize = 8;

/// Finds out what is missing.
///
/// # Errors
/// When the target does not say what it has. What the source lacks is part of the survey.
pub async fn survey(
    source: &impl RegistryRead,
    target: &impl RegistryRead,
    request: &CopyRequest,
) -> Result<Survey, RegistryError> {
    let mut survey = Survey::default();
    let looks = request.images.iter().map(|image| is_whole(target, image, request.scrutiny));
    let looks = try_join_all(looks).await?;
    let missing = request.images.iter().zip(looks).filter_map(|(image, is_whole)| {
        if is_whole {
            survey.present.insert(image.clone());
        }
        (!is_whole).then_some(image)
    });
    let missing: Vec<&WantedImage> = missing.collect();
    let reads = missing
        .into_iter()
        .map(|image| async move { (image, read(source, target, image, request).await) });
    let mut reads = stream::iter(reads).buffered(IMAGES_MAX);
    let mut trees = Vec::new();
    while let Some((image, read)) = reads.next().await {
        match read {
            Ok(tree) => trees.push(tree),
            Err(Failure::Target(error)) => return Err(error),
            Err(Failure::Source(error)) => {
                // It may have come to the target in another way, a hotfix's for example: who stores a
                // manifest stores what it names first. Whoever looks closer is not told so by this.
                let reference = ManifestReference::Digest(image.digest);
                if request.scrutiny != Scrutiny::Everything
                    && target.manifest_digest(&image.repository, &reference).await?.is_some()
                {
                    survey.present.insert(image.clone());
                } else {
                    survey.lacking.insert(image.clone(), error);
                }
            }
        }
    }
    let present = present(target, &trees).await?;
    survey.untagged = untagged(target, &trees, &present).await?;
    survey.plan = plan(trees, &present, &request.siblings);
    Ok(survey)
}

async fn is_whole(
    target: &impl RegistryRead,
    image: &WantedImage,
    scrutiny: Scrutiny,
) -> Result<bool, RegistryError> {
    if scrutiny == Scrutiny::Everything {
        return Ok(false);
    }
    let tag = ManifestReference::Tag(image.keep_tag());
    let found = target.manifest_digest(&image.repository, &tag).await?;
    Ok(found == Some(image.digest))
}

enum Failure {
    Source(RegistryError),
    Target(RegistryError),
}

async fn read(
    source: &impl RegistryRead,
    target: &impl RegistryRead,
    image: &WantedImage,
    request: &CopyRequest,
) -> Result<ImageTree, Failure> {
    let read = tree::read(source, image, request.referrers).await.map_err(Failure::Source)?;
    let documents = read.ok_or_else(|| {
        let message = "the hub has no such image";
        let kind = RegistryErrorKind::NotFound;
        Failure::Source(RegistryError::new(kind, &image.to_string(), message))
    })?;
    let mut documents = documents;
    keep_theirs(target, &image.repository, &mut documents).await.map_err(Failure::Target)?;
    let lists = lists(target, &image.repository, &documents).await.map_err(Failure::Target)?;
    Ok(tree(image, documents, &lists))
}

/// A tag of the target that holds more than the source's, such as a signature that was added there,
/// is left as it is: then the source's document comes by its digest alone.
async fn keep_theirs(
    target: &impl RegistryRead,
    repository: &RepositoryPath,
    documents: &mut Documents,
) -> Result<(), RegistryError> {
    for (digest, found) in &mut documents.found {
        let Some(tag) = found.tag.clone() else { continue };
        let theirs = target.manifest(repository, &ManifestReference::Tag(tag)).await?;
        let Some(theirs) = theirs.filter(|theirs| theirs.digest != *digest) else { continue };
        let ours: BTreeSet<Digest> = found.references.blobs.iter().map(|b| b.digest).collect();
        // Configurations differ whenever layers do.
        let layers = References::of(&theirs).unwrap_or_default().blobs.into_iter().skip(1);
        if layers.into_iter().any(|layer| !ours.contains(&layer.digest)) {
            found.tag = None;
        }
    }
    Ok(())
}

/// What the target lists about what has referrers, if it does not keep such lists by itself.
async fn lists(
    target: &impl RegistryRead,
    repository: &RepositoryPath,
    documents: &Documents,
) -> Result<TargetLists, RegistryError> {
    let mut lists = TargetLists::new();
    for subject in documents.referrers.keys() {
        if target.referrers(repository, subject).await?.is_none() {
            let listed = tree::listed(target, repository, subject, Ask::InTurn).await?;
            lists.insert(*subject, listed.entries);
        }
    }
    Ok(lists)
}

/// Which of the trees' blobs the target has where they belong.
async fn present(
    target: &impl RegistryRead,
    trees: &[ImageTree],
) -> Result<BTreeSet<(RepositoryPath, Digest)>, RegistryError> {
    let blobs: BTreeSet<(&RepositoryPath, Digest)> = trees
        .iter()
        .flat_map(|tree| tree.blobs.keys().map(|blob| (&tree.image.repository, *blob)))
        .collect();
    let looks = blobs.into_iter().map(|(repository, blob)| async move {
        let has = target.has_blob(repository, &blob).await?;
        Ok::<_, RegistryError>(has.then(|| (repository.clone(), blob)))
    });
    let looks: Result<Vec<_>, _> = join_all(looks).await.into_iter().collect();
    Ok(looks?.into_iter().flatten().collect())
}

/// Which images are there but for their names: nothing of them has to be sent.
async fn untagged(
    target: &impl RegistryRead,
    trees: &[ImageTree],
    present: &BTreeSet<(RepositoryPath, Digest)>,
) -> Result<BTreeSet<WantedImage>, RegistryError> {
    let has =
        |image: &WantedImage, blob: &Digest| present.contains(&(image.repository.clone(), *blob));
    let complete = trees.iter().filter(|tree| tree.blobs.keys().all(|b| has(&tree.image, b)));
    let looks = complete.map(|ImageTree { image, .. }| async move {
        let root = ManifestReference::Digest(image.digest);
        let found = target.manifest_digest(&image.repository, &root).await?;
        Ok::<_, RegistryError>(found.map(|_| image.clone()))
    });
    let looks: Result<Vec<_>, _> = join_all(looks).await.into_iter().collect();
    Ok(looks?.into_iter().flatten().collect())
}
