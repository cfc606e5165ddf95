//! A path of the host that a rule may name.
//!
//! In: text. Out: [`HostPath`]. Pure.
//!
//! # Guarantees
//! * Absolute, without `.`, `..`, empty steps, NUL and line ends: what is read is what is meant.

use std::fmt;
use std::str::FromStr;

/// The kernel's own limit.
const PATH_BYTES_MAX: usize = 4095;

/// Folders that nothing may remove or replace, whatever a rule says: a host without them is gone.
const KEPT: [&str; 22] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt",
    "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib",
];

/// An absolute path of the host.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct HostPath(String);

/// A text that is not such a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not an absolute path without `.`, `..` and `//`")]
pub struct HostPathError {
    /// The text as given.
    pub input: String,
}

impl HostPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its steps, outermost first; none for `/`.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|step| !step.is_empty())
    }

    /// The folder it lies in and its name there; none for `/`.
    pub fn split(&self) -> Option<(Self, &str)> {
        let (folder, name) = self.0.rsplit_once('/').filter(|(_, name)| !name.is_empty())?;
        let folder = if folder.is_empty() { "/" } else { folder };
        Some((Self(folder.to_owned()), name))
    }

    /// What lies below it at a relative path; itself for the empty one.
    pub fn below(&self, inner: &str) -> Option<Self> {
        match inner {
            "" => Some(self.clone()),
            _ => format!("{}/{inner}", self.0.trim_end_matches('/')).parse().ok(),
        }
    }

    /// What a link here that says `to` names, where that can be said without looking.
    pub fn beside(&self, to: &str) -> Option<Self> {
        let mut steps: Vec<&str> = Vec::new();
        let (folder, _) = self.split()?;
        if !to.starts_with('/') {
            steps.extend(folder.steps());
        }
        for step in to.split('/') {
            match step {
                "" | "." => {}
                ".." => drop(steps.pop()),
                step => steps.push(step),
            }
        }
        format!("/{}", steps.join("/")).parse().ok()
    }

    /// Whether the host would be gone without it: such a path is never removed or replaced.
    pub fn is_kept(&self) -> bool {
        KEPT.contains(&self.0.as_str())
    }
}

/// Every path that is kept.
pub fn kept_paths() -> impl Iterator<Item = &'static str> {
    KEPT.into_iter()
}

impl FromStr for HostPath {
    type Err = HostPathError;
    fn from_str(input: &str) -> Result<Self, HostPathError> {
        let trimmed =
            if input.len() > 1 { input.strip_suffix('/').unwrap_or(input) } else { input };
        let mut steps = trimmed.split('/');
        let absolute = steps.next() == Some("") && input.len() <= PATH_BYTES_MAX;
        let plain =
            |step: &str| !matches!(step, "" | "." | "..") && !step.contains(['\0', '\n', '\r']);
        if absolute && (input == "/" || trimmed.len() > 1 && steps.all(plain)) {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(HostPathError { input: input.to_owned() })
        }
    }
}

impl TryFrom<String> for HostPath {
    type Error = HostPathError;
    fn try_from(input: String) -> Result<Self, HostPathError> {
        input.parse()
    }
}

impl From<HostPath> for String {
    fn from(path: HostPath) -> Self {
        path.0
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::host_path::HostPath;

    #[test]
    fn a_path_means_what_is_written() {
        for (text, kept) in [("/", true), ("/etc", true), ("/etc/", true), ("/etc/motd", false)] {
            assert_eq!(text.parse::<HostPath>().unwrap().is_kept(), kept, "{text}");
        }
        for bad in ["", "etc", "/etc/../x", "/./x", "//", "/a//b", "/a\nb", "/a\0"] {
            assert!(bad.parse::<HostPath>().is_err(), "{bad:?}");
        }
        let path: HostPath = "/a/b".parse().unwrap();
        assert_eq!(
            path.split().map(|(f, n)| (f.to_string(), n.to_owned())),
            Some(("/a".into(), "b".into()))
        );
        assert!("/".parse::<HostPath>().unwrap().split().is_none());
    }
}
