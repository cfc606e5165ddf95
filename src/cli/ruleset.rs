//! `tidegate ruleset tree` and `ruleset who`.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::cli::place::{Place, in_order};
use crate::lint::{environments, ruleset_tree};
use crate::model::{EnvironmentName, RulesetName};
use crate::reconcile::desired::reach::{Reach, reach};
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// Look at rulesets
#[derive(Debug, clap::Args)]
pub struct RulesetArgs {
    #[command(subcommand)]
    command: RulesetCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RulesetCommand {
    /// Show the ruleset tree, each environment's leaf from its own branch
    #[command(after_help = "Examples:\n  tidegate ruleset tree\n  \
        tidegate ruleset tree --repository . --environment dev --environment prd")]
    Tree(TreeArgs),
    /// Say which nodes, services and containers a ruleset reaches, and why
    #[command(after_help = "Examples:\n  tidegate ruleset who it.linux\n  \
        tidegate ruleset who it.applications.app1 --environment prd -o json")]
    Who(WhoArgs),
}

#[derive(Debug, clap::Args)]
struct WhoArgs {
    /// The ruleset: its path with dots, as `ruleset tree` prints it
    #[arg(value_name = "NAME")]
    name: RulesetName,
    /// Only these environments (repeatable; default: all)
    #[arg(long, value_name = "NAME")]
    environment: Vec<EnvironmentName>,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct WhoDocument<'a> {
    schema: &'static str,
    ruleset: &'a RulesetName,
    environments: BTreeMap<String, Reach>,
}

#[derive(Debug, clap::Args)]
struct TreeArgs {
    /// Only these environments (repeatable; default: all)
    #[arg(long, value_name = "NAME")]
    environment: Vec<EnvironmentName>,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct TreeDocument<'a> {
    schema: &'static str,
    tree: Vec<&'a str>,
}

/// Shows the tree, or whom a ruleset reaches.
///
/// # Errors
/// When the files cannot be read, or there is no such ruleset.
pub fn run(
    args: &RulesetArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    match &args.command {
        RulesetCommand::Tree(args) => tree(args, ctx, out),
        RulesetCommand::Who(args) => who(args, ctx, out),
    }
}

/// Every environment that is meant, from its own branch.
fn lines(
    place: &Place,
    wanted: &[EnvironmentName],
) -> Result<Vec<Verified<Snapshot>>, CommandError> {
    let names = match (wanted, place.repository()) {
        ([], None) => {
            let files = place.work_tree(None)?;
            in_order(&files, environments(&files).into_iter().collect())
        }
        ([], Some(_)) => place.branches()?,
        (named, _) => named.to_vec(),
    };
    names.iter().map(|name| place.environment(name)).collect()
}

fn who(args: &WhoArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let lines = lines(&args.place, &args.environment)?;
    let of = |line: &Verified<Snapshot>| {
        (line.get().revision.environment().to_string(), reach(line, &args.name))
    };
    let environments: BTreeMap<String, Reach> = lines.iter().map(of).collect();
    if !environments.values().any(|reach| reach.is_known) {
        return Err(CommandError::usage(format!("there is no ruleset `{}`", args.name))
            .hint("`tidegate ruleset tree` shows them"));
    }
    for (environment, reach) in &environments {
        for node in &reach.broken {
            let line = format!("{node} of {environment} has mistakes: `tidegate lint` names them");
            ctx.notice(&ctx.paint_err.tone(Tone::Bad, &line));
        }
    }
    let n_broken: usize = environments.values().map(|reach| reach.broken.len()).sum();
    let outcome = if n_broken == 0 { Outcome::Done } else { Outcome::Differences };
    if ctx.format == Format::Json {
        let schema = "tidegate.ruleset-who/1";
        write_json(out, &WhoDocument { schema, ruleset: &args.name, environments })?;
        return Ok(outcome);
    }
    let mut table = Table::new(&["ENVIRONMENT", "NODE", "TARGET", "WHY", "SHOWS"]);
    for (environment, reach) in &environments {
        for reached in &reach.reached {
            let why = if reached.why.is_empty() {
                "it has no match".to_owned()
            } else {
                reached.why.join(", ")
            };
            let node = reached.node.to_string();
            let shows = reached.shows.join(", ");
            let cells = [environment.clone(), node, reached.target.clone(), why, shows];
            table.row(cells.map(Cell::from));
        }
    }
    if table.is_empty() {
        ctx.notice("it reaches nothing");
    } else {
        table.write(out, ctx.paint)?;
    }
    Ok(outcome)
}

fn tree(args: &TreeArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let lines = lines(&args.place, &args.environment)?;
    let tree = ruleset_tree(&lines);
    match ctx.format {
        Format::Json => {
            let tree = tree.lines().collect();
            write_json(out, &TreeDocument { schema: "tidegate.ruleset-tree/1", tree })?;
        }
        Format::Table => write!(out, "{tree}")?,
    }
    Ok(Outcome::Done)
}
