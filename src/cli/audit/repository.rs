//! The history that an auditor asks about: a clone, an address, or this node's own repository.
//!
//! In: arguments, the node's configuration. Out: judged chains. Effect: reads the repository; an
//! address is fetched into a directory of its own, which is removed again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::audit::chain::Chain;
use crate::audit::provenance::Looked;
use crate::cli::context::{Context, block_on};
use crate::cli::error::CommandError;
use crate::cli::repository::{commit, open};
use crate::clients::git::{FetchProgram, ObjectReader};
use crate::clients::host::read_bounded;
use crate::config::{BranchName, Remote, RemoteUrl};
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::source::{Fetch, Source};
use crate::reconcile::trust::{Remembered, RevokedKeys, Sightings, VerifyRequest, show};

/// A list of revoked keys longer than this is a mistake.
const REVOKED_BYTES_MAX: u64 = 1 << 20;
/// Environments in a line, as many as trust allows.
const ENVIRONMENTS_MAX: usize = 32;

/// Which history is asked about.
#[derive(Debug, clap::Args)]
pub(super) struct AuditPlace {
    /// Environment
    #[arg(long = "env", visible_alias = "environment", value_name = "NAME")]
    environment: EnvironmentName,
    /// A clone on this machine, or an address (default: this node's own repository)
    #[arg(long, value_name = "PATH|URL", requires = "anchor")]
    repository: Option<String>,
    /// The commit that you vouch for: the environment's anchor, or a checkpoint
    #[arg(long, value_name = "ID", requires = "repository")]
    anchor: Option<CommitId>,
    /// Up to this branch or commit (default: the environment's branch)
    #[arg(long, value_name = "REV", requires = "repository")]
    revision: Option<String>,
    /// Keys that are revoked, one a line
    #[arg(long, value_name = "FILE")]
    revoked_keys: Option<PathBuf>,
}

/// A repository to judge, and what its branches point at.
struct Opened {
    objects: ObjectReader,
    anchor: CommitId,
    revoked: RevokedKeys,
    /// The clone; none if it was fetched.
    clone: Option<PathBuf>,
    tips: BTreeMap<EnvironmentName, CommitId>,
}

impl Opened {
    fn tip(&self, environment: &EnvironmentName) -> Option<CommitId> {
        let local = || commit(self.clone.as_deref()?, environment.as_str()).ok();
        self.tips.get(environment).copied().or_else(local)
    }

    fn chain(
        &self,
        environment: &EnvironmentName,
        anchor: CommitId,
        tip: CommitId,
    ) -> Result<Chain<'_, ObjectReader>, CommandError> {
        let request = VerifyRequest {
            environment: environment.clone(),
            anchor,
            remembered: Remembered::Nothing,
            tip,
            revoked: self.revoked.clone(),
            now: Timestamp::now(),
            sights: Sightings::default(),
        };
        Chain::read(&self.objects, &request).map_err(|error| CommandError::failed(&error))
    }
}

/// Calls `work` with the environment's chain.
///
/// # Errors
/// When the repository cannot be read, or `work` fails.
pub(super) fn with_chain<T>(
    place: &AuditPlace,
    ctx: &Context,
    work: impl FnOnce(&Chain<'_, ObjectReader>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    with_opened(place, ctx, |opened| {
        let environment = &place.environment;
        let tip = opened.tip(environment).ok_or_else(|| no_branch(environment))?;
        work(&opened.chain(environment, opened.anchor, tip)?)
    })
}

/// Calls `work` with the chains of the environment and of those below it, the first one first.
///
/// # Errors
/// When the repository cannot be read, or `work` fails.
pub(super) fn with_chains<T>(
    place: &AuditPlace,
    ctx: &Context,
    work: impl FnOnce(&[Looked<'_, ObjectReader>]) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    with_opened(place, ctx, |opened| {
        let (mut environment, mut anchor) = (place.environment.clone(), opened.anchor);
        let tip = opened.tip(&environment).ok_or_else(|| no_branch(&environment))?;
        let (mut tip, mut is_last_source) = (tip, false);
        let mut chains: Vec<Looked<'_, ObjectReader>> = Vec::new();
        while chains.len() < ENVIRONMENTS_MAX {
            let chain = opened.chain(&environment, anchor, tip)?;
            let below = chain.below();
            let last_source = chain.last_source();
            chains.push(Looked { chain, is_last_source });
            let Some((next, its_anchor)) = below else { break };
            // An auditor may not be shown the branches below: what was promoted is there anyway.
            let branch = opened.tip(&next);
            let Some(its_tip) = branch.or(last_source) else { break };
            (environment, anchor, tip) = (next, its_anchor, its_tip);
            is_last_source = branch.is_none();
        }
        chains.reverse();
        work(&chains)
    })
}

fn no_branch(environment: &EnvironmentName) -> CommandError {
    CommandError::usage(format!("the repository has no branch `{environment}`"))
        .hint("`git branch --all` lists the branches; name another one with --revision")
}

fn with_opened<T>(
    place: &AuditPlace,
    ctx: &Context,
    work: impl FnOnce(&Opened) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let Asked { remote, sources, anchor, revoked } = asked(place, ctx)?;
    let revoked = revoked_keys(revoked.as_deref())?;
    if let RemoteUrl::Path(path) = &remote.url {
        let mut tips = BTreeMap::new();
        let revision = place.revision.as_deref().unwrap_or(remote.branch.as_str());
        tips.insert(place.environment.clone(), commit(path, revision)?);
        let (objects, clone) = (open(path)?, Some(path.clone()));
        return work(&Opened { objects, anchor, revoked, clone, tips });
    }
    let dir = std::env::temp_dir().join(format!("tidegate-{}", crate::agent::effects::nonce()));
    let result = fetched(&dir, &remote, &sources, place)
        .and_then(|(objects, tips)| work(&Opened { objects, anchor, revoked, clone: None, tips }));
    let _gone = std::fs::remove_dir_all(&dir);
    result
}

/// Where to look, and what is vouched for.
struct Asked {
    remote: Remote,
    /// Where branches of environments below are, if elsewhere.
    sources: BTreeMap<EnvironmentName, Remote>,
    anchor: CommitId,
    revoked: Option<PathBuf>,
}

fn asked(place: &AuditPlace, ctx: &Context) -> Result<Asked, CommandError> {
    let environment = &place.environment;
    if let (Some(text), Some(anchor)) = (&place.repository, place.anchor) {
        let absolute = std::path::absolute(text).ok().filter(|path| path.exists());
        let text =
            absolute.map_or_else(|| text.clone(), |path| path.to_string_lossy().into_owned());
        let url = text.parse().map_err(|error| CommandError::usage(format!("{error}")))?;
        let (remote, revoked) = (Remote::plain(url, environment), place.revoked_keys.clone());
        return Ok(Asked { remote, sources: BTreeMap::new(), anchor, revoked });
    }
    let settings = ctx.settings().map_err(|error| {
        error.hint("on no node, name a clone and its anchor: --repository PATH --anchor ID")
    })?;
    if settings.environment != *environment {
        let own = &settings.environment;
        return Err(CommandError::usage(format!(
            "this node belongs to {own}, not to {environment}"
        ))
        .hint("name a clone and its anchor: --repository PATH --anchor ID"));
    }
    let anchor = settings.repository.anchor.ok_or_else(|| {
        CommandError::usage("this node demands no signatures: there is nothing to verify against")
    })?;
    let revoked = place.revoked_keys.clone().or(settings.trust.revoked_keys);
    let (remote, sources) = (settings.repository.remote, settings.sources);
    Ok(Asked { remote, sources, anchor, revoked })
}

fn revoked_keys(path: Option<&Path>) -> Result<RevokedKeys, CommandError> {
    let Some(path) = path else { return Ok(RevokedKeys::default()) };
    let bytes = read_bounded(path, REVOKED_BYTES_MAX)
        .map_err(|error| CommandError::failed(&error))?
        .ok_or_else(|| CommandError::usage(format!("there is no {}", path.display())))?;
    let text = String::from_utf8_lossy(&bytes);
    RevokedKeys::parse(&text).map_err(|error| CommandError::failed(&error))
}

type Fetched = (ObjectReader, BTreeMap<EnvironmentName, CommitId>);

/// Fetches the environment's branch, and as far as they are shown those below it: picks name commits
/// that lie on no other branch.
fn fetched(
    dir: &Path,
    remote: &Remote,
    sources: &BTreeMap<EnvironmentName, Remote>,
    place: &AuditPlace,
) -> Result<Fetched, CommandError> {
    if place.revision.as_ref().is_some_and(|revision| revision.parse::<BranchName>().is_err()) {
        return Err(CommandError::usage(
            "--revision names a branch where the repository is an address",
        ));
    }
    block_on(async {
        let failed = |error| CommandError::failed(&error);
        let source = Source::open(dir, FetchProgram::current()).map_err(failed)?;
        let mut tips = BTreeMap::new();
        let mut environment = place.environment.clone();
        while tips.len() < ENVIRONMENTS_MAX && !tips.contains_key(&environment) {
            let remote = match (tips.is_empty(), &place.revision, sources.get(&environment)) {
                (true, Some(revision), _) => {
                    let branch = revision.parse().unwrap_or_else(|_| remote.branch.clone());
                    Remote { branch, ..remote.clone() }
                }
                (true, None, _) => remote.clone(),
                (false, _, Some(elsewhere)) => elsewhere.clone(),
                (false, _, None) => {
                    Remote { branch: BranchName::of(&environment), ..remote.clone() }
                }
            };
            let tip = match source.fetch(&remote, None, &[]).await {
                Ok(Fetch::New(fetched)) => {
                    let tip = fetched.tip();
                    fetched.adopt().map_err(failed)?;
                    tip
                }
                Ok(Fetch::Unchanged { tip }) => tip,
                Err(error) if tips.is_empty() => return Err(failed(error)),
                Err(_) => break,
            };
            tips.insert(environment.clone(), tip);
            // Only which branch to ask for next is read from it: nothing is believed yet.
            let summary = show(&source.objects().map_err(failed)?, tip, &environment).ok();
            let Some(promotion) = summary.and_then(|summary| summary.promotion) else { break };
            environment = promotion.from;
        }
        Ok((source.objects().map_err(failed)?, tips))
    })
}
