//! What an import comes to, and how it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use crate::import::words::name;
use crate::import::{Files, ImportError, Into};
use crate::model::EnvironmentName;
use crate::reconcile::desired::rule::RULE;

/// What an import comes to.
#[derive(Debug)]
pub struct Imported {
    /// New files, and `tidegate.toml` where it changed.
    pub files: BTreeMap<String, String>,
    /// Things that were carried: variables, pins, rules, keys.
    pub n_carried: usize,
    /// What was not carried, or not as it was.
    pub remarks: Vec<Remark>,
}

/// Something that somebody must look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// What became of it.
    pub fate: Fate,
    /// Where it stood: `ruleset it.linux`, `container#1`.
    pub place: String,
    /// What it is.
    pub what: String,
    /// Why, and what to do.
    pub why: String,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is not in the result.
    NotCarried,
    /// It is, but means something else, or needs something.
    Changed,
}

impl Fate {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotCarried => "not carried",
            Self::Changed => "changed",
        }
    }
}

/// A repository to be.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The environments, the first one first.
    pub(crate) environments: Vec<EnvironmentName>,
    /// Whether the document may name others.
    pub(crate) fixed: bool,
    pub(crate) apps: BTreeSet<String>,
    /// Nodes by environment.
    pub(crate) nodes: BTreeSet<(EnvironmentName, String)>,
    pub(crate) services: BTreeMap<String, DocumentMut>,
    /// By path within the repository.
    pub(crate) rulesets: BTreeMap<String, RulesetDraft>,
    /// What other lines pin otherwise: by environment and path.
    pub(crate) lines: BTreeMap<EnvironmentName, BTreeMap<String, RulesetDraft>>,
    pub(crate) n_carried: usize,
    pub(crate) remarks: Vec<Remark>,
    /// The document of `tidegate.toml` that is there.
    pub(crate) tidegate: Option<DocumentMut>,
}

/// A ruleset to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct RulesetDraft {
    /// What it was called.
    pub(crate) title: String,
    pub(crate) matches: InlineTable,
    pub(crate) vars: BTreeMap<String, String>,
    /// By container: `image_id`, `digest`.
    pub(crate) pins: BTreeMap<String, BTreeMap<&'static str, String>>,
    pub(crate) rules: Vec<RuleDraft>,
}

/// A rule to be.
#[derive(Debug, Clone)]
pub(crate) struct RuleDraft {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) parameters: Vec<(&'static str, Value)>,
    pub(crate) condition: InlineTable,
}

impl Draft {
    /// An empty one beside what is there.
    pub(crate) fn new(into: Into<'_>) -> Result<Self, ImportError> {
        let mut draft = Self { environments: into.environments.to_vec(), ..Self::default() };
        if let Some(text) = text(into.there, "tidegate.toml") {
            let path = "tidegate.toml".to_owned();
            let unreadable = |source| ImportError::Unreadable { path, source };
            let document: DocumentMut = text.parse().map_err(unreadable)?;
            if draft.environments.is_empty() {
                let listed = document.get("environments").and_then(Item::as_array);
                let listed = listed.into_iter().flatten().filter_map(Value::as_str);
                draft.environments = listed.filter_map(|name| name.parse().ok()).collect();
            }
            draft.tidegate = Some(document);
        }
        draft.fixed = !draft.environments.is_empty();
        Ok(draft)
    }

    pub(crate) fn lost(&mut self, place: &str, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.remark(Fate::NotCarried, place, what.as_ref(), why.as_ref());
    }

    pub(crate) fn changed(&mut self, place: &str, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.remark(Fate::Changed, place, what.as_ref(), why.as_ref());
    }

    fn remark(&mut self, fate: Fate, place: &str, what: &str, why: &str) {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let remark = Remark { fate, place: line(place), what: line(what), why: line(why) };
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// The environment that `text` names, made known; none if that is no name, or not one of ours.
    pub(crate) fn environment(&mut self, text: &str) -> Option<EnvironmentName> {
        let found: EnvironmentName = name(text).parse().ok()?;
        if !self.environments.contains(&found) {
            if self.fixed {
                return None;
            }
            self.environments.push(found.clone());
            self.environments.sort_by_key(|name| rank(name.as_str()));
        }
        Some(found)
    }
}

/// Earlier lines first, as people call them.
fn rank(environment: &str) -> (usize, String) {
    const ORDER: [&str; 14] = [
        "dev", "lab", "int", "tst", "test", "qa", "rec", "uat", "stg", "ppd", "pprd", "prp", "prd",
        "prod",
    ];
    let at = ORDER.iter().position(|name| *name == environment).unwrap_or(ORDER.len() - 3);
    (at, environment.to_owned())
}

/// The text of a file that is there.
pub(crate) fn text<'a>(files: &'a Files, path: &str) -> Option<&'a str> {
    files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

impl RuleDraft {
    /// Why this version has no such rule.
    pub(crate) fn unknown(&self) -> Option<String> {
        let Some(keys) = RULE.variant(self.kind) else {
            return Some(format!("this version has no rules of kind `{}`", self.kind));
        };
        let strange = self.parameters.iter().find(|(key, _)| keys.get(key).is_none());
        strange.map(|(key, _)| format!("rules of kind `{}` have no `{key}` here", self.kind))
    }

    fn write(&self) -> String {
        let mut table = Table::new();
        table.insert("name", self.name.as_str().into());
        table.insert("kind", self.kind.into());
        for (key, value) in &self.parameters {
            table.insert(key, Item::Value(value.clone()));
        }
        if !self.condition.is_empty() {
            table.insert("match", self.condition.clone().into());
        }
        format!("\n[[rules]]\n{table}")
    }
}

impl RulesetDraft {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.vars.is_empty() && self.pins.is_empty() && self.rules.is_empty()
    }

    /// Its text, and where each rule ends.
    pub(crate) fn write(&self) -> (String, Vec<usize>) {
        let mut document = DocumentMut::new();
        if !self.matches.is_empty() {
            document.insert("match", Item::Table(self.matches.clone().into_table()));
        }
        if !self.vars.is_empty() {
            let vars: Table = self.vars.iter().map(|(k, v)| (k, Value::from(v.as_str()))).collect();
            document.insert("vars", Item::Table(vars));
        }
        let mut pins = Table::new();
        pins.set_implicit(true);
        for (container, pin) in &self.pins {
            let pin: Table = pin.iter().map(|(k, v)| (*k, Value::from(v.as_str()))).collect();
            pins.insert(container, Item::Table(pin));
        }
        if !pins.is_empty() {
            document.insert("containers", Item::Table(pins));
        }
        let mut text = String::new();
        for line in self.title.lines() {
            let _fits = writeln!(text, "# {line}");
        }
        text.push_str(&document.to_string());
        let mut ends = Vec::new();
        for rule in &self.rules {
            text.push_str(&rule.write());
            ends.push(text.len());
        }
        (text, ends)
    }
}

/// A list of texts.
pub(crate) fn texts<T: AsRef<str>>(all: impl IntoIterator<Item = T>) -> Value {
    let mut array = Array::new();
    for text in all {
        array.push(text.as_ref());
    }
    Value::Array(array)
}
