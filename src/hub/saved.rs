//! An archive as `docker save` writes it, read like a hub that holds this one image.
//!
//! In: the archive's file. Out: [`SavedImage`], which the copy engine reads. Effect: reads the file.
//!
//! Engines write it in two forms. Newer ones (25, and all with containerd's image store) keep
//! documents and blobs by their digests: those come as they are. Older ones keep layers and the
//! configuration alone: the manifest is made here, always the same for the same image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path};
use std::sync::Arc;

use serde::Deserialize;

use crate::clients::registry::{
    BlobReader, Descriptor, Document, Manifest, ManifestReference, Platform, References, Referrer,
    RegistryError, RegistryRead,
};
use crate::model::{Digest, RepositoryPath};

/// A manifest or a configuration; both are held in memory.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Manifests of one image, one a platform.
const DOCUMENTS_MAX: usize = 1_000;
/// Where the newer form has them.
const BLOBS: &str = "blobs/sha256/";
/// Files of an archive: a few for each layer.
const FILES_MAX: usize = 10_000;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// An archive that is no image.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read.
    #[error("cannot read the engine's archive")]
    Read(#[source] std::io::Error),
    /// A document in it.
    #[error("`{file}` of the engine's archive cannot be understood")]
    Document {
        /// Which.
        file: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Something is wrong with it.
    #[error("the engine's archive {0}")]
    Form(String),
}

/// Where a file of the archive lies in it.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    size: u64,
}

/// One image of an engine.
#[derive(Debug)]
pub struct SavedImage {
    file: Arc<File>,
    /// What is pulled: a manifest, or an index over platforms.
    pub root: Digest,
    documents: BTreeMap<Digest, Document>,
    blobs: BTreeMap<Digest, Place>,
}

/// `manifest.json`, which both forms have; further fields are the engine's.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    layers: Vec<String>,
}

/// `index.json`, which the newer form has.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// The part of a configuration that names the layers.
#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// The files of an archive by their paths.
struct Archive {
    file: Arc<File>,
    places: BTreeMap<String, Place>,
}

impl SavedImage {
    /// Reads the archive's own lists.
    ///
    /// # Errors
    /// When it is none, or not of one image.
    pub fn open(file: File) -> Result<Self, SavedError> {
        let archive = Archive::read(file)?;
        if archive.places.contains_key("index.json") { archive.layout() } else { archive.legacy() }
    }
}

impl Archive {
    fn read(mut file: File) -> Result<Self, SavedError> {
        file.rewind().map_err(SavedError::Read)?;
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let mut links = Vec::new();
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek().map_err(SavedError::Read)? {
            let entry = entry.map_err(SavedError::Read)?;
            let path = entry.path().map_err(SavedError::Read)?;
            let Some(name) = inner(Path::new(""), &path) else { continue };
            if let Some(target) = entry.link_name().map_err(SavedError::Read)? {
                let folder = path.parent().unwrap_or(Path::new(""));
                links.extend(inner(folder, &target).map(|target| (name, target)));
            } else if entry.header().entry_type().is_file() {
                let place = Place { at: entry.raw_file_position(), size: entry.size() };
                places.insert(name, place);
            }
            if places.len() + links.len() > FILES_MAX {
                return Err(SavedError::Form(format!("has more than {FILES_MAX} files")));
            }
        }
        // A layer that an image has twice is there once.
        for (name, target) in links {
            if let Some(place) = places.get(&target).copied() {
                places.insert(name, place);
            }
        }
        Ok(Self { file: Arc::new(file), places })
    }

    fn place(&self, name: &str) -> Result<Place, SavedError> {
        let found = self.places.get(name).copied();
        found.ok_or_else(|| SavedError::Form(format!("lacks `{name}`")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, SavedError> {
        let Place { at, size } = self.place(name)?;
        let size = usize::try_from(size.min(DOCUMENT_BYTES_MAX + 1)).unwrap_or_default();
        if size as u64 > DOCUMENT_BYTES_MAX {
            return Err(SavedError::Form(format!("has a `{name}` that is far too long")));
        }
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, at).map_err(SavedError::Read)?;
        Ok(bytes)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, SavedError> {
        let document = |source| SavedError::Document { file: name.to_owned(), source };
        serde_json::from_slice(&self.bytes(name)?).map_err(document)
    }

    /// The newer form: everything is there under its digest.
    fn layout(self) -> Result<SavedImage, SavedError> {
        let index: Index = self.json("index.json")?;
        let [root] = &index.manifests[..] else {
            let n = index.manifests.len();
            return Err(SavedError::Form(format!("holds {n} images, where one was asked for")));
        };
        let mut documents = BTreeMap::new();
        let mut root = root.digest;
        if !self.take(&index.manifests[0], &mut documents)? {
            // Of an index the engine has what it runs, and no more.
            let children = documents.get(&root).and_then(|index| References::of(index).ok());
            let children = children.unwrap_or_default().manifests;
            let own = Manifest::for_platform(&children, &Platform::own());
            documents.clear();
            match own {
                Some(child) if self.take(child, &mut documents)? => root = child.digest,
                _ => return Err(SavedError::Form("does not hold the whole image".to_owned())),
            }
        }
        let blobs = self.places.iter().filter_map(|(name, place)| {
            let hex = name.strip_prefix(BLOBS)?;
            Some((format!("sha256:{hex}").parse().ok()?, *place))
        });
        let blobs = blobs.collect();
        Ok(SavedImage { root, documents, blobs, file: self.file })
    }

    /// Takes a document and all that it names; says whether all of it is there.
    fn take(
        &self,
        wanted: &Descriptor,
        documents: &mut BTreeMap<Digest, Document>,
    ) -> Result<bool, SavedError> {
        let name = |digest: &Digest| format!("{BLOBS}{}", digest.hex());
        if documents.len() > DOCUMENTS_MAX {
            return Err(SavedError::Form(format!("has more than {DOCUMENTS_MAX} manifests")));
        }
        let digest = wanted.digest;
        if documents.contains_key(&digest) {
            return Ok(true);
        }
        if !self.places.contains_key(&name(&digest)) {
            return Ok(false);
        }
        let bytes = self.bytes(&name(&digest))?;
        if Digest::of(&bytes) != digest {
            return Err(SavedError::Form(format!("holds other bytes for {digest}")));
        }
        let document = Document { media_type: wanted.media_type.clone(), digest, bytes };
        let named = References::of(&document).map_err(SavedError::Form)?;
        documents.insert(digest, document);
        let mut is_whole = named.blobs.iter().all(|b| self.places.contains_key(&name(&b.digest)));
        for child in &named.manifests {
            is_whole &= self.take(child, documents)?;
        }
        Ok(is_whole)
    }

    /// The older form: a manifest is made of the configuration and the layers as they are.
    fn legacy(self) -> Result<SavedImage, SavedError> {
        let entries: Vec<Entry> = self.json("manifest.json")?;
        let [entry] = &entries[..] else {
            let n = entries.len();
            return Err(SavedError::Form(format!("holds {n} images, where one was asked for")));
        };
        let config = self.bytes(&entry.config)?;
        let named: Config = self.json(&entry.config)?;
        if named.rootfs.diff_ids.len() != entry.layers.len() {
            return Err(SavedError::Form("has another number of layers than its image".to_owned()));
        }
        let image_id = Digest::of(&config);
        let mut blobs = BTreeMap::from([(image_id, self.place(&entry.config)?)]);
        let mut layers = Vec::new();
        for (digest, name) in named.rootfs.diff_ids.iter().zip(&entry.layers) {
            let place = self.place(name)?;
            // What lies there is checked against it when it is read.
            blobs.insert(*digest, place);
            layers.push(descriptor(LAYER_TYPE, digest, place.size));
        }
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": layers,
            "config": descriptor(CONFIG_TYPE, &image_id, config.len() as u64),
        });
        let bytes = manifest.to_string().into_bytes();
        let root = Digest::of(&bytes);
        let document = Document { media_type: MANIFEST_TYPE.to_owned(), digest: root, bytes };
        let documents = BTreeMap::from([(root, document)]);
        Ok(SavedImage { root, documents, blobs, file: self.file })
    }
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> serde_json::Value {
    serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size })
}

/// A path within the archive; nothing that leads out of it.
fn inner(folder: &Path, path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.components().chain(path.components()) {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

impl RegistryRead for SavedImage {
    async fn manifest(
        &self,
        _: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Document>, RegistryError> {
        match reference {
            ManifestReference::Digest(digest) => Ok(self.documents.get(digest).cloned()),
            ManifestReference::Tag(_) => Ok(None),
        }
    }

    async fn manifest_digest(
        &self,
        at: &RepositoryPath,
        reference: &ManifestReference,
    ) -> Result<Option<Digest>, RegistryError> {
        Ok(self.manifest(at, reference).await?.map(|document| document.digest))
    }

    async fn has_blob(&self, _: &RepositoryPath, digest: &Digest) -> Result<bool, RegistryError> {
        Ok(self.blobs.contains_key(digest))
    }

    async fn blob(
        &self,
        _: &RepositoryPath,
        digest: &Digest,
        size: u64,
        from: u64,
    ) -> Result<Option<BlobReader>, RegistryError> {
        let Some(place) = self.blobs.get(digest) else { return Ok(None) };
        let n_left = size.min(place.size).saturating_sub(from);
        let operation = format!("blob {digest} of the engine's archive");
        let file = Arc::clone(&self.file);
        Ok(Some(BlobReader::of_file(operation, file, place.at + from, n_left)))
    }

    async fn referrers(
        &self,
        _: &RepositoryPath,
        _: &Digest,
    ) -> Result<Option<Vec<Referrer>>, RegistryError> {
        Ok(Some(Vec::new()))
    }
}
