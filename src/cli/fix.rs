//! `tidegate fix`.

use std::io::{BufRead as _, IsTerminal as _, Write};

use jiff::Timestamp;
use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::agent::examine::Mended;
use crate::agent::lock::StateLock;
use crate::cli::check::examine;
use crate::cli::choice::Choice;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, counted, one_line, write_json};
use crate::clients::host::create_private_dir;
use crate::compliance::change::Change;
use crate::compliance::check::{Checked, Purpose};
use crate::compliance::fix::{FixError, Mender, undo};
use crate::compliance::interchange::message;
use crate::compliance::record::{FixRecord, FixRecords, FixResult, FixedBy};
use crate::compliance::verdict::VerdictStatus;
use crate::config::Settings;
use crate::model::Mode;
use crate::reconcile::desired::rule::Rule;

/// Mend what `check` finds, with a backup
///
/// Shows what would be changed as a diff, asks, keeps what was there, changes it and checks again.
/// Only kinds of rules that the node's own `[policy] fixes` names are ever changed, and nothing in
/// report mode. Exits 2 when a rule is left that does not hold or could not be judged.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  tidegate fix --dry-run\n  tidegate fix --rule 'it.linux/*' --yes\n  \
    tidegate fix list\n  tidegate fix restore 20261122T211530123Z-1f3c9a"
)]
pub struct FixArgs {
    #[command(subcommand)]
    action: Option<FixAction>,
    #[command(flatten)]
    choice: Choice,
    /// Only show what would be changed; exits 2 if anything would
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, clap::Subcommand)]
enum FixAction {
    /// List what was mended
    #[command(after_help = "Example:\n  tidegate fix list -o json")]
    List,
    /// Take a fix back
    #[command(after_help = "Example:\n  tidegate fix restore 20261122T211530123Z-1f3c9a --yes")]
    Restore {
        /// Which, as `fix list` names it
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// Mends.
///
/// # Errors
/// When policy forbids it, nobody can be asked, or something could not be mended.
pub fn run(args: &FixArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::WARN);
    match &args.action {
        None => mend(args, ctx, out),
        Some(FixAction::List) => list(&FixRecords::below(&ctx.settings()?.state_dir), ctx, out),
        Some(FixAction::Restore { id, yes }) => restore(id, *yes, ctx, out),
    }
}

fn mend(args: &FixArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let (node, examined) = examine(ctx)?;
    args.choice.verify(&examined)?;
    let names: Vec<String> = examined.desired.rules.iter().map(|r| r.id.to_string()).collect();
    args.choice.is_known(names.iter().map(String::as_str))?;
    let rules = args.choice.rules(&examined.desired.rules);
    let checked = examined.check(rules.iter().copied(), Purpose::Mend);
    let both = rules.iter().copied().zip(&checked);
    let wrong = both.filter(|(_, checked)| checked.verdict.status == VerdictStatus::NotOk);
    let (ready, stuck): (Vec<Wrong<'_>>, Vec<Wrong<'_>>) =
        wrong.partition(|(_, checked)| checked.verdict.fixable);
    let unjudged = checked.iter().filter(|checked| {
        matches!(checked.verdict.status, VerdictStatus::Error | VerdictStatus::Unknown)
    });
    let mut n_left = stuck.len();
    for (_, checked) in &stuck {
        notice(checked, "", ctx);
    }
    for checked in unjudged {
        n_left += 1;
        notice(checked, "could not be judged: ", ctx);
    }
    match ctx.format {
        Format::Json if args.dry_run => write_json(out, &PlanDocument::of(&ready))?,
        Format::Json if ready.is_empty() => drop(say(&[], ctx, out)?),
        Format::Json => {}
        Format::Table => show(&ready, ctx, out)?,
    }
    match (ready.is_empty(), n_left) {
        (true, 0) => ctx.notice("nothing to mend"),
        (true, n) => {
            ctx.notice(&format!("nothing can be mended here, {} left", counted(n, "rule")));
        }
        (false, _) => {}
    }
    if ready.is_empty() || args.dry_run {
        let done = ready.is_empty() && n_left == 0;
        return Ok(if done { Outcome::Done } else { Outcome::Differences });
    }
    let settings = &node.settings;
    let records = FixRecords::below(&settings.state_dir);
    let mender = Mender {
        host: &examined.host,
        records: &records,
        allowed: &settings.policy.fixes,
        by: FixedBy::Operator,
    };
    let n_ready = ready.len();
    let ready = allowed(ready, &mender, ctx)?;
    n_left += n_ready - ready.len();
    ask(args.yes, &format!("Mend {}?", counted(ready.len(), "rule")))?;
    let _lock = lock(settings)?;
    let mut done = Vec::new();
    for (rule, _) in &ready {
        let tried = examined.mend(rule, &mender).map_err(|error| fix_error(&error, ctx))?;
        match tried {
            Mended::Tried(record) => done.push(record),
            // What was mended before it may have mended it, too.
            Mended::Left(Some(found)) if found.verdict.status == VerdictStatus::Ok => {}
            Mended::Left(found) => {
                n_left += 1;
                if let Some(found) = &found {
                    notice(found, "left alone: ", ctx);
                }
            }
        }
    }
    match say(&done, ctx, out)? {
        Outcome::Done if n_left > 0 => Ok(Outcome::Differences),
        outcome => Ok(outcome),
    }
}

/// Those of a kind that the node's policy allows; the others are named.
///
/// # Errors
/// When it allows none.
fn allowed<'a>(
    all: Vec<Wrong<'a>>,
    mender: &Mender<'_>,
    ctx: &Context,
) -> Result<Vec<Wrong<'a>>, CommandError> {
    let mut ready = Vec::new();
    let mut forbidden = Vec::new();
    for wrong in all {
        match mender.allows(&wrong.1.verdict.kind) {
            Ok(()) => ready.push(wrong),
            Err(error) => forbidden.push((wrong.1, error)),
        }
    }
    if let (true, [(_, error), ..]) = (ready.is_empty(), &forbidden[..]) {
        return Err(fix_error(error, ctx));
    }
    for (checked, error) in forbidden {
        notice(checked, &format!("left alone: {error}: "), ctx);
    }
    Ok(ready)
}

/// Says what becomes of a rule that is not mended.
fn notice(checked: &Checked, fate: &str, ctx: &Context) {
    let verdict = &checked.verdict;
    let line = format!("{} ({}): {fate}{}", verdict.rule, verdict.target, message(verdict));
    ctx.notice(&ctx.paint_err.tone(Tone::Notice, &one_line(&line)));
}

/// A rule that does not hold, and what was found.
type Wrong<'a> = (&'a Rule, &'a Checked);

fn restore(
    id: &str,
    yes: bool,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let settings = ctx.settings()?;
    let records = FixRecords::below(&settings.state_dir);
    let found = records.get(id).map_err(|error| CommandError::failed(&error))?;
    let Some(record) = found else {
        return Err(CommandError::usage(format!("there is no fix `{id}`"))
            .hint("`tidegate fix list` shows them"));
    };
    let (_, examined) = examine(ctx)?;
    if examined.mode_of(&record.target) == Mode::Report {
        let message = "report mode: nothing is changed here, neither forth nor back";
        return Err(CommandError::refused(message)
            .hint("`mode` in environment.toml, the node's or the service's file says so"));
    }
    let changes = undo(&records, &record).map_err(|error| fix_error(&error, ctx))?;
    if ctx.format == Format::Table {
        write_diffs(&changes, ctx, out)?;
    }
    ask(yes, &format!("Take back {} ({})?", record.id, record.rule))?;
    let _lock = lock(&settings)?;
    // Who may undo may undo whatever was done: the node's policy guards what is made, not the way back.
    let allowed = &settings.policy.fixes;
    let mender = Mender { host: &examined.host, records: &records, allowed, by: FixedBy::Operator };
    let restored = mender.restore(&record, &changes, Timestamp::now());
    say(&[restored.map_err(|error| fix_error(&error, ctx))?], ctx, out)
}

/// One process mends at a time.
fn lock(settings: &Settings) -> Result<StateLock, CommandError> {
    let folder = settings.state_dir.join("fixes");
    create_private_dir(&folder)
        .map_err(|error| CommandError::failed(&error).hint("try sudo: the state is the agent's"))?;
    StateLock::take(&folder).map_err(|error| CommandError::failed(&error))
}

fn fix_error(error: &FixError, ctx: &Context) -> CommandError {
    match error {
        FixError::Policy { kind } => CommandError::refused(error.to_string()).hint(format!(
            "the node's operator allows it with `[policy] fixes = [\"{kind}\"]` in {}",
            ctx.config.display()
        )),
        FixError::Record(_) => CommandError::failed(error),
    }
}

/// Asks a person; without one, `--yes` has to say it.
fn ask(yes: bool, question: &str) -> Result<(), CommandError> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::usage("nobody is there to be asked")
            .hint("add --yes, or --dry-run to see what would be changed"));
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{question} [y/N] ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(CommandError::new(ErrorKind::Interrupted, "nothing was changed"))
}

fn show(ready: &[Wrong<'_>], ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    for (_, checked) in ready {
        let verdict = &checked.verdict;
        let title = format!("{} ({})", verdict.rule, verdict.target);
        writeln!(out, "{}: {}", ctx.paint.tone(Tone::Strong, &title), message(verdict))?;
        write_diffs(&checked.changes, ctx, out)?;
    }
    Ok(())
}

fn write_diffs(changes: &[Change], ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    for line in changes.iter().map(Change::diff).collect::<String>().lines() {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            Some('#' | '@') => Tone::Faint,
            _ => Tone::Plain,
        };
        writeln!(out, "{}", ctx.paint.tone(tone, line))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PlanDocument<'a> {
    schema: &'static str,
    fixes: Vec<PlannedFix<'a>>,
}

#[derive(Serialize)]
struct PlannedFix<'a> {
    rule: &'a str,
    target: &'a str,
    expected: &'a str,
    actual: &'a str,
    diff: String,
}

impl<'a> PlanDocument<'a> {
    fn of(ready: &[Wrong<'a>]) -> Self {
        let planned = |(_, checked): &Wrong<'a>| PlannedFix {
            rule: &checked.verdict.rule,
            target: &checked.verdict.target,
            expected: &checked.verdict.expected,
            actual: &checked.verdict.actual,
            diff: checked.changes.iter().map(Change::diff).collect(),
        };
        Self { schema: "tidegate.fix-plan/1", fixes: ready.iter().map(planned).collect() }
    }
}

#[derive(Serialize)]
struct FixesDocument<'a> {
    schema: &'static str,
    fixes: &'a [FixRecord],
}

fn list(records: &FixRecords, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let all = records.all();
    if all.is_empty() && ctx.format == Format::Table {
        ctx.notice("nothing was mended here");
        return Ok(Outcome::Done);
    }
    write_records(&all, ctx, out)?;
    Ok(Outcome::Done)
}

fn write_records(
    records: &[FixRecord],
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if ctx.format == Format::Json {
        write_json(out, &FixesDocument { schema: "tidegate.fixes/1", fixes: records })?;
        return Ok(());
    }
    let mut table = Table::new(&["ID", "RULE", "TARGET", "RESULT", "WHY"]);
    for record in records {
        let (result, tone, why) = match &record.result {
            FixResult::Fixed => ("fixed", Tone::Good, record.note.as_deref().unwrap_or_default()),
            FixResult::Begun => ("begun", Tone::Notice, "it did not come to its end"),
            FixResult::NotFixed { reason } => ("not fixed", Tone::Bad, reason.as_str()),
            FixResult::Failed { reason } => ("failed", Tone::Bad, reason.as_str()),
        };
        let cells = [record.id.as_str().into(), record.rule.as_str().into()];
        let rest = [record.target.as_str().into(), Cell::toned(result, tone), why.into()];
        table.row(cells.into_iter().chain(rest));
    }
    table.write(out, ctx.paint)?;
    Ok(())
}

fn say(done: &[FixRecord], ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    write_records(done, ctx, out)?;
    if done.iter().all(|record| record.result == FixResult::Fixed) {
        return Ok(Outcome::Done);
    }
    Err(CommandError::new(ErrorKind::Failed, "not everything was mended"))
}
