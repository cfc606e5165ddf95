//! `tidegate lint`.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::diagnostics::{Finding, count, findings, render};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Format, write_json};
use crate::cli::place::{Files, Place};
use crate::model::{Diagnostic, EnvironmentName, Severity};

/// Find every mistake in a repository's files, with the place and what to do
///
/// Reads all environments, resolves every node, and says all mistakes at once. With --repository each
/// environment is read from its own branch, which stands before the file's name. Exits 1 when there are
/// errors; warnings alone are fine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate lint\n  tidegate lint example-repo -o json\n  \
    tidegate lint --repository . --environment prd")]
pub struct LintArgs {
    /// Only these environments (repeatable; default: all)
    #[arg(long, value_name = "NAME")]
    environment: Vec<EnvironmentName>,
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
    let (all, texts) = found(args)?;
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

/// Every mistake, and the texts that they are about.
type Found = (Vec<Diagnostic>, BTreeMap<String, String>);

fn found(args: &LintArgs) -> Result<Found, CommandError> {
    if args.place.repository().is_none() {
        let files = args.place.work_tree(None)?;
        let chosen = |path: &str| match path.strip_prefix("environments/") {
            Some(rest) if !args.environment.is_empty() => {
                args.environment.iter().any(|name| rest.split('/').next() == Some(name.as_str()))
            }
            _ => true,
        };
        let files = files.into_iter().filter(|(path, _)| chosen(path)).collect();
        return Ok((crate::lint::lint(&files).into_sorted(), texts(&files, "")));
    }
    let revision = args.place.revision().and_then(|name| name.parse::<EnvironmentName>().ok());
    let names = match (&args.environment[..], revision, args.place.revision()) {
        ([], Some(named), _) => vec![named],
        ([], None, Some(_)) => {
            return Err(CommandError::usage("which environment is this commit read for?")
                .hint("add --environment NAME"));
        }
        ([], None, None) => args.place.branches()?,
        (named, ..) => named.to_vec(),
    };
    let (mut all, mut known) = (Vec::new(), BTreeMap::new());
    for name in names {
        let files = args.place.environment(&name)?.into_inner().files;
        let branch = args.place.revision().unwrap_or(name.as_str());
        let prefix = format!("{branch}:");
        known.extend(texts(&files, &prefix));
        for mut diagnostic in crate::lint::lint(&files).into_sorted() {
            diagnostic.file.insert_str(0, &prefix);
            all.push(diagnostic);
        }
    }
    Ok((all, known))
}

fn texts(files: &Files, prefix: &str) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let texts =
        files.iter().filter_map(|(path, bytes)| Some((format!("{prefix}{path}"), text(bytes)?)));
    texts.collect()
}
