//! `tidegate rollback`.

use std::io::Write;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::land::{LandArgs, Landing, explain};
use crate::model::{AppName, CommitId, EnvironmentName};
use crate::promote::act::{Act, Apps};
use crate::promote::desk::{Desk, DeskError};
use crate::promote::tip::Tip;
use crate::reconcile::trust::history::header;

/// Bring back what an environment had at another commit of its own line
///
/// Its own directory stays as it is. Nodes take what it changes at once, past windows and freezes.
/// What was rolled back comes again the same way: name the newer commit. Images are looked for in the environment's hub first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate rollback --env prd --to 1-back\n  \
    tidegate rollback --env prd --app app1 --to 9a0b1c2 --trailer Ticket=OPS-2")]
pub struct RollbackArgs {
    /// The environment
    #[arg(long, value_name = "ENV")]
    env: EnvironmentName,
    /// The commit whose content comes back: an id, or how many commits of the line back, `2-back`
    #[arg(long, value_name = "ID|N-back")]
    to: String,
    /// Only these apps
    #[arg(long, value_name = "APP")]
    app: Vec<AppName>,
    /// A ruleset that others see too, to come along with --app
    #[arg(long, value_name = "RULESET", requires = "app")]
    with: Vec<String>,
    #[command(flatten)]
    landing: LandArgs,
}

/// Rolls back.
///
/// # Errors
/// When it is refused, or something fails; then nothing was pushed.
pub fn run(
    args: &RollbackArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let landing = Landing::open(&args.landing, &args.env, ctx)?;
    let apps = Apps {
        apps: args.app.iter().cloned().collect(),
        with: args.with.iter().cloned().collect(),
    };
    // Counted once: after a race, the same commit is meant.
    let first = landing.tip()?;
    let target = target(&landing.desk, &first, &args.to)?;
    let build = |desk: &Desk, tip: &Tip| {
        let to = desk.origin(&tip.environment, target).map_err(|error| explain(&error))?;
        Ok(Act::Rollback { to, apps: apps.clone() })
    };
    landing.run(&build, out)
}

/// The commit that is meant.
fn target(desk: &Desk, tip: &Tip, text: &str) -> Result<CommitId, CommandError> {
    let Some(n) = text.strip_suffix("-back") else {
        return desk.commit(text).map_err(|error| explain(&error));
    };
    let n: usize = n.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
        CommandError::usage(format!(
            "`{text}` is not a number of commits: write for example 1-back"
        ))
    })?;
    let objects = desk.objects().map_err(|error| explain(&error))?;
    let mut at = tip.commit;
    for _ in 0..n {
        let parent = header(&objects, at).map_err(|e| explain(&DeskError::Objects(e)))?;
        at = parent.first_parent().ok_or_else(|| {
            CommandError::usage(format!(
                "{} has fewer than {n} commits before its tip",
                tip.environment
            ))
        })?;
    }
    Ok(at)
}
