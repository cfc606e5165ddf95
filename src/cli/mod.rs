//! The command line: one file per command, and what they share.
//!
//! In: arguments, the stages. Out: text or JSON, and an exit code. The doc comment of a command's
//! arguments is its manual.

pub mod error;
pub mod output;
pub mod diagnostics;
pub mod context;
pub mod node;
pub mod operate;
pub mod repository;
mod restore;
pub mod registry;
pub mod place;
pub mod init;
pub mod lint;
pub mod render;
pub mod explain;
pub mod ruleset;
pub mod schema;
pub mod progress;
pub mod interrupt;
pub mod copying;
pub mod anchor;
pub mod push;
pub mod pin;
pub mod import;
pub mod land;
pub mod accept;
pub mod promote;
pub mod rollback;
pub mod hotfix;
pub mod line;
pub mod roster;
pub mod agent;
pub mod plan;
pub mod apply;
pub mod status;
pub mod facts;
pub mod check;
pub mod choice;
mod fixes;
pub mod fix;
pub mod wait;
pub mod suspend;
pub mod history;
pub mod source;
pub mod verify;
pub mod lines;
pub mod hub;
pub mod trust;
pub mod audit;
pub mod demo;
pub mod completions;
mod page;
pub mod man;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind as UsageKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::cli::context::{Context, GlobalArgs};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::Tone;

/// Lets change flow one way: dev → tst → prd
///
/// One signed Git repository says what runs where. Every node pulls it, checks for itself that the
/// change was allowed to come that far, makes its containers match, and says so.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = false, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done or in sync, 1 failed, 2 there are differences, \
    3 refused by trust or policy, 4 timed out waiting, 64 wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Lint(lint::LintArgs),
    Render(render::RenderArgs),
    Explain(explain::ExplainArgs),
    Ruleset(ruleset::RulesetArgs),
    Schema(schema::SchemaArgs),
    Pin(pin::PinArgs),
    Import(import::ImportArgs),
    Promote(promote::PromoteArgs),
    Approve(accept::ApproveArgs),
    Rollback(rollback::RollbackArgs),
    Hotfix(hotfix::HotfixArgs),
    Line(line::LineArgs),
    Agent(agent::AgentArgs),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    Status(status::StatusArgs),
    Facts(facts::FactsArgs),
    Check(check::CheckArgs),
    Fix(fix::FixArgs),
    Wait(wait::WaitArgs),
    Suspend(suspend::SuspendArgs),
    Resume(suspend::ResumeArgs),
    History(history::HistoryArgs),
    Verify(verify::VerifyArgs),
    Hub(hub::HubArgs),
    Trust(trust::TrustArgs),
    Audit(audit::AuditArgs),
    Demo(demo::DemoArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

fn run(command: Command, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    if ctx.output.common().is_none() && !matches!(command, Command::Audit(_)) {
        return Err(CommandError::usage("csv and html are formats of `tidegate audit` alone")
            .hint("use `-o table` or `-o json`"));
    }
    match command {
        Command::Init(args) => init::run(&args, ctx, out),
        Command::Lint(args) => lint::run(&args, ctx, out),
        Command::Render(args) => render::run(&args, ctx, out),
        Command::Explain(args) => explain::run(&args, ctx, out),
        Command::Ruleset(args) => ruleset::run(&args, ctx, out),
        Command::Schema(args) => schema::run(&args, out),
        Command::Pin(args) => pin::run(&args, ctx, out),
        Command::Import(args) => import::run(&args, ctx, out),
        Command::Promote(args) => promote::run(&args, ctx, out),
        Command::Approve(args) => accept::approve(&args, ctx, out),
        Command::Rollback(args) => rollback::run(&args, ctx, out),
        Command::Hotfix(args) => hotfix::run(&args, ctx, out),
        Command::Line(args) => line::run(&args, ctx, out),
        Command::Agent(args) => agent::run(&args, ctx, out),
        Command::Plan(args) => plan::run(&args, ctx, out),
        Command::Apply(args) => apply::run(&args, ctx, out),
        Command::Status(args) => status::run(&args, ctx, out),
        Command::Facts(args) => facts::run(&args, ctx, out),
        Command::Check(args) => check::run(&args, ctx, out),
        Command::Fix(args) => fix::run(&args, ctx, out),
        Command::Wait(args) => wait::run(&args, ctx, out),
        Command::Suspend(args) => suspend::suspend(&args, ctx, out),
        Command::Resume(args) => suspend::resume(&args, ctx, out),
        Command::History(args) => history::run(&args, ctx, out),
        Command::Verify(args) => verify::run(&args, ctx, out),
        Command::Hub(args) => hub::run(&args, ctx, out),
        Command::Trust(args) => trust::run(&args, ctx, out),
        Command::Audit(args) => audit::run(&args, ctx, out),
        Command::Demo(args) => demo::run(&args, ctx, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, ctx, out),
    }
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    main_with(&std::env::args_os().collect::<Vec<_>>())
}

fn main_with(args: &[OsString]) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ctx = cli.global.resolve();
    let mut out = std::io::stdout().lock();
    let result = run(cli.command, &ctx, &mut out)
        .and_then(|outcome| out.flush().map(|()| outcome).map_err(CommandError::from));
    match result {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            complain(&error, &ctx);
            ExitCode::from(error.kind.code())
        }
    }
}

/// What clap has to say: help and version are no failures, everything else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    // A reader that has gone is nobody to complain to.
    drop(error.print());
    match error.kind() {
        UsageKind::DisplayHelp | UsageKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(ErrorKind::Usage.code()),
    }
}

fn complain(error: &CommandError, ctx: &Context) {
    if matches!(error.kind, ErrorKind::BrokenPipe) {
        return;
    }
    let mut err = std::io::stderr().lock();
    let mut said = error.detail.as_ref().map_or(Ok(()), |detail| write!(err, "{detail}"));
    said = said.and(writeln!(err, "{} {error}", ctx.paint_err.tone(Tone::Bad, "error:")));
    if let Some(hint) = &error.hint {
        said = said.and(writeln!(err, "{} {hint}", ctx.paint_err.tone(Tone::Strong, "hint:")));
    }
    // Nobody reads standard error: nothing is left to say it to.
    drop(said);
}

/// The whole command line, for completions, manual pages and tests.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        crate::cli::command().debug_assert();
    }
}
