//! `tidegate lint`.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::diagnostics::{Finding, count, findings, render};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Format, write_json};
use crate::cli::place::{Files, Place};
use crate::model::Severity;

/// Find every mistake in a repository's files, with the place and what to do
///
/// Reads all environments, resolves every node, and says all mistakes at once. Exits 1 when there
/// are errors; warnings alone are fine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate lint\n  tidegate lint example-repo -o json")]
pub struct LintArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct LintDocument {
    schema: &'static str,
    findings: Vec<Finding>,
}

/// Lints.
///
/// # Errors
/// When there are errors, or the files cannot be read.
pub fn run(args: &LintArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let files = args.place.files()?;
    let all = crate::lint::lint(&files).into_sorted();
    let texts = texts(&files);
    match ctx.format {
        Format::Json => {
            let findings = findings(&all, &texts);
            write_json(out, &LintDocument { schema: "tidegate.lint/1", findings })?;
        }
        Format::Table => write!(out, "{}", render(&all, &texts, ctx.paint))?,
    }
    if all.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(CommandError::new(ErrorKind::Failed, count(&all)));
    }
    if ctx.format == Format::Table {
        writeln!(out, "{}", count(&all))?;
    }
    Ok(Outcome::Done)
}

fn texts(files: &Files) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    files.iter().filter_map(|(path, bytes)| Some((path.clone(), text(bytes)?))).collect()
}
