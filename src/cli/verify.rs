//! `tidegate verify`.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Format, Tone, write_json};
use crate::cli::repository::{commit, open};
use crate::clients::git::{FetchProgram, ObjectReader};
use crate::clients::host::read_bounded;
use crate::config::{Remote, RemoteUrl};
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::source::{Fetch, Source};
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::{Remembered, RevokedKeys, Sightings, Verdict, VerifyRequest, verify};

/// Check that a branch holds only what its people were allowed to put there
///
/// The same rules as on the nodes: for CI, for auditors, for a hook before a push. Without options
/// this node's own repository is checked. Exits 3 when a commit is refused, and names the commit, the
/// rule and the remedy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidegate verify --repository . --environment prd --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab\n  \
    tidegate verify --repository https://git.example.org/ops/config.git --environment prd \\\n    \
    --anchor 906ed2866a37b7b1c6029959fe1532970584f6ab -o json\n  \
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
}

/// A list of revoked keys longer than this is a mistake.
const REVOKED_BYTES_MAX: u64 = 1 << 20;

/// What is checked.
struct Case {
    remote: Remote,
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
    let verdict = match &case.remote.url {
        RemoteUrl::Path(path) => {
            let revision = args.revision.as_deref().unwrap_or(case.remote.branch.as_str());
            let tip = commit(path, revision)?;
            judge(&open(path)?, &case, tip, revoked)
        }
        _ => fetched(&case, revoked)?,
    };
    match ctx.format {
        Format::Json => write_json(out, &verdict.document())?,
        Format::Table => write_verdict(&verdict, ctx, out)?,
    }
    if let Some(key) = &args.signed_by {
        for accepted in verdict.signed_by(key) {
            writeln!(out, "{}  {}  {}", accepted.commit, accepted.time, accepted.signer.person)?;
        }
    }
    match &verdict.refused {
        None => Ok(Outcome::Done),
        Some(refused) => {
            Err(CommandError::refused(refused.reason.clone()).hint(refused.remedy.clone()))
        }
    }
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
        return Ok(Case { remote, environment: environment.clone(), anchor, revoked });
    }
    let settings = ctx.settings()?;
    let anchor = settings.repository.anchor.ok_or_else(|| {
        CommandError::usage("this node demands no signatures: there is nothing to verify against")
    })?;
    let revoked = args.revoked_keys.clone().or(settings.trust.revoked_keys);
    let remote = settings.repository.remote;
    Ok(Case { remote, environment: settings.environment, anchor, revoked })
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
fn fetched(case: &Case, revoked: RevokedKeys) -> Result<Verdict, CommandError> {
    let dir = std::env::temp_dir().join(format!("tidegate-{}", crate::agent::effects::nonce()));
    let verdict = block_on(async {
        let source = Source::open(&dir, FetchProgram::current())
            .map_err(|error| CommandError::failed(&error))?;
        let fetch = source.fetch(&case.remote, None, &[]).await;
        let fetched = match fetch.map_err(|error| CommandError::failed(&error))? {
            Fetch::New(fetched) => fetched,
            Fetch::Unchanged { tip } => {
                return Err(CommandError::usage(format!("nothing was fetched for {tip}")));
            }
        };
        let objects = fetched.objects().map_err(|error| CommandError::failed(&error))?;
        Ok(judge(&objects, case, fetched.tip(), revoked))
    });
    let _gone = std::fs::remove_dir_all(&dir);
    verdict
}

fn write_verdict(
    verdict: &Verdict,
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
    Ok(())
}
