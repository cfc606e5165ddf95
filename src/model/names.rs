//! Names of things in the repository: lower-case, short, safe in a path and in a container name.
//!
//! In: text. Out: one type per kind of thing. Pure.

use std::fmt;
use std::str::FromStr;

/// The longest a name may be, in bytes, so that `<service>.<environment>-<container>` fits a DNS
/// label list and every engine's limit.
pub const NAME_BYTES_MAX: usize = 63;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{input}` is not a valid {kind} name: use 1 to 63 of a-z, 0-9, `_` and `-`, beginning with a letter or digit"
)]
pub struct NameError {
    /// What was to be named.
    pub kind: &'static str,
    /// The text as given.
    pub input: String,
}

fn is_name(input: &str) -> bool {
    let mut bytes = input.bytes();
    let first_ok = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first_ok
        && input.len() <= NAME_BYTES_MAX
        && bytes.all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(input: &str) -> Result<Self, NameError> {
                if is_name(input) {
                    Ok(Self(input.to_owned()))
                } else {
                    Err(NameError { kind: $kind, input: input.to_owned() })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(input: String) -> Result<Self, NameError> {
                input.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// `dev`, `tst`, `prd`: a line with its branch, hub, nodes and people.
    EnvironmentName, "environment"
);
name!(
    /// A node: one engine with its agent.
    NodeName, "node"
);
name!(
    /// A service: containers that belong together.
    ServiceName, "service"
);
name!(
    /// A container within a service.
    ContainerName, "container"
);
name!(
    /// The app a service belongs to and is billed to.
    AppName, "app"
);
name!(
    /// A network key within a service.
    NetworkName, "network"
);
name!(
    /// A volume key within a service.
    VolumeName, "volume"
);
name!(
    /// A config key within a service.
    ConfigName, "config"
);
name!(
    /// A compliance rule within its ruleset.
    RuleName, "rule"
);

/// A service in an environment, shown as `app1.prd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// The service.
    pub service: ServiceName,
    /// The environment it runs in.
    pub environment: EnvironmentName,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.service, self.environment))
    }
}

impl FromStr for Instance {
    type Err = NameError;
    fn from_str(input: &str) -> Result<Self, NameError> {
        let (service, environment) = input
            .split_once('.')
            .ok_or_else(|| NameError { kind: "service.environment", input: input.to_owned() })?;
        Ok(Self { service: service.parse()?, environment: environment.parse()? })
    }
}

/// A ruleset's dotted path in the tree: `it.applications.app1`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct RulesetName(Vec<String>);

impl RulesetName {
    /// The segments, outermost first; never empty.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// The ruleset whose directory this one lies in, if it is not at the top.
    pub fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        (!parents.is_empty()).then(|| Self(parents.to_vec()))
    }
}

impl FromStr for RulesetName {
    type Err = NameError;
    fn from_str(input: &str) -> Result<Self, NameError> {
        let segments: Vec<String> = input.split('.').map(str::to_owned).collect();
        if segments.iter().all(|segment| is_name(segment)) {
            Ok(Self(segments))
        } else {
            Err(NameError { kind: "ruleset", input: input.to_owned() })
        }
    }
}

impl TryFrom<String> for RulesetName {
    type Error = NameError;
    fn try_from(input: String) -> Result<Self, NameError> {
        input.parse()
    }
}

impl From<RulesetName> for String {
    fn from(name: RulesetName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for RulesetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::names::{Instance, RulesetName, ServiceName};

    #[test]
    fn names_are_short_lower_case_and_begin_with_a_letter_or_digit() {
        let long = "a".repeat(63);
        for good in ["app1", "1", "a_b-c", long.as_str()] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "_a", "A", "a.b", "a/b", "ä", too_long.as_str()] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rulesets_parent_is_its_directory() {
        let leaf: RulesetName = "it.applications.app1".parse().unwrap();
        assert_eq!(leaf.parent().unwrap().to_string(), "it.applications");
        assert_eq!("it".parse::<RulesetName>().unwrap().parent(), None);
        assert!("it..x".parse::<RulesetName>().is_err());
    }

    #[test]
    fn an_instance_names_service_and_environment() {
        let instance: Instance = "app1.prd".parse().unwrap();
        assert_eq!(instance.to_string(), "app1.prd");
        assert!("app1".parse::<Instance>().is_err());
    }
}
