//! `tidegate verify`.

use std::io::Write;

use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Format, Tone, counted, write_json};
use crate::cli::source::{Opened, Question, SourceArgs};
use crate::clients::git::ObjectReader;
use crate::model::{CommitId, EnvironmentName};
use crate::promote::proposal;
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::{
    Check, Explanation, Refusal, Remembered, Rule, Sightings, Signed, Verdict, VerifyDocument,
    VerifyRequest, explain, verify,
};
use crate::telemetry::Chain;

/// Check that a branch holds only what its people were allowed to put there
///
/// The same rules as on the nodes: for CI, for auditors, for a hook before a push. Without options
/// this node's own repository is checked. Exits 3 when a commit is refused, and names the commit, the
/// rule and the remedy; 2 when the tip is good but waits: for its source to soak, or for a commit of
/// the near future.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate verify --repository . --environment prd --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab\n  \
    tidegate verify --repository https://git.example.org/ops/config.git --environment prd \\\n    \
    --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab -o json\n  \
    tidegate verify --explain 5d6e7f8\n  \
    tidegate verify --signed-by \"$(cat stolen.pub)\"")]
pub struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Whose branch it is
    #[arg(long, visible_alias = "env", value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// What is checked: a branch or a whole id (default: the environment's branch)
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
    /// It is a proposal, as `promote --propose` pushes it: people who are still to approve it, exit 2
    #[arg(long, requires = "revision")]
    propose: bool,
    /// List the commits that this key signed or approved
    #[arg(long, value_name = "KEY")]
    signed_by: Option<Key>,
    /// Tell why this commit is good: who, by which role, from where, and what each rule found
    #[arg(long, value_name = "COMMIT", value_parser = parse_digits)]
    explain: Option<String>,
}

/// The fewest digits that name a commit.
const COMMIT_DIGITS_MIN: usize = 7;

fn parse_digits(text: &str) -> Result<String, String> {
    let is_id = (COMMIT_DIGITS_MIN..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_hexdigit());
    let wrong = || "write at least 7 hex digits of a commit's id".to_owned();
    is_id.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

/// Verifies.
///
/// # Errors
/// When a commit is refused, or the repository cannot be read.
pub fn run(args: &VerifyArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let question = Question::of(&args.source, args.environment.as_ref(), ctx)?;
    let opened = question.open(args.revision.as_deref(), ctx)?;
    let tip = if args.propose { proposed(args, &opened)? } else { opened.tip };
    let (verdict, document) = said(args, &question, &opened.objects, tip)?;
    match ctx.format {
        Format::Json => write_json(out, &document)?,
        Format::Table => write_verdict(&verdict, &document, ctx, out)?,
    }
    match (&verdict.refused, &verdict.waits) {
        (Some(refused), _) if args.propose && lacks_people(refused, tip) => {
            ctx.notice(&refused.reason);
            Ok(Outcome::Differences)
        }
        (Some(refused), _) => {
            Err(CommandError::refused(refused.reason.clone()).hint(refused.remedy.clone()))
        }
        // It is good, and does not count yet.
        (None, Some(_)) => Ok(Outcome::Differences),
        (None, None) => Ok(Outcome::Done),
    }
}

/// Judges, and says what was asked for about it.
fn said(
    args: &VerifyArgs,
    question: &Question,
    objects: &ObjectReader,
    tip: CommitId,
) -> Result<(Verdict, VerifyDocument), CommandError> {
    let request = VerifyRequest {
        environment: question.environment.clone(),
        anchor: question.anchor,
        remembered: Remembered::Nothing,
        tip,
        revoked: question.revoked.clone(),
        now: Timestamp::now(),
        sights: Sightings::default(),
    };
    let verdict = verify(objects, &request);
    let mut document = verdict.document();
    document.signed_by = args.signed_by.as_ref().map(|key| verdict.signed_list(key));
    if let Some(asked) = &args.explain {
        let mut found = verdict.accepted.iter().filter(|a| a.commit.to_string().starts_with(asked));
        document.explained = match (found.next(), &verdict.refused) {
            (Some(accepted), _) => {
                let explained = explain(objects, &question.environment, accepted);
                let told = |r: Refusal| CommandError::refused(r.reason).hint(r.remedy);
                Some(explained.map_err(told)?)
            }
            // The refusal is the explanation.
            (None, Some(refused)) if refused.commit.to_string().starts_with(asked) => None,
            (None, _) => {
                let reason = format!("no commit `{asked}` was judged good between anchor and tip");
                return Err(CommandError::usage(reason)
                    .hint("name one of `git log --first-parent` above the anchor"));
            }
        };
    }
    Ok((verdict, document))
}

/// The commit that a proposal's branch proposes, below the approvals that it collected.
fn proposed(args: &VerifyArgs, opened: &Opened) -> Result<CommitId, CommandError> {
    let branch = args.revision.as_deref().unwrap_or_default();
    let proposal = proposal::read(&opened.objects, branch, opened.tip);
    let proposal = proposal.map_err(|error| CommandError::usage(Chain(&error).to_string()))?;
    Ok(proposal.commit.id)
}

/// Whether nothing but people is missing, and that of the proposal itself.
fn lacks_people(refused: &Refusal, tip: CommitId) -> bool {
    refused.commit == tip && refused.rule == Rule::Threshold
}

fn write_verdict(
    verdict: &Verdict,
    document: &VerifyDocument,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if let Some(id) = verdict.verified_id() {
        let good = ctx.paint.tone(Tone::Good, "verified");
        writeln!(out, "{good}  {id}  ({} judged)", counted(verdict.accepted.len(), "commit"))?;
    }
    if let Some(wait) = &verdict.waits {
        let waits = ctx.paint.tone(Tone::Notice, "waits");
        writeln!(out, "{waits}     {}  until {}: {}", wait.commit, wait.until, wait.reason)?;
    }
    if let Some(refused) = &verdict.refused {
        let word = ctx.paint.tone(Tone::Bad, "refused");
        writeln!(out, "{word}   {}  (rule {})", refused.commit, refused.rule.name())?;
    }
    for Signed { commit, kind, time, person, as_signer } in document.signed_by.iter().flatten() {
        let did = if *as_signer { "signed" } else { "approved" };
        writeln!(out, "{did}  {commit}  {time}  {kind} by {person}")?;
    }
    if let Some(explained) = &document.explained {
        let Explanation { commit, kind, environment, time, .. } = explained;
        writeln!(out, "\n{commit} is a good `{kind}` of {environment}, of {time}:")?;
        for Check { rule, found } in &explained.checks {
            writeln!(out, "  {rule:<12} {found}")?;
        }
    }
    Ok(())
}
