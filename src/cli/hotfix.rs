//! `tidegate hotfix`.

use std::io::Write;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::land::{LandArgs, Landing, explain};
use crate::model::EnvironmentName;
use crate::promote::act::Act;
use crate::promote::compose::listing;
use crate::promote::desk::{Desk, DeskError};
use crate::promote::message::one_line;
use crate::promote::tip::Tip;

/// Sign what is in the work tree as a hotfix of the environment that is checked out
///
/// It changes what flows without promotion. Nodes take it at once, past windows and freezes. It stays live until a promotion brings the same content, or names it with --supersedes; mend it in the first environment too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  git switch prd && $EDITOR services/app1.toml\n  \
    tidegate hotfix --reason 'no retries while the gateway is down'")]
pub struct HotfixArgs {
    /// Why; the commit says so for ever
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The environment (default: the branch that is checked out)
    #[arg(long, value_name = "ENV")]
    env: Option<EnvironmentName>,
    #[command(flatten)]
    landing: LandArgs,
}

/// Makes the hotfix.
///
/// # Errors
/// When it is refused, or something fails; then nothing was pushed and the work tree is as it was.
pub fn run(args: &HotfixArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let reason = one_line(&args.reason)
        .ok_or_else(|| CommandError::usage("--reason is one line of text, and not empty"))?;
    let environment = match &args.env {
        Some(environment) => environment.clone(),
        None => checked_out(args)?,
    };
    let landing = Landing::open(&args.landing, &environment, ctx)?;
    let build = |desk: &Desk, tip: &Tip| {
        if desk.clone.work_tree().is_none() {
            return Err(CommandError::usage("a bare repository has no work tree to take it from"));
        }
        let head = desk.clone.commit("HEAD");
        let head = head.ok_or_else(|| CommandError::usage("nothing is checked out here"))?;
        if head != tip.commit {
            let message = format!(
                "the work tree is at {}, and {environment} is at {}",
                head.short(),
                tip.commit.short()
            );
            return Err(CommandError::refused(message).hint(format!(
                "git stash && git switch {environment} && git pull --ff-only && git stash pop"
            )));
        }
        let failed = |error| explain(&DeskError::Clone(error));
        let tree = desk.clone.work_tree_as_tree().map_err(failed)?;
        let objects = desk.objects().map_err(|error| explain(&error))?;
        let listing =
            listing(&objects, tree).map_err(|error| explain(&DeskError::Compose(error)))?;
        Ok(Act::Hotfix { listing, reason: reason.clone() })
    };
    landing.run(&build, out)
}

fn checked_out(args: &HotfixArgs) -> Result<EnvironmentName, CommandError> {
    let now = jiff::Timestamp::now();
    let desk = Desk::open(&args.landing.directory, args.landing.remote.as_deref(), now);
    let branch = desk.map_err(|error| explain(&error))?.clone.checked_out();
    branch.and_then(|name| name.parse().ok()).ok_or_else(|| {
        CommandError::usage("no environment's branch is checked out")
            .hint("git switch prd, or name it with --env")
    })
}
