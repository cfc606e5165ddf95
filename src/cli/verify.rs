//! `tidegate verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Format, Tone, write_json};
use crate::cli::repository::{commit, open};
use crate::clients::git::{FetchProgram, ObjectReader};
use crate::clients::host::read_bounded;
use crate::config::{BranchName, Remote, RemoteUrl};
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::source::{Fetch, Source};
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::{
    Check, Explanation, Refusal, Remembered, RevokedKeys, Sightings, Signed, Verdict,
    VerifyDocument, VerifyRequest, explain, show, verify,
};

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
    /// A repository on this machine, or an address
    #[arg(long, value_name = "PATH|URL", requires = "environment", requires = "anchor")]
    repository: Option<String>,
    /// Whose branch it is
    #[arg(long, value_name = "NAME", requires = "repository")]
    environment: Option<EnvironmentName>,
    /// The commit that verification starts from: the environment's anchor, or a checkpoint
    #[arg(long, value_name = "ID", requires = "repository")]
    anchor: Option<CommitId>,
    /// What is checked: a branch or a whole id (default: the environment's branch)
    #[arg(long, value_name = "REV", requires = "repository")]
    revision: Option<String>,
    /// Keys that are revoked, one a line
    #[arg(long, value_name = "FILE")]
    revoked_keys: Option<PathBuf>,
    /// List the commits that this key signed or approved
    #[arg(long, value_name = "KEY")]
    signed_by: Option<Key>,
    /// Tell why this commit is good: who, by which role, from where, and what each rule found
    #[arg(long, value_name = "COMMIT", value_parser = parse_digits)]
    explain: Option<String>,
}

/// The fewest digits that name a commit.
const COMMIT_DIGITS_MIN: usize = 7;
/// Environments below one; each costs a fetch.
const BELOW_MAX: usize = 8;

fn parse_digits(text: &str) -> Result<String, String> {
    let is_id = (COMMIT_DIGITS_MIN..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_hexdigit());
    let wrong = || "write at least 7 hex digits of a commit's id".to_owned();
    is_id.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

/// A list of revoked keys longer than this is a mistake.
const REVOKED_BYTES_MAX: u64 = 1 << 20;

/// What is checked.
struct Case {
    remote: Remote,
    /// Where branches below are, if elsewhere.
    sources: BTreeMap<EnvironmentName, Remote>,
    environment: EnvironmentName,
    anchor: CommitId,
    revoked: Option<PathBuf>,
}

/// Verifies.
///
/// # Errors
/// When a commit is refused, or the repository cannot be read.
pub fn run(args: &VerifyArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let case = case(args, ctx)?;
    let revoked = revoked(case.revoked.as_deref())?;
    let (verdict, document) = match &case.remote.url {
        RemoteUrl::Path(path) if case.sources.is_empty() => {
            let revision = args.revision.as_deref().unwrap_or(case.remote.branch.as_str());
            let tip = commit(path, revision)?;
            said(args, &case, &open(path)?, tip, revoked)?
        }
        _ => fetched(args, &case, revoked)?,
    };
    match ctx.format {
        Format::Json => write_json(out, &document)?,
        Format::Table => write_verdict(&verdict, &document, ctx, out)?,
    }
    match (&verdict.refused, &verdict.waits) {
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
    case: &Case,
    objects: &ObjectReader,
    tip: CommitId,
    revoked: RevokedKeys,
) -> Result<(Verdict, VerifyDocument), CommandError> {
    let verdict = judge(objects, case, tip, revoked);
    let mut document = verdict.document();
    document.signed_by = args.signed_by.as_ref().map(|key| verdict.signed_list(key));
    if let Some(asked) = &args.explain {
        let mut found = verdict.accepted.iter().filter(|a| a.commit.to_string().starts_with(asked));
        document.explained = match (found.next(), &verdict.refused) {
            (Some(accepted), _) => {
                let explained = explain(objects, &case.environment, accepted);
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

fn case(args: &VerifyArgs, ctx: &Context) -> Result<Case, CommandError> {
    if let (Some(text), Some(environment), Some(anchor)) =
        (&args.repository, &args.environment, args.anchor)
    {
        let absolute = std::path::absolute(text).ok().filter(|path| path.exists());
        let text =
            absolute.map_or_else(|| text.clone(), |path| path.to_string_lossy().into_owned());
        let url = text.parse().map_err(|error| CommandError::usage(format!("{error}")))?;
        let remote = Remote::plain(url, environment);
        let revoked = args.revoked_keys.clone();
        let sources = BTreeMap::new();
        return Ok(Case { remote, sources, environment: environment.clone(), anchor, revoked });
    }
    let settings = ctx.settings()?;
    let anchor = settings.repository.anchor.ok_or_else(|| {
        CommandError::usage("this node demands no signatures: there is nothing to verify against")
    })?;
    let revoked = args.revoked_keys.clone().or(settings.trust.revoked_keys);
    let (remote, sources) = (settings.repository.remote, settings.sources);
    Ok(Case { remote, sources, environment: settings.environment, anchor, revoked })
}

/// The keys that a file revokes; none without one.
///
/// # Errors
/// When it cannot be read.
pub fn revoked(path: Option<&Path>) -> Result<RevokedKeys, CommandError> {
    let Some(path) = path else { return Ok(RevokedKeys::default()) };
    let bytes = read_bounded(path, REVOKED_BYTES_MAX)
        .map_err(|error| CommandError::failed(&error))?
        .ok_or_else(|| CommandError::usage(format!("there is no {}", path.display())))?;
    let text = String::from_utf8_lossy(&bytes);
    RevokedKeys::parse(&text).map_err(|error| CommandError::failed(&error))
}

fn judge(objects: &ObjectReader, case: &Case, tip: CommitId, revoked: RevokedKeys) -> Verdict {
    let request = VerifyRequest {
        environment: case.environment.clone(),
        anchor: case.anchor,
        remembered: Remembered::Nothing,
        tip,
        revoked,
        now: Timestamp::now(),
        sights: Sightings::default(),
    };
    verify(objects, &request)
}

/// Judges what is fetched into a directory of its own, which is removed again.
fn fetched(
    args: &VerifyArgs,
    case: &Case,
    revoked: RevokedKeys,
) -> Result<(Verdict, VerifyDocument), CommandError> {
    let dir = std::env::temp_dir().join(format!("tidegate-{}", crate::agent::effects::nonce()));
    let said = block_on(async {
        let source = Source::open(&dir, FetchProgram::current())
            .map_err(|error| CommandError::failed(&error))?;
        let tip = fetch(&source, &case.remote).await?;
        below(&source, case, tip).await?;
        let objects = source.objects().map_err(|error| CommandError::failed(&error))?;
        said(args, case, &objects, tip, revoked)
    });
    let _gone = std::fs::remove_dir_all(&dir);
    said
}

/// Brings one branch; gives its tip.
async fn fetch(source: &Source, remote: &Remote) -> Result<CommitId, CommandError> {
    let fetch = source.fetch(remote, None, &[]).await;
    let fetched = match fetch.map_err(|error| CommandError::failed(&error))? {
        Fetch::New(fetched) => fetched,
        Fetch::Unchanged { tip } => {
            return Err(CommandError::usage(format!("nothing was fetched for {tip}")));
        }
    };
    let tip = fetched.tip();
    fetched.adopt().map_err(|error| CommandError::failed(&error))?;
    Ok(tip)
}

/// Brings the branches below, by which promotions are judged.
async fn below(source: &Source, case: &Case, tip: CommitId) -> Result<(), CommandError> {
    let (mut environment, mut tip) = (case.environment.clone(), tip);
    let mut seen = BTreeSet::new();
    while seen.insert(environment.clone()) && seen.len() <= BELOW_MAX {
        let objects = source.objects().map_err(|error| CommandError::failed(&error))?;
        let promotion = show(&objects, tip, &environment).ok().and_then(|trust| trust.promotion);
        let Some(promotion) = promotion else { return Ok(()) };
        environment = promotion.from;
        let beside = || Remote { branch: BranchName::of(&environment), ..case.remote.clone() };
        let remote = case.sources.get(&environment).cloned().unwrap_or_else(beside);
        tip = fetch(source, &remote).await?;
    }
    Ok(())
}

fn write_verdict(
    verdict: &Verdict,
    document: &VerifyDocument,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if let Some(id) = verdict.verified_id() {
        let good = ctx.paint.tone(Tone::Good, "verified");
        writeln!(out, "{good}  {id}  ({} commits judged)", verdict.accepted.len())?;
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
