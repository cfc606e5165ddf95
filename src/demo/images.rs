//! Small images made on the spot from busybox, pushed to a hub.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients::registry::{Document, RegistryClient, RegistryWrite as _};
use crate::demo::error::{DemoError, io};
use crate::demo::tar::{Entry, archive};
use crate::model::{Digest, RepositoryPath};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Commands that the images hold.
const APPLETS: [&str; 20] = [
    "sh", "httpd", "wget", "sleep", "cat", "echo", "mkdir", "touch", "test", "date", "hostname",
    "ls", "ps", "true", "false", "kill", "id", "env", "nc", "rm",
];

/// An image to be made.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) repository: RepositoryPath,
    pub(crate) version: String,
    /// Files besides busybox, by path without the leading `/`.
    pub(crate) files: Vec<(String, String)>,
    /// What runs.
    pub(crate) command: Vec<String>,
}

/// The layer that all images share: busybox, its commands, and its libraries if it has any.
pub(crate) fn base_layer() -> Result<Vec<u8>, DemoError> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|p| p.exists());
    let Some(busybox) = busybox else {
        return Err(DemoError::Example("busybox is not installed (busybox-static)".to_owned()));
    };
    let read = |path: &Path| std::fs::read(path).map_err(io(format!("read {}", path.display())));
    let file = |bytes| Entry::File { mode: 0o755, bytes };
    let folders = ["bin", "etc", "tmp", "lib", "lib64", "data"];
    let mut entries: Vec<(String, Entry)> =
        folders.iter().map(|f| ((*f).to_owned(), Entry::Directory)).collect();
    entries.push(("bin/busybox".to_owned(), file(read(busybox)?)));
    for applet in APPLETS {
        entries.push((format!("bin/{applet}"), Entry::Link { to: "busybox".to_owned() }));
    }
    let text = |t: &str| Entry::File { mode: 0o644, bytes: t.as_bytes().to_vec() };
    entries.push(("etc/passwd".to_owned(), text("root:x:0:0:root:/:/bin/sh\n")));
    entries.push(("etc/group".to_owned(), text("root:x:0:\n")));
    for library in libraries(busybox) {
        let name = library.display().to_string();
        let bytes = read(&library)?;
        entries.push((name.trim_start_matches('/').to_owned(), file(bytes)));
    }
    Ok(archive(&entries))
}

/// The libraries a program needs; none if it is static.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).filter(|path| path.is_file()).collect()
}

/// Makes an image and pushes it under its version as the tag.
pub(crate) async fn push(
    hub: &RegistryClient,
    base: &[u8],
    recipe: &Recipe,
) -> Result<Digest, DemoError> {
    let mut entries = Vec::new();
    let mut folders: Vec<String> = Vec::new();
    for (path, text) in &recipe.files {
        for (at, _) in path.match_indices('/') {
            if !folders.iter().any(|known| known == &path[..at]) {
                folders.push(path[..at].to_owned());
                entries.push((path[..at].to_owned(), Entry::Directory));
            }
        }
        entries.push((path.clone(), Entry::File { mode: 0o755, bytes: text.as_bytes().to_vec() }));
    }
    let own = archive(&entries);
    let config = serde_json::json!({
        "architecture": crate::clients::registry::Platform::own().architecture,
        "os": "linux",
        "config": {
            "Cmd": recipe.command,
            "Env": ["PATH=/bin", format!("VERSION={}", recipe.version)],
        },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(base), Digest::of(&own)] },
    });
    let config = config.to_string().into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len() },
        "layers": [
            { "mediaType": LAYER, "digest": Digest::of(base), "size": base.len() },
            { "mediaType": LAYER, "digest": Digest::of(&own), "size": own.len() },
        ],
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    for blob in [base.to_vec(), own, config] {
        hub.push_blob(&recipe.repository, blob).await.map_err(DemoError::Registry)?;
    }
    let document = Document { media_type: MANIFEST.to_owned(), digest, bytes };
    hub.push_manifest(&recipe.repository, &document, Some(&recipe.version))
        .await
        .map_err(DemoError::Registry)?;
    Ok(digest)
}
