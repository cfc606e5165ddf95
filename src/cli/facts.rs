//! `tidegate facts`.

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
use crate::compliance::facts::{Facts, Known, Row, Wanted, collect};
use crate::reconcile::desired::rule::Fact;
use crate::reconcile::desired::rule::fact::Shape;

/// Show what is so on this node: everything a rule's `match` can ask for
///
/// Reads the host and the engine and changes neither. With --root a folder is taken for the host, and
/// no configuration is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate facts\n  tidegate facts os package\n  \
    tidegate facts container -o json\n  tidegate facts --root /mnt/other")]
pub struct FactsArgs {
    /// Only these facts
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
    if let Some(unknown) = args.only.iter().find(|name| Fact::get(name).is_none()) {
        let known = crate::reconcile::desired::rule::FACTS.iter().map(|fact| fact.name);
        return Err(CommandError::usage(format!("there is no fact `{unknown}`"))
            .hint(format!("facts: {}", known.collect::<Vec<_>>().join(", "))));
    }
    let mut facts = block_on(async {
        match &args.root {
            Some(folder) => {
                let host = HostRoot::open(folder).map_err(|error| CommandError::failed(&error))?;
                let reason = "the engine is not asked about a folder";
                let wanted = Wanted::everything();
                Ok(collect(&host, Err(reason), &wanted))
            }
            None => facts_here(ctx.settings()?).await.map_err(|error| agent_error(&error)),
        }
    })?;
    if !args.only.is_empty() {
        facts.keep(|name| args.only.iter().any(|wanted| wanted == name));
    }
    match ctx.format {
        Format::Json => {
            write_json(out, &FactsDocument { schema: "tidegate.facts/1", facts: &facts })?;
        }
        Format::Table => write_tables(&facts, ctx, out)?,
    }
    Ok(Outcome::Done)
}

/// One table of the facts with one value, then one for each of the others.
fn write_tables(facts: &Facts, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut single = Table::new(&["FACT", "VALUE"]);
    for (fact, known) in facts.iter() {
        match known {
            Known::One(value) => single.row([fact.name.into(), value.to_string().into()]),
            Known::Missing(reason) => {
                single.row([fact.name.into(), format!("(not known: {reason})").into()]);
            }
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

fn with_rows(facts: &Facts) -> impl Iterator<Item = (&'static Fact, &[Row])> {
    facts.iter().filter_map(|(fact, known)| match known {
        Known::Rows(rows) => Some((fact, rows.as_slice())),
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
        let cell = |name| row.get(name).map(ToString::to_string).unwrap_or_default();
        table.row(fields.iter().map(|field| cell(field.name).into()));
    }
    table.write(out, ctx.paint)?;
    Ok(())
}
