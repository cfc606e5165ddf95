//! `environment.toml`, `nodes/<node>.toml` and `[update]`.

use crate::model::CheckSchedule;
use crate::model::Freeze;
use crate::model::Hub;
use crate::model::Mode;
use crate::model::Window;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::service::OnFailure;
use crate::reconcile::desired::service::Strategy;
use crate::reconcile::desired::service::Suspension;
use crate::reconcile::desired::service::UpdatePolicy;

/// What `environment.toml` says.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Its registry.
    pub(crate) hub: Hub,
    /// Plain HTTP to it.
    pub(crate) hub_plain_http: bool,
    /// When changes may land.
    pub(crate) windows: Vec<Window>,
    /// When rules are checked.
    pub(crate) checks: Vec<CheckSchedule>,
    /// When nothing new lands.
    pub(crate) freezes: Vec<Freeze>,
    /// Apply or report.
    pub(crate) mode: Mode,
    /// Defaults for services.
    pub(crate) update: UpdatePolicy,
}

/// Reads `environment.toml` of the environment called `name`.
pub(crate) fn environment(
    name: &str,
    table: &Table,
    reader: &mut Reader<'_>,
) -> Option<Environment> {
    if let Some(node) = table.get("name").filter(|node| node.as_text().is_some_and(|n| n != name)) {
        let message = format!("this is the directory of environment `{name}`");
        reader.findings.error_help(node.at, message, format!("write `name = \"{name}\"`"));
    }
    let hub: Option<Hub> = table.get("hub").and_then(|node| reader.parsed(node));
    let freezes = table.get("freeze").and_then(Node::as_list).unwrap_or_default();
    let freezes = freezes.iter().filter_map(|node| freeze(node, reader)).collect();
    Some(Environment {
        hub_plain_http: reader.boolean(table, "hub_plain_http"),
        windows: reader.list(table, "window"),
        checks: match table.get("check") {
            Some(_) => reader.list(table, "check"),
            None => vec![CheckSchedule::default()],
        },
        freezes,
        mode: mode(table, reader),
        update: update(table, UpdatePolicy::default(), reader),
        hub: hub?,
    })
}

fn freeze(node: &Node, reader: &mut Reader<'_>) -> Option<Freeze> {
    let table = node.as_table()?;
    let (from, to) = (reader.time(table, "from")?, reader.time(table, "to")?);
    if to <= from {
        reader.findings.error(node.at, "the freeze ends before it begins");
    }
    Some(Freeze { from, to, reason: reader.text_at(table, "reason")? })
}

/// Reads `mode`.
pub(crate) fn mode(table: &Table, reader: &mut Reader<'_>) -> Mode {
    table.get("mode").and_then(|node| reader.parsed(node)).unwrap_or_default()
}

/// Reads `suspend`.
pub(crate) fn suspension(table: &Table, reader: &mut Reader<'_>) -> Option<Suspension> {
    let suspend = table.table("suspend")?;
    let until = reader.time(suspend, "until");
    Some(Suspension { reason: reader.text_at(suspend, "reason")?, until })
}

/// Reads `[update]` over `defaults`.
pub(crate) fn update(
    table: &Table,
    defaults: UpdatePolicy,
    reader: &mut Reader<'_>,
) -> UpdatePolicy {
    let Some(update) = table.table("update") else { return defaults };
    let strategy = match reader.text_at(update, "strategy").as_deref() {
        Some("start-first") => Strategy::StartFirst,
        Some("stop-first") => Strategy::StopFirst,
        _ => defaults.strategy,
    };
    let on_failure = match reader.text_at(update, "on_failure").as_deref() {
        Some("hold") => OnFailure::Hold,
        Some("rollback") => OnFailure::Rollback,
        _ => defaults.on_failure,
    };
    let windows = if update.get("window").is_some() {
        reader.list(update, "window")
    } else {
        defaults.windows
    };
    UpdatePolicy {
        strategy,
        health_timeout: reader
            .duration(update, "health_timeout")
            .unwrap_or(defaults.health_timeout),
        stable: reader.duration(update, "stable").unwrap_or(defaults.stable),
        on_failure,
        windows,
    }
}
