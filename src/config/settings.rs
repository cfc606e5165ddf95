//! The validated configuration of a node.
//!
//! In: the merged files. Out: [`Settings`], or every mistake at once. Effect: reads the files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::config::files::read_all;
use crate::config::fragment::Fragment;
use crate::config::policy::read_policy;
use crate::config::section::Section;
use crate::config::{BranchName, ConfigError, NodePolicy, Remote, RemoteUrl, RepositoryId};
use crate::model::duration::parse_duration;
use crate::model::{CommitId, Diagnostics, EnvironmentName, Hub, NodeName};

/// Where the configuration lies unless a command says otherwise.
pub const AGENT_TOML: &str = "/etc/tidegate/agent.toml";

const STATE_DIR: &str = "/var/lib/tidegate";
const SOCKET: &str = "/run/docker.sock";
const INTERVAL: Duration = Duration::from_secs(60);
/// More often, a remote would take it for an attack; more rarely, nobody would call it reconciling.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// Longer than it takes to install what one rule asks for, on most nodes.
const PACKAGE_TIME: Duration = Duration::from_secs(300);
/// The agent's check is ended after half an hour, and begins to mend in its first four minutes.
const PACKAGE_TIMES: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(20 * 60);
const KEEP: u32 = 2;
const KEEP_MAX: i64 = 100;

/// The whole configuration of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This node.
    pub node: NodeName,
    /// Its environment.
    pub environment: EnvironmentName,
    /// Where state lives.
    pub state_dir: PathBuf,
    /// Confines the agent to this environment's objects; an unscoped one excludes all others.
    pub scope: Option<EnvironmentName>,
    /// The configuration repository.
    pub repository: RepositorySettings,
    /// Where branches of environments below are, if elsewhere.
    pub sources: BTreeMap<EnvironmentName, Remote>,
    /// What is demanded of commits.
    pub trust: TrustSettings,
    /// The engine.
    pub engine: EngineSettings,
    /// The host that rules are about.
    pub host: HostSettings,
    /// How the environment's hub lets us in.
    pub hub: HubSettings,
    /// This node's own keys.
    pub keys: KeySettings,
    /// What is refused whatever Git says.
    pub policy: NodePolicy,
    /// Which images are kept.
    pub images: ImageSettings,
    /// Where who asks gets metrics; nothing listens where that is not said.
    pub metrics: Option<SocketAddr>,
}

/// The configuration repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositorySettings {
    /// Where it is, and how to be let in.
    pub remote: Remote,
    /// The id that its `tidegate.toml` must hold.
    pub id: RepositoryId,
    /// The commit this node starts from; there whenever signatures are required.
    pub anchor: Option<CommitId>,
    /// How often the remote is asked.
    pub interval: Duration,
}

/// What is demanded of commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSettings {
    /// Whether commits must be signed.
    pub require: Requirement,
    /// Keys revoked on this node.
    pub revoked_keys: Option<PathBuf>,
}

/// Whether commits must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Requirement {
    /// Every commit is judged by TRUST's rules.
    #[default]
    Signed,
    /// Nothing is judged: a local, loud choice for a laptop.
    None,
}

impl FromStr for Requirement {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        match input {
            "signed" => Ok(Self::Signed),
            "none" => Ok(Self::None),
            _ => Err(format!("`{input}` is no requirement: write `signed` or `none`")),
        }
    }
}

/// The engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Its socket.
    pub socket: PathBuf,
}

/// The host that rules are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// Its root: `/`, unless the agent runs in a container and sees the host below a folder.
    pub root: PathBuf,
    /// When a package manager that mends is ended.
    pub package_time_max: Duration,
}

/// How the environment's hub lets us in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HubSettings {
    /// In the format of docker's `config.json`.
    pub credentials: Option<PathBuf>,
    /// Authorities that are trusted besides the system's when images are copied; the engine has its own.
    pub ca: Option<PathBuf>,
    /// The other `host[:port]` that is given the credentials, to grant tokens for the hub.
    pub token_server: Option<String>,
}

/// This node's own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// Proves which objects are ours; made on first start.
    pub node: PathBuf,
}

/// Which images are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSettings {
    /// Versions of each image.
    pub keep: u32,
}

impl Settings {
    /// Reads `path` and its drop-ins.
    ///
    /// # Errors
    /// When a file cannot be read, or with every mistake that the files hold.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_texts(read_all(path)?)
    }

    /// Reads texts by file name: the main file first, then drop-ins, of which a later one wins.
    ///
    /// # Errors
    /// With every mistake that the texts hold.
    pub fn from_texts(texts: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let mut findings = Diagnostics::default();
        let mut merged = Fragment::default();
        for (file, text) in &texts {
            match Fragment::parse(file, text) {
                Ok(fragment) => merged.merge(fragment),
                Err(finding) => findings.push(finding),
            }
        }
        let main = texts.first().map_or(AGENT_TOML, |(file, _)| file.as_str()).to_owned();
        // A file that is not TOML would make half of its keys look missing.
        let settings = if findings.has_errors() {
            None
        } else {
            read(&main, Section::new("", merged, &mut findings))
        };
        match settings {
            Some(settings) if !findings.has_errors() => Ok(settings),
            _ => Err(ConfigError::Invalid {
                findings: findings.into_sorted(),
                sources: texts.into_iter().collect(),
            }),
        }
    }
}

fn read(main: &str, mut top: Section<'_>) -> Option<Settings> {
    let node = required(&mut top, main, "node", "name this node, as in `node = \"n1\"`");
    let environment = required(
        &mut top,
        main,
        "environment",
        "name its environment, as in `environment = \"prd\"`",
    );
    let state_dir = top.path("state_dir").unwrap_or_else(|| STATE_DIR.into());
    let scope: Option<EnvironmentName> = top.parsed("scope");
    let trust = read_trust(top.section("trust"));
    let branch = environment.as_ref().map(BranchName::of);
    let repository = read_repository(main, top.section("repository"), branch, trust.require);
    let engine = read_engine(top.section("engine"));
    let host = read_host(top.section("host"));
    let mut hub_section = top.section("hub");
    let hub = HubSettings {
        credentials: hub_section.path("credentials"),
        ca: hub_section.path("ca"),
        token_server: hub_section.parsed_by("token_server", authority),
    };
    hub_section.finish();
    let keys = read_keys(top.section("keys"), &state_dir);
    let engine_socket = engine.socket.to_string_lossy().into_owned();
    let policy = read_policy(top.section("policy"), engine_socket);
    let images = read_images(top.section("images"));
    let metrics = read_listen(top.section("listen"));
    let sources = read_sources(main, &mut top);
    top.not_yet("collector", "there is no collector yet");
    top.finish();
    Some(Settings {
        node: node?,
        environment: environment?,
        state_dir,
        scope,
        repository: repository?,
        sources,
        trust,
        engine,
        host,
        hub,
        keys,
        policy,
        images,
        metrics,
    })
}

fn required<T>(top: &mut Section<'_>, main: &str, key: &'static str, help: &str) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    if !top.has(key) {
        top.missing(main, key, help);
    }
    top.parsed(key)
}

fn read_trust(mut section: Section<'_>) -> TrustSettings {
    let trust = TrustSettings {
        require: section.parsed("require").unwrap_or_default(),
        revoked_keys: section.path("revoked_keys"),
    };
    section.finish();
    trust
}

/// A `host[:port]`.
fn authority(text: &str) -> Result<String, String> {
    let hub: Hub = text.parse().map_err(|error| format!("{error}"))?;
    match hub.prefix() {
        None => Ok(text.to_ascii_lowercase()),
        Some(_) => Err(format!("`{text}` is no `host[:port]`: leave out the path")),
    }
}

fn read_repository(
    main: &str,
    mut section: Section<'_>,
    branch: Option<BranchName>,
    require: Requirement,
) -> Option<RepositorySettings> {
    let id = required(&mut section, main, "id", "write the `repository` of its tidegate.toml");
    let has_anchor = section.has("anchor");
    let anchor: Option<CommitId> = section.parsed("anchor");
    if require == Requirement::Signed && !has_anchor {
        let help = "write the id of the environment's anchor commit, which its people tell you by \
                    another way than this repository; or, on a laptop, set `trust.require = \"none\"`";
        section.missing(main, "anchor", help);
    }
    let interval = read_interval(&mut section);
    let remote = read_remote(main, &mut section, branch);
    section.finish();
    Some(RepositorySettings { remote: remote?, id: id?, anchor, interval })
}

/// Repositories of environments below.
fn read_sources(main: &str, top: &mut Section<'_>) -> BTreeMap<EnvironmentName, Remote> {
    let mut sources = BTreeMap::new();
    for (environment, name, table) in top.tables::<EnvironmentName>("sources") {
        let mut section = top.named(&name, table);
        let remote = read_remote(main, &mut section, Some(BranchName::of(&environment)));
        section.finish();
        sources.extend(remote.map(|remote| (environment, remote)));
    }
    sources
}

fn read_interval(section: &mut Section<'_>) -> Duration {
    read_duration(section, "interval", INTERVALS, "1s and 24h").unwrap_or(INTERVAL)
}

/// A time in a range, which is also said in words.
fn read_duration(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    words: &str,
) -> Option<Duration> {
    section.parsed_by(key, |text| {
        let time = parse_duration(text).map_err(|error| error.to_string())?;
        let is_in = range.contains(&time);
        if is_in { Ok(time) } else { Err(format!("`{text}` is not between {words}")) }
    })
}

fn read_remote(
    main: &str,
    section: &mut Section<'_>,
    branch: Option<BranchName>,
) -> Option<Remote> {
    let url: Option<RemoteUrl> = required(
        section,
        main,
        "url",
        "write `ssh://`, `https://`, `git://`, `file:///` or a path",
    );
    let branch = if section.has("branch") { section.parsed("branch") } else { branch };
    let known_hosts = section.for_url("known_hosts", url.as_ref(), "ssh");
    let identity = section.for_url("identity", url.as_ref(), "ssh");
    let credentials = section.for_url("credentials", url.as_ref(), "https");
    let ca = section.for_url("ca", url.as_ref(), "https");
    let proxy = section.parsed_by("proxy", |text| match text.strip_prefix("http://") {
        Some(rest) if !rest.is_empty() && !rest.contains(['@', ' ']) => Ok(text.to_owned()),
        _ => Err("a proxy is written `http://host:port`, without user and password".to_owned()),
    });
    if matches!(url, Some(RemoteUrl::Ssh { .. })) {
        if known_hosts.is_none() {
            let help = "write a file with the host's key, from `ssh-keyscan` and checked by hand";
            section.missing(main, "known_hosts", help);
        }
        if identity.is_none() {
            section.missing(main, "identity", "write the file of a private key that may read");
        }
    }
    Some(Remote { url: url?, branch: branch?, known_hosts, identity, credentials, ca, proxy })
}

fn read_engine(mut section: Section<'_>) -> EngineSettings {
    let read = |text: &str| {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') {
            Ok(PathBuf::from(path))
        } else {
            Err(format!("`{text}` is not a local socket: write `unix:///run/docker.sock`"))
        }
    };
    let socket = section.parsed_by("socket", read).unwrap_or_else(|| SOCKET.into());
    section.finish();
    EngineSettings { socket }
}

fn read_host(mut section: Section<'_>) -> HostSettings {
    let root = section.path("root").unwrap_or_else(|| PathBuf::from("/"));
    let time = read_duration(&mut section, "package_timeout", PACKAGE_TIMES, "10s and 20m");
    section.finish();
    HostSettings { root, package_time_max: time.unwrap_or(PACKAGE_TIME) }
}

fn read_keys(mut section: Section<'_>, state_dir: &Path) -> KeySettings {
    let node = section.path("node").unwrap_or_else(|| state_dir.join("node.key"));
    section.not_yet("secrets", "secrets come with a later one");
    section.finish();
    KeySettings { node }
}

fn read_images(mut section: Section<'_>) -> ImageSettings {
    let keep = section.integer("keep", 1..=KEEP_MAX).and_then(|n| u32::try_from(n).ok());
    section.finish();
    ImageSettings { keep: keep.unwrap_or(KEEP) }
}

fn read_listen(mut section: Section<'_>) -> Option<SocketAddr> {
    let metrics = section.parsed_by("metrics", |text| match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err(format!("`{text}` is no address and port: write for example `127.0.0.1:9469`")),
    });
    section.finish();
    metrics
}
