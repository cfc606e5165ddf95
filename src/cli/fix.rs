//! `tidegate fix`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _, Write};

use tracing::level_filters::LevelFilter;

use crate::agent::examine::{Examined, Mended};
use crate::agent::lock::StateLock;
use crate::cli::check::{Images, examine};
use crate::cli::choice::Choice;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::fixes::{PlanDocument, write_plan, write_records};
use crate::cli::output::{Format, Tone, counted, one_line, write_json};
use crate::cli::restore::restore;
use crate::clients::host::create_private_dir;
use crate::compliance::change::Change;
use crate::compliance::check::{Checked, Purpose};
use crate::compliance::consent::Consent;
use crate::compliance::fix::{FixError, Mender};
use crate::compliance::interchange::message;
use crate::compliance::record::{FixRecord, FixRecords, FixResult, FixedBy};
use crate::compliance::verdict::{Verdict, VerdictStatus};
use crate::config::Settings;
use crate::reconcile::desired::rule::Rule;
use crate::telemetry::Chain;

/// Mend what `check` finds, with a backup
///
/// Shows what would be changed as a diff, asks, keeps what was there, changes it and checks again.
/// Only kinds of rules that the node's own `[policy] fixes` names are ever changed, and nothing in
/// report mode. Exits 2 when a rule is left that does not hold or could not be judged.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Examples:\n  tidegate fix --dry-run\n  tidegate fix --rule 'it.linux/*' --yes\n  \
    tidegate fix list\n  tidegate fix restore 20261122T211530123456Z-1f3c9a"
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
    #[command(after_help = "Example:\n  tidegate fix restore 20261122T211530123456Z-1f3c9a --yes")]
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
    let images = Images::of(&examined, &args.choice)?;
    let rules = args.choice.rules(&examined.desired.rules);
    let checked = examined.check(rules.iter().copied(), Purpose::Mend);
    let both = rules.iter().copied().zip(&checked);
    let wrong = both.filter(|(_, checked)| checked.verdict.status == VerdictStatus::NotOk);
    let (ready, stuck): (Vec<Wrong<'_>>, Vec<Wrong<'_>>) =
        wrong.partition(|(_, checked)| checked.verdict.fixable);
    let unjudged = checked.iter().filter(|checked| {
        matches!(checked.verdict.status, VerdictStatus::Error | VerdictStatus::Unknown)
    });
    let mut n_left = stuck.len() + images.left(ctx);
    for (_, checked) in &stuck {
        notice(&checked.verdict, "", ctx);
    }
    for checked in unjudged {
        n_left += 1;
        notice(&checked.verdict, "could not be judged: ", ctx);
    }
    let settings = &node.settings;
    let records = FixRecords::below(&settings.state_dir);
    let mender = Mender {
        host: &examined.host,
        records: &records,
        allowed: &settings.policy.fixes,
        by: FixedBy::Operator,
    };
    let plans = ready.iter().map(|(_, checked)| *checked);
    match ctx.format {
        Format::Json if args.dry_run => write_json(out, &PlanDocument::of(plans, &mender))?,
        Format::Json if ready.is_empty() => drop(say(&[], ctx, out)?),
        Format::Json if args.yes => {}
        Format::Json | Format::Table => write_plan(plans, ctx, &mut *beside(ctx, out))?,
    }
    match (ready.is_empty(), n_left) {
        (true, 0) => ctx.notice("nothing to mend"),
        (true, n) => {
            ctx.notice(&format!("nothing can be mended here, {} left", counted(n, "rule")));
        }
        (false, _) => {}
    }
    let (may, forbidden) = allowed(&ready, &mender);
    if ready.is_empty() || args.dry_run {
        if !forbidden.is_empty() {
            ctx.notice(&ctx.paint_err.tone(Tone::Notice, &refusal(&forbidden)));
        }
        let done = ready.is_empty() && n_left == 0;
        return Ok(if done { Outcome::Done } else { Outcome::Differences });
    }
    if may.is_empty() {
        return Err(forbidden_error(&forbidden, ctx));
    }
    for (_, checked) in &forbidden {
        notice(&checked.verdict, "left alone: the node's policy forbids its kind: ", ctx);
    }
    n_left += forbidden.len();
    let question = format!("Mend {}?", counted(may.len(), "rule"));
    agree(args.yes || confirm(&question)?)?;
    let _lock = lock(settings)?;
    let mending = Mending { examined: &examined, mender, asks: !args.yes, ctx };
    let (done, n_alone) = mending.all(&may, out)?;
    match say(&done, ctx, out)? {
        Outcome::Done if n_left + n_alone > 0 => Ok(Outcome::Differences),
        outcome => Ok(outcome),
    }
}

/// Rules being mended.
struct Mending<'a> {
    examined: &'a Examined,
    mender: Mender<'a>,
    /// Whether what was not shown is asked for.
    asks: bool,
    ctx: &'a Context,
}

impl Mending<'_> {
    /// Mends one after the other; also how many are left alone, which are named.
    fn all(
        &self,
        ready: &[Wrong<'_>],
        out: &mut dyn Write,
    ) -> Result<(Vec<FixRecord>, usize), CommandError> {
        let (mut done, mut made, mut n_alone) = (Vec::new(), Vec::new(), 0);
        let mut mended: Vec<&Rule> = Vec::new();
        for (rule, checked) in ready {
            let Some(ended) = self.one(rule, checked.changes.clone(), &made, out)? else {
                n_alone += 1;
                continue;
            };
            match ended {
                Mended::Tried { record, steps, .. } => {
                    if !matches!(record.result, FixResult::Failed { .. }) {
                        made.extend(steps);
                    }
                    if record.result == FixResult::Fixed {
                        mended.push(rule);
                    }
                    done.push(record);
                }
                // What was mended before it may have mended it, too.
                Mended::Left(found) if found.verdict.status == VerdictStatus::Ok => {}
                Mended::Left(found) | Mended::Unagreed(found) => {
                    n_alone += 1;
                    notice(&found.verdict, "left alone: ", self.ctx);
                }
            }
        }
        Ok((done, n_alone + self.undone(&mended)))
    }

    /// How many of the rules that were mended do not hold after the last fix; they are named.
    fn undone(&self, mended: &[&Rule]) -> usize {
        if mended.len() < 2 {
            return 0;
        }
        let again = self.examined.check(mended.iter().copied(), Purpose::Judge);
        let undone = again.iter().filter(|found| found.verdict.status != VerdictStatus::Ok);
        undone.map(|found| notice(&found.verdict, "undone by another fix: ", self.ctx)).count()
    }

    /// Mends one as it was shown; what would be done by now is shown and asked for anew. None if it
    /// could not be begun, which is said: the others go on.
    fn one(
        &self,
        rule: &Rule,
        mut steps: Vec<Change>,
        made: &[Change],
        out: &mut dyn Write,
    ) -> Result<Option<Mended>, CommandError> {
        let ctx = self.ctx;
        loop {
            let consent =
                if self.asks { Consent::Shown { steps: &steps, made } } else { Consent::Whatever };
            let tried = self.examined.mend(rule, &self.mender, consent);
            let fresh = match tried {
                Ok(Mended::Unagreed(fresh)) => fresh,
                Ok(ended) => return Ok(Some(ended)),
                Err(error) => {
                    let line = one_line(&format!("{} is left alone: {}", rule.id, Chain(&error)));
                    ctx.notice(&ctx.paint_err.tone(Tone::Bad, &line));
                    return Ok(None);
                }
            };
            let verdict = &fresh.verdict;
            let name = format!("{} ({})", verdict.rule, verdict.target);
            let line = format!("{name} is no longer as it was shown; this would be done now:");
            ctx.notice(&ctx.paint_err.tone(Tone::Notice, &line));
            write_plan([&fresh], ctx, &mut *beside(ctx, out))?;
            if !confirm(&format!("Mend {name} all the same?"))? {
                return Ok(Some(Mended::Unagreed(fresh)));
            }
            steps = fresh.changes;
        }
    }
}

/// Where plans are shown: not amid a document.
pub(super) fn beside<'a>(ctx: &Context, out: &'a mut dyn Write) -> Box<dyn Write + 'a> {
    match ctx.format {
        Format::Table => Box::new(out),
        Format::Json => Box::new(std::io::stderr()),
    }
}

/// Those of a kind that the node's policy allows to mend, and the others.
fn allowed<'a>(all: &[Wrong<'a>], mender: &Mender<'_>) -> (Vec<Wrong<'a>>, Vec<Wrong<'a>>) {
    all.iter().partition(|(_, checked)| mender.allows(&checked.verdict.kind).is_ok())
}

/// What policy keeps from being mended.
fn refusal(forbidden: &[Wrong<'_>]) -> String {
    format!(
        "policy: {} left alone, of the kinds {}: `[policy] fixes` of this node does not name them",
        counted(forbidden.len(), "rule"),
        kinds(forbidden).into_iter().collect::<Vec<_>>().join(", ")
    )
}

fn kinds<'a>(wrong: &[Wrong<'a>]) -> BTreeSet<&'a str> {
    wrong.iter().map(|(_, checked)| checked.verdict.kind.as_str()).collect()
}

fn forbidden_error(forbidden: &[Wrong<'_>], ctx: &Context) -> CommandError {
    let all: Vec<String> = kinds(forbidden).iter().map(|kind| format!("\"{kind}\"")).collect();
    CommandError::refused(refusal(forbidden)).hint(format!(
        "the node's operator allows them with `[policy] fixes = [{}]` in {}",
        all.join(", "),
        ctx.config.display()
    ))
}

/// Says what becomes of a rule that is not mended.
fn notice(verdict: &Verdict, fate: &str, ctx: &Context) {
    let line = format!("{} ({}): {fate}{}", verdict.rule, verdict.target, message(verdict));
    ctx.notice(&ctx.paint_err.tone(Tone::Notice, &one_line(&line)));
}

impl Images {
    /// Says which do not hold, and how many. No fix mends them: the agent rolls images out.
    fn left(&self, ctx: &Context) -> usize {
        if let Some(reason) = &self.silent {
            ctx.notice(&format!("no image was checked: {reason}"));
            return self.verdicts.len();
        }
        let wrong = self.verdicts.iter().filter(|verdict| verdict.status.is_trouble());
        wrong.map(|verdict| notice(verdict, "the agent rolls it out: ", ctx)).count()
    }
}

/// A rule that does not hold, and what was found.
type Wrong<'a> = (&'a Rule, &'a Checked);

/// One process mends at a time.
pub(super) fn lock(settings: &Settings) -> Result<StateLock, CommandError> {
    let folder = settings.state_dir.join("fixes");
    create_private_dir(&folder)
        .map_err(|error| CommandError::failed(&error).hint("try sudo: the state is the agent's"))?;
    StateLock::take(&folder).map_err(|error| CommandError::failed(&error))
}

pub(super) fn fix_error(error: &FixError, ctx: &Context) -> CommandError {
    match error {
        FixError::Policy { kind } => CommandError::refused(error.to_string()).hint(format!(
            "the node's operator allows it with `[policy] fixes = [\"{kind}\"]` in {}",
            ctx.config.display()
        )),
        FixError::Record(_) | FixError::Look(_) => CommandError::failed(error),
    }
}

/// Asks a person; without one, `--yes` has to say it.
pub(super) fn confirm(question: &str) -> Result<bool, CommandError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::usage("nobody is there to be asked")
            .hint("add --yes, or --dry-run to see what would be changed"));
    }
    let mut err = std::io::stderr().lock();
    write!(err, "{question} [y/N] ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Ends here unless somebody agreed.
pub(super) fn agree(agreed: bool) -> Result<(), CommandError> {
    if agreed {
        return Ok(());
    }
    Err(CommandError::new(ErrorKind::Interrupted, "nothing was changed"))
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

pub(super) fn say(
    done: &[FixRecord],
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    write_records(done, ctx, out)?;
    if done.iter().all(|record| record.result == FixResult::Fixed) {
        return Ok(Outcome::Done);
    }
    Err(CommandError::new(ErrorKind::Failed, "not everything was mended"))
}
