//! `tidegate agent`.

use std::collections::BTreeSet;
use std::io::Write;

use tracing::level_filters::LevelFilter;

use crate::agent::run::{self, Options};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::operate::{agent_error, once, tell};
use crate::model::EnvironmentName;
use crate::reconcile::plan::Overrides;

/// Make this node's containers follow the repository, and keep at it
///
/// Runs a pass whenever something may have changed: the repository, the containers, the node's
/// configuration, a window that opens. Usually started by systemd. SIGHUP runs a pass at once;
/// SIGTERM ends the step under way and stops. Answers `GET /metrics` where `[listen] metrics` in the
/// node's configuration says, for Prometheus.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidegate agent\n  tidegate agent --once --config ./agent.toml"
)]
pub struct AgentArgs {
    /// Run one pass and exit, with the codes of `apply`
    #[arg(long)]
    once: bool,
    /// Confine it to one environment's objects, so that several agents can share an engine (a lab)
    #[arg(long, value_name = "ENVIRONMENT")]
    scope: Option<EnvironmentName>,
}

/// Runs the agent.
///
/// # Errors
/// When the node cannot work, or with `--once` when something failed or is refused.
pub fn run(args: &AgentArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::INFO);
    let settings = ctx.settings()?;
    if args.once {
        let report = once(settings, args.scope.as_ref(), Overrides::default(), None)?;
        return tell(&report, &BTreeSet::new(), ctx, out);
    }
    let options = Options { config: ctx.config.clone(), scope: args.scope.clone() };
    let work = Box::pin(run::run(settings, &options));
    block_on(async { work.await.map_err(|error| agent_error(&error)) })?;
    Ok(Outcome::Done)
}
