//! Reads all that an image consists of from a hub: children, referrers and theirs.
//!
//! In: a hub, an image. Out: [`Documents`]. Effect: asks the hub, a wave of documents at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join};

use crate::clients::registry::{
    Document, ManifestReference, References, Referrer, RegistryError, RegistryErrorKind,
    RegistryRead, read_referrers,
};
use crate::hub::copy::{WantedImage, WithReferrers};
use crate::model::{Digest, RepositoryPath};

/// Documents of one image: an index names tens of platforms, each with a few signatures.
const DOCUMENTS_MAX: usize = 2_000;
/// Bytes of one image's documents, which are held in memory.
const DOCUMENTS_BYTES_MAX: usize = 16 << 20;
/// Waves of one image: indexes in indexes, signatures of signatures.
const WAVES_MAX: usize = 8;
/// Tags by which cosign finds what is about a digest.
const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// What a document is to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// It is named by the root, or by what the root names.
    Child,
    /// It is about one of them.
    Referrer,
}

/// A document, what it points at, what it is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) document: Document,
    pub(crate) references: References,
    pub(crate) part: Part,
    /// The tag that it was found by.
    pub(crate) tag: Option<String>,
}

/// All documents of an image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Documents {
    pub(crate) found: BTreeMap<Digest, Found>,
    /// What is about each of them, as the source lists it.
    pub(crate) referrers: BTreeMap<Digest, Listed>,
}

/// A hub's list of what is about a digest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    pub(crate) entries: Vec<Referrer>,
    /// The index of the tag schema that holds the list, where the hub has no API.
    pub(crate) index: Option<Document>,
}

impl From<Vec<Referrer>> for Listed {
    fn from(entries: Vec<Referrer>) -> Self {
        Self { entries, index: None }
    }
}

impl Documents {
    /// Blobs of all documents, and their sizes.
    pub(crate) fn blobs(&self) -> BTreeMap<Digest, u64> {
        let blobs = self.found.values().flat_map(|found| &found.references.blobs);
        blobs.map(|blob| (blob.digest, blob.size)).collect()
    }
}

/// The tag under which registries without the API keep the list of what is about `digest`.
pub(crate) fn referrers_tag(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// One question of a wave.
struct Question {
    reference: ManifestReference,
    part: Part,
    /// Whether the image is not whole without it.
    is_needed: bool,
    /// Whether nothing was asked of the hub before.
    is_first: bool,
}

impl Question {
    fn digest(digest: Digest, part: Part) -> Self {
        Self {
            reference: ManifestReference::Digest(digest),
            part,
            is_needed: true,
            is_first: false,
        }
    }
}

/// Reads an image; `None` if the hub does not have it.
pub(crate) async fn read(
    hub: &impl RegistryRead,
    image: &WantedImage,
    referrers: WithReferrers,
) -> Result<Option<Documents>, RegistryError> {
    let fail = |kind, message: String| RegistryError::new(kind, &image.to_string(), message);
    let mut all = Documents::default();
    let mut asked = BTreeSet::from([image.digest]);
    let root = Question::digest(image.digest, Part::Child);
    let mut wave = vec![Question { is_first: true, ..root }];
    let mut n_bytes = 0;
    for n_waves in 0.. {
        if wave.is_empty() {
            break;
        }
        if n_waves >= WAVES_MAX || asked.len() > DOCUMENTS_MAX {
            let message = "it names more documents than any image has".to_owned();
            return Err(fail(RegistryErrorKind::Malformed, message));
        }
        let answers = wave.iter().map(|question| ask(hub, &image.repository, question, referrers));
        let mut next = Vec::new();
        for (question, answer) in wave.iter().zip(join_all(answers).await) {
            let (document, about) = answer?;
            let Some(document) = document else {
                if question.reference == ManifestReference::Digest(image.digest) {
                    return Ok(None);
                }
                if question.is_needed {
                    let message =
                        format!("the hub lacks {}, which belongs to it", question.reference);
                    return Err(fail(RegistryErrorKind::NotFound, message));
                }
                continue;
            };
            n_bytes += document.bytes.len();
            if n_bytes > DOCUMENTS_BYTES_MAX {
                let message = format!("its manifests are over {DOCUMENTS_BYTES_MAX} bytes");
                return Err(fail(RegistryErrorKind::Malformed, message));
            }
            take(&mut all, &mut asked, &mut next, question, document, about)
                .map_err(|why| fail(RegistryErrorKind::Malformed, why))?;
        }
        wave = next;
    }
    Ok(Some(all))
}

/// What is about one document.
#[derive(Debug, Default)]
struct About {
    listed: Listed,
    /// Documents under cosign's tags.
    tagged: Vec<(String, Document)>,
}

async fn ask(
    hub: &impl RegistryRead,
    repository: &RepositoryPath,
    question: &Question,
    referrers: WithReferrers,
) -> Result<(Option<Document>, About), RegistryError> {
    let document = hub.manifest(repository, &question.reference);
    match (&question.reference, referrers) {
        (ManifestReference::Digest(digest), WithReferrers::Yes) => {
            let ask = if question.is_first { Ask::Together } else { Ask::InTurn };
            try_join(document, about(hub, repository, digest, ask)).await
        }
        _ => Ok((document.await?, About::default())),
    }
}

async fn about(
    hub: &impl RegistryRead,
    repository: &RepositoryPath,
    digest: &Digest,
    ask: Ask,
) -> Result<About, RegistryError> {
    let base = referrers_tag(digest);
    let tagged = COSIGN_SUFFIXES.iter().map(|suffix| {
        let tag = format!("{base}.{suffix}");
        async move {
            let found = hub.manifest(repository, &ManifestReference::Tag(tag.clone())).await?;
            Ok::<_, RegistryError>(found.map(|document| (tag, document)))
        }
    });
    let listed = listed(hub, repository, digest, ask);
    let (listed, tagged) = futures_util::future::join(listed, join_all(tagged)).await;
    let tagged: Result<Vec<_>, _> = tagged.into_iter().collect();
    Ok(About { listed: listed?, tagged: tagged?.into_iter().flatten().collect() })
}

/// How the API and the tag schema are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// At the same time: nobody knows yet which of them the hub has.
    Together,
    /// The tag schema where there is no API.
    InTurn,
}

/// The hub's list of what is about `digest`, by the API or by the tag schema.
pub(crate) async fn listed(
    hub: &impl RegistryRead,
    repository: &RepositoryPath,
    digest: &Digest,
    ask: Ask,
) -> Result<Listed, RegistryError> {
    let reference = ManifestReference::Tag(referrers_tag(digest));
    let api = hub.referrers(repository, digest);
    let tag = hub.manifest(repository, &reference);
    let document = match ask {
        Ask::Together => match try_join(api, tag).await? {
            (Some(listed), _) => return Ok(listed.into()),
            (None, document) => document,
        },
        Ask::InTurn => match api.await? {
            Some(listed) => return Ok(listed.into()),
            None => tag.await?,
        },
    };
    let Some(document) = document else { return Ok(Listed::default()) };
    let operation = format!("referrers of {digest} of {repository}");
    let entries = read_referrers(&document.bytes)
        .map_err(|why| RegistryError::new(RegistryErrorKind::Malformed, &operation, why))?;
    Ok(Listed { entries, index: Some(document) })
}

fn take(
    all: &mut Documents,
    asked: &mut BTreeSet<Digest>,
    next: &mut Vec<Question>,
    question: &Question,
    document: Document,
    about: About,
) -> Result<(), String> {
    let references = References::of(&document)?;
    for child in &references.manifests {
        if asked.insert(child.digest) {
            next.push(Question::digest(child.digest, question.part));
        }
    }
    for referrer in &about.listed.entries {
        if asked.insert(referrer.descriptor.digest) {
            // A list may name what was deleted since.
            let digest = referrer.descriptor.digest;
            next.push(Question { is_needed: false, ..Question::digest(digest, Part::Referrer) });
        }
    }
    if !about.listed.entries.is_empty() {
        all.referrers.insert(document.digest, about.listed);
    }
    for (tag, tagged) in about.tagged {
        // Its own referrers are asked for as well; its bytes are here already.
        if asked.insert(tagged.digest) {
            next.push(Question::digest(tagged.digest, Part::Referrer));
        }
        let references = References::of(&tagged)?;
        let (part, tag) = (Part::Referrer, Some(tag));
        let found = Found { document: tagged.clone(), references, part, tag };
        all.found.insert(tagged.digest, found);
    }
    let tag = all.found.get(&document.digest).and_then(|found| found.tag.clone());
    let found = Found { references, part: question.part, tag, document };
    all.found.insert(found.document.digest, found);
    Ok(())
}
