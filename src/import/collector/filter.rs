//! Filtersets → conditions of ours.
//!
//! The collector reads `a AND b OR c` from left to right, and each filter for itself; here conditions
//! on packages hold for the same package, which is what was meant.

use std::collections::BTreeSet;

use toml_edit::{Array, InlineTable, Value};

use crate::compliance::matching::like;
use crate::import::collector::{Export, list, text};
use crate::import::draft::texts;
use crate::import::words::name;

/// As deep as the collector itself reads.
const DEPTH_MAX: usize = 10;

/// A condition.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    /// One key of a match.
    Leaf {
        /// `["package", "name"]`.
        path: Vec<String>,
        /// What it must be.
        value: Value,
    },
    /// All hold; none at all holds.
    All(Vec<Expression>),
    /// One holds.
    Any(Vec<Expression>),
    /// It does not hold.
    Not(Box<Expression>),
}

impl Expression {
    /// One key.
    pub(crate) fn leaf(path: &[&str], value: impl Into<Value>) -> Self {
        let path = path.iter().map(|&step| step.to_owned()).collect();
        Self::Leaf { path, value: value.into() }
    }

    /// What must hold together.
    pub(crate) fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::All(all) => all.into_iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// The one environment that this asks for.
    pub(crate) fn environment(&self) -> Option<String> {
        match self {
            Self::Leaf { path, value } if path.first().is_some_and(|key| key == "environment") => {
                value.as_str().map(str::to_owned)
            }
            _ => None,
        }
    }

    /// Whether it asks for nothing but places, so that a ruleset can be matched by it.
    pub(crate) fn is_of_places(&self) -> bool {
        match self {
            Self::Leaf { path, .. } => path.first().is_some_and(|key| {
                matches!(key.as_str(), "service" | "app" | "environment" | "node" | "labels")
            }),
            Self::All(all) | Self::Any(all) => all.iter().all(Self::is_of_places),
            Self::Not(inner) => inner.is_of_places(),
        }
    }

    /// As a match is written. A key stands once in a table: what stands there already is asked for
    /// again as `not = { not = … }`.
    pub(crate) fn table(self) -> InlineTable {
        let (mut table, mut nots) = (InlineTable::new(), Vec::new());
        for part in self.conjuncts() {
            match part {
                Self::Leaf { path, value } if !put(&mut table, &path, &value) => {
                    let mut again = InlineTable::new();
                    put(&mut again, &path, &value);
                    nots.push(with("not", again));
                }
                Self::Any(ways) => {
                    let any = any(ways.into_iter().map(Self::table));
                    if table.contains_key("any") {
                        nots.push(with("not", any));
                    } else {
                        table.extend(any);
                    }
                }
                Self::Not(inner) => nots.push(inner.table()),
                Self::Leaf { .. } | Self::All(_) => {}
            }
        }
        if nots.len() > 1 {
            table.extend(with("not", any(nots)));
        } else if let Some(one) = nots.pop() {
            table.extend(with("not", one));
        }
        table
    }
}

fn any(all: impl IntoIterator<Item = InlineTable>) -> InlineTable {
    let all: Array = all.into_iter().map(Value::from).collect();
    std::iter::once(("any", Value::Array(all))).collect()
}

fn with(key: &str, inner: InlineTable) -> InlineTable {
    std::iter::once((key, Value::from(inner))).collect()
}

/// Writes a key, unless it is there; bounds go together, as `>=9, <13`.
fn put(table: &mut InlineTable, path: &[String], value: &Value) -> bool {
    let bound = |value: &Value| {
        value.as_str().filter(|text| text.starts_with(['<', '>'])).map(str::to_owned)
    };
    match path {
        [] => true,
        [key] => {
            let both = table.get(key).map(|there| bound(there).zip(bound(value)));
            let written = match both {
                None => value.clone(),
                Some(Some((one, other))) => format!("{one}, {other}").into(),
                Some(None) => return false,
            };
            table.insert(key, written);
            true
        }
        [key, rest @ ..] => {
            let inner = table.get_or_insert(key, InlineTable::new());
            inner.as_inline_table_mut().is_some_and(|inner| put(inner, rest, value))
        }
    }
}

/// A condition, and the labels that it needs.
type Found = Result<(Expression, BTreeSet<String>), String>;

/// What a filterset comes to, or why it comes to nothing.
pub(crate) fn filterset(export: &Export<'_>, of: &str, depth: usize) -> Found {
    let row = export.filtersets.get(of).ok_or(format!("filterset {of} is not in the export"))?;
    if depth >= DEPTH_MAX {
        return Err(format!("filterset {of} lies too deep in others"));
    }
    let mut rows: Vec<_> = list(row, "filters").iter().collect();
    rows.sort_by_key(|row| row.get("f_order").and_then(serde_json::Value::as_i64).unwrap_or(0));
    let (mut so_far, mut labels) = (None, BTreeSet::new());
    for row in rows {
        let inner = text(row, "filterset");
        let (one, needs) = match row.get("filter") {
            Some(filter) if filter.is_object() => one(filter)?,
            _ if !inner.is_empty() => filterset(export, inner, depth + 1)?,
            _ => continue,
        };
        labels.extend(needs);
        let operator = text(row, "f_log_op");
        let one = if operator.ends_with("NOT") { Expression::Not(Box::new(one)) } else { one };
        so_far = Some(match so_far {
            None => one,
            Some(before) if operator.starts_with("OR") => Expression::Any(vec![before, one]),
            Some(before) => Expression::All(vec![before, one]),
        });
    }
    let whole = so_far.ok_or(format!("filterset {of} is empty, so it fits nothing"))?;
    Ok((whole, labels))
}

/// What a field is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Place,
    Text,
    Version,
    Number,
    Megabytes,
}

fn known(table: &str, field: &str) -> Option<(&'static [&'static str], Type)> {
    Some(match (table, field) {
        ("nodes", "nodename" | "fqdn") => (&["node"], Type::Place),
        ("nodes", "node_env" | "asset_env") | ("services", "svc_env") => {
            (&["environment"], Type::Place)
        }
        ("services", "svcname" | "svc_name") => (&["service"], Type::Place),
        ("services", "svc_app") | ("apps", "app") => (&["app"], Type::Place),
        ("nodes", "os_vendor") => (&["os"], Type::Text),
        ("nodes", "os_release") => (&["os_version"], Type::Version),
        ("nodes", "os_kernel") => (&["kernel"], Type::Version),
        ("nodes", "os_arch") => (&["arch"], Type::Text),
        ("nodes", "cpu_threads" | "cpu_cores") => (&["cpus"], Type::Number),
        ("nodes", "cpu_model") => (&["cpu_model"], Type::Text),
        ("nodes", "mem_bytes") => (&["memory"], Type::Megabytes),
        ("node_ip", "addr") => (&["address", "address"], Type::Text),
        ("packages", "pkg_name") => (&["package", "name"], Type::Text),
        ("packages", "pkg_version") => (&["package", "version"], Type::Version),
        ("packages", "pkg_arch") => (&["package", "arch"], Type::Text),
        _ => return None,
    })
}

/// One filter.
fn one(filter: &serde_json::Value) -> Found {
    let (table, field) = (text(filter, "f_table"), text(filter, "f_field"));
    let (operator, wanted) = (text(filter, "f_op"), text(filter, "f_value"));
    if (table, field) == ("nodes", "os_name") {
        let always = Expression::All(Vec::new());
        let is_so = is_linux(operator, wanted)
            .ok_or_else(|| format!("`{table}.{field} {operator} {wanted}` cannot be asked here"))?;
        let found = if is_so { always } else { Expression::Not(Box::new(always)) };
        return Ok((found, BTreeSet::new()));
    }
    let said = format!("`{table}.{field} {operator} {wanted}` cannot be asked here");
    let negated = |leaf| if operator == "!=" { Expression::Not(Box::new(leaf)) } else { leaf };
    if let Some((path, of)) = known(table, field) {
        let value = value(of, operator, wanted, |text| translated(path, text)).ok_or(said)?;
        return Ok((negated(Expression::leaf(path, value)), BTreeSet::new()));
    }
    let (key, value) = match table {
        "nodes" => {
            let value = value(Type::Place, operator, wanted, str::to_owned).ok_or(said)?;
            (name(&field.replace('_', "-")), value)
        }
        "v_tags" | "tags" if field == "tag_name" && matches!(operator, "=" | "!=") => {
            (format!("tag-{}", name(wanted)), Value::from("yes"))
        }
        _ => return Err(said),
    };
    Ok((negated(Expression::leaf(&["labels", &key], value)), BTreeSet::from([key])))
}

/// Whether what is asked of a system's name holds for Linux, which every node here is.
fn is_linux(operator: &str, wanted: &str) -> Option<bool> {
    let is = |text: &str| text.trim().eq_ignore_ascii_case("linux");
    match operator {
        "=" => Some(is(wanted)),
        "!=" => Some(!is(wanted)),
        "IN" => Some(wanted.split(',').any(is)),
        "LIKE" if !wanted.contains(['_', '*', '\\']) => {
            Some(like(&wanted.trim().to_lowercase().replace('%', "*"), "linux"))
        }
        _ => None,
    }
}

/// A value as we write it.
fn translated(path: &[&str], text: &str) -> String {
    let text = text.trim();
    match path {
        ["environment" | "app"] => name(text),
        ["node"] => name(text.split('.').next().unwrap_or(text)),
        // `namespace/svc/name`
        ["service"] => name(text.rsplit('/').next().unwrap_or(text)),
        ["os"] => match text.to_lowercase().as_str() {
            "red hat" | "redhat" => "rhel".to_owned(),
            "suse" => "sles".to_owned(),
            "oracle" => "ol".to_owned(),
            other => other.to_owned(),
        },
        _ => text.to_owned(),
    }
}

fn value(
    of: Type,
    operator: &str,
    wanted: &str,
    translated: impl Fn(&str) -> String,
) -> Option<Value> {
    let unit = if of == Type::Megabytes { "mb" } else { "" };
    let plain = |text: &str| format!("{}{unit}", translated(text));
    match operator {
        "=" | "!=" => Some(plain(wanted).into()),
        "IN" => Some(texts(wanted.split(',').map(plain))),
        "LIKE" if !wanted.contains('%') => Some(plain(wanted).into()),
        "LIKE" if matches!(of, Type::Text) => Some(translated(wanted).replace('%', "*").into()),
        "<" | "<=" | ">" | ">=" if !matches!(of, Type::Place | Type::Text) => {
            Some(format!("{operator}{}", plain(wanted)).into())
        }
        _ => None,
    }
}
