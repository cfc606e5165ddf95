//! `tidegate promote`.

use std::io::Write;

use crate::cli::accept::accept;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::land::{LandArgs, Landing, explain};
use crate::model::{AppName, EnvironmentName};
use crate::promote::act::{Act, Apps};
use crate::promote::desk::{Desk, DeskError};
use crate::promote::tip::{Tip, judge};

/// Bring what flows from one environment to the next
///
/// Fetches and verifies both lines, composes the commit, checks it for every node of the target, shows
/// what changes, copies missing images hub to hub, signs, and pushes. Everything comes along unless
/// --app names apps. Where more than one person must agree, --propose pushes a branch for `tidegate
/// approve`, and --accept finishes it. Exits 3 when trust or policy refuse.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate promote --to tst\n  \
    tidegate promote --to prd --app app1 --dry-run\n  \
    tidegate promote --to prd --propose --trailer Ticket=OPS-1\n  \
    tidegate promote --accept promote/prd/7 --land")]
pub struct PromoteArgs {
    /// The environment to bring it to
    #[arg(long, value_name = "ENV", required_unless_present = "accept")]
    to: Option<EnvironmentName>,
    /// Only these apps: their services with all files, and the rulesets about them alone
    #[arg(long, value_name = "APP", conflicts_with = "accept")]
    app: Vec<AppName>,
    /// A ruleset that others see too, to come along with --app
    #[arg(long, value_name = "RULESET", requires = "app")]
    with: Vec<String>,
    /// An earlier commit of the environment below than its tip
    #[arg(long, value_name = "ID", conflicts_with = "accept")]
    from_commit: Option<String>,
    /// A live hotfix that this replaces
    #[arg(long, value_name = "ID", conflicts_with = "accept")]
    supersedes: Vec<String>,
    /// Sign a proposal again with its approvals, and push its branch
    #[arg(long, value_name = "BRANCH", conflicts_with_all = ["to", "propose", "dry_run", "trailer", "message"])]
    accept: Option<String>,
    /// An approval that is not on the proposal's branch, as `tidegate approve --print` shows it
    #[arg(long, value_name = "TRAILER", requires = "accept")]
    approval: Vec<String>,
    /// With --accept: carry the environment's branch on too, where no pull request does
    #[arg(long, requires = "accept")]
    land: bool,
    #[command(flatten)]
    landing: LandArgs,
}

/// Promotes.
///
/// # Errors
/// When it is refused, or something fails; then nothing was pushed.
pub fn run(
    args: &PromoteArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    if let Some(branch) = &args.accept {
        return accept(branch, &args.approval, args.land, &args.landing, ctx, out);
    }
    let to = args.to.as_ref().ok_or_else(|| CommandError::usage("to which environment? --to"))?;
    let mut landing = Landing::open(&args.landing, to, ctx)?;
    for id in &args.supersedes {
        landing.supersedes.push(landing.desk.commit(id).map_err(|error| explain(&error))?);
    }
    let apps = Apps {
        apps: args.app.iter().cloned().collect(),
        with: args.with.iter().cloned().collect(),
    };
    let build = |desk: &Desk, tip: &Tip| {
        let source = source(desk, tip, args.from_commit.as_deref())?;
        Ok(Act::Promote { source, apps: apps.clone() })
    };
    landing.run(&build, out)
}

/// The commit of the environment below, verified there.
fn source(
    desk: &Desk,
    tip: &Tip,
    from_commit: Option<&str>,
) -> Result<crate::promote::act::Origin, CommandError> {
    let Some(promotion) = &tip.policy.promotion else {
        let message =
            format!("{} is the first environment: nothing is promoted to it", tip.environment);
        return Err(CommandError::usage(message).hint("push signed changes to its branch"));
    };
    let from = &promotion.from;
    let head = desk.branch(from.as_str()).map_err(|error| explain(&error))?;
    let commit = match from_commit {
        Some(text) => desk.commit(text).map_err(|error| explain(&error))?,
        None => head,
    };
    // The nodes judge it again as the source; here it is named with its own remedy.
    let objects = desk.objects().map_err(|error| explain(&error))?;
    let verdict = judge(&objects, from, promotion.anchor, commit, desk.now);
    crate::promote::tip::good(from, verdict).map_err(|error| explain(&DeskError::Tip(error)))?;
    desk.origin(from, commit).map_err(|error| explain(&error))
}
