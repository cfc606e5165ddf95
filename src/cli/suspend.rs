//! `tidegate suspend` and `tidegate resume`.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::control::Request;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::operate::{ask_or_do, say};
use crate::model::ServiceName;
use crate::model::duration::parse_duration;

/// Set a service aside on this node: nothing of it is changed, not even repaired
///
/// The reason is shown by `status` and kept in the journal. What runs keeps running.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate suspend app1 --reason 'looking into #42'\n  \
    tidegate suspend app1 --reason 'disk is moved' --until 2h")]
pub struct SuspendArgs {
    /// Which service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
    /// Why, for the people who come after you
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When it ends by itself: a time such as 2026-03-01T06:00:00Z, or so long from now, `2h`
    #[arg(long, value_name = "TIME", value_parser = parse_until)]
    until: Option<Timestamp>,
}

/// Take a service back that was set aside on this node
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidegate resume app1")]
pub struct ResumeArgs {
    /// Which service
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
}

/// Long enough for the pass that follows to begin and end without a rollout.
const TIMEOUT: Duration = Duration::from_secs(300);

fn parse_until(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let until = if let Ok(at) = text.parse() {
        at
    } else {
        let from_now = parse_duration(text).map_err(|_| {
            format!(
                "`{text}` is neither a time such as 2026-03-01T06:00:00Z nor a duration such as 2h"
            )
        })?;
        now.checked_add(from_now).map_err(|error| error.to_string())?
    };
    // One that has ended would be none: the service would go on at once.
    if until <= now {
        return Err(format!("`{text}` is not in the future; it is {now:.0}"));
    }
    until.round(jiff::Unit::Second).map_err(|error| error.to_string())
}

/// Suspends.
///
/// # Errors
/// When the service is not known or the node cannot be reached.
pub fn suspend(
    args: &SuspendArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    if args.reason.trim().is_empty() {
        return Err(CommandError::usage("the reason is empty").hint("say why, for others"));
    }
    let request = Request::Suspend {
        service: args.service.clone(),
        reason: args.reason.clone(),
        until: args.until,
    };
    say(&ask_or_do(ctx.settings()?, &request, TIMEOUT)?, ctx, out)
}

/// Resumes.
///
/// # Errors
/// When the service is not suspended or the node cannot be reached.
pub fn resume(
    args: &ResumeArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let request = Request::Resume { service: args.service.clone() };
    say(&ask_or_do(ctx.settings()?, &request, TIMEOUT)?, ctx, out)
}
