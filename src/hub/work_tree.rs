//! What a work tree says about images: the first environment's hub, each container's pin.
//!
//! In: a work tree's files. Out: [`FirstHub`], [`PinnedContainer`]. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use semver::VersionReq;

use crate::clients::registry::PlainHttp;
use crate::hub::edit::{EditError, held_pin, ruleset_for};
use crate::model::{ContainerName, Digest, EnvironmentName, Hub, RepositoryPath, ServiceName};

/// Contents by path within the repository.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// A work tree whose images cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum WorkTreeError {
    /// Nothing to take images from.
    #[error("no environment here is the first of the line (its trust.toml has no [promotion])")]
    NoFirst,
    /// A document that is not readable.
    #[error("`{file}` is not readable: {message}")]
    Unreadable {
        /// Path within the repository.
        file: String,
        /// Where and why.
        message: String,
    },
    /// A document without what is wanted of it.
    #[error("`{file}` {problem}")]
    Unfit {
        /// Path within the repository.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// No such service or container.
    #[error("there is no {0}")]
    Unknown(String),
}

/// A container of a service, written `app1.web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerAddress {
    /// The service.
    pub service: ServiceName,
    /// Its container.
    pub container: ContainerName,
}

impl fmt::Display for ContainerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.service, self.container))
    }
}

/// A text that names no container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no container: write `<service>.<container>`, such as `app1.web`")]
pub struct ContainerAddressError(String);

impl FromStr for ContainerAddress {
    type Err = ContainerAddressError;
    fn from_str(input: &str) -> Result<Self, ContainerAddressError> {
        let error = || ContainerAddressError(input.to_owned());
        let (service, container) = input.split_once('.').ok_or_else(error)?;
        let service = service.parse().map_err(|_| error())?;
        let container = container.parse().map_err(|_| error())?;
        Ok(Self { service, container })
    }
}

/// The hub that images enter the line by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstHub {
    /// Whose it is.
    pub environment: EnvironmentName,
    /// Where it is.
    pub hub: Hub,
    /// Whether without TLS.
    pub plain_http: PlainHttp,
}

/// A container with its image and what is known of its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedContainer {
    /// Which one.
    pub address: ContainerAddress,
    /// Where its images lie in the hub.
    pub repository: RepositoryPath,
    /// What `pin --check` may offer.
    pub versions: Option<VersionReq>,
    /// What is pulled now.
    pub digest: Option<Digest>,
    /// What that is called.
    pub version: Option<String>,
}

/// The hub of an environment, as its `environment.toml` names it.
pub fn hub_of(files: &Files, environment: &EnvironmentName) -> Result<FirstHub, WorkTreeError> {
    let file = format!("environments/{environment}/environment.toml");
    let table = table(files, &file)?;
    let unfit =
        |problem: &str| WorkTreeError::Unfit { file: file.clone(), problem: problem.into() };
    let text =
        table.get("hub").and_then(toml::Value::as_str).ok_or_else(|| unfit("names no hub"))?;
    let hub = text.parse().map_err(|error| unfit(&format!("names no hub: {error}")))?;
    let plain_http = match table.get("hub_plain_http").and_then(toml::Value::as_bool) {
        Some(true) => PlainHttp::Allowed,
        _ => PlainHttp::Loopback,
    };
    Ok(FirstHub { environment: environment.clone(), hub, plain_http })
}

/// The hub of the first environment of the line whose directory is here.
pub fn first_hub(files: &Files) -> Result<FirstHub, WorkTreeError> {
    let own = |path: &str| -> Option<EnvironmentName> {
        path.strip_prefix("environments/")?.strip_suffix("/trust.toml")?.parse().ok()
    };
    for environment in files.keys().filter_map(|path| own(path)) {
        let trust = table(files, &format!("environments/{environment}/trust.toml"))?;
        if !trust.contains_key("promotion") {
            return hub_of(files, &environment);
        }
    }
    Err(WorkTreeError::NoFirst)
}

/// Every container of every service, by its address.
pub fn containers(files: &Files) -> Result<Vec<PinnedContainer>, WorkTreeError> {
    let rulesets = rulesets(files);
    let mut found = Vec::new();
    for (path, name) in files.keys().filter_map(|path| Some((path, service_of(path)?))) {
        let service: ServiceName = name.parse().map_err(|error| WorkTreeError::Unfit {
            file: path.clone(),
            problem: format!("{error}"),
        })?;
        let table = table(files, path)?;
        let containers = table.get("containers").and_then(toml::Value::as_table);
        for (name, value) in containers.into_iter().flatten() {
            let unfit = |problem: String| WorkTreeError::Unfit { file: path.clone(), problem };
            let container = name.parse().map_err(|error| unfit(format!("{error}")))?;
            let address = ContainerAddress { service: service.clone(), container };
            let text = |key: &str| value.get(key).and_then(toml::Value::as_str);
            let image = text("image").ok_or_else(|| unfit(format!("gives {address} no image")))?;
            let repository = image.parse().map_err(|error| unfit(format!("{error}")))?;
            let versions = text("versions").map(str::parse).transpose();
            let versions = versions.map_err(|error| unfit(format!("has no range: {error}")))?;
            let own = |key: &str| text(key).map(str::to_owned);
            let (mut digest, mut version) = (own("digest"), own("version"));
            if let Ok(file) = ruleset_for(&rulesets, &address.service, &address.container)
                && let Some(pin) = rulesets.get(&file).and_then(|t| held_pin(t, &address.container))
            {
                (digest, version) = (pin.0.or(digest), pin.1.or(version));
            }
            let digest = digest.and_then(|text| text.parse().ok());
            found.push(PinnedContainer { address, repository, versions, digest, version });
        }
    }
    Ok(found)
}

/// Where the pin of a container is to be written: the ruleset that holds it or could, else the
/// service's own file if that holds it.
pub fn pin_file(files: &Files, at: &ContainerAddress) -> Result<String, EditError> {
    let found = ruleset_for(&rulesets(files), &at.service, &at.container);
    let own = format!("services/{}.toml", at.service);
    match (&found, files.get(&own)) {
        (Err(EditError::NoRuleset { .. }), Some(bytes)) => {
            let held = held_pin(&String::from_utf8_lossy(bytes), &at.container);
            if held.is_some_and(|(digest, _)| digest.is_some()) { Ok(own) } else { found }
        }
        _ => found,
    }
}

/// Every ruleset that flows. An environment's own rulesets set no pins (TRUST.md).
fn rulesets(files: &Files) -> BTreeMap<String, String> {
    let flowing = |path: &str| {
        path.strip_prefix("rulesets/").is_some_and(|p| p.strip_suffix(".toml").is_some())
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let own = files.iter().filter(|(path, _)| flowing(path));
    own.map(|(path, bytes)| (path.clone(), text(bytes))).collect()
}

fn service_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("services/")?.strip_suffix(".toml")?;
    (!name.contains('/')).then_some(name)
}

fn table(files: &Files, file: &str) -> Result<toml::Table, WorkTreeError> {
    let missing = || WorkTreeError::Unfit { file: file.to_owned(), problem: "is missing".into() };
    let bytes = files.get(file).ok_or_else(missing)?;
    toml::from_slice(bytes).map_err(|error| WorkTreeError::Unreadable {
        file: file.to_owned(),
        message: error.message().to_owned(),
    })
}
