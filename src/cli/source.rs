//! The repository whose lines a command judges: a clone, an address, or this node's own.
//!
//! In: arguments, the node's configuration. Out: [`Opened`]: objects, and what branches point at.
//! Effect: reads the repository; an address is fetched with the branches below, as far as they are
//! shown, into a directory of its own, which is removed again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::anchor::{anchor_in, clone_here, pinned_in};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind};
use crate::cli::repository::{commit, line, open};
use crate::clients::git::{FetchProgram, ObjectReader};
use crate::clients::host::read_bounded;
use crate::config::{BranchName, HubSettings, Remote, RemoteUrl, Requirement};
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::source::{Fetch, Source};
use crate::reconcile::trust::{ENVIRONMENTS_MAX, RevokedKeys, show};
use crate::telemetry::Chain;

/// A list of revoked keys longer than this is a mistake.
const REVOKED_BYTES_MAX: u64 = 1 << 20;

/// Which repository, and how it lets us in.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// A clone, or an address (default: this node's own, or the clone that you are in)
    #[arg(long, value_name = "PATH|URL")]
    pub repository: Option<String>,
    /// The commit that you vouch for: the topmost environment's anchor, or a checkpoint; those of the
    /// environments below stand in its trust.toml (default in a clone: as
    /// `git config tidegate.<ENV>.anchor` has it; for `hub`, else the branch)
    #[arg(long, value_name = "ID")]
    pub anchor: Option<CommitId>,
    /// Keys that are revoked, one a line
    #[arg(long, value_name = "FILE")]
    pub revoked_keys: Option<PathBuf>,
    /// Private key for an address (ssh)
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub identity: Option<PathBuf>,
    /// Host keys that are trusted for an address (ssh; default: your own `known_hosts`)
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub known_hosts: Option<PathBuf>,
    /// File with one line `user:password` for an address (https)
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub credentials: Option<PathBuf>,
    /// Authorities that are trusted for an address instead of the system's (https)
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub ca: Option<PathBuf>,
    /// Proxy for an address, as `http://host:port` (https)
    #[arg(long, value_name = "URL", requires = "repository")]
    pub proxy: Option<String>,
}

/// What is judged, and by what.
#[derive(Debug)]
pub struct Question {
    /// Where the environment's branch is.
    pub remote: Remote,
    /// Where branches of environments below are, if elsewhere.
    pub sources: BTreeMap<EnvironmentName, Remote>,
    /// Whose branch.
    pub environment: EnvironmentName,
    /// Where judging begins.
    pub anchor: CommitId,
    /// Keys that do not count.
    pub revoked: RevokedKeys,
    /// The node's own ways into hubs, where it is asked about itself.
    pub hubs: Option<HubSettings>,
}

/// A repository to judge, and what its branches point at.
#[derive(Debug)]
pub struct Opened {
    /// Its objects.
    pub objects: ObjectReader,
    /// What the environment's branch, or the revision that was asked for, points at.
    pub tip: CommitId,
    place: Location,
}

#[derive(Debug)]
enum Location {
    /// A repository on this machine.
    Here(PathBuf),
    /// What was fetched.
    Fetched { tips: BTreeMap<EnvironmentName, CommitId>, dir: PathBuf },
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Location::Fetched { dir, .. } = &self.place {
            let _gone = std::fs::remove_dir_all(dir);
        }
    }
}

impl Opened {
    /// What the branch of an environment below points at, if that is shown.
    pub fn below(&self, environment: &EnvironmentName) -> Option<CommitId> {
        match &self.place {
            Location::Here(path) => line(path, environment).ok(),
            Location::Fetched { tips, .. } => tips.get(environment).copied(),
        }
    }
}

impl Question {
    /// What `args` ask about, from a commit that somebody vouches for; without a repository, this
    /// node's own.
    ///
    /// # Errors
    /// When something is missing, or cannot be used.
    pub fn of(
        args: &SourceArgs,
        environment: Option<&EnvironmentName>,
        ctx: &Context,
    ) -> Result<Self, CommandError> {
        match (&args.repository, args.anchor) {
            (None, None) => match Self::of_clone(args, environment, ctx)? {
                Some(question) => Ok(question),
                None => Self::of_node(args, environment, ctx),
            },
            (Some(text), Some(anchor)) => {
                let (remote, environment) = remote(args, text, environment)?;
                Self::at(args, remote, environment, anchor)
            }
            (Some(text), None) => {
                let (remote, environment) = remote(args, text, environment)?;
                let pinned = match &remote.url {
                    RemoteUrl::Path(path) => {
                        open(path)?;
                        pinned_in(path, &environment)?
                    }
                    _ => None,
                };
                let anchor = pinned.ok_or_else(|| {
                    let hint = format!(
                        "name the commit that you vouch for: --anchor ID, or in a clone \
                         git config tidegate.{environment}.anchor ID"
                    );
                    CommandError::usage("nothing says where verification starts").hint(hint)
                })?;
                Self::at(args, remote, environment, anchor)
            }
            (None, Some(_)) => Err(CommandError::usage("whose anchor is it?")
                .hint("name a clone or an address, too: --repository PATH")),
        }
    }

    /// The clone that somebody stands in, if this is no node and git was told what to vouch for.
    fn of_clone(
        args: &SourceArgs,
        environment: Option<&EnvironmentName>,
        ctx: &Context,
    ) -> Result<Option<Self>, CommandError> {
        let Some(environment) = environment.filter(|_| !is_node(ctx)) else { return Ok(None) };
        let Some(path) = clone_here() else { return Ok(None) };
        let Some(anchor) = pinned_in(&path, environment)? else { return Ok(None) };
        let (remote, environment) = remote(args, &path.to_string_lossy(), Some(environment))?;
        Self::at(args, remote, environment, anchor).map(Some)
    }

    /// The same for those who work in a clone: what they leave out is found there.
    ///
    /// # Errors
    /// When something is missing, or cannot be used.
    pub fn found(
        args: &SourceArgs,
        environment: Option<&EnvironmentName>,
        ctx: &Context,
    ) -> Result<Self, CommandError> {
        let text = match (&args.repository, args.anchor) {
            (Some(text), _) => text.clone(),
            // On a node its own environment is the topmost, whichever is asked about.
            (None, None) if is_node(ctx) => return Self::of_node(args, None, ctx),
            (None, _) => clone_here()
                .ok_or_else(|| {
                    CommandError::usage("this is neither a node nor a clone")
                        .hint("run it in a clone, or name one with --repository")
                })?
                .to_string_lossy()
                .into_owned(),
        };
        let (remote, environment) = remote(args, &text, environment)?;
        let anchor = match (args.anchor, &remote.url) {
            (Some(anchor), _) => anchor,
            (None, RemoteUrl::Path(path)) => {
                open(path)?;
                let tip = line(path, &environment)?;
                anchor_in(path, &environment, tip, ctx)?
            }
            (None, _) => {
                let message = "nothing says where verification starts";
                return Err(CommandError::usage(message)
                    .hint("an address needs --anchor ID; in a clone it is found"));
            }
        };
        Self::at(args, remote, environment, anchor)
    }

    fn at(
        args: &SourceArgs,
        remote: Remote,
        environment: EnvironmentName,
        anchor: CommitId,
    ) -> Result<Self, CommandError> {
        let revoked = revoked_keys(args.revoked_keys.as_deref())?;
        Ok(Self { remote, sources: BTreeMap::new(), environment, anchor, revoked, hubs: None })
    }

    fn of_node(
        args: &SourceArgs,
        environment: Option<&EnvironmentName>,
        ctx: &Context,
    ) -> Result<Self, CommandError> {
        let elsewhere = "on no node, name a repository: --repository PATH --env NAME --anchor ID";
        let settings = ctx.settings().map_err(|error| match error.kind {
            ErrorKind::Usage => error.hint(elsewhere),
            _ => error,
        })?;
        let own = settings.environment;
        if let Some(asked) = environment.filter(|asked| **asked != own) {
            let message = format!("this node belongs to {own}, not to {asked}");
            return Err(CommandError::usage(message).hint(elsewhere));
        }
        let demanded = settings.trust.require != Requirement::None;
        let anchor = settings.repository.anchor.filter(|_| demanded).ok_or_else(|| {
            CommandError::usage("this node demands no signatures: nothing is verified")
                .hint(elsewhere)
        })?;
        let revoked = args.revoked_keys.clone().or(settings.trust.revoked_keys);
        let revoked = revoked_keys(revoked.as_deref())?;
        let (remote, sources) = (settings.repository.remote, settings.sources);
        Ok(Self { remote, sources, environment: own, anchor, revoked, hubs: Some(settings.hub) })
    }

    /// Opens it, at a revision or at the environment's branch.
    ///
    /// # Errors
    /// When it cannot be read, or has no such revision.
    pub fn open(&self, revision: Option<&str>, ctx: &Context) -> Result<Opened, CommandError> {
        if let (RemoteUrl::Path(path), true) = (&self.remote.url, self.sources.is_empty()) {
            let objects = open(path)?;
            // What a node's configuration names is a branch of this very repository.
            let is_line = self.hubs.is_none();
            let tip = match revision {
                None if is_line => line(path, &self.environment),
                None => commit(path, self.remote.branch.as_str()),
                Some(revision) => commit(path, revision),
            }?;
            return Ok(Opened { objects, tip, place: Location::Here(path.clone()) });
        }
        let mut remote = self.remote.clone();
        if let Some(revision) = revision {
            remote.branch = revision.parse().map_err(|_| {
                CommandError::usage("--revision names a branch where the repository is an address")
            })?;
        }
        let dir = std::env::temp_dir().join(format!("tidegate-{}", crate::agent::effects::nonce()));
        let fetched = block_on(self.fetch(&dir, &remote, ctx));
        fetched.inspect_err(|_| {
            let _gone = std::fs::remove_dir_all(&dir);
        })
    }

    /// Fetches the environment's branch, and those below it as far as they are shown: picks name
    /// commits that lie on no other branch.
    async fn fetch(
        &self,
        dir: &Path,
        remote: &Remote,
        ctx: &Context,
    ) -> Result<Opened, CommandError> {
        let failed = |error| CommandError::failed(&error);
        let source = Source::open(dir, FetchProgram::current()).map_err(failed)?;
        let mut tips = BTreeMap::new();
        let (mut environment, mut remote) = (self.environment.clone(), remote.clone());
        while tips.len() < ENVIRONMENTS_MAX && !tips.contains_key(&environment) {
            let fetched = match source.fetch(&remote, None, &[]).await {
                Ok(fetched) => fetched,
                Err(error) if tips.is_empty() => return Err(let_in(&remote, failed(error))),
                Err(error) => {
                    ctx.notice(&format!(
                        "the branch of {environment} is not looked at, promotions from it are \
                         judged as far as the branches above hold them: {}",
                        Chain(&error)
                    ));
                    break;
                }
            };
            let tip = match fetched {
                Fetch::Unchanged { tip } => tip,
                Fetch::New(fetched) => {
                    let tip = fetched.tip();
                    fetched.adopt().map_err(failed)?;
                    tip
                }
            };
            tips.insert(environment.clone(), tip);
            // Only which branch to ask for next is read from it: nothing is believed yet.
            let trust = show(&source.objects().map_err(failed)?, tip, &environment).ok();
            let Some(promotion) = trust.and_then(|trust| trust.promotion) else { break };
            environment = promotion.from;
            let beside = || Remote { branch: BranchName::of(&environment), ..self.remote.clone() };
            remote = self.sources.get(&environment).cloned().unwrap_or_else(beside);
        }
        let objects = source.objects().map_err(failed)?;
        let tip = tips.get(&self.environment).copied();
        let tip = tip.ok_or_else(|| CommandError::usage("nothing was fetched"))?;
        Ok(Opened { objects, tip, place: Location::Fetched { tips, dir: dir.to_owned() } })
    }
}

/// Whether this machine is a node; what may not be looked at is there.
fn is_node(ctx: &Context) -> bool {
    !matches!(ctx.config.try_exists(), Ok(false))
}

/// The repository that `text` names, and how it lets us in.
fn remote(
    args: &SourceArgs,
    text: &str,
    environment: Option<&EnvironmentName>,
) -> Result<(Remote, EnvironmentName), CommandError> {
    let environment = environment.ok_or_else(|| {
        CommandError::usage("which environment? name the topmost one (`--env`, `--to`)")
    })?;
    let absolute = std::path::absolute(text).ok().filter(|path| path.exists());
    let text = absolute.map_or_else(|| text.to_owned(), |path| path.to_string_lossy().into_owned());
    let url = text.parse().map_err(|error| CommandError::usage(format!("{error}")))?;
    let mut remote = Remote::plain(url, environment);
    remote.identity.clone_from(&args.identity);
    remote.known_hosts = args.known_hosts.clone().or_else(|| known_hosts(&remote.url));
    remote.credentials.clone_from(&args.credentials);
    remote.ca.clone_from(&args.ca);
    remote.proxy.clone_from(&args.proxy);
    if matches!(remote.url, RemoteUrl::Ssh { .. }) && remote.known_hosts.is_none() {
        return Err(CommandError::usage("which host keys are trusted? --known-hosts FILE")
            .hint("`ssh-keyscan` prints a server's; compare them with what its people say"));
    }
    Ok((remote, environment.clone()))
}

/// Where a person's own ssh keeps host keys.
fn known_hosts(url: &RemoteUrl) -> Option<PathBuf> {
    let file = std::env::home_dir()?.join(".ssh/known_hosts");
    (matches!(url, RemoteUrl::Ssh { .. }) && file.is_file()).then_some(file)
}

/// How an address may let us in after all.
fn let_in(remote: &Remote, error: CommandError) -> CommandError {
    match &remote.url {
        RemoteUrl::Ssh { .. } if remote.identity.is_none() => {
            error.hint("which key opens it? --identity FILE")
        }
        RemoteUrl::Https(_) if remote.credentials.is_none() => {
            error.hint("if it asks for a password: --credentials FILE")
        }
        _ => error,
    }
}

/// The keys that a file revokes; none without one.
///
/// # Errors
/// When it cannot be read.
pub fn revoked_keys(path: Option<&Path>) -> Result<RevokedKeys, CommandError> {
    let Some(path) = path else { return Ok(RevokedKeys::default()) };
    let bytes = read_bounded(path, REVOKED_BYTES_MAX)
        .map_err(|error| CommandError::failed(&error))?
        .ok_or_else(|| CommandError::usage(format!("there is no {}", path.display())))?;
    let text = String::from_utf8_lossy(&bytes);
    RevokedKeys::parse(&text).map_err(|error| CommandError::failed(&error))
}
