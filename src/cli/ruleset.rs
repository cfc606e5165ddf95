//! `tidegate ruleset tree`.

use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Format, write_json};
use crate::cli::place::{Place, in_order};
use crate::lint::{environments, ruleset_tree};
use crate::model::EnvironmentName;

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

/// Shows the tree.
///
/// # Errors
/// When the files cannot be read.
pub fn run(
    args: &RulesetArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let RulesetCommand::Tree(args) = &args.command;
    let names = match (&args.environment[..], args.place.repository()) {
        ([], None) => {
            let files = args.place.work_tree(None)?;
            in_order(&files, environments(&files).into_iter().collect())
        }
        ([], Some(_)) => args.place.branches()?,
        (named, _) => named.to_vec(),
    };
    let lines = names.iter().map(|name| args.place.environment(name));
    let lines = lines.collect::<Result<Vec<_>, CommandError>>()?;
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
