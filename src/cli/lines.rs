//! Environments as their verified tips want them, from the top one down: what hub commands go by.
//!
//! In: a repository, an environment, its anchor. Out: [`Line`]s. Effect: reads, or fetches into a
//! folder of its own that is removed again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::cli::anchor::{anchor_in, clone_here};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind};
use crate::cli::repository::{commit, open};
use crate::clients::git::{FetchProgram, ObjectReader};
use crate::clients::registry::{PlainHttp, RegistryClient};
use crate::config::{BranchName, HubSettings, Remote, RemoteUrl, Requirement, Settings};
use crate::hub::{Wants, open_hub, wanted};
use crate::model::{CommitId, EnvironmentName, Hub};
use crate::reconcile::desired::ResolveError;
use crate::reconcile::source::{Fetch, Source};
use crate::reconcile::trust::{
    Remembered, RevokedKeys, Sightings, SnapshotRequest, VerifyRequest, show, snapshot, verify,
};

/// Environments above one another: more are a circle.
const LINES_MAX: usize = 16;

/// Which lines a command is about.
#[derive(Debug, clap::Args)]
pub struct LinesArgs {
    /// A clone, or an address (default: this node's own, else the clone that you are in)
    #[arg(long, value_name = "PATH|URL")]
    pub repository: Option<String>,
    /// The commit that verification of the topmost environment starts from; those below are named by
    /// its trust.toml (default in a clone: `git config tidegate.<ENV>.anchor`, else as the branch has
    /// it)
    #[arg(long, value_name = "ID")]
    pub anchor: Option<CommitId>,
}

/// An environment, as its verified tip wants it.
#[derive(Debug)]
pub struct Line {
    /// Its name.
    pub environment: EnvironmentName,
    /// The last good commit.
    pub commit: CommitId,
    /// What it wants.
    pub wants: Wants,
    /// Its hub.
    pub hub: Hub,
    /// Whether without TLS.
    pub plain_http: PlainHttp,
    /// The environment below, and where its verification starts.
    below: Option<(EnvironmentName, CommitId)>,
}

/// How lines are read, and how hubs let us in.
pub struct Lines<'a> {
    ctx: &'a Context,
    remote: Remote,
    /// Where environments below lie, if elsewhere.
    sources: BTreeMap<EnvironmentName, Remote>,
    top: Option<(EnvironmentName, CommitId)>,
    /// The node's own ways into hubs; without, those of this user's docker.
    hubs: Option<HubSettings>,
    revoked: RevokedKeys,
    /// Where what was fetched lies.
    store: PathBuf,
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        let _absent = std::fs::remove_dir_all(&self.store);
    }
}

impl<'a> Lines<'a> {
    /// Opens what `args` name; `environment` is whose anchor is given, the node's own without.
    ///
    /// # Errors
    /// When the repository is none, or nothing says where verification starts.
    pub fn open(
        args: &LinesArgs,
        environment: Option<&EnvironmentName>,
        ctx: &'a Context,
    ) -> Result<Self, CommandError> {
        let store =
            std::env::temp_dir().join(format!("tidegate-{}", crate::agent::effects::nonce()));
        let revoked = RevokedKeys::default();
        let text = match (&args.repository, args.anchor) {
            (Some(text), _) => {
                let absolute = std::path::absolute(text).ok().filter(|path| path.exists());
                absolute.map_or_else(|| text.clone(), |path| path.to_string_lossy().into_owned())
            }
            (None, None) if ctx.config.exists() => {
                return Self::of_node(ctx.settings()?, store, ctx);
            }
            (None, _) => clone_here()
                .ok_or_else(|| {
                    CommandError::usage("this is neither a node nor a clone")
                        .hint("run it in a clone, or name one with --repository")
                })?
                .to_string_lossy()
                .into_owned(),
        };
        let environment = environment.ok_or_else(|| {
            CommandError::usage("which environment? name the topmost one (`--env`, `--to`)")
        })?;
        let url = text.parse().map_err(|error| CommandError::usage(format!("{error}")))?;
        let anchor = match (args.anchor, &url) {
            (Some(anchor), _) => anchor,
            (None, RemoteUrl::Path(path)) => {
                open(path)?;
                let tip = commit(path, environment.as_str())?;
                anchor_in(path, environment, tip, ctx)?
            }
            (None, _) => {
                let message = "nothing says where verification starts";
                return Err(CommandError::usage(message)
                    .hint("an address needs --anchor ID; in a clone it is found"));
            }
        };
        let top = Some((environment.clone(), anchor));
        let (remote, sources) = (Remote::plain(url, environment), BTreeMap::new());
        Ok(Self { ctx, remote, sources, top, hubs: None, revoked, store })
    }

    fn of_node(settings: Settings, store: PathBuf, ctx: &'a Context) -> Result<Self, CommandError> {
        if settings.trust.require == Requirement::None {
            return Err(CommandError::usage(
                "this node demands no signatures: nothing is verified",
            )
            .hint("name a repository with --repository PATH --anchor ID"));
        }
        let top = settings.repository.anchor.map(|anchor| (settings.environment.clone(), anchor));
        let revoked = crate::cli::verify::revoked(settings.trust.revoked_keys.as_deref())?;
        let (remote, hubs) = (settings.repository.remote, Some(settings.hub));
        let sources = settings.sources;
        Ok(Self { ctx, remote, sources, top, hubs, revoked, store })
    }

    /// All lines from the topmost down; what is below a line that cannot be used is left out.
    ///
    /// # Errors
    /// When the topmost line does not verify or resolve.
    pub fn all(&self) -> Result<Vec<Line>, CommandError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut next = self.top.clone();
        while let Some((environment, anchor)) = next {
            if lines.len() >= LINES_MAX || lines.iter().any(|l| l.environment == environment) {
                return Err(CommandError::refused(format!("{environment} is below itself")));
            }
            let line = self.line(&environment, anchor)?;
            lines.push(line);
            next = lines.last().and_then(|line| line.below.clone());
        }
        Ok(lines)
    }

    /// A client of a line's hub.
    ///
    /// # Errors
    /// When what lets us in cannot be used.
    pub fn client(&self, line: &Line) -> Result<RegistryClient, CommandError> {
        match &self.hubs {
            Some(settings) => open_hub(&line.hub, line.plain_http, settings)
                .map_err(|error| CommandError::failed(&error).hint("see `[hub]` in agent.toml")),
            None => crate::cli::registry::client(&line.hub, line.plain_http),
        }
    }

    fn line(&self, environment: &EnvironmentName, anchor: CommitId) -> Result<Line, CommandError> {
        let (objects, tip) = self.tip(environment)?;
        let verdict = verify(
            &objects,
            &VerifyRequest {
                environment: environment.clone(),
                anchor,
                remembered: Remembered::Nothing,
                tip,
                revoked: self.revoked.clone(),
                now: Timestamp::now(),
                sights: Sightings::default(),
            },
        );
        if let Some(refused) = &verdict.refused {
            self.ctx.notice(&format!(
                "{environment}: {} is refused: {}; what lies before it counts",
                refused.commit, refused.reason
            ));
        }
        let Some(verified) = verdict.verified else {
            let reason = verdict.refused.map(|refused| refused.reason).unwrap_or_default();
            return Err(CommandError::refused(format!("{environment} does not verify: {reason}")));
        };
        let commit = *verified.get();
        let request = SnapshotRequest { environment, applied: None, revoked: &self.revoked };
        let files = snapshot(&objects, &verified, &request)
            .map_err(|error| CommandError::failed(&error))?;
        let wants = wanted(&files, environment).map_err(|error| {
            let hint = format!("tidegate lint --repository PATH --environment {environment}");
            match &error {
                ResolveError::Invalid(found) => {
                    let first = found.clone().into_sorted().into_iter().next();
                    let first = first.map(|d| format!(": {}: {}", d.file, d.message));
                    let message =
                        format!("{environment} has mistakes{}", first.unwrap_or_default());
                    CommandError::new(ErrorKind::Failed, message).hint(hint)
                }
                ResolveError::TooOld { .. } => CommandError::failed(&error),
            }
        })?;
        let (hub, plain) = wants.hub.clone().ok_or_else(|| {
            CommandError::usage(format!("{environment} has no nodes, which would want images"))
        })?;
        let trust = show(&objects, commit, environment)
            .map_err(|refused| CommandError::refused(refused.reason))?;
        let below = trust.promotion.map(|promotion| (promotion.from, promotion.anchor));
        let plain_http = if plain { PlainHttp::Allowed } else { PlainHttp::Loopback };
        Ok(Line { environment: environment.clone(), commit, wants, hub, plain_http, below })
    }

    /// An environment's branch, and the objects that it needs.
    fn tip(&self, environment: &EnvironmentName) -> Result<(ObjectReader, CommitId), CommandError> {
        let own = self.top.as_ref().is_some_and(|(top, _)| top == environment);
        let remote = match self.sources.get(environment) {
            Some(remote) => remote.clone(),
            None if own => self.remote.clone(),
            None => Remote { branch: BranchName::of(environment), ..self.remote.clone() },
        };
        if let RemoteUrl::Path(path) = &remote.url {
            return Ok((open(path)?, commit(path, remote.branch.as_str())?));
        }
        block_on(async {
            let fail = |error: &dyn std::error::Error| CommandError::failed(error);
            let source =
                Source::open(&self.store, FetchProgram::current()).map_err(|e| fail(&e))?;
            let tip = match source.fetch(&remote, None, &[]).await.map_err(|e| fail(&e))? {
                Fetch::Unchanged { tip } => tip,
                Fetch::New(fetched) => {
                    let tip = fetched.tip();
                    fetched.adopt().map_err(|e| fail(&e))?;
                    tip
                }
            };
            Ok((source.objects().map_err(|e| fail(&e))?, tip))
        })
    }
}
