//! `tidegate hub copy`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::num::NonZeroU64;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::copying::{Copying, Go, notes};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::interrupt::Interrupts;
use crate::cli::lines::{Line, Lines};
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::cli::progress::{Told, amount};
use crate::cli::registry::explain;
use crate::cli::source::SourceArgs;
use crate::hub::copy::{
    CopyReport, CopyRequest, CopySettings, Scrutiny, Survey, WantedImage, WithReferrers,
};
use crate::model::EnvironmentName;
use crate::model::size::parse_size;

/// Copy images from one environment's hub to another's, bit by bit
///
/// Without names, what the verified commit of --to wants and its hub lacks. All platforms, signatures,
/// attestations and SBOMs come along; what is there already is not sent again, and what other
/// repositories of the hub hold is mounted. Broken off, it goes on where it was. Exits 1 when an image
/// could not be copied; with --dry-run 2 when some are missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate hub copy --from tst --to prd\n  \
    tidegate hub copy --from dev --to tst --ahead app1/web --dry-run\n  \
    tidegate hub copy --from dev --to tst --repository . \\\n    \
    --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab --limit-rate 20m")]
pub struct CopyArgs {
    /// The environment whose hub is read (default: the one below --to)
    #[arg(long, value_name = "ENV")]
    from: Option<EnvironmentName>,
    /// The environment whose hub is written (default: this node's)
    #[arg(long, value_name = "ENV")]
    to: Option<EnvironmentName>,
    /// Only these: a repository (`app1/web`), or an exact image (`app1/web@sha256:…`)
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// What --from wants, before it is promoted
    #[arg(long)]
    ahead: bool,
    /// Say what is missing, and copy nothing
    #[arg(long)]
    dry_run: bool,
    /// Look at everything again, also where the keep-tag says that an image is whole
    #[arg(long)]
    recheck: bool,
    /// Leave signatures, attestations and SBOMs behind
    #[arg(long)]
    no_referrers: bool,
    /// Read so many bytes a second at most: `500k`, `20m`
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    limit_rate: Option<NonZeroU64>,
    /// Tell each event as a line of JSON on standard error
    #[arg(long)]
    events: bool,
    #[command(flatten)]
    lines: SourceArgs,
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    NonZeroU64::new(bytes).ok_or_else(|| "nothing would ever arrive".to_owned())
}

#[derive(Serialize)]
struct CopyDocument<'a> {
    schema: &'static str,
    from: &'a EnvironmentName,
    to: &'a EnvironmentName,
    present: &'a BTreeSet<WantedImage>,
    untagged: &'a BTreeSet<WantedImage>,
    missing: Vec<&'a WantedImage>,
    bytes_missing: u64,
    copied: &'a BTreeSet<WantedImage>,
    failed: Vec<Failed<'a>>,
    bytes_copied: u64,
    bytes_mounted: u64,
}

#[derive(Serialize)]
struct Failed<'a> {
    image: &'a WantedImage,
    reason: String,
}

/// Copies.
///
/// # Errors
/// When the lines do not verify, a hub is gone or lets nobody in, or an image cannot be copied.
pub fn run(args: &CopyArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let interrupts = Interrupts::listen(ctx);
    let lines = Lines::open(&args.lines, args.to.as_ref(), ctx)?;
    let all = lines.all()?;
    let (from, to) = ends(args, &all)?;
    let images = chosen(args, if args.ahead { from } else { to })?;
    let siblings = to.wants.siblings(&images);
    let request = CopyRequest {
        images,
        siblings,
        referrers: if args.no_referrers { WithReferrers::No } else { WithReferrers::Yes },
        scrutiny: if args.recheck { Scrutiny::Everything } else { Scrutiny::KeepTag },
    };
    let (source, target) = (lines.client(from)?, lines.client(to)?);
    let settings = CopySettings {
        bytes_per_sec_max: args.limit_rate,
        notes: notes(target.hub()),
        ..CopySettings::default()
    };
    let told = if args.events { Told::Program } else { Told::People };
    let copying = Copying { ctx, interrupts: &interrupts, settings, told };
    let (survey, report) = copying.run(
        (&source, &target),
        &request,
        |error| explain(target.hub(), error),
        |_| Ok(if args.dry_run { Go::Look } else { Go::Copy }),
    )?;
    tell((args, from, to), &survey, &report, ctx, out)?;
    conclude(args, &survey, &report, from, to)
}

/// Whose hub is read, and whose is written.
fn ends<'a>(args: &CopyArgs, all: &'a [Line]) -> Result<(&'a Line, &'a Line), CommandError> {
    let to = match (&args.to, all.first()) {
        (Some(name), _) => find(all, name)?,
        (None, Some(top)) => top,
        (None, None) => return Err(CommandError::usage("which hub? add --to")),
    };
    let from = match &args.from {
        Some(name) => find(all, name)?,
        None => {
            all.iter().skip_while(|line| line.environment != to.environment).nth(1).ok_or_else(
                || {
                    let message = format!("{} is the first environment", to.environment);
                    CommandError::usage(message).hint("nothing lies below it to copy from")
                },
            )?
        }
    };
    if from.environment == to.environment {
        return Err(CommandError::usage(format!("{} is the same hub", to.environment)));
    }
    Ok((from, to))
}

fn find<'a>(lines: &'a [Line], name: &EnvironmentName) -> Result<&'a Line, CommandError> {
    lines.iter().find(|line| line.environment == *name).ok_or_else(|| {
        let known: Vec<String> = lines.iter().map(|l| l.environment.to_string()).collect();
        CommandError::usage(format!("{name} is not on this line"))
            .hint(format!("the line is {}", known.join(" ← ")))
    })
}

/// The images that are meant, of those that `line` wants.
fn chosen(args: &CopyArgs, line: &Line) -> Result<BTreeSet<WantedImage>, CommandError> {
    if args.images.is_empty() {
        return Ok(line.wants.images.keys().cloned().collect());
    }
    let mut chosen = BTreeSet::new();
    for text in &args.images {
        if let Some((repository, digest)) = text.split_once('@') {
            let wrong = |error: String| CommandError::usage(error);
            chosen.insert(WantedImage {
                repository: repository.parse().map_err(|error| wrong(format!("{error}")))?,
                digest: digest.parse().map_err(|error| wrong(format!("{error}")))?,
            });
            continue;
        }
        let fits = |image: &&WantedImage| image.repository.as_str() == text;
        let found: Vec<_> = line.wants.images.keys().filter(fits).cloned().collect();
        if found.is_empty() {
            let known: BTreeSet<&str> =
                line.wants.images.keys().map(|image| image.repository.as_str()).collect();
            let known: Vec<&str> = known.into_iter().collect();
            return Err(CommandError::usage(format!(
                "{} wants no image of {text}",
                line.environment
            ))
            .hint(format!("it wants {}", known.join(", "))));
        }
        chosen.extend(found);
    }
    Ok(chosen)
}

fn tell(
    (args, from, to): (&CopyArgs, &Line, &Line),
    survey: &Survey,
    report: &CopyReport,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let errors: BTreeMap<_, _> = survey.lacking.iter().chain(&report.failed).collect();
    if ctx.format == Format::Json {
        let failed = errors.iter();
        let failed = failed.map(|(image, error)| Failed { image, reason: error.to_string() });
        let document = CopyDocument {
            schema: "tidegate.hub-copy/1",
            from: &from.environment,
            to: &to.environment,
            present: &survey.present,
            untagged: &survey.untagged,
            missing: survey.absent().collect(),
            bytes_missing: survey.plan.bytes(),
            copied: &report.copied,
            failed: failed.collect(),
            bytes_copied: report.bytes_copied,
            bytes_mounted: report.bytes_mounted,
        };
        return Ok(write_json(out, &document)?);
    }
    let mut table = Table::new(&["IMAGE", "DIGEST", "STATE", "SIZE"]);
    let mut row = |image: &WantedImage, state: Cell, size: Option<u64>| {
        let size = size.map(amount).unwrap_or_default();
        table.row([
            image.repository.as_str().into(),
            image.digest.short().into(),
            state,
            size.into(),
        ]);
    };
    for image in &survey.present {
        row(image, Cell::toned("Present", Tone::Good), None);
    }
    for planned in &survey.plan.images {
        let image = &planned.image;
        let is_there = survey.untagged.contains(image);
        let state = if report.copied.contains(image) {
            Cell::toned(if is_there { "Tagged" } else { "Copied" }, Tone::Good)
        } else if report.failed.contains_key(image) {
            Cell::toned("Failed", Tone::Bad)
        } else {
            Cell::toned(if is_there { "Untagged" } else { "Missing" }, Tone::Notice)
        };
        row(image, state, Some(planned.bytes));
    }
    for image in survey.lacking.keys() {
        row(image, Cell::toned("Nowhere", Tone::Bad), None);
    }
    table.write(out, ctx.paint)?;
    let (sent, mounted) = (amount(report.bytes_copied), amount(report.bytes_mounted));
    match args.dry_run {
        true if survey.plan.is_empty() => {}
        true => ctx.notice(&format!("{} to copy", amount(survey.plan.bytes()))),
        false => ctx.notice(&format!("{sent} copied, {mounted} mounted")),
    }
    Ok(())
}

fn conclude(
    args: &CopyArgs,
    survey: &Survey,
    report: &CopyReport,
    from: &Line,
    to: &Line,
) -> Result<Outcome, CommandError> {
    if let Some((image, error)) = report.failed.iter().next() {
        let about = if error.to_string().contains(from.hub.authority()) { from } else { to };
        let mut told = explain(&about.hub, error);
        told.message = format!("cannot copy {image}{}: {error}", more(report.failed.len()));
        return Err(told);
    }
    if let Some((image, error)) = survey.lacking.iter().next() {
        let mut told = explain(&from.hub, error);
        told.message =
            format!("{} gives no {image}{}: {error}", from.hub, more(survey.lacking.len()));
        return Err(told);
    }
    Ok(if args.dry_run && !survey.plan.is_empty() { Outcome::Differences } else { Outcome::Done })
}

fn more(n: usize) -> String {
    if n > 1 { format!(" (and {} more)", n - 1) } else { String::new() }
}
