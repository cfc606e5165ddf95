//! `tidegate pin`.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::cli::push::{Origin, push};
use crate::cli::registry::{client, explain};
use crate::clients::registry::{ManifestReference, Platform, RegistryClient, RegistryErrorKind};
use crate::hub::{
    ContainerAddress, EditError, FirstHub, Offer, PinError, PinRequest, Pinned, PinnedContainer,
    containers, first_hub, hub_of, offer, pin, read_files,
};
use crate::model::{Digest, EnvironmentName, Hub};

/// Pin the exact image of a container, or find newer ones
///
/// Asks the first environment's hub which image is meant and writes its digest, image id and version
/// into the ruleset that is about the service; comments and formatting stay. Credentials are those of
/// `docker login`. Commit the change afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate pin app1.web --version 1.4.2\n  \
    tidegate pin app1.web --from app1/web:stable\n  \
    tidegate pin app1.web --push ghcr.io/team/web:1.4.2\n  \
    tidegate pin app1.web --push web:dev --version 1.5.0-rc.1\n  \
    tidegate pin --check\n  tidegate pin app1 --update")]
pub struct PinArgs {
    /// The container, `app1.web`; with --check or --update also a service, or nothing for all
    #[arg(value_name = "SERVICE[.CONTAINER]")]
    target: Option<String>,
    /// The image that a tag or digest in the hub names: `1.4.2`, `app1/web:1.4.2`
    #[arg(long, value_name = "REF", conflicts_with_all = ["digest", "check", "update"])]
    from: Option<String>,
    /// The image with this tag; with --from or --digest, what it is called
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["check", "update"])]
    version: Option<String>,
    /// The image with this digest
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["check", "update"])]
    digest: Option<Digest>,
    /// Copy this image into the hub first: of a registry (`ghcr.io/team/web:1.4.2`), or of this
    /// machine's engine (`web:dev`, `docker-daemon:ghcr.io/team/web:1.4.2`); a tag that is a version,
    /// or --version, becomes its tag in the hub
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["from", "digest", "check", "update"])]
    push: Option<Origin>,
    /// Say which pins have newer versions in the hub; exits 2 if one is allowed by `versions`
    #[arg(long)]
    check: bool,
    /// Pin the newest version that `versions` of each container allows
    #[arg(long, conflicts_with = "check")]
    update: bool,
    /// The file to write the pin into (default: the ruleset about the service alone)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "update"])]
    ruleset: Option<String>,
    /// What the nodes are: the image must be made for each (default: this machine's)
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// Another environment's hub than the first one's
    #[arg(long, value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// The repository's work tree
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

#[derive(Serialize)]
struct PinDocument<'a> {
    schema: &'static str,
    hub: &'a Hub,
    pins: Vec<PinRow>,
}

#[derive(Serialize)]
struct PinRow {
    container: String,
    file: String,
    digest: Digest,
    image_id: Digest,
    version: Option<String>,
    changed: bool,
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    schema: &'static str,
    hub: &'a Hub,
    pins: Vec<CheckRow>,
}

#[derive(Serialize)]
struct CheckRow {
    container: String,
    version: Option<String>,
    versions: Option<String>,
    allowed: Option<String>,
    newest: Option<String>,
}

/// Pins, or looks for what could be.
///
/// # Errors
/// When the hub does not know the image, or the pin has no place.
pub fn run(args: &PinArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    if !args.directory.join("tidegate.toml").is_file() {
        let message = format!("{} holds no tidegate.toml", args.directory.display());
        return Err(CommandError::usage(message).hint("name the work tree's top with -C"));
    }
    let files = read_files(&args.directory).map_err(|error| CommandError::failed(&error))?;
    let hub = match &args.environment {
        Some(environment) => hub_of(&files, environment),
        None => first_hub(&files),
    };
    let hub = hub.map_err(|error| {
        CommandError::failed(&error).hint("switch to the first environment's branch")
    })?;
    let client = client(&hub.hub, hub.plain_http)?;
    let found = containers(&files).map_err(|error| CommandError::failed(&error))?;
    let work = Work { args, hub: &hub, client: &client, containers: &found };
    match (args.check, args.update) {
        (false, false) => work.one(ctx, out),
        (_, update) => work.newer(update, ctx, out),
    }
}

struct Work<'a> {
    args: &'a PinArgs,
    hub: &'a FirstHub,
    client: &'a RegistryClient,
    containers: &'a [PinnedContainer],
}

impl Work<'_> {
    fn one(&self, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
        let target = self.args.target.as_deref().ok_or_else(|| {
            CommandError::usage("which container? write for example `tidegate pin app1.web`")
        })?;
        let address: ContainerAddress = target.parse().map_err(|error: _| usage(&error))?;
        let known = self.containers.iter().find(|c| c.address == address);
        let known = known.ok_or_else(|| self.unknown(target))?;
        let (reference, version) = match &self.args.push {
            Some(origin) => self.push(origin, known, ctx)?,
            None => self.reference(known)?,
        };
        let request = self.request(known, reference, version);
        let pinned = self.pin(&request)?;
        self.tell(vec![(address, pinned)], ctx, out)
    }

    /// Brings the image into the hub.
    fn push(
        &self,
        origin: &Origin,
        known: &PinnedContainer,
        ctx: &Context,
    ) -> Result<(ManifestReference, Option<String>), CommandError> {
        let version = self.args.version.as_deref().map(tag).transpose()?;
        let to = (self.hub, self.client);
        let pushed = push(origin, to, &known.repository, version.as_deref(), ctx)?;
        ctx.notice(&format!("{} is {}", known.repository, pushed.digest));
        Ok((ManifestReference::Digest(pushed.digest), pushed.version))
    }

    fn request(
        &self,
        known: &PinnedContainer,
        reference: ManifestReference,
        version: Option<String>,
    ) -> PinRequest {
        let own = || vec![Platform::own()];
        let platforms = Some(self.args.platform.clone()).filter(|p| !p.is_empty());
        PinRequest {
            address: known.address.clone(),
            repository: known.repository.clone(),
            reference,
            version,
            ruleset: self.args.ruleset.clone(),
            platforms: platforms.unwrap_or_else(own),
        }
    }

    /// Which image is meant, and what it is called.
    fn reference(
        &self,
        known: &PinnedContainer,
    ) -> Result<(ManifestReference, Option<String>), CommandError> {
        let version = self.args.version.clone();
        let reference = match (&self.args.from, &self.args.digest, &version) {
            (Some(text), ..) => named(text, known, &self.hub.hub)?,
            (None, Some(digest), _) => ManifestReference::Digest(*digest),
            (None, None, Some(version)) => ManifestReference::Tag(tag(version)?),
            (None, None, None) => {
                return Err(CommandError::usage(
                    "which image? add --version, --from, --digest or --push",
                )
                .hint(format!("tidegate pin {} --version 1.4.2", known.address)));
            }
        };
        Ok((reference, version))
    }

    fn pin(&self, request: &PinRequest) -> Result<Pinned, CommandError> {
        block_on(async {
            pin(self.client, &self.args.directory, request).await.map_err(|error| self.why(&error))
        })
    }

    fn why(&self, error: &PinError) -> CommandError {
        let failed = CommandError::failed(error);
        match error {
            PinError::Registry(error) if error.kind == RegistryErrorKind::NotFound => {
                failed.hint(format!(
                    "is it pushed to {}, and may you read there? `docker login {}`",
                    self.hub.hub,
                    self.hub.hub.authority()
                ))
            }
            PinError::Registry(error) => {
                CommandError { hint: explain(&self.hub.hub, error).hint, ..failed }
            }
            PinError::Edit(EditError::Ambiguous { .. }) => failed.hint("name it with --ruleset"),
            _ => failed,
        }
    }

    fn unknown(&self, target: &str) -> CommandError {
        let known: Vec<String> = self.containers.iter().map(|c| c.address.to_string()).collect();
        CommandError::usage(format!("there is no container {target}"))
            .hint(format!("there are {}", known.join(", ")))
    }

    fn tell(
        &self,
        pins: Vec<(ContainerAddress, Pinned)>,
        ctx: &Context,
        out: &mut dyn Write,
    ) -> Result<Outcome, CommandError> {
        if ctx.format == Format::Json {
            let row = |(address, pinned): (ContainerAddress, Pinned)| PinRow {
                container: address.to_string(),
                file: pinned.file,
                digest: pinned.image.digest,
                image_id: pinned.image.image_id,
                version: pinned.version,
                changed: pinned.changed,
            };
            let pins = pins.into_iter().map(row).collect();
            write_json(out, &PinDocument { schema: "tidegate.pin/1", hub: &self.hub.hub, pins })?;
            return Ok(Outcome::Done);
        }
        for (address, pinned) in &pins {
            let named = pinned.version.as_ref().map(|v| format!("{v} ")).unwrap_or_default();
            let image = format!("{named}({})", pinned.image.digest);
            if pinned.changed {
                writeln!(out, "pinned {address} to {image} in {}", pinned.file)?;
            } else {
                writeln!(out, "{address} was pinned to {image} already")?;
            }
        }
        if pins.iter().any(|(_, pinned)| pinned.changed) {
            ctx.notice("commit the change, signed: `git commit -S`");
        }
        Ok(Outcome::Done)
    }

    /// What the hub has that is newer; with `update`, pins what is allowed.
    fn newer(
        &self,
        update: bool,
        ctx: &Context,
        out: &mut dyn Write,
    ) -> Result<Outcome, CommandError> {
        let offers = block_on(self.offers())?;
        if update {
            let mut pins = Vec::new();
            for (known, offer) in &offers {
                let Some(tag) = &offer.allowed else { continue };
                let request = self.request(known, ManifestReference::Tag(tag.clone()), None);
                pins.push((known.address.clone(), self.pin(&request)?));
            }
            if pins.is_empty() {
                ctx.notice("nothing newer is allowed by `versions`");
            }
            return self.tell(pins, ctx, out);
        }
        let allowed = offers.iter().any(|(_, offer)| offer.allowed.is_some());
        match ctx.format {
            Format::Json => {
                let pins = offers.into_iter().map(|(known, offer)| check_row(known, offer));
                let (schema, pins) = ("tidegate.pin-check/1", pins.collect());
                write_json(out, &CheckDocument { schema, hub: &self.hub.hub, pins })?;
            }
            Format::Table => write_offers(&offers, ctx, out)?,
        }
        Ok(if allowed { Outcome::Differences } else { Outcome::Done })
    }

    async fn offers(&self) -> Result<Vec<(&PinnedContainer, Offer)>, CommandError> {
        let mut found = Vec::new();
        for known in self.containers.iter().filter(|c| self.is_meant(&c.address)) {
            let tags = self.client.tags(&known.repository).await;
            let tags = tags.map_err(|error| CommandError::failed(&error))?.unwrap_or_default();
            found.push((known, offer(&tags, known.version.as_deref(), known.versions.as_ref())));
        }
        match &self.args.target {
            Some(target) if found.is_empty() => Err(self.unknown(target)),
            _ => Ok(found),
        }
    }

    fn is_meant(&self, address: &ContainerAddress) -> bool {
        self.args.target.as_ref().is_none_or(|target| {
            *target == address.to_string() || *target == address.service.as_str()
        })
    }
}

fn usage(error: &dyn std::error::Error) -> CommandError {
    CommandError::new(ErrorKind::Usage, error.to_string())
}

fn tag(text: &str) -> Result<String, CommandError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let sound = (1..=128).contains(&text.len()) && text.bytes().all(good);
    if sound && !text.starts_with(['.', '-']) {
        return Ok(text.to_owned());
    }
    Err(CommandError::usage(format!("`{text}` is not a tag")))
}

/// `1.4.2`, `app1/web:1.4.2`, `hub/app1/web@sha256:…`: in this hub and repository alone.
fn named(
    text: &str,
    known: &PinnedContainer,
    hub: &Hub,
) -> Result<ManifestReference, CommandError> {
    let rest = text.strip_prefix(&format!("{hub}/")).unwrap_or(text);
    let (name, reference) = if let Some((name, digest)) = rest.split_once('@') {
        let digest = digest.parse().map_err(|error| usage(&error))?;
        (Some(name), ManifestReference::Digest(digest))
    } else if let Some((name, word)) = rest.split_once(':') {
        (Some(name), ManifestReference::Tag(tag(word)?))
    } else {
        (None, ManifestReference::Tag(tag(rest)?))
    };
    match name.filter(|name| *name != known.repository.as_str()) {
        None => Ok(reference),
        Some(other) => Err(CommandError::usage(format!(
            "{} runs `{}` of {hub}, not `{other}`",
            known.address, known.repository
        ))
        .hint("an image of another registry comes in by --push")),
    }
}

fn check_row(known: &PinnedContainer, offer: Offer) -> CheckRow {
    CheckRow {
        container: known.address.to_string(),
        version: known.version.clone(),
        versions: known.versions.as_ref().map(ToString::to_string),
        allowed: offer.allowed,
        newest: offer.beyond,
    }
}

fn write_offers(
    offers: &[(&PinnedContainer, Offer)],
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut table = Table::new(&["CONTAINER", "PINNED", "VERSIONS", "ALLOWED", "BEYOND"]);
    for (known, offer) in offers {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let range = known.versions.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([
            known.address.to_string().into(),
            text(&known.version).into(),
            range.into(),
            Cell::toned(text(&offer.allowed), Tone::Notice),
            Cell::toned(text(&offer.beyond), Tone::Faint),
        ]);
    }
    Ok(table.write(out, ctx.paint)?)
}
