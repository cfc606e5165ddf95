//! Which rulesets a service, and a container of it, is shown.
//!
//! In: a `[match]` table, a [`Subject`]. Out: whether it fits. Pure.

use std::collections::BTreeMap;

use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Place;

/// What a ruleset may be shown to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The service.
    pub(crate) service: &'a str,
    /// Its app.
    pub(crate) app: &'a str,
    /// The container; none where the service as a whole is meant.
    pub(crate) container: Option<&'a str>,
    /// The environment.
    pub(crate) environment: &'a str,
    /// The node.
    pub(crate) node: &'a str,
    /// The node's labels.
    pub(crate) labels: &'a BTreeMap<String, String>,
}

/// A `[match]` table: all that is given must fit.
#[derive(Debug, Default)]
pub(crate) struct Match {
    /// Any of these services.
    pub(crate) service: Option<Vec<String>>,
    /// Any of these apps.
    pub(crate) app: Option<Vec<String>>,
    container: Option<Vec<String>>,
    environment: Option<Vec<String>>,
    node: Option<Vec<String>>,
    labels: BTreeMap<String, Vec<String>>,
    any: Option<Vec<Match>>,
    not: Option<Box<Match>>,
}

fn words(node: &Node) -> Vec<String> {
    node.one_or_many().iter().filter_map(Node::as_text).map(str::to_owned).collect()
}

impl Match {
    /// Reads a checked table.
    pub(crate) fn read(table: &Table) -> Self {
        let list = |key: &str| table.get(key).map(words);
        let labels = table.table("labels").into_iter().flat_map(|labels| labels.0.iter());
        let any = table.get("any").and_then(Node::as_list);
        Self {
            service: list("service"),
            app: list("app"),
            container: list("container"),
            environment: list("environment"),
            node: list("node"),
            labels: labels.map(|(key, entry)| (key.clone(), words(&entry.node))).collect(),
            any: any.map(|all| all.iter().filter_map(Node::as_table).map(Self::read).collect()),
            not: table.table("not").map(|inner| Box::new(Self::read(inner))),
        }
    }

    /// Whether it fits.
    pub(crate) fn fits(&self, subject: &Subject<'_>) -> bool {
        let one = |words: &Option<Vec<String>>, value: Option<&str>| {
            words.as_ref().is_none_or(|words| words.iter().any(|word| Some(word.as_str()) == value))
        };
        let label = |(key, words): (&String, &Vec<String>)| {
            subject.labels.get(key).is_some_and(|value| words.contains(value))
        };
        one(&self.service, Some(subject.service))
            && one(&self.app, Some(subject.app))
            && one(&self.environment, Some(subject.environment))
            && one(&self.node, Some(subject.node))
            && one(&self.container, subject.container)
            && self.labels.iter().all(label)
            && self.any.as_ref().is_none_or(|any| any.iter().any(|inner| inner.fits(subject)))
            && self.not.as_ref().is_none_or(|inner| !inner.fits(subject))
    }

    /// What of it fits a subject that it fits, for people.
    pub(crate) fn why(&self, subject: &Subject<'_>) -> Vec<String> {
        let one = |key: &str, asked: &Option<Vec<String>>, value: &str| {
            asked.is_some().then(|| format!("{key} is {value}"))
        };
        let mut found: Vec<String> = [
            one("service", &self.service, subject.service),
            one("app", &self.app, subject.app),
            one("container", &self.container, subject.container.unwrap_or_default()),
            one("environment", &self.environment, subject.environment),
            one("node", &self.node, subject.node),
        ]
        .into_iter()
        .flatten()
        .collect();
        let label = |name: &String| {
            subject.labels.get(name).map(|value| format!("label {name} is {value}"))
        };
        found.extend(self.labels.keys().filter_map(label));
        let any = self.any.iter().flatten().find(|inner| inner.fits(subject));
        found.extend(any.into_iter().flat_map(|inner| inner.why(subject)));
        if self.not.is_some() {
            found.push("what is excluded is not so".to_owned());
        }
        found
    }

    /// Whether it is about services rather than nodes.
    pub(crate) fn asks_for_service(&self) -> bool {
        self.service.is_some()
            || self.app.is_some()
            || self.container.is_some()
            || self.any.iter().flatten().any(Self::asks_for_service)
            || self.not.as_ref().is_some_and(|inner| inner.asks_for_service())
    }

    /// Whether the container matters.
    pub(crate) fn asks_for_container(&self) -> bool {
        self.container.is_some()
            || self.any.iter().flatten().any(Self::asks_for_container)
            || self.not.as_ref().is_some_and(|inner| inner.asks_for_container())
    }
}

/// Where a `[match]` table asks for something that differs between environments or nodes.
pub(crate) fn place_dependent(table: &Table) -> Option<Place> {
    let own = ["environment", "node", "labels"]
        .iter()
        .find_map(|key| table.0.get(*key).map(|entry| entry.key_at));
    let any = table.get("any").and_then(Node::as_list).unwrap_or_default();
    own.or_else(|| any.iter().filter_map(Node::as_table).find_map(place_dependent))
        .or_else(|| table.table("not").and_then(place_dependent))
}
