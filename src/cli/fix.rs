//! `tidegate fix`.

use std::io::{BufRead as _, IsTerminal as _, Write};

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;

use crate::agent::belief::Origin;
use crate::agent::examine::{Examined, Mended, mode_of};
use crate::agent::lock::StateLock;
use crate::agent::node::Node;
use crate::cli::check::examine;
use crate::cli::choice::Choice;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::fixes::{PlanDocument, write_diffs, write_plan, write_records};
use crate::cli::operate::agent_error;
use crate::cli::output::{Format, Tone, counted, one_line, write_json};
use crate::clients::host::{HostRoot, create_private_dir};
use crate::compliance::change::Change;
use crate::compliance::check::{Checked, Purpose};
use crate::compliance::consent::Consent;
use crate::compliance::fix::{FixError, Mender};
use crate::compliance::interchange::message;
use crate::compliance::record::{FixRecord, FixRecords, FixResult, FixedBy};
use crate::compliance::verdict::VerdictStatus;
use crate::config::Settings;
use crate::model::Mode;
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
    let plans = ready.iter().map(|(_, checked)| *checked);
    match ctx.format {
        Format::Json if args.dry_run => write_json(out, &PlanDocument::of(plans))?,
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
    let question = format!("Mend {}?", counted(ready.len(), "rule"));
    agree(args.yes || confirm(&question)?)?;
    let _lock = lock(settings)?;
    let mending = Mending { examined: &examined, mender, asks: !args.yes, ctx };
    let (done, n_alone) = mending.all(&ready, out)?;
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
                    notice(&found, "left alone: ", self.ctx);
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
        undone.map(|found| notice(found, "undone by another fix: ", self.ctx)).count()
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
fn beside<'a>(ctx: &Context, out: &'a mut dyn Write) -> Box<dyn Write + 'a> {
    match ctx.format {
        Format::Table => Box::new(out),
        Format::Json => Box::new(std::io::stderr()),
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
    match mode(&settings, &record)? {
        Some(Mode::Apply) => {}
        Some(Mode::Report) => {
            let message = "report mode: nothing is changed here, neither forth nor back";
            return Err(CommandError::refused(message)
                .hint("`mode` in environment.toml, the node's or the service's file says so"));
        }
        // The way back is wanted most where a fix broke the way to the repository.
        None => ctx.notice("no revision is believed here, so that nothing says `mode`"),
    }
    let host = HostRoot::open(&settings.host.root).map_err(|error| CommandError::failed(&error))?;
    let host = host.with_package_time_max(settings.host.package_time_max);
    // Who may undo may undo whatever was done: the node's policy guards what is made, not the way back.
    let allowed = &settings.policy.fixes;
    let mender = Mender { host: &host, records: &records, allowed, by: FixedBy::Operator };
    let way = mender.way_back(&record).map_err(|error| fix_error(&error, ctx))?;
    for folder in &way.stays {
        ctx.notice(&format!("{folder} stays: something else lies in it by now"));
    }
    if way.changes.is_empty() {
        ctx.notice("nothing is left to take back");
        return if ctx.format == Format::Json { say(&[], ctx, out) } else { Ok(Outcome::Done) };
    }
    if ctx.format == Format::Table || !yes {
        write_diffs(&way.changes, ctx, &mut *beside(ctx, out))?;
    }
    agree(yes || confirm(&format!("Take back {} ({})?", record.id, record.rule))?)?;
    let _lock = lock(&settings)?;
    let restored = mender.restore(&record, &way, Timestamp::now());
    say(&[restored.map_err(|error| fix_error(&error, ctx))?], ctx, out)
}

/// What the repository lets be done to what a fix changed; none where nothing of it is believed.
fn mode(settings: &Settings, record: &FixRecord) -> Result<Option<Mode>, CommandError> {
    block_on(async {
        let origin = Origin::repository(settings).map_err(|error| agent_error(&error))?;
        let mut node = Node::open(settings.clone(), origin).map_err(|error| agent_error(&error))?;
        mode_of(&mut node, &record.target).await.map_err(|error| agent_error(&error))
    })
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
        FixError::Record(_) | FixError::Look(_) => CommandError::failed(error),
    }
}

/// Asks a person; without one, `--yes` has to say it.
fn confirm(question: &str) -> Result<bool, CommandError> {
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
fn agree(agreed: bool) -> Result<(), CommandError> {
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

fn say(done: &[FixRecord], ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    write_records(done, ctx, out)?;
    if done.iter().all(|record| record.result == FixResult::Fixed) {
        return Ok(Outcome::Done);
    }
    Err(CommandError::new(ErrorKind::Failed, "not everything was mended"))
}
