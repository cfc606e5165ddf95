//! Where an image lies: a hub, a repository path in it, a digest.
//!
//! In: text. Out: [`Hub`], [`RepositoryPath`], [`ImageReference`]. Pure.

use std::fmt;
use std::str::FromStr;

use crate::model::digest::Digest;

/// A text that is not a place of images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not {wanted}")]
pub struct ImageReferenceError {
    /// The text as given.
    pub input: String,
    /// What it should have been.
    pub wanted: &'static str,
}

/// The longest repository path (OCI distribution spec advises 255 for host and name).
const PATH_BYTES_MAX: usize = 200;

fn is_path(input: &str) -> bool {
    let component = |part: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(part.bytes().next())
            && edge(part.bytes().last())
            && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    };
    input.len() <= PATH_BYTES_MAX && input.split('/').all(component)
}

/// A repository path in a hub, `app1/web`: never a host, never a tag.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPath(String);

impl RepositoryPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryPath {
    type Err = ImageReferenceError;
    fn from_str(input: &str) -> Result<Self, ImageReferenceError> {
        let host_like = input
            .split_once('/')
            .is_some_and(|(first, _)| first.contains('.') || first == "localhost");
        if is_path(input) && !host_like {
            return Ok(Self(input.to_owned()));
        }
        Err(ImageReferenceError {
            input: input.to_owned(),
            wanted: "a repository path in the environment's hub: write for example `app1/web`, with no host, tag or digest",
        })
    }
}

impl TryFrom<String> for RepositoryPath {
    type Error = ImageReferenceError;
    fn try_from(input: String) -> Result<Self, ImageReferenceError> {
        input.parse()
    }
}

impl From<RepositoryPath> for String {
    fn from(path: RepositoryPath) -> Self {
        path.0
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An environment's private registry: `host[:port][/prefix]`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Hub {
    authority: String,
    prefix: Option<String>,
}

impl Hub {
    /// `host[:port]`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path before every repository, if any.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// The host without its port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    /// Whether the host is this machine, where plain HTTP is allowed.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for Hub {
    type Err = ImageReferenceError;
    fn from_str(input: &str) -> Result<Self, ImageReferenceError> {
        let error = || ImageReferenceError {
            input: input.to_owned(),
            wanted: "a hub: write `host`, `host:port` or `host:port/prefix`, without `https://`",
        };
        let (authority, prefix) = match input.split_once('/') {
            Some((authority, prefix)) => (authority, Some(prefix)),
            None => (input, None),
        };
        let host_bytes =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        let good = !authority.is_empty()
            && authority.bytes().all(host_bytes)
            && prefix.is_none_or(is_path);
        if good {
            Ok(Self { authority: authority.to_owned(), prefix: prefix.map(str::to_owned) })
        } else {
            Err(error())
        }
    }
}

impl TryFrom<String> for Hub {
    type Error = ImageReferenceError;
    fn try_from(input: String) -> Result<Self, ImageReferenceError> {
        input.parse()
    }
}

impl From<Hub> for String {
    fn from(hub: Hub) -> Self {
        hub.to_string()
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.authority),
            None => f.pad(&self.authority),
        }
    }
}

/// The exact image: `hub/app1/web@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ImageReference {
    /// The registry.
    pub hub: Hub,
    /// The repository in it.
    pub repository: RepositoryPath,
    /// The manifest or index.
    pub digest: Digest,
}

impl ImageReference {
    /// `hub/app1/web`, without the digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.hub, self.repository)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.hub, self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::image::{Hub, RepositoryPath};

    #[test]
    fn an_image_is_a_path_and_never_a_host_or_a_tag() {
        assert!("app1/web".parse::<RepositoryPath>().is_ok());
        for bad in
            ["web:1", "docker.io/web", "localhost/web", "Web", "a//b", "", "web@sha256:0", "../x"]
        {
            assert!(bad.parse::<RepositoryPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hub_is_a_host_with_port_and_prefix() {
        let hub: Hub = "dckhub.prd:5000/team".parse().unwrap();
        assert_eq!(
            (hub.host(), hub.authority(), hub.prefix()),
            ("dckhub.prd", "dckhub.prd:5000", Some("team"))
        );
        assert_eq!(hub.to_string(), "dckhub.prd:5000/team");
        assert!("127.0.0.1:5000".parse::<Hub>().unwrap().is_loopback());
        assert!("[::1]:5000".parse::<Hub>().unwrap().is_loopback());
        for bad in ["https://x", "", "a b", "x/UP"] {
            assert!(bad.parse::<Hub>().is_err(), "{bad}");
        }
    }
}
