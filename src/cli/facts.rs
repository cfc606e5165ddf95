//! `tidegate facts`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::agent::examine::facts_here;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::operate::agent_error;
use crate::cli::output::{Format, Table, write_json};
use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Facts, Known, Row, Wanted, collect};
use crate::model::kernel_parameter::parameter_path;
use crate::reconcile::desired::rule::fact::Shape;
use crate::reconcile::desired::rule::{FACTS, Fact};

/// Longer values make a table that nobody can read: the options of overlay mounts have hundreds. JSON
/// has them whole.
const VALUE_CHARS_MAX: usize = 80;

/// Show what is so on this node: everything a rule's `match` can ask for
///
/// Reads the host and the engine and changes neither. With --root a folder is taken for the host, and
/// no configuration is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate facts\n  tidegate facts os package\n  \
    tidegate facts sysctl=vm.swappiness\n  \
    tidegate facts container -o json\n  tidegate facts --root /mnt/other")]
pub struct FactsArgs {
    /// Only these facts; of kernel parameters those named: `sysctl=vm.swappiness`
    #[arg(value_name = "FACT")]
    only: Vec<String>,
    /// A folder to be taken for the host; the engine is not asked
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Serialize)]
struct FactsDocument<'a> {
    schema: &'static str,
    facts: &'a Facts,
}

/// Prints facts.
///
/// # Errors
/// When there is no such fact, or the host cannot be read.
pub fn run(args: &FactsArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::WARN);
    let asked = Asked::read(&args.only)?;
    let wanted = Wanted::everything().with_sysctls(asked.sysctls);
    let mut facts = block_on(async {
        match &args.root {
            Some(folder) => {
                let host = HostRoot::open(folder).map_err(|error| CommandError::failed(&error))?;
                let reason = "the engine is not asked about a folder";
                Ok(collect(&host, Err(reason), &wanted))
            }
            None => facts_here(ctx.settings()?, &wanted).await.map_err(|error| agent_error(&error)),
        }
    })?;
    if !asked.facts.is_empty() {
        facts.keep(|name| asked.facts.contains(name));
    }
    match ctx.format {
        Format::Json => {
            write_json(out, &FactsDocument { schema: "tidegate.facts/1", facts: &facts })?;
        }
        Format::Table => write_tables(&facts, ctx, out)?,
    }
    Ok(Outcome::Done)
}

/// What is asked for: `os`, `sysctl=vm.swappiness`.
#[derive(Default)]
struct Asked {
    facts: BTreeSet<&'static str>,
    sysctls: BTreeSet<String>,
}

impl Asked {
    fn read(words: &[String]) -> Result<Self, CommandError> {
        let mut asked = Self::default();
        for word in words {
            let (name, key) = word.split_once('=').map_or((&word[..], None), |(n, k)| (n, Some(k)));
            let Some(fact) = Fact::get(name) else {
                let known: Vec<&str> = FACTS.iter().map(|fact| fact.name).collect();
                return Err(CommandError::usage(format!("there is no fact `{name}`"))
                    .hint(format!("facts: {}", known.join(", "))));
            };
            asked.facts.insert(fact.name);
            let Some(key) = key else { continue };
            if fact.name != "sysctl" || parameter_path(key).is_none() {
                return Err(CommandError::usage(format!("`{word}` asks for no kernel parameter"))
                    .hint("write for example `sysctl=vm.swappiness`"));
            }
            asked.sysctls.insert(key.to_owned());
        }
        Ok(asked)
    }
}

/// One table of the facts with one value, then one for each of the others.
fn write_tables(facts: &Facts, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut single = Table::new(&["FACT", "VALUE"]);
    for (fact, known) in facts.iter() {
        match known {
            Known::One(value) => single.row([fact.name.into(), short(value).into()]),
            Known::Missing(reason) => {
                single.row([fact.name.into(), format!("(not known: {reason})").into()]);
            }
            Known::Rows(rows) if rows.is_empty() => single.row([fact.name.into(), "none".into()]),
            Known::Rows(_) => {}
        }
    }
    if !single.is_empty() {
        single.write(out, ctx.paint)?;
    }
    for (at, (fact, rows)) in with_rows(facts).enumerate() {
        if at > 0 || !single.is_empty() {
            writeln!(out)?;
        }
        write_rows(fact, rows, ctx, out)?;
    }
    Ok(())
}

/// A value as a table has room for it.
fn short(value: &FactValue) -> String {
    let whole = value.to_string();
    match whole.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

fn with_rows(facts: &Facts) -> impl Iterator<Item = (&'static Fact, &[Row])> {
    facts.iter().filter_map(|(fact, known)| match known {
        Known::Rows(rows) if !rows.is_empty() => Some((fact, rows.as_slice())),
        _ => None,
    })
}

fn write_rows(
    fact: &Fact,
    rows: &[Row],
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let Shape::Rows(fields) = fact.shape else { return Ok(()) };
    let header: Vec<String> = std::iter::once(fact.name)
        .chain(fields.iter().skip(1).map(|field| field.name))
        .map(str::to_uppercase)
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(&header);
    for row in rows {
        let cell = |name| row.get(name).map(short).unwrap_or_default();
        table.row(fields.iter().map(|field| cell(field.name).into()));
    }
    table.write(out, ctx.paint)?;
    Ok(())
}
