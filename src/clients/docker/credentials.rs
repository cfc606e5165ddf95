//! Credentials for registries, as `docker login` writes them (`config.json`, `auths`).
//!
//! In: the file's bytes. Out: [`RegistryCredentials`]. Pure; credential helpers are not run.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::clients::docker::RegistryAuth;

/// A file that holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Not JSON of that form. What it holds is not repeated.
    #[error("the credentials are not JSON as `docker login` writes it (line {line})")]
    Malformed {
        /// Where reading ended.
        line: usize,
    },
    /// An entry cannot be read.
    #[error(
        "the credentials for `{server}` are neither `auth` (base64 of user:password) nor `username` and `password`"
    )]
    Entry {
        /// The registry.
        server: String,
    },
    /// Helpers are programs, and none is run.
    #[error(
        "the credentials name a helper program (`credsStore`, `credHelpers`): write `auths` instead"
    )]
    Helper,
}

/// The form of the file; Docker's other settings may stand beside.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// Credentials by registry; never shown.
#[derive(Clone, Default)]
pub struct RegistryCredentials(BTreeMap<String, RegistryAuth>);

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl RegistryCredentials {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// When an entry cannot be used. What it holds is never part of the error.
    pub fn parse(bytes: &[u8]) -> Result<Self, CredentialsError> {
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| CredentialsError::Malformed { line: error.line() })?;
        if file.auths.is_empty() && (file.store.is_some() || !file.helpers.is_empty()) {
            return Err(CredentialsError::Helper);
        }
        let entries = file.auths.into_iter().map(|(name, entry)| {
            let server = authority(&name).to_owned();
            let auth = entry.read(&server).ok_or(CredentialsError::Entry { server: name })?;
            Ok((server, auth))
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Those for exactly this `host[:port]`, never for another one.
    pub fn for_authority(&self, authority: &str) -> Option<&RegistryAuth> {
        self.0.get(authority)
    }
}

impl Entry {
    fn read(self, server: &str) -> Option<RegistryAuth> {
        let (username, password) = if self.auth.is_empty() {
            (self.username, self.password)
        } else {
            let text = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
            let (username, password) = text.split_once(':')?;
            (username.to_owned(), password.trim_end_matches('\0').to_owned())
        };
        let auth = RegistryAuth { server: server.to_owned(), username, password };
        (!auth.username.is_empty()).then_some(auth)
    }
}

/// `https://host:port/v1/` → `host:port`.
fn authority(name: &str) -> &str {
    let rest = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"));
    let rest = rest.unwrap_or(name);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use crate::clients::docker::credentials::{CredentialsError, RegistryCredentials};

    #[test]
    fn credentials_are_found_for_exactly_their_registry() {
        let file = br#"{"auths":{"https://dckhub.prd:5000/v1/":{"auth":"YWxpY2U6czNjcjN0Ong="},
            "dckhub.tst":{"username":"bob","password":"pw"}},"HttpHeaders":{}}"#;
        let all = RegistryCredentials::parse(file).unwrap();
        let auth = all.for_authority("dckhub.prd:5000").unwrap();
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("alice", "s3cr3t:x"));
        assert!(all.for_authority("dckhub.tst").is_some());
        assert!(all.for_authority("dckhub.prd").is_none());
        let shown = format!("{all:?} {auth:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("alice"), "{shown}");
    }

    #[test]
    fn a_file_that_cannot_be_used_says_so_without_its_content() {
        for (file, wanted) in [
            (r#"{"auths": {"h": {"auth": "s3cr3t"}}}"#, "neither"),
            (r#"{"auths": "s3cr3t"}"#, "not JSON as"),
            (r#"{"credsStore": "pass"}"#, "helper"),
        ] {
            let error = RegistryCredentials::parse(file.as_bytes()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(wanted) && !text.contains("s3cr3t"), "{text}");
        }
        assert!(matches!(
            RegistryCredentials::parse(b"{").unwrap_err(),
            CredentialsError::Malformed { .. }
        ));
    }
}
