//! `tidegate pin --push`: an image from anywhere into the first environment's hub.
//!
//! In: where the image is. Out: its digest in the hub. Effect: reads another registry, or the engine;
//! writes to the hub.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::str::FromStr;

use crate::cli::context::{Context, block_on};
use crate::cli::copying::{Copying, Go, notes};
use crate::cli::error::{CommandError, ErrorKind};
use crate::cli::interrupt::Interrupts;
use crate::cli::progress::{Told, amount};
use crate::cli::registry::client;
use crate::clients::docker::DockerClient;
use crate::clients::registry::{
    ManifestReference, PlainHttp, RegistryClient, RegistryRead, RegistryWrite as _,
};
use crate::hub::copy::{CopyRequest, CopySettings, WantedImage};
use crate::hub::{FirstHub, SavedImage};
use crate::model::{Digest, Hub, RepositoryPath, docker_hub, tag_version};

/// Where docker's own engine listens.
const ENGINE: &str = "unix:///var/run/docker.sock";
/// What skopeo calls these places.
const FROM_REGISTRY: &str = "docker://";
const FROM_ENGINE: &str = "docker-daemon:";

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a registry.
    Registry {
        /// Which.
        hub: Hub,
        /// Where in it.
        repository: RepositoryPath,
        /// Which image.
        reference: ManifestReference,
    },
    /// In this machine's engine, by a name or id.
    Engine(String),
}

impl FromStr for Origin {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        if let Some(name) = input.strip_prefix(FROM_ENGINE) {
            return Self::engine(name);
        }
        let (text, is_registry) = match input.strip_prefix(FROM_REGISTRY) {
            Some(rest) => (rest, true),
            None => (input, false),
        };
        let host = text.split_once('/').map(|(host, _)| host);
        let host = host.filter(|host| host.contains(['.', ':']) || *host == "localhost");
        match host {
            Some(host) => Self::registry(host, &text[host.len() + 1..]),
            None if is_registry => Err(format!(
                "`{input}` names no registry: write for example `docker://registry.example.org/app1/web:1.4.2`"
            )),
            None => Self::engine(text),
        }
    }
}

impl Origin {
    fn engine(name: &str) -> Result<Self, String> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._-:/@".contains(&b);
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(good) {
            return Err(format!("`{name}` is not an image: write for example `web:dev`"));
        }
        Ok(Self::Engine(name.to_owned()))
    }

    fn registry(host: &str, rest: &str) -> Result<Self, String> {
        let wrong = |error: &dyn std::error::Error| error.to_string();
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(|e: _| wrong(&e))?)),
            None => (rest, None),
        };
        let (name, tag) = name.split_once(':').unwrap_or((name, "latest"));
        let is_tag = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if tag.is_empty() || tag.len() > 128 || !tag.bytes().all(is_tag) {
            return Err(format!("`{tag}` is not a tag"));
        }
        let host = if host == docker_hub::IMAGES { docker_hub::REGISTRY } else { host };
        let reference = digest
            .map_or_else(|| ManifestReference::Tag(tag.to_owned()), ManifestReference::Digest);
        Ok(Self::Registry {
            hub: host.parse().map_err(|e: _| wrong(&e))?,
            repository: name.parse().map_err(|e: _| wrong(&e))?,
            reference,
        })
    }

    /// The tag that it has there.
    fn tag(&self) -> Option<&str> {
        let tag = match self {
            Self::Registry { reference: ManifestReference::Tag(tag), .. } => tag,
            Self::Registry { .. } => return None,
            Self::Engine(name) => name.rsplit_once(':').map(|(_, tag)| tag)?,
        };
        Some(tag).filter(|tag| tag_version(tag).is_some())
    }
}

/// What came into the hub.
#[derive(Debug)]
pub struct PushedImage {
    /// Its digest.
    pub digest: Digest,
    /// What it is called, if its tag is a version.
    pub version: Option<String>,
}

/// Copies an image into `repository` of the hub; its version, given or its tag, becomes its tag there.
///
/// # Errors
/// When it is nowhere, cannot be copied, or another image has that tag already.
pub fn push(
    origin: &Origin,
    (hub, target): (&FirstHub, &RegistryClient),
    repository: &RepositoryPath,
    version: Option<&str>,
    ctx: &Context,
) -> Result<PushedImage, CommandError> {
    let version = version.or_else(|| origin.tag()).map(str::to_owned);
    let bring = Bring { hub, target, repository, version: version.as_deref(), ctx };
    let digest = match origin {
        Origin::Registry { hub, repository, reference } => {
            // Here, the image gets the service's name.
            let registry = client(hub, PlainHttp::Loopback)?.reading_only(repository.clone());
            let found = block_on(async {
                let found = registry.manifest_digest(repository, reference).await;
                found.map_err(|error| {
                    let server = hub.authority();
                    let hint = format!("may you read there? `docker login {server}`");
                    CommandError::failed(&error).hint(hint)
                })
            })?;
            let digest = found.ok_or_else(|| {
                let message = format!("{hub} has no {repository}{reference}");
                CommandError::new(ErrorKind::Failed, message)
                    .hint("an image of this machine's engine: docker-daemon:NAME")
            })?;
            bring.copy(&registry, digest)?
        }
        Origin::Engine(name) => {
            let image = saved(name, ctx)?;
            bring.copy(&image, image.root)?
        }
    };
    Ok(PushedImage { digest, version })
}

/// An image of this machine's engine, in a file that is gone when it is closed.
fn saved(name: &str, ctx: &Context) -> Result<SavedImage, CommandError> {
    let socket = std::env::var("DOCKER_HOST").unwrap_or_else(|_| ENGINE.to_owned());
    let engine = DockerClient::new(&socket).map_err(|error| CommandError::failed(&error))?;
    let folder = std::env::temp_dir();
    let path = folder.join(format!("tidegate-{}.tar", crate::agent::effects::nonce()));
    let failed = |error: std::io::Error| {
        let message = format!("cannot keep the image in {} meanwhile: {error}", folder.display());
        CommandError::new(ErrorKind::Failed, message).hint("name another directory with TMPDIR")
    };
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file: File = file.map_err(failed)?;
    std::fs::remove_file(&path).map_err(failed)?;
    ctx.notice(&format!("reading {name} from the engine"));
    block_on(async {
        engine.save_image(name, &file).await.map_err(|error| {
            CommandError::failed(&error).hint(
                "`docker image ls` lists what is there; an image elsewhere: docker://HOST/NAME:TAG",
            )
        })
    })?;
    SavedImage::open(file).map_err(|error| CommandError::failed(&error))
}

struct Bring<'a> {
    hub: &'a FirstHub,
    target: &'a RegistryClient,
    repository: &'a RepositoryPath,
    version: Option<&'a str>,
    ctx: &'a Context,
}

impl Bring<'_> {
    fn copy(&self, source: &impl RegistryRead, digest: Digest) -> Result<Digest, CommandError> {
        let image = WantedImage { repository: self.repository.clone(), digest };
        let explain = |error: &dyn std::error::Error| {
            let server = self.hub.hub.authority();
            CommandError::failed(error)
                .hint(format!("is it up, and may you push there? `docker login {server}`"))
        };
        block_on(async { self.tag_is_free(digest).await })?;
        let request =
            CopyRequest { images: BTreeSet::from([image.clone()]), ..CopyRequest::default() };
        let interrupts = Interrupts::listen(self.ctx);
        let settings = CopySettings { notes: notes(self.target.hub()), ..CopySettings::default() };
        let copying =
            Copying { ctx: self.ctx, interrupts: &interrupts, settings, told: Told::People };
        let (survey, report) = copying.run(
            (source, self.target),
            &request,
            |error| explain(error),
            |survey| {
                if survey.absent().next().is_some() {
                    let amount = amount(survey.plan.bytes());
                    self.ctx.notice(&format!("copying {amount} to {}", self.hub.hub));
                }
                Ok(Go::Copy)
            },
        )?;
        if let Some(error) = survey.lacking.values().chain(report.failed.values()).next() {
            return Err(explain(error));
        }
        block_on(async { self.tag(source, digest).await.map_err(|error| explain(&error)) })?;
        Ok(digest)
    }

    /// A version means one image for good.
    async fn tag_is_free(&self, digest: Digest) -> Result<(), CommandError> {
        let Some(version) = self.version else { return Ok(()) };
        let tag = ManifestReference::Tag(version.to_owned());
        let there = self.target.manifest_digest(self.repository, &tag).await;
        match there.map_err(|error| CommandError::failed(&error))? {
            Some(other) if other != digest => {
                let name = format!("{}/{}:{version}", self.hub.hub, self.repository);
                Err(CommandError::new(
                    ErrorKind::Failed,
                    format!("{name} is another image already, {other}"),
                )
                .hint(format!("choose another --version; this one is {digest}")))
            }
            _ => Ok(()),
        }
    }

    async fn tag(
        &self,
        source: &impl RegistryRead,
        digest: Digest,
    ) -> Result<(), crate::clients::registry::RegistryError> {
        let Some(version) = self.version else { return Ok(()) };
        let reference = ManifestReference::Digest(digest);
        if let Some(document) = source.manifest(self.repository, &reference).await? {
            self.target.push_manifest(self.repository, &document, Some(version)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::push::Origin;

    #[test]
    fn where_an_image_is_is_told_as_docker_and_skopeo_do() {
        for (text, wanted) in [
            ("web:dev", "Engine(\"web:dev\")"),
            ("team/web", "Engine(\"team/web\")"),
            ("docker-daemon:ghcr.io/team/web:1", "Engine(\"ghcr.io/team/web:1\")"),
            ("ghcr.io/team/web:1.4.2", "team/web"),
            ("docker://localhost/web", "latest"),
            ("docker.io/library/nginx", "registry-1.docker.io"),
            ("127.0.0.1:5000/web@sha256:0000", "not"),
            ("docker://web:1", "names no registry"),
            ("ghcr.io/web:a b", "not a tag"),
            ("--all", "not an image"),
        ] {
            let found = format!("{:?}", text.parse::<Origin>());
            assert!(found.contains(wanted), "{text}: {found}");
        }
    }
}
