//! `tidegate audit`.

mod observed;
mod print;
mod repository;

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::audit::chain::Chain;
use crate::audit::date::Date;
use crate::audit::images::{Period, images};
use crate::audit::log::{LogRequest, log};
use crate::audit::observed::observe;
use crate::audit::provenance::{DIGITS_MIN, provenance};
use crate::audit::{csv, view};
use crate::cli::audit::print::Printed;
use crate::cli::audit::repository::{AuditPlace, with_chain, with_chains};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::model::AppName;

/// Read from verified history who promoted what, what was wanted when, and by which way
///
/// Only commits that the nodes would believe count. What is listed is what Git wanted; what ran is in
/// the nodes' signed journals (`audit images --observed`). Every row names its commit. With `-o json`
/// and `-o csv` ids and digests are whole; `-o html` writes one file that can be kept and printed.
///
/// Where the history is refused, the report says so first, lists what counts, and the exit code is 3;
/// 2 when its tip is good but waits, as `tidegate verify` says it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate audit log --repository . --env prd --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab\n  \
    tidegate audit images --env prd --at 2026-11-01 -o html > images.html\n  \
    tidegate audit provenance 9b2c5d1e0f3a --env prd")]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    Log(LogArgs),
    Images(ImagesArgs),
    Provenance(ProvenanceArgs),
}

/// List who changed what, when, from which commit, signed and approved by whom
///
/// The first commit is the one that you vouch for with `--anchor`. A day is whole and in UTC; a
/// commit's time is the latest one on its branch up to itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate audit log --env prd --since 2026-10-01 --until 2026-10-31\n  \
    tidegate audit log --env prd --app app1 -o csv > app1.csv\n  \
    tidegate audit log --repository https://git.example.org/ops/config.git --env prd \\\n    \
    --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab -o html > log.html")]
pub struct LogArgs {
    #[command(flatten)]
    place: AuditPlace,
    /// Only what came on this day or later: a day (UTC), or RFC 3339
    #[arg(long, visible_alias = "from", value_name = "DATE")]
    since: Option<Date>,
    /// Only what came on this day or earlier
    #[arg(long, visible_alias = "to", value_name = "DATE")]
    until: Option<Date>,
    /// Only what changes this app (repeatable)
    #[arg(long, value_name = "APP")]
    app: Vec<AppName>,
}

/// List every image that Git wanted, on which nodes, since which commit
///
/// At one time, or all that was wanted within a span. `--observed` adds what nodes' journals say ran:
/// `tidegate history --signed > n1.jsonl` writes one on the node. A journal counts only if each entry
/// is signed by the key that Git lists for the node and follows the one before it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate audit images --env prd --at 2026-11-01\n  \
    tidegate audit images --env prd --from 2026-10-01 --to 2026-10-31 -o csv > october.csv\n  \
    tidegate audit images --env prd --at 2026-11-01T14:00:00Z --observed n1.jsonl n2.jsonl")]
pub struct ImagesArgs {
    #[command(flatten)]
    place: AuditPlace,
    /// What was wanted then: a day's end (UTC), or RFC 3339 (default: now)
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to"])]
    at: Option<Date>,
    /// All that was wanted from this day on
    #[arg(long, visible_alias = "since", value_name = "DATE")]
    from: Option<Date>,
    /// Until the end of this day (default: now)
    #[arg(long, visible_alias = "until", value_name = "DATE")]
    to: Option<Date>,
    /// Nodes' signed journals
    #[arg(long, value_name = "FILE", num_args = 1..)]
    observed: Vec<PathBuf>,
}

/// Show an image's way through the lines
///
/// From the first environment up to `--env`: the first and last commit that wanted it, by which
/// promotion, signed and approved by whom, and what ended it. Exits 1 when no verified commit ever
/// wanted it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate audit provenance 9b2c5d1e0f3a --env prd -o html > provenance.html")]
pub struct ProvenanceArgs {
    /// Digest or image id, whole or its first digits (at least 10)
    #[arg(value_name = "DIGEST", value_parser = digest)]
    digest: String,
    #[command(flatten)]
    place: AuditPlace,
}

/// Reports.
///
/// # Errors
/// When the repository cannot be read, or part of its history is refused.
pub fn run(args: &AuditArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match &args.command {
        AuditCommand::Log(args) => run_log(args, ctx, out),
        AuditCommand::Images(args) => run_images(args, ctx, out),
        AuditCommand::Provenance(args) => run_provenance(args, ctx, out),
    }
}

fn run_log(args: &LogArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    in_order(args.since, args.until)?;
    let request = LogRequest {
        from: args.since.map(|date| date.first),
        to: args.until.map(|date| date.last),
        apps: args.app.clone(),
    };
    with_chain(&args.place, ctx, |chain| {
        let report = log(chain, &request).map_err(|error| CommandError::failed(&error))?;
        let printed =
            Printed { json: &report, csv: &|| csv::log(&report), sheet: view::log(&report) };
        printed.write(ctx, out)?;
        believed(chain)
    })
}

fn run_images(
    args: &ImagesArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    in_order(args.from, args.to)?;
    let files = observed::read(&args.observed)?;
    with_chain(&args.place, ctx, |chain| {
        let period = period(args, chain.now())?;
        let failed = |error| CommandError::failed(&error);
        let mut report = images(chain, period).map_err(failed)?;
        if !files.is_empty() {
            observe(chain, &mut report, &files).map_err(failed)?;
        }
        let printed =
            Printed { json: &report, csv: &|| csv::images(&report), sheet: view::images(&report) };
        printed.write(ctx, out)?;
        observed::complete(&report)?;
        believed(chain)
    })
}

fn period(args: &ImagesArgs, end: Timestamp) -> Result<Period, CommandError> {
    for date in args.at.iter().chain(&args.from) {
        if date.first > end {
            return Err(CommandError::usage(format!("{:.0} is in the future", date.first)));
        }
    }
    let last = |date: Option<Date>| date.map_or(end, |date| date.last.min(end));
    Ok(match (args.from, args.to) {
        (None, None) => Period::At(last(args.at)),
        (from, to) => Period::Span { from: from.map(|date| date.first), to: last(to) },
    })
}

fn run_provenance(
    args: &ProvenanceArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    with_chains(&args.place, ctx, |chains| {
        let report =
            provenance(chains, &args.digest).map_err(|error| CommandError::failed(&error))?;
        let printed = Printed {
            json: &report,
            csv: &|| csv::provenance(&report),
            sheet: view::provenance(&report),
        };
        printed.write(ctx, out)?;
        let mut outcome = Outcome::Done;
        for looked in chains.iter().rev() {
            if believed(&looked.chain)? == Outcome::Differences {
                outcome = Outcome::Differences;
            }
        }
        if report.is_known() {
            return Ok(outcome);
        }
        let digest = &args.digest;
        Err(CommandError::new(
            crate::cli::error::ErrorKind::Failed,
            format!("no verified commit ever wanted {digest}"),
        )
        .hint("was it only ever pulled by hand? `audit images` lists what was wanted"))
    })
}

/// What ends a report whose history is not believed whole.
fn believed<O: crate::model::Objects>(chain: &Chain<'_, O>) -> Result<Outcome, CommandError> {
    let Some(refused) = &chain.verdict.refused else {
        let waits = chain.verdict.waits.is_some();
        return Ok(if waits { Outcome::Differences } else { Outcome::Done });
    };
    let (environment, commit) = (&chain.environment, refused.commit);
    let message = format!("commit {commit} of {environment} is refused: {}", refused.reason);
    Err(CommandError::refused(message).hint(refused.remedy.clone()))
}

fn in_order(from: Option<Date>, to: Option<Date>) -> Result<(), CommandError> {
    match (from, to) {
        (Some(from), Some(to)) if from.first > to.last => Err(CommandError::usage(format!(
            "the period ends ({:.0}) before it begins ({:.0})",
            to.last, from.first
        ))),
        _ => Ok(()),
    }
}

/// The digits of a digest; what stands before `@` in a reference is no part of it.
fn digest(text: &str) -> Result<String, String> {
    let text = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_hex && (DIGITS_MIN..=64).contains(&digits.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("write `sha256:` and 64 lower-case hex digits, or at least {DIGITS_MIN} of them"))
}
