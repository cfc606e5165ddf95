//! `deploy.resources` and its short names, `ulimits`, `logging`, `shm_size`.

use std::collections::BTreeMap;

use crate::model::size::parse_size;
use crate::reconcile::desired::container::Logging;
use crate::reconcile::desired::container::Resources;
use crate::reconcile::desired::container::Ulimit;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;

/// Billionths of a CPU in one.
const NANOS_PER_CPU: u32 = 1_000_000_000;

/// Reads limits and reservations; a short name and the long one must not disagree.
pub(crate) fn resources(table: &Table, reader: &mut Reader<'_>) -> Resources {
    let none = Table::default();
    let resources = table.table("deploy").and_then(|deploy| deploy.table("resources"));
    let of = |key: &str| resources.and_then(|r| r.table(key)).unwrap_or(&none);
    let (limits, reservations) = (of("limits"), of("reservations"));
    Resources {
        nano_cpus: either(table, "cpus", limits, "cpus", reader, nano_cpus),
        memory: either(table, "mem_limit", limits, "memory", reader, size),
        pids: either(table, "pids_limit", limits, "pids", reader, pids),
        memory_reservation: either(table, "mem_reservation", reservations, "memory", reader, size),
    }
}

fn either<T: PartialEq>(
    short_in: &Table,
    short: &str,
    long_in: &Table,
    long: &str,
    reader: &mut Reader<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let mut read = |node: &Node| reader.with(node, &parse);
    let first = short_in.get(short).and_then(&mut read);
    let second = long_in.get(long).and_then(&mut read);
    if let (Some(a), Some(b), Some(node)) = (&first, &second, short_in.get(short))
        && a != b
    {
        let message = format!("`{short}` and `deploy.resources` say different things");
        reader.findings.error_help(node.at, message, "remove one of them");
    }
    second.or(first)
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

fn pids(text: &str) -> Result<i64, String> {
    let number = text.parse::<i64>().ok().filter(|n| *n > 0 || *n == -1);
    number.ok_or_else(|| format!("`{text}` is not a number of processes"))
}

/// `0.5` as 500,000,000: in whole numbers, so that nothing is rounded.
fn nano_cpus(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is not a number of CPUs: write for example `0.5` or `2`");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return Err(error());
    }
    let whole: i64 = whole.parse().map_err(|_| error())?;
    let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| error())?;
    let nanos = whole.checked_mul(NANOS_PER_CPU.into()).and_then(|n| n.checked_add(fraction));
    nanos.filter(|nanos| *nanos > 0).ok_or_else(error)
}

/// Reads `ulimits`.
pub(crate) fn ulimits(table: &Table, reader: &mut Reader<'_>) -> BTreeMap<String, Ulimit> {
    let mut found = BTreeMap::new();
    for (name, entry) in table.table("ulimits").into_iter().flat_map(|inner| inner.0.iter()) {
        let limit = if let Some(both) = entry.node.as_table() {
            reader.integer(both, "soft").zip(reader.integer(both, "hard"))
        } else {
            let inner = table.table("ulimits");
            let one: Option<i64> = inner.and_then(|inner| reader.integer(inner, name));
            one.map(|limit| (limit, limit))
        };
        let Some((soft, hard)) = limit else { continue };
        if hard != -1 && (soft > hard || soft == -1) {
            let message = format!("soft limit {soft} of `{name}` is above the hard limit {hard}");
            reader.findings.error(entry.node.at, message);
        }
        found.insert(name.clone(), Ulimit { soft, hard });
    }
    found
}

/// Reads `logging`.
pub(crate) fn logging(table: &Table, reader: &mut Reader<'_>) -> Option<Logging> {
    let node = table.get("logging")?;
    let logging = node.as_table()?;
    let Some(driver) = reader.text_at(logging, "driver") else {
        reader.findings.error(node.at, "`driver` is missing");
        return None;
    };
    Some(Logging { driver, options: reader.map(logging, "options") })
}
