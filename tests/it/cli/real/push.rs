//! `tidegate pin --push`: an image of a real engine, and archives as newer engines write them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tidegate::clients::docker::DockerRead as _;
use tidegate::clients::registry::{ManifestReference, RegistryRead as _};
use tidegate::hub::{SavedError, SavedImage};
use tidegate::model::Digest;

use crate::cli::pin::{stage, text};
use crate::cli::support::{Said, tidegate};
use crate::registry::{client, options, web};
use crate::support::engine::PrivateEngine;

fn shell(script: &str, dir: &Path) {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(dir).stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "{script}");
}

#[tokio::test]
async fn an_image_of_the_engine_comes_into_the_hub_and_back_with_the_same_id() {
    let (hub, tree) = stage(&[]).await;
    let tree = tree.path();
    let engine = PrivateEngine::start();
    let socket = format!("unix://{}", engine.socket().display());
    // Two layers that differ, and one that is there twice.
    let dockerfile = "FROM scratch\nCOPY a /a\nCOPY b /b\nCMD [\"/a\"]\n";
    std::fs::create_dir(engine.dir().join("build")).unwrap();
    for (name, content) in [("Dockerfile", dockerfile), ("a", "one"), ("b", "two")] {
        std::fs::write(engine.dir().join("build").join(name), content).unwrap();
    }
    shell(
        &format!("DOCKER_BUILDKIT=0 docker --host {socket} build -q -t web:1.5.0 build"),
        engine.dir(),
    );
    let push = |image: &str| {
        let mut command = tidegate(tree);
        command.env("DOCKER_HOST", &socket).args(["pin", "app1.web", "--push", image]);
        Said::from(command.output().unwrap())
    };
    let said = push("web:1.5.0");
    assert_eq!(said.code, 0, "{}", said.err);
    let image = engine.client().image("web:1.5.0").await.unwrap().unwrap();
    let id = image.id;
    // With containerd's image store the engine calls an image by its manifest's digest.
    assert!(text(tree).contains(&id), "{id}: {}", text(tree));
    let tag = ManifestReference::Tag("1.5.0".to_owned());
    let digest = client(&hub, options()).manifest_digest(&web(), &tag).await.unwrap().unwrap();
    assert!(said.out.contains(&digest.to_string()), "{}", said.out);
    // The same image has the same digest, however often it is pushed, and by its id as well.
    assert!(push(&id).err.contains(&digest.to_string()));
    let reference = format!("{}/app1/web@{digest}", hub.authority);
    shell(&format!("docker --host {socket} rmi -f web:1.5.0"), engine.dir());
    shell(&format!("docker --host {socket} pull -q {reference}"), engine.dir());
    let back = engine.client().image(&reference).await.unwrap().unwrap();
    assert_eq!(back.id, id);
    let gone = push("no/such:image");
    assert_eq!(gone.code, 1, "{}", gone.err);
    assert!(gone.err.contains("docker image ls"), "{}", gone.err);
}

/// An archive of this layout.
fn archive(files: &[(String, Vec<u8>)]) -> Result<SavedImage, SavedError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join("x").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    shell("tar cf x.tar -C x .", dir.path());
    SavedImage::open(std::fs::File::open(dir.path().join("x.tar")).unwrap())
}

#[tokio::test]
async fn an_archive_that_keeps_digests_gives_the_same_documents() {
    let kept = |bytes: &[u8]| (format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes.to_vec());
    let entry = |kind: &str, bytes: &[u8]| {
        json!({ "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": Digest::of(bytes), "size": bytes.len() })
    };
    let image = |layer: &[u8]| {
        let manifest = json!({ "schemaVersion": 2, "config": entry("config.v1+json", b"{}"),
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "layers": [entry("layer.v1.tar", layer)] });
        format!("{manifest}\n").into_bytes()
    };
    let (own, other) = (image(b"own"), image(b"other"));
    let mut entries = [entry("manifest.v1+json", &own), entry("manifest.v1+json", &other)];
    let platform = tidegate::clients::registry::Platform::own();
    entries[0]["platform"] = json!({ "os": "linux", "architecture": platform.architecture });
    entries[1]["platform"] = json!({ "os": "linux", "architecture": "riscv64" });
    let index = json!({ "schemaVersion": 2, "manifests": entries,
        "mediaType": "application/vnd.oci.image.index.v1+json" });
    let index = index.to_string().into_bytes();
    let top = json!({ "schemaVersion": 2, "manifests": [entry("index.v1+json", &index)] });
    let top = ("index.json".to_owned(), top.to_string().into_bytes());
    let mut files = vec![top, kept(&index), kept(&own), kept(b"{}"), kept(b"own")];
    // Of the index the engine has what it runs.
    let part = archive(&files).unwrap();
    assert_eq!(part.root, Digest::of(&own));
    let reference = ManifestReference::Digest(part.root);
    assert_eq!(part.manifest(&web(), &reference).await.unwrap().unwrap().bytes, own);
    files.extend([kept(&other), kept(b"other")]);
    let whole = archive(&files).unwrap();
    assert_eq!(whole.root, Digest::of(&index));
    let size = b"other".len() as u64;
    let mut blob = whole.blob(&web(), &Digest::of(b"other"), size, 1).await.unwrap().unwrap();
    assert_eq!(blob.piece().await.unwrap().unwrap(), &b"ther"[..]);
    // Other bytes under a digest, a part that is missing, and no image at all.
    files[2].1 = b"tampered".to_vec();
    assert!(archive(&files).unwrap_err().to_string().contains("other bytes"));
    assert!(archive(&files[..1]).unwrap_err().to_string().contains("whole image"));
    assert!(archive(&files[3..4]).unwrap_err().to_string().contains("lacks `manifest.json`"));
}
