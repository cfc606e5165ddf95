//! A rule's own `match`: conditions on facts, read with every mistake named.
//!
//! In: a checked table, the subject. Out: [`Condition`]. Pure.
//!
//! # Guarantees
//! * What only asks for places is decided here; facts are asked by `compliance`.
//! * The conditions of one table hold for the same row.

use serde::Serialize;

use crate::model::size::parse_size;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::rule::fact::Fact;
use crate::reconcile::desired::rule::fact::FactType;
use crate::reconcile::desired::rule::fact::Shape;
use crate::reconcile::desired::select::Match;
use crate::reconcile::desired::select::Subject;

/// What must hold for a rule to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Decided by the place: node, environment, service.
    Place(bool),
    /// All hold; none at all holds.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A fact with one value.
    One {
        /// Its name.
        fact: &'static str,
        /// One of these fits.
        tests: Vec<Test>,
    },
    /// One row of a fact fits all of these.
    Row {
        /// Its name.
        fact: &'static str,
        /// By field: one of these fits.
        fields: Vec<(&'static str, Vec<Test>)>,
    },
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// This text; `*` stands for any part.
    Like(String),
    /// This truth.
    Is(bool),
    /// Each of these comparisons of numbers holds.
    Numbers(Vec<(Comparison, i64)>),
    /// Each of these comparisons of versions holds.
    Versions(Vec<(Comparison, String)>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

impl Comparison {
    /// Longest first, so that `>=` is not taken for `>`.
    const ALL: [(&'static str, Self); 5] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::More),
        ("=", Self::Equal),
    ];

    /// Whether an ordering satisfies it.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::AtLeast => order.is_ge(),
            Self::More => order.is_gt(),
        }
    }

    fn symbol(self) -> &'static str {
        Self::ALL.iter().find(|(_, own)| *own == self).map_or("", |(symbol, _)| symbol)
    }

    /// What others write for one of ours, or for none; longest first.
    const FOREIGN: [(&'static str, &'static str); 9] = [
        ("=>", "write `>=`"),
        ("=<", "write `<=`"),
        ("<<", "write `<`"),
        (">>", "write `>`"),
        ("==", "write `=`"),
        ("!=", "there is no `!=`"),
        ("!", "there is no `!`"),
        ("~", "there is no `~`"),
        ("^", "there is no `^`"),
    ];

    /// What `>=3.0, <3.1` asks for, each part by itself; equality where no operator is written.
    fn each<T>(
        text: &str,
        of: &str,
        example: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<(Self, T)>, String> {
        let one = |part: &str| {
            let part = part.trim();
            let foreign = Self::FOREIGN.iter().find(|(symbol, _)| part.starts_with(symbol));
            let found = Self::ALL.iter().find_map(|(s, own)| Some((*own, part.strip_prefix(s)?)));
            let (own, rest) = found.unwrap_or((Self::Equal, part));
            let value = if foreign.is_none() { parse(rest.trim()) } else { None };
            let say = foreign.map_or_else(
                || format!("write for example `{example}`"),
                |(_, say)| format!("{say}, for example `{example}`"),
            );
            let error = || format!("`{part}` is no {of} to compare with: {say}");
            Ok((own, value.ok_or_else(error)?))
        };
        text.split(',').map(one).collect()
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Condition {
    /// Whether it holds whatever the facts are.
    pub fn is_always(&self) -> bool {
        match self {
            Self::Place(fits) => *fits,
            Self::All(all) => all.iter().all(Self::is_always),
            Self::Any(any) => any.iter().any(Self::is_always),
            Self::Not(inner) => inner.is_never(),
            Self::One { .. } | Self::Row { .. } => false,
        }
    }

    /// Whether it fails whatever the facts are.
    pub fn is_never(&self) -> bool {
        match self {
            Self::Place(fits) => !fits,
            Self::All(all) => all.iter().any(Self::is_never),
            Self::Any(any) => any.iter().all(Self::is_never),
            Self::Not(inner) => inner.is_always(),
            Self::One { .. } | Self::Row { .. } => false,
        }
    }

    /// Reads a checked `match`.
    pub(crate) fn read(table: &Table, subject: &Subject<'_>, reader: &mut Reader<'_>) -> Self {
        let mut all = vec![Self::Place(Match::read(&places(table)).fits(subject))];
        for (name, entry) in &table.0 {
            match (name.as_str(), Fact::get(name)) {
                ("any", _) => {
                    let tables = entry.node.one_or_many().iter().filter_map(Node::as_table);
                    all.push(Self::Any(tables.map(|t| Self::read(t, subject, reader)).collect()));
                }
                ("not", _) => {
                    if let Some(inner) = entry.node.as_table() {
                        all.push(Self::Not(Box::new(Self::read(inner, subject, reader))));
                    }
                }
                (_, Some(fact)) => all.push(of_fact(fact, &entry.node, reader)),
                _ => {}
            }
        }
        Self::All(all)
    }
}

/// The part of a table that asks for places.
fn places(table: &Table) -> Table {
    let is_place = |name: &str| ["service", "app", "environment", "node", "labels"].contains(&name);
    Table(
        table.0.iter().filter(|(n, _)| is_place(n)).map(|(n, e)| (n.clone(), e.clone())).collect(),
    )
}

fn of_fact(fact: &'static Fact, node: &Node, reader: &mut Reader<'_>) -> Condition {
    match fact.shape {
        Shape::One(of) => Condition::One { fact: fact.name, tests: tests(of, node, reader) },
        Shape::Rows(_) => {
            let rows = node.one_or_many().iter();
            Condition::Any(rows.filter_map(|node| row(fact, node, reader)).collect())
        }
    }
}

fn row(fact: &'static Fact, node: &Node, reader: &mut Reader<'_>) -> Option<Condition> {
    let table = node.as_table()?;
    let keys = table.get("key").map(Node::one_or_many).unwrap_or_default();
    let is_pattern = |key: &Node| key.as_text().is_none_or(|key| key.contains('*'));
    if fact.name == "sysctl" && (keys.is_empty() || keys.iter().any(is_pattern)) {
        let message = "`sysctl` needs the `key` of each kernel parameter that it asks for";
        let help = "name it without `*`: none is read that no rule names";
        reader.findings.error_help(node.at, message, help);
        return None;
    }
    let mut fields = Vec::new();
    for (name, entry) in &table.0 {
        if let Some(field) = fact.field(name) {
            fields.push((field.name, tests(field.of, &entry.node, reader)));
        }
    }
    Some(Condition::Row { fact: fact.name, fields })
}

fn tests(of: FactType, node: &Node, reader: &mut Reader<'_>) -> Vec<Test> {
    node.one_or_many().iter().filter_map(|node| test(of, node, reader)).collect()
}

fn test(of: FactType, node: &Node, reader: &mut Reader<'_>) -> Option<Test> {
    if let Value::Boolean(wanted) = node.value {
        return Some(Test::Is(wanted));
    }
    match of {
        FactType::Boolean => reader.with(node, |text| match text {
            "true" => Ok(Test::Is(true)),
            "false" => Ok(Test::Is(false)),
            _ => Err(format!("`{text}` is not true or false")),
        }),
        FactType::Text => reader.with(node, like),
        FactType::Count => reader.with(node, |text| numbers(text, |n| n.parse().ok())),
        FactType::Bytes => reader.with(node, |text| {
            numbers(text, |n| parse_size(n).ok().and_then(|n| i64::try_from(n).ok()))
        }),
        FactType::Version => reader.with(node, versions),
    }
}

/// Text as it is, which no comparison is.
fn like(text: &str) -> Result<Test, String> {
    if text.starts_with(['<', '>', '=', '!']) {
        return Err(format!(
            "`{text}`: text is compared as it is, with `*` for any part and no operators"
        ));
    }
    Ok(Test::Like(text.to_owned()))
}

fn numbers(text: &str, parse: impl Fn(&str) -> Option<i64>) -> Result<Test, String> {
    Comparison::each(text, "number", ">=4", parse).map(Test::Numbers)
}

/// Reads `>=3.0, <3.1`, or a version with `*`.
pub(crate) fn versions(text: &str) -> Result<Test, String> {
    // What dpkg, rpm, kernels and engines have in theirs.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-~^:_".contains(c);
    let begins = |c: char| c.is_ascii_alphanumeric();
    let is_pattern = text.contains('*') && text.chars().all(|c| plain(c) || c == '*');
    if is_pattern && text.starts_with(|c| begins(c) || c == '*') {
        return Ok(Test::Like(text.to_owned()));
    }
    let is_version = |text: &str| text.starts_with(begins) && text.chars().all(plain);
    let version = |text: &str| is_version(text).then(|| text.to_owned());
    Comparison::each(text, "version", ">=3.0, <3.1", version).map(Test::Versions)
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let joined = |parts: Vec<String>| parts.join(", ");
        match self {
            Self::Like(text) => f.write_str(text),
            Self::Is(wanted) => write!(f, "{wanted}"),
            Self::Numbers(all) => f.write_str(&joined(
                all.iter().map(|(c, n)| format!("{}{n}", c.symbol())).collect(),
            )),
            Self::Versions(all) => f.write_str(&joined(
                all.iter().map(|(c, v)| format!("{}{v}", c.symbol())).collect(),
            )),
        }
    }
}
