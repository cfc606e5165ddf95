//! systemd's units: what its folders say, and what runs where systemd does.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::host::{HostRoot, run};
use crate::compliance::facts::{FactValue, Known, ROWS_MAX, Row};
use crate::model::PathState;

/// Where units lie, the strongest first.
const FOLDERS: [&str; 3] =
    ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
const KINDS: [&str; 5] = [".service", ".socket", ".timer", ".mount", ".path"];
/// A unit file is a page.
const BYTES_MAX: u64 = 256 * 1024;

/// One row a unit.
pub(super) async fn rows(host: &HostRoot) -> Known {
    let mut enabled: BTreeMap<String, &str> = BTreeMap::new();
    let wanted = wanted(host);
    for folder in FOLDERS {
        for name in host.names(folder, ROWS_MAX).unwrap_or_default() {
            if KINDS.iter().any(|kind| name.ends_with(kind)) && !enabled.contains_key(&name) {
                let state = enablement(host, folder, &name, &wanted);
                enabled.insert(name, state);
            }
        }
    }
    if enabled.is_empty() {
        return Known::Missing("systemd is not installed here".to_owned());
    }
    let active = if host.is_this_machine() { active().await } else { BTreeMap::new() };
    let row = |(name, state): (String, &str)| {
        let active = active.get(&name).map_or("", String::as_str);
        Row(vec![
            ("enabled", FactValue::text(state)),
            ("active", FactValue::text(active)),
            ("name", FactValue::Text(name)),
        ])
    };
    Known::Rows(enabled.into_iter().map(row).collect())
}

/// Units that some target wants.
fn wanted(host: &HostRoot) -> BTreeSet<String> {
    let top = FOLDERS[0];
    let folders = host.names(top, ROWS_MAX).unwrap_or_default();
    let folders =
        folders.iter().filter(|n| [".wants", ".requires"].iter().any(|end| n.ends_with(end)));
    folders.flat_map(|n| host.names(&format!("{top}/{n}"), ROWS_MAX).unwrap_or_default()).collect()
}

fn enablement(
    host: &HostRoot,
    folder: &str,
    name: &str,
    wanted: &BTreeSet<String>,
) -> &'static str {
    let Ok(path) = format!("{folder}/{name}").parse() else { return "" };
    let state = host.look(&path, BYTES_MAX);
    if matches!(&state, Ok(PathState::Symlink { to }) if to == "/dev/null") {
        return "masked";
    }
    if wanted.contains(name) {
        return "enabled";
    }
    let text = host.text(path.as_str(), BYTES_MAX).ok().flatten().unwrap_or_default();
    if text.lines().any(|line| line.trim() == "[Install]") { "disabled" } else { "static" }
}

/// What runs, by unit; nothing where systemd does not.
async fn active() -> BTreeMap<String, String> {
    let argv =
        ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "--no-pager"];
    let Ok(ran) = run(&argv).await else { return BTreeMap::new() };
    let one = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.nth(1)?.to_owned()))
    };
    if ran.succeeded() { ran.out().lines().filter_map(one).collect() } else { BTreeMap::new() }
}
