//! `tidegate plan`.

use std::io::Write;

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::agent::belief::Origin;
use crate::agent::node::{Ask, Node, Report};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::operate::agent_error;
use crate::cli::output::{Format, Tone, brief, write_json};
use crate::model::{EnvironmentName, Mode, NodeName};
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::{Overrides, Plan, ServicePlan};
use crate::reconcile::report::{RefusedCommit, Status, TrustLevel};

/// Show what the next pass would change on this node, and why
///
/// Asks Git and Docker and changes neither. Exits 2 when there are differences, and 3 when the
/// branch's tip is refused (the plan is then for the last verified commit).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate plan\n  tidegate plan -o json")]
pub struct PlanArgs {}

#[derive(Serialize)]
struct PlanDocument<'a> {
    schema: &'static str,
    node: &'a NodeName,
    environment: &'a EnvironmentName,
    unverified: bool,
    in_sync: bool,
    refused: Option<&'a RefusedCommit>,
    mistakes: &'a [String],
    git_unreachable: Option<&'a str>,
    plan: &'a Plan,
}

/// Prints the plan.
///
/// # Errors
/// When there is no revision or no engine to plan for, or the tip is refused.
pub fn run(_args: &PlanArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::WARN);
    let settings = ctx.settings()?;
    let report = block_on(async {
        let origin = Origin::repository(&settings).map_err(|error| agent_error(&error))?;
        let mut node = Node::open(settings, origin).map_err(|error| agent_error(&error))?;
        let ask = Ask::whole("plan", Overrides::default(), Intent::Plan);
        node.pass(&ask, std::future::pending()).await.map_err(|error| agent_error(&error))
    })?;
    let status = &report.status;
    let Some(plan) = &report.plan else { return Err(nothing_to_plan(&report)) };
    match ctx.format {
        Format::Json => write_json(out, &document(status, plan))?,
        Format::Table => write_plan(status, plan, ctx, out)?,
    }
    if let Some(refused) = &status.refused {
        let message = format!("refused {}: {}", refused.commit, refused.reason);
        return Err(CommandError::refused(message).hint(refused.remedy.clone()));
    }
    let is_as_wanted = plan.is_in_sync() && status.configuration.is_none();
    Ok(if is_as_wanted { Outcome::Done } else { Outcome::Differences })
}

fn nothing_to_plan(report: &Report) -> CommandError {
    let status = &report.status;
    if let Some(refused) = &status.refused {
        let message = format!("refused {}: {}", refused.commit, refused.reason);
        return CommandError::refused(message).hint(refused.remedy.clone());
    }
    let (message, hint) = match (&status.configuration, &status.engine, &status.git) {
        (Some(fault), ..) => (
            format!("the revision cannot be used:\n{}", fault.mistakes.join("\n")),
            "mend it in the repository",
        ),
        (_, Some(outage), _) => (
            outage.reason.clone(),
            "is the engine running, and may this user use it? `[engine] socket` says where it is",
        ),
        (_, _, Some(outage)) => (outage.reason.clone(), "no revision was believed here before"),
        _ => ("there is nothing to plan for".to_owned(), "`tidegate status` says more"),
    };
    CommandError::new(ErrorKind::Failed, message).hint(hint)
}

fn document<'a>(status: &'a Status, plan: &'a Plan) -> PlanDocument<'a> {
    PlanDocument {
        schema: "tidegate.plan/1",
        node: &status.node,
        environment: &status.environment,
        unverified: status.trust == TrustLevel::None,
        in_sync: plan.is_in_sync(),
        refused: status.refused.as_ref(),
        mistakes: status.configuration.as_ref().map_or(&[], |fault| &fault.mistakes),
        git_unreachable: status.git.as_ref().map(|outage| outage.reason.as_str()),
        plan,
    }
}

fn write_plan(
    status: &Status,
    plan: &Plan,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let paint = ctx.paint;
    if status.trust == TrustLevel::None {
        writeln!(out, "{}", paint.tone(Tone::Bad, "UNVERIFIED: nobody signed this revision"))?;
    }
    for mistake in status.configuration.iter().flat_map(|fault| &fault.mistakes) {
        writeln!(out, "{} {mistake}", paint.tone(Tone::Bad, "unusable"))?;
    }
    if let Some(outage) = &status.git {
        writeln!(out, "{} {}", paint.tone(Tone::Notice, "git unreachable"), outage.reason)?;
    }
    let title = format!("plan for {} to {}", status.node, plan.revision);
    writeln!(out, "{}", paint.tone(Tone::Strong, &title))?;
    for service in &plan.services {
        write_service(service, ctx, out)?;
    }
    for held in &plan.held {
        let name = paint.tone(Tone::Notice, &format!("held {}", held.service));
        writeln!(out, "{name}  {}", held.reason)?;
    }
    match (plan.is_in_sync(), &status.configuration) {
        (true, None) => writeln!(out, "nothing to do: all services are as they should be")?,
        (true, Some(_)) => writeln!(out, "nothing to do until the revision can be used")?,
        (false, _) => {}
    }
    Ok(())
}

fn write_service(
    service: &ServicePlan,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let (sign, tone) = match &service.target {
        None => ("-", Tone::Bad),
        Some(_) if service.is_new_version => ("+", Tone::Good),
        Some(_) => ("~", Tone::Notice),
    };
    let mode = if service.mode == Mode::Report { " (report mode: not done)" } else { "" };
    writeln!(out, "{}{mode}", ctx.paint.tone(tone, &format!("{sign} {}", service.service)))?;
    for reason in &service.reasons {
        writeln!(out, "    because {}", brief(&reason.to_string()))?;
    }
    for step in service.stages.iter().flat_map(|stage| &stage.steps) {
        writeln!(out, "    {step}")?;
    }
    Ok(())
}
