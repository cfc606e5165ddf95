//! Credentials for registries, as `docker login` writes them (`config.json`).
//!
//! In: the file's bytes. Out: [`RegistryCredentials`]. Pure; which helper would know more is said, and
//! none is run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::clients::docker::{Login, RegistryAuth};
use crate::model::docker_hub;

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
    /// Helpers are programs, and a node runs none.
    #[error(
        "the credentials name a helper program (`credsStore`, `credHelpers`), which no node runs: write `auths` instead"
    )]
    Helper,
    /// A helper whose name is none.
    #[error("`{0}` is not the name of a credential helper")]
    HelperName(String),
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
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

/// Credentials by registry; never shown.
#[derive(Clone, Default)]
pub struct RegistryCredentials {
    auths: BTreeMap<String, RegistryAuth>,
    helpers: BTreeMap<String, HelperName>,
    store: Option<HelperName>,
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.auths.keys()).finish()
    }
}

/// Which `docker-credential-<name>` is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperName(String);

impl HelperName {
    /// The program, to be found where programs are.
    pub fn program(&self) -> String {
        format!("docker-credential-{}", self.0)
    }
}

impl FromStr for HelperName {
    type Err = CredentialsError;
    fn from_str(input: &str) -> Result<Self, CredentialsError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if input.is_empty() || !input.bytes().all(good) {
            return Err(CredentialsError::HelperName(input.to_owned()));
        }
        Ok(Self(input.to_owned()))
    }
}

impl RegistryCredentials {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// When an entry cannot be used. What it holds is never part of the error.
    pub fn read(bytes: &[u8]) -> Result<Self, CredentialsError> {
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| CredentialsError::Malformed { line: error.line() })?;
        // Beside a helper, `docker login` leaves an empty entry.
        let given = file.auths.into_iter().filter(|(_, entry)| !entry.is_empty());
        let auths = given.map(|(name, entry)| {
            let server = authority(&name).to_owned();
            let auth = entry.read(&server).ok_or(CredentialsError::Entry { server: name })?;
            Ok((server, auth))
        });
        let helpers = file.helpers.into_iter();
        let helpers =
            helpers.map(|(name, helper)| Ok((authority(&name).to_owned(), helper.parse()?)));
        Ok(Self {
            auths: auths.collect::<Result<_, _>>()?,
            helpers: helpers.collect::<Result<_, _>>()?,
            store: file
                .store
                .filter(|name| !name.is_empty())
                .map(|name| name.parse())
                .transpose()?,
        })
    }

    /// The same, where no helper may be needed: a node runs no programs that a file names.
    ///
    /// # Errors
    /// When an entry cannot be used, or helpers alone would know more.
    pub fn parse(bytes: &[u8]) -> Result<Self, CredentialsError> {
        let all = Self::read(bytes)?;
        if all.auths.is_empty() && (all.store.is_some() || !all.helpers.is_empty()) {
            return Err(CredentialsError::Helper);
        }
        Ok(all)
    }

    /// Those for exactly this `host[:port]`, never for another one.
    pub fn for_authority(&self, authority: &str) -> Option<RegistryAuth> {
        let same = docker_hub::ALL.contains(&authority).then_some(docker_hub::ALL);
        let mut names = std::iter::once(authority).chain(same.into_iter().flatten());
        let found = names.find_map(|name| self.auths.get(name))?;
        Some(RegistryAuth { server: authority.to_owned(), login: found.login.clone() })
    }

    /// The program that is asked first for this `host[:port]`: its own, else the one for all.
    pub fn helper_for(&self, authority: &str) -> Option<&HelperName> {
        self.helpers.get(authority).or(self.store.as_ref())
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        [&self.auth, &self.username, &self.password, &self.identity_token]
            .iter()
            .all(|text| text.is_empty())
    }

    fn read(self, server: &str) -> Option<RegistryAuth> {
        if !self.identity_token.is_empty() {
            // The name beside it is nobody's.
            let login = Login::IdentityToken(self.identity_token);
            return Some(RegistryAuth { server: server.to_owned(), login });
        }
        let (username, password) = if self.auth.is_empty() {
            (self.username, self.password)
        } else {
            let text = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
            let (username, password) = text.split_once(':')?;
            (username.to_owned(), password.trim_end_matches('\0').to_owned())
        };
        (!username.is_empty()).then(|| RegistryAuth::password(server, &username, &password))
    }
}

/// What a helper is asked for: Docker Hub has a name of its own there.
pub fn login_name(authority: &str) -> &str {
    if docker_hub::ALL.contains(&authority) { docker_hub::LOGIN } else { authority }
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
    use crate::clients::docker::{Login, RegistryAuth};

    #[test]
    fn credentials_are_found_for_exactly_their_registry() {
        let file = br#"{"auths":{"https://dckhub.prd:5000/v1/":{"auth":"YWxpY2U6czNjcjN0Ong="},
            "dckhub.tst":{"username":"bob","password":"pw"}},"HttpHeaders":{}}"#;
        let all = RegistryCredentials::parse(file).unwrap();
        let auth = all.for_authority("dckhub.prd:5000").unwrap();
        assert!(auth == RegistryAuth::password("dckhub.prd:5000", "alice", "s3cr3t:x"));
        assert!(all.for_authority("dckhub.tst").is_some());
        assert!(all.for_authority("dckhub.prd").is_none());
        let shown = format!("{all:?} {auth:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("alice"), "{shown}");
    }

    #[test]
    fn a_login_at_docker_hub_is_for_its_registry() {
        let file = br#"{"auths":{"https://index.docker.io/v1/":{"username":"a","password":"b"}}}"#;
        let all = RegistryCredentials::parse(file).unwrap();
        let server = "registry-1.docker.io";
        assert_eq!(all.for_authority(server).unwrap().server, server);
        for name in ["docker.io.evil", "evil-docker.io", "hub.docker.io"] {
            assert!(all.for_authority(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_identity_token_counts_and_not_the_name_beside_it() {
        let file = br#"{"auths":{"hub":{"auth":"PHRva2VuPjo=","identitytoken":"s3cr3t"}}}"#;
        let all = RegistryCredentials::parse(file).unwrap();
        let login = all.for_authority("hub").unwrap().login;
        assert!(login == Login::IdentityToken("s3cr3t".to_owned()));
    }

    #[test]
    fn a_registrys_own_helper_comes_before_the_one_for_all() {
        let file =
            br#"{"auths":{"b":{}},"credsStore":"pass","credHelpers":{"https://a/v1/":"ecr"}}"#;
        let all = RegistryCredentials::read(file).unwrap();
        let program = |server| all.helper_for(server).unwrap().program();
        assert_eq!(program("a"), "docker-credential-ecr");
        assert_eq!(program("b"), "docker-credential-pass");
        assert!(all.for_authority("b").is_none());
    }

    #[test]
    fn a_file_that_cannot_be_used_says_so_without_its_content() {
        for (file, wanted) in [
            (r#"{"auths": {"h": {"auth": "s3cr3t"}}}"#, "neither"),
            (r#"{"auths": "s3cr3t"}"#, "not JSON as"),
            (r#"{"credsStore": "pass"}"#, "helper"),
            (r#"{"auths": {"h": {}}, "credHelpers": {"h": "ecr"}}"#, "helper"),
            (r#"{"credsStore": "../pass"}"#, "not the name"),
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
