//! Compliance rules as a ruleset writes them, decoded for one node.
//!
//! In: `[[rules]]` of rulesets that are shown to a node or its services. Out: [`Rule`]s. Pure.
//!
//! A rule names a thing of the host (its [`RuleKind`] and parameters) and how it should be; whether
//! it is so, and how it is made so, is `compliance`'s business. Parameters live here, one file a
//! kind, because a mistake in them is a mistake of the revision.
//!
//! # Guarantees
//! * An unknown kind, a wrong parameter and an undefined variable have file, line and column.
//! * A rule of an inner ruleset replaces one of the same name around it; the environment's own
//!   replaces one that flows. Two rules that want one thing differently on one node are a mistake.
//! * What a later version brings is refused by name.

pub mod condition;
pub mod fact;
pub mod kind;
mod read;
mod schema;
mod shown;

pub use condition::Comparison;
pub use condition::Condition;
pub use condition::Test;
pub use fact::FACTS;
pub use fact::Fact;
pub use fact::FactType;
pub use kind::RuleKind;
pub(crate) use read::RuleFiles;
pub use schema::RULE;
pub(crate) use shown::Shower;
pub(crate) use shown::Template;
pub(crate) use shown::read_plain;

use serde::Serialize;

use crate::model::RuleName;
use crate::model::RulesetName;
use crate::model::ServiceName;
use crate::model::Window;

/// One rule for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Where it comes from.
    pub id: RuleId,
    /// What it is checked for: the node, or a service on it.
    pub target: Target,
    /// How bad it is when it does not hold.
    pub severity: RuleSeverity,
    /// Who may mend it.
    pub fix: FixPolicy,
    /// When the agent may mend it by itself, besides the environment's windows.
    pub windows: Vec<Window>,
    /// When it applies.
    pub condition: Condition,
    /// What is wanted.
    pub kind: RuleKind,
    /// Where it is written.
    pub source: RuleSource,
}

/// A rule's name within the tree, shown as `it.linux/swappiness`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct RuleId {
    /// The ruleset.
    pub ruleset: RulesetName,
    /// The rule within it.
    pub name: RuleName,
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}/{}", self.ruleset, self.name))
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        id.to_string()
    }
}

/// What a rule is checked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The node as such.
    Node,
    /// A service on it.
    Service(ServiceName),
}

/// How bad it is when a rule does not hold; ordered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RuleSeverity {
    /// Worth knowing.
    Info,
    /// Should be mended.
    #[default]
    Warning,
    /// Must be mended.
    Critical,
}

impl RuleSeverity {
    /// Every one, the worst last.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for RuleSeverity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for RuleSeverity {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == input)
            .ok_or_else(|| format!("`{input}` is none of info, warning and critical"))
    }
}

/// Who may mend what a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FixPolicy {
    /// Nobody: it is only reported.
    Never,
    /// An operator, or a campaign.
    #[default]
    Campaign,
    /// The agent by itself, too.
    Auto,
}

/// Where a rule is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSource {
    /// Path within the repository.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
}
