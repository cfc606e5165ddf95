//! Where a repository is, and how to be let in.
//!
//! In: text. Out: [`Remote`], [`RemoteUrl`]. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::model::EnvironmentName;

/// A repository to fetch from, and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub url: RemoteUrl,
    /// The branch to follow.
    pub branch: BranchName,
    /// Host keys that are trusted (ssh).
    pub known_hosts: Option<PathBuf>,
    /// Private key (ssh).
    pub identity: Option<PathBuf>,
    /// File with one line `user:password` (https).
    pub credentials: Option<PathBuf>,
    /// Authorities that are trusted instead of the system's (https).
    pub ca: Option<PathBuf>,
    /// Proxy, as `http://host:port` (https).
    pub proxy: Option<String>,
}

impl Remote {
    /// A repository that needs nothing to be let in, at `environment`'s own branch.
    pub fn plain(url: RemoteUrl, environment: &EnvironmentName) -> Self {
        Self {
            url,
            branch: BranchName::of(environment),
            known_hosts: None,
            identity: None,
            credentials: None,
            ca: None,
            proxy: None,
        }
    }
}

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteUrl {
    /// A folder of this machine: a bare repository or a work tree.
    Path(PathBuf),
    /// `ssh://[user@]host[:port]/path`.
    Ssh {
        /// As written.
        url: String,
        /// `host`, or `[host]:port` as `known_hosts` writes it.
        host: String,
    },
    /// `https://host[:port]/path`.
    Https(String),
    /// `git://host[:port]/path`: neither secret nor authentic, which trust does not need.
    Git(String),
}

/// A text that is no address of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not the address of a repository: {reason}")]
pub struct RemoteUrlError {
    /// The text, without what may be a password.
    pub shown: String,
    /// What to write instead.
    pub reason: &'static str,
}

impl FromStr for RemoteUrl {
    type Err = RemoteUrlError;
    fn from_str(input: &str) -> Result<Self, RemoteUrlError> {
        let error = |reason| RemoteUrlError { shown: without_user(input), reason };
        if input.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(error("it may not hold spaces or control characters"));
        }
        if input.starts_with('/') {
            return Ok(Self::Path(PathBuf::from(input)));
        }
        let Some((scheme, rest)) = input.split_once("://") else {
            return Err(error(
                "write `/path`, `file:///path`, `ssh://user@host/path`, `https://host/path` or `git://host/path`",
            ));
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if path.len() < 2 {
            return Err(error("the path is missing"));
        }
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if scheme == "file" {
            return match authority {
                "" => Ok(Self::Path(PathBuf::from(path))),
                _ => Err(error("write `file:///path` with three slashes")),
            };
        }
        if host.is_empty() || host.starts_with(['-', ':']) {
            return Err(error("the host is missing"));
        }
        match scheme {
            "ssh" if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) => {
                Err(error("a password does not belong here; use `identity`"))
            }
            "ssh" => Ok(Self::Ssh { url: input.to_owned(), host: known_hosts_name(host) }),
            "https" | "git" if authority.contains('@') => {
                Err(error("user and password do not belong here; use `credentials`"))
            }
            "https" => Ok(Self::Https(input.to_owned())),
            "git" => Ok(Self::Git(input.to_owned())),
            "http" => Err(error("credentials would travel in clear; use https, ssh or git")),
            _ => Err(error("the scheme is none of file, ssh, https and git")),
        }
    }
}

/// The text without what stands before `@` in its authority.
fn without_user(input: &str) -> String {
    let Some((scheme, rest)) = input.split_once("://") else { return input.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => input.to_owned(),
    }
}

fn known_hosts_name(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, "22")) => name.to_owned(),
        Some((name, port)) if !name.ends_with(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("[{}]:{port}", name.trim_matches(['[', ']']))
        }
        _ => host.trim_matches(['[', ']']).to_owned(),
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Ssh { url, .. } | Self::Https(url) | Self::Git(url) => f.pad(url),
        }
    }
}

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not {wanted}")]
pub struct TextError {
    /// The text as given.
    pub input: String,
    /// What it should have been.
    pub wanted: &'static str,
}

/// A branch, without `refs/heads/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BranchName(String);

impl BranchName {
    /// The branch that is named as the environment.
    pub fn of(environment: &EnvironmentName) -> Self {
        Self(environment.as_str().to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BranchName {
    type Err = TextError;
    fn from_str(input: &str) -> Result<Self, TextError> {
        let part = |part: &str| {
            let bytes = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.ends_with('.')
                && part.strip_suffix(".lock").is_none()
                && !part.contains("..")
                && part.bytes().all(bytes)
        };
        if input.len() <= 200 && !input.starts_with("refs/") && input.split('/').all(part) {
            Ok(Self(input.to_owned()))
        } else {
            let wanted = "a branch: write letters, digits, `-`, `_`, `.` and `/`, without `refs/`";
            Err(TextError { input: input.to_owned(), wanted })
        }
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id that a repository gives itself in `tidegate.toml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryId(String);

impl RepositoryId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryId {
    type Err = TextError;
    fn from_str(input: &str) -> Result<Self, TextError> {
        let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (1..=64).contains(&input.len()) && input.bytes().all(byte) {
            Ok(Self(input.to_owned()))
        } else {
            let wanted = "a repository id: write up to 64 letters, digits, `-`, `_` and `.`";
            Err(TextError { input: input.to_owned(), wanted })
        }
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
