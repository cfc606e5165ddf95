//! What this node refuses whatever Git says: default deny.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use crate::config::section::Section;
use crate::model::ServiceName;

/// Node-local policy, which Git cannot loosen: default deny.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePolicy {
    /// Host paths (and what lies below them) that may be mounted.
    pub bind_mounts: Vec<String>,
    /// Services that may run privileged containers.
    pub privileged: BTreeSet<ServiceName>,
    /// Services that may join the host's namespaces.
    pub host_namespaces: BTreeSet<ServiceName>,
    /// Capabilities that may be added, by service; `*` is every service.
    pub capabilities: BTreeMap<String, BTreeSet<String>>,
    /// Security options that may loosen something, by service; `*` is every service.
    pub security_opt: BTreeMap<String, BTreeSet<SecurityOption>>,
    /// Drivers besides the engine's own that volumes may be made with.
    pub volume_drivers: BTreeSet<String>,
    /// Services that may mount the engine's socket.
    pub docker_socket: BTreeSet<ServiceName>,
    /// Where that lies, as `[engine]` says.
    pub engine_socket: String,
    /// Kinds of rules whose fixes may change this host.
    pub fixes: BTreeSet<String>,
    /// Programs that rules of kind `command` may run, by their whole paths.
    pub commands: BTreeSet<String>,
}

/// Reads `[policy]`; the engine's socket is elsewhere.
pub(crate) fn read_policy(mut section: Section<'_>, engine_socket: String) -> NodePolicy {
    let policy = NodePolicy {
        bind_mounts: section.list::<HostPath>("bind_mounts").into_iter().map(|p| p.0).collect(),
        privileged: section.list("privileged").into_iter().collect(),
        host_namespaces: section.list("host_namespaces").into_iter().collect(),
        capabilities: by_service::<Capability, _>(&mut section, "cap_add", |item| item.0),
        security_opt: by_service(&mut section, "security_opt", |item: SecurityOption| item),
        volume_drivers: section
            .list::<VolumeDriver>("volume_drivers")
            .into_iter()
            .map(|driver| driver.0)
            .collect(),
        docker_socket: section.list("docker_socket").into_iter().collect(),
        engine_socket,
        fixes: section.list::<FixKind>("fixes").into_iter().map(|kind| kind.0).collect(),
        commands: section.list::<HostPath>("commands").into_iter().map(|path| path.0).collect(),
    };
    section.finish();
    policy
}

/// A table of lists by service, or by `*`.
fn by_service<T: FromStr<Err: Display>, V: Ord>(
    section: &mut Section<'_>,
    key: &'static str,
    value: impl Fn(T) -> V,
) -> BTreeMap<String, BTreeSet<V>> {
    let mut found = BTreeMap::new();
    for (service, entry) in section.table(key).0 {
        let named = service.parse::<ServiceName>();
        if let Err(error) = named
            && service != "*"
        {
            section.report(entry.key.error(error.to_string()));
            continue;
        }
        let name = format!("policy.{key}.{service}");
        let items: Vec<T> = section.items(&name, Some(entry.value));
        found.insert(service, items.into_iter().map(&value).collect());
    }
    found
}

/// A folder of the host, absolute and without steps upwards.
struct HostPath(String);

impl FromStr for HostPath {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        let steps = input.split('/').any(|part| matches!(part, "." | ".."));
        if !input.starts_with('/') || steps || input.contains('\0') {
            return Err(format!("`{input}` is not an absolute path without `.` and `..`"));
        }
        let trimmed = input.trim_end_matches('/');
        Ok(Self(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }))
    }
}

/// A kind of rule; which there are, `reconcile` knows.
struct FixKind(String);

impl FromStr for FixKind {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        if !input.is_empty() && input.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            Ok(Self(input.to_owned()))
        } else {
            Err(format!("`{input}` is no kind of rule: write for example `file`"))
        }
    }
}

/// A capability, kept without its prefix `CAP_`.
struct Capability(String);

impl FromStr for Capability {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        let name = input.strip_prefix("CAP_").unwrap_or(input);
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            Ok(Self(name.to_owned()))
        } else {
            Err(format!("`{input}` is not a capability: write for example `NET_ADMIN`"))
        }
    }
}

/// A security option as the engine reads it: `label:disable` is `label=disable`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecurityOption(String);

impl SecurityOption {
    /// Its text, with `=`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecurityOption {
    fn from(input: &str) -> Self {
        Self(if input.contains('=') { input.to_owned() } else { input.replacen(':', "=", 1) })
    }
}

impl FromStr for SecurityOption {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        if input.is_empty() {
            return Err(
                "a security option is missing: write for example `seccomp=unconfined`".into()
            );
        }
        Ok(Self::from(input))
    }
}

/// The name of a volume driver, as the engine knows it.
struct VolumeDriver(String);

impl FromStr for VolumeDriver {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        if input.is_empty()
            || input.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
        {
            return Err(format!(
                "`{input}` is no volume driver: write its name, for example `rclone`"
            ));
        }
        Ok(Self(input.to_owned()))
    }
}
