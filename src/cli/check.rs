//! `tidegate check`, and what `fix` shares with it.

use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::agent::belief::Origin;
use crate::agent::brake::{Brake, MENDING_TIME_MAX};
use crate::agent::examine::Examined;
use crate::agent::inspect::inspect;
use crate::agent::node::Node;
use crate::cli::choice::Choice;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::interrupt::end_between_fixes;
use crate::cli::operate::{agent_error, warn_unverified};
use crate::cli::output::{Cell, Format, Table, Tone, shown_time, write_json};
use crate::cli::status::ago;
use crate::clients::host::HostError;
use crate::compliance::check::{Checked, Purpose};
use crate::compliance::image;
use crate::compliance::interchange::{junit, message, sarif};
use crate::compliance::shelf::Shelf;
use crate::compliance::standing::Turn;
use crate::compliance::verdict::{Score, Verdict, VerdictStatus};
use crate::model::{EnvironmentName, NodeName, Revision, ServiceName};
use crate::reconcile::report::TrustLevel;

/// Check this node against its rules
///
/// Checks every rule that the newest verified revision shows to this node and its services, and for
/// every container that rule, definition and running container are the same image. Changes nothing.
/// The agent checks by itself: `--last` shows what it found, `--history` what has changed.
/// Exits 2 when a rule does not hold or could not be checked. What rules there are says
/// `tidegate man --rules | man -l -`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidegate check\n  tidegate check --service app1 --severity critical\n  \
    tidegate check --rule 'it.linux/*' -o json\n  tidegate check --report junit > check.xml\n  \
    tidegate check --last\n  tidegate check --history --service app1"
)]
pub struct CheckArgs {
    #[command(flatten)]
    choice: Choice,
    /// Print for another tool
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with = "output")]
    report: Option<ReportFormat>,
    /// Do not check: show what the agent found last
    #[arg(long, conflicts_with_all = ["history", "keep"])]
    last: bool,
    /// Do not check: show what has changed since rules are checked here
    #[arg(long, conflicts_with_all = ["report", "keep"])]
    history: bool,
    /// Check what the agent believes, mend what it may, and keep what is found: for the agent
    #[arg(long, value_name = "TRIGGER", hide = true, conflicts_with = "report")]
    keep: Option<String>,
}

/// Formats of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// One test case a rule, for CI
    Junit,
    /// Static analysis results, for code scanning
    Sarif,
}

/// Looks at this node as its rules need it.
///
/// # Errors
/// When nothing is believed here, or this machine's own files do not work.
pub fn examine(ctx: &Context) -> Result<(Node, Examined), CommandError> {
    let settings = ctx.settings()?;
    block_on(async {
        let origin = Origin::repository(&settings).map_err(|error| agent_error(&error))?;
        let mut node = Node::open(settings, origin).map_err(|error| agent_error(&error))?;
        let examined = Examined::of(&mut node).await.map_err(|error| agent_error(&error))?;
        if node.trust() == TrustLevel::None {
            warn_unverified(ctx);
        }
        if let Some(refused) = &node.belief.refused {
            let line = format!(
                "{} is refused: {}; what was verified before it counts",
                refused.commit, refused.reason
            );
            ctx.notice(&ctx.paint_err.tone(Tone::Bad, &line));
        }
        for mistake in &node.belief.mistakes {
            ctx.notice(&ctx.paint_err.tone(Tone::Bad, &format!("unusable: {mistake}")));
        }
        match examined {
            Some(examined) => Ok((node, examined)),
            None if node.belief.refused.is_some() => {
                Err(CommandError::refused("nothing verified is here to check against"))
            }
            None => Err(CommandError::new(ErrorKind::Failed, "there is nothing to check against")
                .hint("`tidegate plan` says why no revision is believed here")),
        }
    })
}

/// What is said of images.
#[derive(Debug)]
pub struct Images {
    /// Those that are meant.
    pub verdicts: Vec<Verdict>,
    /// Why nothing is known of any that is meant.
    pub silent: Option<String>,
}

impl Images {
    /// Those that are meant.
    ///
    /// # Errors
    /// When neither a rule nor an image here is called as the choice says.
    pub fn of(examined: &Examined, choice: &Choice) -> Result<Self, CommandError> {
        let (mut verdicts, silent) = match examined.images() {
            Ok(verdicts) => (verdicts, None),
            Err(reason) => (image::unknown(&examined.desired, reason), Some(reason.to_owned())),
        };
        let rules: Vec<String> = examined.desired.rules.iter().map(|r| r.id.to_string()).collect();
        let images = verdicts.iter().map(|verdict| verdict.rule.as_str());
        choice.is_known(rules.iter().map(String::as_str).chain(images))?;
        verdicts.retain(|verdict| choice.fits_verdict(verdict));
        // Who asks for other rules alone misses nothing.
        let silent = silent.filter(|_| !verdicts.is_empty());
        Ok(Self { verdicts, silent })
    }
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    schema: &'static str,
    node: &'a NodeName,
    environment: &'a EnvironmentName,
    revision: &'a Revision,
    unverified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_at: Option<Timestamp>,
    score: Score,
    verdicts: &'a [&'a Verdict],
}

impl CheckDocument<'_> {
    fn write(
        &self,
        report: Option<ReportFormat>,
        ctx: &Context,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        match (report, ctx.format) {
            (Some(ReportFormat::Junit), _) => {
                write!(out, "{}", junit(self.node.as_str(), self.verdicts))?;
            }
            (Some(ReportFormat::Sarif), _) => write_json(out, &sarif(self.verdicts))?,
            (None, Format::Json) => write_json(out, self)?,
            (None, Format::Table) => write_table(self, ctx, out)?,
        }
        Ok(())
    }
}

/// Prints verdicts.
///
/// # Errors
/// When nothing can be checked at all.
pub fn run(args: &CheckArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::WARN);
    if let Some(trigger) = &args.keep {
        return keep(trigger, ctx, out);
    }
    if args.history {
        return history(&args.choice, ctx, out);
    }
    if args.last {
        return last(args, ctx, out);
    }
    let (node, examined) = examine(ctx)?;
    args.choice.verify(&examined)?;
    let images = Images::of(&examined, &args.choice)?;
    let rules = args.choice.rules(&examined.desired.rules);
    let checked = examined.check(rules, Purpose::Judge);
    let mut verdicts: Vec<Verdict> =
        checked.into_iter().map(|Checked { verdict, .. }| verdict).collect();
    if images.silent.is_none() {
        verdicts.extend(images.verdicts);
    }
    let shown: Vec<&Verdict> = verdicts.iter().filter(|v| args.choice.fits_verdict(v)).collect();
    let document = CheckDocument {
        schema: "tidegate.check/1",
        node: &examined.desired.node,
        environment: examined.desired.revision.environment(),
        revision: &examined.desired.revision,
        unverified: node.trust() == TrustLevel::None,
        checked_at: None,
        score: Score::of(shown.iter().copied()),
        verdicts: &shown,
    };
    document.write(args.report, ctx, out)?;
    if let Some(reason) = images.silent {
        return Err(CommandError::new(
            ErrorKind::Failed,
            format!("no image was checked: {reason}"),
        )
        .hint("is the engine running? `[engine] socket` says where it is looked for"));
    }
    Ok(outcome(&shown))
}

fn outcome(verdicts: &[&Verdict]) -> Outcome {
    let troubled = verdicts.iter().any(|verdict| verdict.status.is_trouble());
    if troubled { Outcome::Differences } else { Outcome::Done }
}

/// The agent's own check: what it says goes to the agent.
fn keep(trigger: &str, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    // Containers come first; where this is not allowed, it is as it was.
    let _as_it_was = rustix::process::nice(10);
    let settings = ctx.settings()?;
    let brake = Arc::new(Brake::new(MENDING_TIME_MAX));
    end_between_fixes(Arc::clone(&brake));
    let found = block_on(async {
        inspect(settings, trigger, &brake).await.map_err(|error| agent_error(&error))
    })?;
    let Some((said, standing)) = found else {
        return Err(CommandError::new(ErrorKind::Failed, "no revision is believed here yet"));
    };
    write_json(out, &said)?;
    let verdicts: Vec<&Verdict> = standing.verdicts.iter().collect();
    Ok(outcome(&verdicts))
}

/// What the agent found last.
fn last(args: &CheckArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let shelf = Shelf::below(&ctx.settings()?.state_dir);
    let standing = shelf.standing().map_err(|error| unreadable(&error))?;
    let Some(standing) = standing else {
        return Err(CommandError::new(ErrorKind::Failed, "nothing was checked here yet").hint(
            "the agent checks a second after it believes a revision; `tidegate check` checks now",
        ));
    };
    let standing = standing.aged(Timestamp::now());
    args.choice.is_known(standing.verdicts.iter().map(|verdict| verdict.rule.as_str()))?;
    args.choice.is_service(standing.verdicts.iter().filter_map(|v| v.service.as_ref()))?;
    let fits = |verdict: &&Verdict| args.choice.fits_verdict(verdict);
    let shown: Vec<&Verdict> = standing.verdicts.iter().filter(fits).collect();
    let document = CheckDocument {
        schema: "tidegate.check/1",
        node: &standing.node,
        environment: &standing.environment,
        revision: &standing.revision,
        unverified: standing.unverified,
        checked_at: Some(standing.checked_at),
        score: Score::of(shown.iter().copied()),
        verdicts: &shown,
    };
    document.write(args.report, ctx, out)?;
    Ok(outcome(&shown))
}

fn unreadable(error: &HostError) -> CommandError {
    CommandError::failed(error).hint("the state belongs to the agent's user: try sudo")
}

#[derive(Serialize)]
struct HistoryDocument<'a> {
    schema: &'static str,
    turns: &'a [Turn],
}

/// What has changed from check to check.
fn history(choice: &Choice, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let shelf = Shelf::below(&ctx.settings()?.state_dir);
    let mut turns = shelf.history().map_err(|error| unreadable(&error))?;
    let standing = shelf.standing().map_err(|error| unreadable(&error))?;
    let known = standing.iter().flat_map(|standing| &standing.verdicts);
    let services: Vec<ServiceName> = turns.iter().filter_map(service_of).collect();
    choice.is_known(turns.iter().map(|turn| &*turn.rule).chain(known.clone().map(|v| &*v.rule)))?;
    choice.is_service(services.iter().chain(known.filter_map(|v| v.service.as_ref())))?;
    turns.retain(|turn| choice.fits(&turn.rule, service_of(turn).as_ref(), turn.severity));
    if ctx.format == Format::Json {
        write_json(out, &HistoryDocument { schema: "tidegate.turns/1", turns: &turns })?;
        return Ok(Outcome::Done);
    }
    if turns.is_empty() {
        ctx.notice("nothing has changed since rules are checked here");
    }
    let mut table = Table::new(&["AT", "TARGET", "RULE", "FROM", "TO", "WHAT"]);
    for turn in &turns {
        let status = |status: Option<VerdictStatus>| match status {
            Some(status) => Cell::toned(status.as_str(), tone(status)),
            None => "-".into(),
        };
        let what = match (&turn.reason, turn.actual.is_empty()) {
            (Some(reason), true) => reason.clone(),
            _ => turn.actual.clone(),
        };
        table.row([
            shown_time(turn.at).into(),
            turn.target.as_str().into(),
            turn.rule.as_str().into(),
            status(turn.from),
            status(turn.to),
            what.into(),
        ]);
    }
    if !table.is_empty() {
        table.write(out, ctx.paint)?;
    }
    Ok(Outcome::Done)
}

/// The service of what turned; none of what is about the node.
fn service_of(turn: &Turn) -> Option<ServiceName> {
    turn.target.split_once('.').and_then(|(name, _)| name.parse().ok())
}

fn write_table(
    document: &CheckDocument<'_>,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut names = vec!["STATUS", "SEVERITY", "TARGET", "RULE", "KIND", "WHAT"];
    if document.checked_at.is_some() {
        // What is checked now has no past here.
        names.insert(1, "SINCE");
    }
    let mut table = Table::new(&names);
    for verdict in document.verdicts {
        let mut cells = row(verdict);
        if document.checked_at.is_some() {
            let since = verdict.since.map_or_else(|| "-".to_owned(), shown_time);
            cells.insert(1, since.into());
        }
        table.row(cells);
    }
    if !table.is_empty() {
        table.write(out, ctx.paint)?;
        writeln!(out)?;
    }
    write!(out, "{}, as {} says", document.score, document.revision)?;
    if let Some(at) = document.checked_at {
        write!(out, "; checked {} ago", ago(at))?;
    }
    writeln!(out)?;
    Ok(())
}

fn row(verdict: &Verdict) -> Vec<Cell> {
    let what = match verdict.status {
        VerdictStatus::Ok => verdict.expected.clone(),
        _ => message(verdict),
    };
    vec![
        Cell::toned(verdict.status.as_str(), tone(verdict.status)),
        verdict.severity.to_string().into(),
        verdict.target.clone().into(),
        verdict.rule.clone().into(),
        verdict.kind.clone().into(),
        what.into(),
    ]
}

fn tone(status: VerdictStatus) -> Tone {
    match status {
        VerdictStatus::Ok => Tone::Good,
        VerdictStatus::NotOk | VerdictStatus::Error => Tone::Bad,
        VerdictStatus::Unknown => Tone::Notice,
        VerdictStatus::NotApplicable => Tone::Faint,
    }
}
