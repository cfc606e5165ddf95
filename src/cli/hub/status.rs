//! `tidegate hub status`.

use std::io::Write;

use serde::Serialize;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::lines::{Line, Lines};
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::cli::progress::amount;
use crate::cli::registry::explain;
use crate::cli::source::SourceArgs;
use crate::hub::{Held, Stock, stock};
use crate::model::{CommitId, Digest, EnvironmentName, Hub, RepositoryPath};

/// Show which images the verified commits want, and whether the hubs hold them
///
/// Every environment of the line, from the topmost down, or one. SHARED are bytes that other wanted
/// images of the same hub need as well. Exits 2 when an image, or a manifest that it
/// names, is missing; blobs are not asked for: `hub copy --recheck` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate hub status\n  \
    tidegate hub status --env prd --repository . \\\n    \
    --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab -o json")]
pub struct StatusArgs {
    /// The environment whose anchor is given; only it is shown with --only
    #[arg(long, value_name = "ENV")]
    env: Option<EnvironmentName>,
    /// Leave out the environments below
    #[arg(long)]
    only: bool,
    #[command(flatten)]
    lines: SourceArgs,
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    schema: &'static str,
    environments: Vec<EnvironmentRow<'a>>,
}

#[derive(Serialize)]
struct EnvironmentRow<'a> {
    environment: &'a EnvironmentName,
    commit: CommitId,
    hub: &'a Hub,
    /// Why the hub could not be asked.
    error: Option<String>,
    bytes: Option<u64>,
    /// Containers pinned by image id alone.
    without_digest: Vec<&'a str>,
    images: Vec<ImageRow<'a>>,
}

#[derive(Serialize)]
struct ImageRow<'a> {
    repository: &'a RepositoryPath,
    digest: Digest,
    version: Option<&'a str>,
    containers: Vec<&'a str>,
    state: String,
    reason: Option<&'a str>,
    bytes: Option<u64>,
    bytes_shared: Option<u64>,
}

/// What was learnt of one line's hub.
struct Seen {
    line: Line,
    stock: Result<Stock, CommandError>,
}

/// Shows.
///
/// # Errors
/// When the lines do not verify, or a hub cannot be asked.
pub fn run(args: &StatusArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let lines = Lines::open(&args.lines, args.env.as_ref(), ctx)?;
    let mut all = lines.all()?;
    if let Some(name) = &args.env {
        if !all.iter().any(|line| line.environment == *name) {
            return Err(CommandError::usage(format!("{name} is not on this line")));
        }
        all.retain(|line| !args.only || line.environment == *name);
    }
    let mut seen = Vec::new();
    for line in all {
        let stock = lines.client(&line).and_then(|client| {
            block_on(async {
                let found = stock(&client, line.wants.images.keys()).await;
                found.map_err(|error| explain(&line.hub, &error))
            })
        });
        seen.push(Seen { line, stock });
    }
    match ctx.format {
        Format::Json => {
            let environments = seen.iter().map(document).collect();
            write_json(out, &StatusDocument { schema: "tidegate.hub-status/1", environments })?;
        }
        Format::Table => table(&seen, ctx, out)?,
    }
    let missing = seen
        .iter()
        .filter_map(|seen| seen.stock.as_ref().ok())
        .any(|stock| stock.images.values().any(|held| !matches!(held, Held::Present { .. })));
    // What could be learnt was shown; what could not is the command's failure.
    match seen.into_iter().find_map(|seen| seen.stock.err()) {
        Some(error) => Err(error),
        None if missing => Ok(Outcome::Differences),
        None => Ok(Outcome::Done),
    }
}

fn word(held: Option<&Held>) -> (&'static str, Tone) {
    match held {
        Some(Held::Present { .. }) => ("Present", Tone::Good),
        Some(Held::Missing) => ("Missing", Tone::Bad),
        Some(Held::Damaged(_)) => ("Damaged", Tone::Bad),
        None => ("Unknown", Tone::Notice),
    }
}

fn document(seen: &Seen) -> EnvironmentRow<'_> {
    let (line, stock) = (&seen.line, seen.stock.as_ref().ok());
    let images = line.wants.images.iter().map(|(image, containers)| {
        let held = stock.and_then(|stock| stock.images.get(image));
        let (bytes, bytes_shared) = match held {
            Some(Held::Present { bytes, bytes_shared }) => (Some(*bytes), Some(*bytes_shared)),
            _ => (None, None),
        };
        ImageRow {
            repository: &image.repository,
            digest: image.digest,
            version: line.wants.versions.get(image).map(String::as_str),
            containers: containers.iter().map(String::as_str).collect(),
            state: word(held).0.to_ascii_lowercase(),
            reason: match held {
                Some(Held::Damaged(reason)) => Some(reason),
                _ => None,
            },
            bytes,
            bytes_shared,
        }
    });
    EnvironmentRow {
        environment: &line.environment,
        commit: line.commit,
        hub: &line.hub,
        error: seen.stock.as_ref().err().map(ToString::to_string),
        bytes: stock.map(|stock| stock.bytes),
        without_digest: line.wants.unnamed.iter().map(String::as_str).collect(),
        images: images.collect(),
    }
}

fn table(seen: &[Seen], ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let header = ["ENVIRONMENT", "IMAGE", "VERSION", "DIGEST", "STATE", "SIZE", "SHARED", "FOR"];
    let mut table = Table::new(&header);
    for Seen { line, stock } in seen {
        for (image, containers) in &line.wants.images {
            let held = stock.as_ref().ok().and_then(|stock| stock.images.get(image));
            let (size, shared) = match held {
                Some(Held::Present { bytes, bytes_shared }) => {
                    (amount(*bytes), amount(*bytes_shared))
                }
                _ => (String::new(), String::new()),
            };
            let (state, tone) = word(held);
            let containers: Vec<&str> = containers.iter().map(String::as_str).collect();
            table.row([
                line.environment.to_string().into(),
                image.repository.as_str().into(),
                line.wants.versions.get(image).cloned().unwrap_or_default().into(),
                image.digest.short().into(),
                Cell::toned(state, tone),
                size.into(),
                shared.into(),
                containers.join(",").into(),
            ]);
        }
    }
    table.write(out, ctx.paint)?;
    for Seen { line, stock } in seen {
        let commit = line.commit.to_string();
        let revision = format!("{}@sha1:{}", line.environment, &commit[..7]);
        match stock {
            Ok(stock) => {
                ctx.notice(&format!("{revision}: {} in {}", amount(stock.bytes), line.hub));
            }
            Err(error) => ctx.notice(&format!("{revision}: {error}")),
        }
        if !line.wants.unnamed.is_empty() {
            let names: Vec<&str> = line.wants.unnamed.iter().map(String::as_str).collect();
            ctx.notice(&format!("{revision}: pinned without a digest: {}", names.join(", ")));
        }
    }
    Ok(())
}
