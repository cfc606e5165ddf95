//! Images made on the spot: one layer with a static busybox, pushed into a test's hub.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tidegate::clients::registry::{
    Document, PlainHttp, Platform, RegistryClient, RegistryOptions, RegistryWrite,
};
use tidegate::model::{Digest, Hub, ImageReference};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image in a hub.
#[derive(Debug, Clone)]
pub(crate) struct PushedImage {
    pub(crate) reference: ImageReference,
    pub(crate) image_id: Digest,
}

/// The layer: `/bin/busybox` and its names.
fn layer() -> &'static [u8] {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER.get_or_init(|| {
        let dir = tempfile::TempDir::new().unwrap();
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let from = ["/bin/busybox", "/usr/bin/busybox"];
        let found = from.iter().find(|path| std::path::Path::new(path).exists());
        assert!(found.is_some(), "images are made of busybox: apt-get install busybox-static");
        std::fs::copy(found.unwrap(), bin.join("busybox")).unwrap();
        for name in ["sh", "sleep", "true", "false", "wget", "cat", "httpd", "touch", "test"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        let tar = Command::new("tar")
            .args([
                "c",
                "--sort=name",
                "--mtime=@0",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                ".",
            ])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(tar.status.success());
        tar.stdout
    })
}

/// Pushes an image whose `config` is as `Config` of inspect; the hub takes it without credentials or
/// with `options`' ones.
pub(crate) async fn push(
    hub: &Hub,
    repository: &str,
    config: Value,
    options: RegistryOptions,
) -> PushedImage {
    let client = RegistryClient::new(hub, options).unwrap();
    let repository = repository.parse().unwrap();
    let layer = layer();
    let diff = client.push_blob(&repository, layer.to_vec()).await.unwrap();
    let platform = Platform::own();
    let image = json!({
        "architecture": platform.architecture, "os": platform.os, "config": config,
        "rootfs": { "type": "layers", "diff_ids": [diff] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "test" }],
        "created": "1970-01-01T00:00:00Z",
    });
    let image = image.to_string().into_bytes();
    let size = image.len();
    let image_id = client.push_blob(&repository, image).await.unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json",
                    "digest": image_id, "size": size },
        "layers": [{ "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
                     "digest": diff, "size": layer.len() }],
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    let document = Document { media_type: MANIFEST.to_owned(), digest, bytes };
    client.push_manifest(&repository, &document, None).await.unwrap();
    PushedImage { reference: ImageReference { hub: hub.clone(), repository, digest }, image_id }
}

/// A hub on loopback without credentials.
pub(crate) fn open() -> RegistryOptions {
    RegistryOptions { plain_http: PlainHttp::Loopback, ca: None, auth: None }
}
