//! One `[[rules]]` table → [`Rule`], with everything substituted.
//!
//! In: a checked table, a [`Reader`]. Out: [`Rule`]; mistakes as findings with their place. Pure.

use std::sync::Arc;

use crate::model::EnvironmentName;
use crate::model::HostPath;
use crate::model::RulesetName;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::repository::Contents;
use crate::reconcile::desired::rule::Condition;
use crate::reconcile::desired::rule::FixPolicy;
use crate::reconcile::desired::rule::Rule;
use crate::reconcile::desired::rule::RuleId;
use crate::reconcile::desired::rule::RuleSource;
use crate::reconcile::desired::rule::Target;
use crate::reconcile::desired::rule::kind;
use crate::reconcile::desired::ruleset::Layer;
use crate::reconcile::desired::select::Subject;

/// The largest file that a rule may hold: 2,000 of them stay below the node's memory limit.
pub(crate) const CONTENT_BYTES_MAX: usize = 1024 * 1024;

/// Where a ruleset's files are looked for: `it/linux.files/` beside `it/linux.toml`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleFiles<'a> {
    /// The snapshot.
    pub(crate) contents: &'a Contents,
    /// The environment.
    pub(crate) environment: &'a EnvironmentName,
    /// The ruleset.
    pub(crate) ruleset: &'a RulesetName,
    /// Where it lies.
    pub(crate) layer: Layer,
}

impl RuleFiles<'_> {
    fn folder(&self) -> String {
        let path = self.ruleset.segments().join("/");
        match self.layer {
            Layer::Flow => format!("rulesets/{path}.files"),
            Layer::Environment => {
                format!("environments/{}/rulesets/{path}.files", self.environment)
            }
        }
    }

    /// The bytes of the file that `node` names.
    pub(crate) fn content(&self, node: &Node, reader: &mut Reader<'_>) -> Option<Arc<[u8]>> {
        let path = reader.text(node)?;
        let folder = self.folder();
        let step = |part: &str| part.is_empty() || part == "." || part == "..";
        if path.split('/').any(step) || path.contains(['\0', '\\']) {
            let message = format!("`{path}` is not a path below {folder}/");
            let help = "write a plain relative path such as `motd`, without `.` or `..`";
            reader.findings.error_help(node.at, message, help);
            return None;
        }
        let whole = format!("{folder}/{path}");
        let Some(bytes) = self.contents.get(&whole) else {
            let message = format!("there is no file `{whole}`");
            reader.findings.error_help(node.at, message, "add it, or correct the path");
            return None;
        };
        if bytes.len() > CONTENT_BYTES_MAX {
            let message =
                format!("`{whole}` has {} bytes; the limit is {CONTENT_BYTES_MAX}", bytes.len());
            reader.findings.error_help(node.at, message, "install large files as packages");
            return None;
        }
        Some(Arc::clone(bytes))
    }
}

/// What a rule is read for.
#[derive(Debug)]
pub(crate) struct For<'a> {
    /// Its name in the tree.
    pub(crate) id: RuleId,
    /// What it is checked for.
    pub(crate) target: Target,
    /// Where it is written.
    pub(crate) source: RuleSource,
    /// What its `match` may ask for.
    pub(crate) subject: Subject<'a>,
    /// Its ruleset's files.
    pub(crate) files: RuleFiles<'a>,
}

/// Reads one rule; none after an error was noted.
pub(crate) fn rule(table: &Table, read_for: For<'_>, reader: &mut Reader<'_>) -> Option<Rule> {
    let matching = table.table("match");
    let condition = matching
        .map(|matching| Condition::read(matching, &read_for.subject, reader))
        .unwrap_or_default();
    let severity = table.get("severity").and_then(|node| reader.parsed(node)).unwrap_or_default();
    let fix = table.get("fix").map_or(Some(FixPolicy::default()), |node| fix(node, reader));
    let fix = fix?;
    let windows = reader.list(table, "window");
    if let Some(node) = table.get("window").filter(|_| fix != FixPolicy::Auto) {
        let message = "only what the agent mends by itself has a `window`";
        reader.findings.error_help(node.at, message, "write `fix = \"auto\"`, or remove it");
        return None;
    }
    let kind = kind::read(table, &read_for.files, reader)?;
    let For { id, target, source, .. } = read_for;
    Some(Rule { id, target, severity, fix, windows, condition, kind, source })
}

fn fix(node: &Node, reader: &mut Reader<'_>) -> Option<FixPolicy> {
    match reader.text(node)?.as_str() {
        "never" => Some(FixPolicy::Never),
        "auto" => Some(FixPolicy::Auto),
        _ => Some(FixPolicy::Campaign),
    }
}

/// The path under `path` of a rule.
pub(crate) fn path(table: &Table, key: &str, reader: &mut Reader<'_>) -> Option<HostPath> {
    table.get(key).and_then(|node| reader.parsed(node))
}

/// The same, where a rule may replace what lies there: what the host cannot do without is a mistake.
pub(crate) fn own_path(table: &Table, key: &str, reader: &mut Reader<'_>) -> Option<HostPath> {
    let at = table.get(key)?.at;
    let path = path(table, key, reader)?;
    if path.is_kept() {
        let message = format!("`{path}` is never replaced: the host would be gone without it");
        reader.findings.error_help(at, message, "name a path below it");
        return None;
    }
    Some(path)
}
