//! What commands that change a node share: one pass of their own, or a word with the running agent.
//!
//! In: settings, a request. Out: a report. Effect: the agent's.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::agent::belief::Origin;
use crate::agent::control::{self, Answer, AnswerResult, ControlError, Request};
use crate::agent::effects::nonce;
use crate::agent::lock::LockError;
use crate::agent::node::{Ask, Node, Report};
use crate::agent::once::once as pass_once;
use crate::agent::state::open_state;
use crate::agent::{AgentError, answer};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, brief, one_line, write_json};
use crate::clients::docker::DockerErrorKind;
use crate::clients::host::HostError;
use crate::config::Settings;
use crate::model::{EnvironmentName, ServiceName};
use crate::reconcile::apply::{ServiceOutcome, ServiceResult};
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::Overrides;
use crate::reconcile::report::{Status, TrustLevel};

/// One pass in this process, which takes the locks for it.
///
/// # Errors
/// When another process has the node, its own files do not work, or Ctrl-C came.
pub fn once(
    settings: Settings,
    scope: Option<&EnvironmentName>,
    overrides: Overrides,
    work_tree: Option<PathBuf>,
) -> Result<Report, CommandError> {
    let ask = Ask::whole("operator", overrides, Intent::Apply);
    block_on(async {
        let state = open_state(&settings).map_err(|error| agent_error(&error))?;
        let origin = match work_tree {
            Some(dir) => Origin::WorkTree(dir),
            None => Origin::repository(&settings).map_err(|error| agent_error(&error))?,
        };
        let mut node = Node::open(settings, origin).map_err(|error| agent_error(&error))?;
        if !ask.overrides.services.is_empty() {
            let read = interruptible(node.read("operator", Intent::Apply)).await?;
            read.map_err(|error| agent_error(&error))?;
            if let Some(stranger) = answer::stranger(&node, &ask.overrides.services) {
                let message = stranger.lines.join("; ");
                return Err(match stranger.result {
                    AnswerResult::Senseless => CommandError::usage(message),
                    AnswerResult::Refused => CommandError::refused(message),
                    _ => CommandError::new(ErrorKind::Failed, message),
                });
            }
        }
        let report = whole_pass(&mut node, scope, &ask).await;
        drop(state);
        report
    })
}

/// One pass with all that it begins; Ctrl-C and SIGTERM end it with its steps.
async fn whole_pass(
    node: &mut Node,
    scope: Option<&EnvironmentName>,
    ask: &Ask,
) -> Result<Report, CommandError> {
    let mut failed = None;
    let stop = async {
        if let Err(error) = signalled().await {
            failed = Some(error);
        }
    };
    let report = pass_once(node, scope, ask, stop).await.map_err(|error| agent_error(&error))?;
    report.ok_or_else(|| failed.unwrap_or_else(interrupted))
}

/// Ctrl-C and SIGTERM end what only reads or waits at once, and the command with 130.
async fn interruptible<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        signal = signalled() => Err(signal.err().unwrap_or_else(interrupted)),
    }
}

async fn signalled() -> Result<(), CommandError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| CommandError::failed(&error))?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn interrupted() -> CommandError {
    CommandError::new(ErrorKind::Interrupted, "interrupted")
        .hint("the next pass finishes or undoes what was under way")
}

/// Asks the running agent, or does the same here when none runs.
///
/// # Errors
/// When the node cannot be reached or the request makes no sense.
pub fn ask_or_do(
    settings: Settings,
    request: &Request,
    timeout: Duration,
) -> Result<Answer, CommandError> {
    block_on(async {
        let state = match open_state(&settings) {
            Ok(state) => state,
            Err(AgentError::Lock(LockError::Taken { .. })) => {
                let nonce = nonce();
                let asked = control::ask(&settings.state_dir, &nonce, request, timeout);
                return interruptible(asked).await?.map_err(|error| control_error(&error));
            }
            Err(error) => return Err(agent_error(&error)),
        };
        let origin = Origin::repository(&settings).map_err(|error| agent_error(&error))?;
        let mut node = Node::open(settings, origin).map_err(|error| agent_error(&error))?;
        if answer::needs_reading(&node, request) {
            let read = interruptible(node.read("operator", Intent::Apply)).await?;
            read.map_err(|error| agent_error(&error))?;
        }
        let wish = answer::before(&mut node, request).map_err(|error| agent_error(&error))?;
        let said = match (wish, request) {
            (Err(refusal), _) => refusal,
            (Ok(ask), Request::Apply { .. }) => pass(&mut node, &ask, request).await?,
            // The next agent acts on it.
            (Ok(_), _) => done(request),
        };
        drop(state);
        Ok(said)
    })
}

async fn pass(node: &mut Node, ask: &Ask, request: &Request) -> Result<Answer, CommandError> {
    let report = whole_pass(node, None, ask).await?;
    Ok(answer::after(Some(&report), request))
}

fn done(request: &Request) -> Answer {
    let line = match request {
        Request::Suspend { service, .. } => format!("{service} is suspended"),
        Request::Resume { service } => format!("{service} is resumed"),
        Request::Apply { .. } => "applied".to_owned(),
    };
    Answer { result: AnswerResult::Done, lines: vec![format!("{line}; no agent is running")] }
}

#[derive(Serialize)]
struct AnswerDocument<'a> {
    schema: &'static str,
    result: AnswerResult,
    lines: &'a [String],
}

/// Prints an answer.
///
/// # Errors
/// When the answer is no.
pub fn say(answer: &Answer, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match ctx.format {
        Format::Json => write_json(
            out,
            &AnswerDocument {
                schema: "tidegate.answer/1",
                result: answer.result,
                lines: &answer.lines,
            },
        )?,
        Format::Table if answer.result == AnswerResult::Senseless => {}
        Format::Table if answer.lines.is_empty() => ctx.notice("nothing to do"),
        Format::Table => {
            for line in &answer.lines {
                writeln!(out, "{line}")?;
            }
        }
    }
    match answer.result {
        AnswerResult::Senseless => Err(CommandError::usage(answer.lines.join("; "))
            .hint("`tidegate status` lists the services")),
        result => conclude(result),
    }
}

/// Says loudly that nothing is demanded of commits.
pub fn warn_unverified(ctx: &Context) {
    ctx.notice(&ctx.paint_err.tone(Tone::Bad, "UNVERIFIED: nobody signed what runs here"));
}

#[derive(Serialize)]
struct PassDocument<'a> {
    schema: &'static str,
    unverified: bool,
    outcomes: &'a [ServiceOutcome],
    status: &'a Status,
}

/// Prints what one pass did.
///
/// # Errors
/// When something failed, or is refused.
pub fn tell(
    report: &Report,
    chosen: &BTreeSet<ServiceName>,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let status = &report.status;
    let unverified = status.trust == TrustLevel::None;
    if unverified {
        warn_unverified(ctx);
    }
    match ctx.format {
        Format::Json => write_json(
            out,
            &PassDocument {
                schema: "tidegate.pass/1",
                unverified,
                outcomes: &report.outcomes,
                status,
            },
        )?,
        Format::Table => write_outcomes(report, ctx, out)?,
    }
    let left = answer::left(report, chosen).into_iter().map(|(line, _)| line);
    for line in left.chain(answer::waits(status)) {
        ctx.notice(&one_line(&line));
    }
    if let Some(refused) = &status.refused {
        let message = format!("refused {}: {}", refused.commit, refused.reason);
        return Err(CommandError::refused(message).hint(refused.remedy.clone()));
    }
    let result = answer::result(report, chosen);
    if result == AnswerResult::Done && report.outcomes.is_empty() {
        ctx.notice("nothing to do");
    }
    let troubles = troubles(report, chosen);
    let says_why = result == AnswerResult::Failed && !troubles.is_empty();
    let told = says_why.then(|| troubles.join("; "));
    conclude(result).map_err(|error| match told {
        Some(message) => CommandError { message, hint: None, ..error },
        None => error,
    })
}

/// The exit code for what came of applying.
fn conclude(result: AnswerResult) -> Result<Outcome, CommandError> {
    match result {
        AnswerResult::Done => Ok(Outcome::Done),
        AnswerResult::Left => Ok(Outcome::Differences),
        AnswerResult::Failed | AnswerResult::Senseless => {
            Err(CommandError::new(ErrorKind::Failed, "not everything was done")
                .hint("`tidegate status` and `tidegate history` say why"))
        }
        AnswerResult::Denied => {
            Err(CommandError::refused("this node's policy denies what is wanted")
                .hint("Git cannot loosen it: `[policy]` in the node's agent.toml would allow it"))
        }
        AnswerResult::Refused => Err(CommandError::refused("the branch's tip is refused")
            .hint("what was verified before stays in force; `tidegate status` says since when")),
    }
}

fn troubles(report: &Report, chosen: &BTreeSet<ServiceName>) -> Vec<String> {
    let mut troubles = answer::troubles(&report.status);
    // A version that failed has been told by its outcome; its way back must not hide it.
    let failed = answer::about(report, chosen).filter_map(|outcome| match &outcome.result {
        ServiceResult::Failed { reason, .. } => {
            Some(format!("{} failed: {reason}", outcome.service))
        }
        _ => None,
    });
    troubles.extend(failed);
    troubles
}

fn write_outcomes(report: &Report, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut table = Table::new(&["SERVICE", "RESULT", "TOOK", "WHY"]);
    for outcome in &report.outcomes {
        let (result, tone) = match &outcome.result {
            ServiceResult::Applied => ("applied", Tone::Good),
            ServiceResult::Repaired => ("repaired", Tone::Good),
            ServiceResult::Removed if outcome.is_way_back() => ("stopped", Tone::Notice),
            ServiceResult::Removed => ("removed", Tone::Notice),
            ServiceResult::Failed { .. } => ("failed", Tone::Bad),
            ServiceResult::Interrupted => ("set aside", Tone::Notice),
            ServiceResult::Waiting { .. } => ("waiting", Tone::Notice),
        };
        let why = outcome.reasons.first().map(ToString::to_string).unwrap_or_default();
        table.row([
            outcome.service.to_string().into(),
            Cell::toned(result, tone),
            format!("{:.1}s", outcome.took.as_secs_f64()).into(),
            brief(&why).into(),
        ]);
    }
    if !table.is_empty() {
        table.write(out, ctx.paint)?;
    }
    Ok(())
}

/// An agent's error, with what to do.
pub fn agent_error(error: &AgentError) -> CommandError {
    let failed = CommandError::failed(error);
    match error {
        AgentError::Engine(engine) => match engine.kind {
            DockerErrorKind::PermissionDenied => {
                failed.hint("may this user use the engine? try sudo, or the docker group")
            }
            _ => {
                failed.hint("is the engine running? `[engine] socket` says where it is looked for")
            }
        },
        AgentError::Listen { .. } => failed.hint(
            "`ss -ltnp` shows who has it: give `[listen] metrics` another port, or remove it",
        ),
        AgentError::Taken(HostError::Locked { .. }) => {
            failed.hint("stop the other agent, or give each its environment with --scope")
        }
        AgentError::Lock(LockError::Taken { .. }) => {
            failed.hint("an agent runs already: use `apply`, which asks it to run a pass")
        }
        AgentError::Lock(LockError::NotOwner { .. }) => failed.hint(
            "run it as the engine's user (sudo), or confine it to an environment: `scope` in agent.toml",
        ),
        _ if is_denied(error) => {
            failed.hint("the node's files belong to the agent's user: try sudo")
        }
        _ => failed,
    }
}

/// Whether somebody's lack of rights is at the bottom of it.
fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    })
}

fn control_error(error: &ControlError) -> CommandError {
    match error {
        ControlError::Silent { .. } => CommandError::new(ErrorKind::TimedOut, error.to_string())
            .hint("a rollout may be under way: `tidegate status` shows it"),
        ControlError::Answer { .. } => CommandError::failed(error).hint(
            "is the agent of another version? restart it; `tidegate status` says what it did",
        ),
        ControlError::Long { .. } => CommandError::usage(error.to_string()).hint("say less"),
        ControlError::File { .. } => {
            CommandError::failed(error).hint("only the agent's user may ask it: try sudo")
        }
    }
}
