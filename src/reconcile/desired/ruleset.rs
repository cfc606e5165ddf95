//! Rulesets: variables and pins, and which of several values wins.
//!
//! In: checked documents, a [`Subject`]. Out: the variables and the pin that it is shown. Pure.
//!
//! # Guarantees
//! * An inner ruleset wins over those around it; the environment's own win over those that flow.
//! * Two unrelated rulesets that set the same value differently are an error, never a coin toss.
//! * A pin is taken whole: no digest is ever combined with another pin's image id.

use std::collections::BTreeMap;

use crate::model::Digest;
use crate::model::ImageId;
use crate::model::RulesetName;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::repository::Document;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::desired::rule::Template;
use crate::reconcile::desired::select::Match;
use crate::reconcile::desired::select::Subject;
use crate::reconcile::desired::select::place_dependent;
use crate::reconcile::desired::substitute::scalar;

/// Where a ruleset lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// `rulesets/`: flows with promotion.
    Flow,
    /// `environments/<environment>/rulesets/`.
    Environment,
}

/// A pin as a ruleset or a service writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PinEntry {
    /// Where.
    pub(crate) at: Place,
    /// What is pulled.
    pub(crate) digest: Option<Digest>,
    /// Config digest.
    pub(crate) image_id: Option<ImageId>,
    /// For people.
    pub(crate) version: Option<String>,
    /// Where digest, image id and version stand.
    pub(crate) places: [Option<Place>; 3],
}

impl PinEntry {
    /// Whether both name the same image.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.image_id == other.image_id
    }

    /// Reads the pin's keys of a table; `None` if it has neither digest nor image id.
    pub(crate) fn read(table: &Table, findings: &mut Findings) -> Option<Self> {
        let digest = literal::<Digest>(table, "digest", findings);
        let image_id = literal::<ImageId>(table, "image_id", findings);
        let at = ["digest", "image_id"].iter().find_map(|key| table.get(key)).map(|n| n.at)?;
        if let (Some(ImageId::Short(_)), Some(node)) = (&image_id, table.get("image_id")) {
            let help = "write all 64 digits, as `docker push` prints them";
            findings.warning(node.at, "a short image id may fit more than one image", help);
        }
        let version = table.get("version").and_then(Node::as_text).map(str::to_owned);
        let places = ["digest", "image_id", "version"].map(|key| table.get(key).map(|n| n.at));
        Some(Self { at, digest, image_id, version, places })
    }
}

fn literal<T: std::str::FromStr<Err: std::fmt::Display>>(
    table: &Table,
    key: &str,
    findings: &mut Findings,
) -> Option<T> {
    let node = table.get(key)?;
    match node.as_text()?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            let help = "a pin is a literal that names one image for ever";
            findings.error_help(node.at, format!("{error}"), help);
            None
        }
    }
}

/// One ruleset.
#[derive(Debug)]
pub(crate) struct Ruleset {
    /// Its dotted path.
    pub(crate) name: RulesetName,
    /// Where it lies.
    pub(crate) layer: Layer,
    /// What it is shown to.
    pub(crate) matches: Match,
    /// Its variables.
    pub(crate) vars: Table,
    /// Its pins, by container.
    pub(crate) pins: BTreeMap<String, PinEntry>,
    /// Its compliance rules.
    pub(crate) rules: Vec<Template>,
}

impl Ruleset {
    /// Reads a checked document.
    pub(crate) fn read(
        name: RulesetName,
        layer: Layer,
        document: Document,
        findings: &mut Findings,
    ) -> Self {
        let table = document.table;
        let matching = table.table("match");
        if let Some(entry) = table.0.get("containers") {
            if layer == Layer::Environment {
                let help = "what runs in an environment comes by promotion; pin in `rulesets/`";
                let message = "an environment's own ruleset sets no pin";
                findings.error_help(entry.key_at, message, help);
            } else if let Some(at) = matching.and_then(place_dependent) {
                let message = "a ruleset with pins matches on service, app and container alone";
                let help = "move its vars, or its pins, into another ruleset";
                findings.error_help(at, message, help);
            }
        }
        let mut pins = BTreeMap::new();
        for (container, at, pin) in table.tables("containers") {
            match PinEntry::read(pin, findings) {
                Some(pin) => drop(pins.insert(container.to_owned(), pin)),
                None if pin.get("digest").or(pin.get("image_id")).is_none() => {
                    let message = format!("the pin of `{container}` names no image");
                    findings.error_help(at, message, "write `digest`, `image_id` or both");
                }
                None => {}
            }
        }
        if layer == Layer::Environment {
            pins.clear();
        }
        let matches = matching.map(Match::read).unwrap_or_default();
        let vars = table.table("vars").cloned().unwrap_or_default();
        let rules = Template::read_all(&table, findings);
        Self { name, layer, matches, vars, pins, rules }
    }

    /// Whether a rule of the same name in `other` counts instead: one further in, or the
    /// environment's own.
    pub(crate) fn yields_to(&self, other: &Self) -> bool {
        self.is_around(other)
            || (self.name == other.name && self.layer == Layer::Flow && other.layer != Layer::Flow)
    }

    fn is_around(&self, other: &Self) -> bool {
        let (outer, inner) = (self.name.segments(), other.name.segments());
        outer.len() < inner.len() && inner.starts_with(outer)
    }
}

/// All rulesets, found quickly by the service or app that they ask for.
#[derive(Debug, Default)]
pub(crate) struct Rulesets {
    all: Vec<Ruleset>,
    by_service: BTreeMap<String, Vec<usize>>,
    by_app: BTreeMap<String, Vec<usize>>,
    others: Vec<usize>,
}

impl Rulesets {
    /// Adds one.
    pub(crate) fn add(&mut self, ruleset: Ruleset) {
        let at = self.all.len();
        if let Some(services) = &ruleset.matches.service {
            for service in services {
                self.by_service.entry(service.clone()).or_default().push(at);
            }
        } else if let Some(apps) = &ruleset.matches.app {
            for app in apps {
                self.by_app.entry(app.clone()).or_default().push(at);
            }
        } else {
            self.others.push(at);
        }
        self.all.push(ruleset);
    }

    /// All of them.
    pub(crate) fn all(&self) -> std::slice::Iter<'_, Ruleset> {
        self.all.iter()
    }

    /// Those that fit the service or, with the right container, might.
    pub(crate) fn fitting(&self, subject: &Subject<'_>) -> Vec<&Ruleset> {
        let listed = |index: &BTreeMap<String, Vec<usize>>, key: &str| {
            index.get(key).cloned().unwrap_or_default()
        };
        let mut found = self.others.clone();
        found.extend(listed(&self.by_service, subject.service));
        found.extend(listed(&self.by_app, subject.app));
        found.sort_unstable();
        found.dedup();
        let fits = |r: &&Ruleset| r.matches.asks_for_container() || r.matches.fits(subject);
        found.into_iter().filter_map(|at| self.all.get(at)).filter(fits).collect()
    }
}

/// The variables of `layer` that `subject` is shown, added to `vars`.
pub(crate) fn add_vars<'a>(
    vars: &mut BTreeMap<&'a str, &'a Node>,
    rulesets: &[&'a Ruleset],
    layer: Layer,
    subject: &Subject<'_>,
    conflicts: &mut Vec<Conflict<'a>>,
) {
    let mut candidates: BTreeMap<&str, Vec<(&Ruleset, &Node)>> = BTreeMap::new();
    for ruleset in rulesets.iter().filter(|r| r.layer == layer && !r.vars.0.is_empty()) {
        if ruleset.matches.asks_for_container() && !ruleset.matches.fits(subject) {
            continue;
        }
        for (name, entry) in &ruleset.vars.0 {
            candidates.entry(name).or_default().push((ruleset, &entry.node));
        }
    }
    for (name, all) in candidates {
        let inner = innermost(&all);
        let Some((first, node)) = inner.first() else { continue };
        let differs = inner.iter().find(|(_, other)| scalar(&other.value) != scalar(&node.value));
        if let Some((second, other)) = differs {
            let what = format!("`vars.{name}`");
            conflicts.push(Conflict { what, first, second, at: other.at });
        }
        vars.insert(name, node);
    }
}

/// The pin of `container` that rulesets show, if any does.
pub(crate) fn pin<'a>(
    rulesets: &[&'a Ruleset],
    container: &str,
    subject: &Subject<'_>,
    conflicts: &mut Vec<Conflict<'a>>,
) -> Option<&'a PinEntry> {
    let inner = pins(rulesets, container, subject);
    let (first, pin) = inner.first()?;
    if let Some((second, other)) = inner.iter().find(|(_, other)| !other.same(pin)) {
        let what = format!("the pin of `{container}`");
        conflicts.push(Conflict { what, first, second, at: other.at });
    }
    Some(pin)
}

/// The innermost pins of `container`, with their rulesets.
fn pins<'a>(
    rulesets: &[&'a Ruleset],
    container: &str,
    subject: &Subject<'_>,
) -> Vec<(&'a Ruleset, &'a PinEntry)> {
    let subject = Subject { container: Some(container), ..*subject };
    let all: Vec<(&Ruleset, &PinEntry)> = rulesets
        .iter()
        .filter_map(|ruleset| Some((*ruleset, ruleset.pins.get(container)?)))
        .filter(|(ruleset, _)| ruleset.matches.fits(&subject))
        .collect();
    innermost(&all)
}

/// The ruleset that shows the pin of `container`, if one does.
pub(crate) fn pin_ruleset<'a>(
    rulesets: &[&'a Ruleset],
    container: &str,
    subject: &Subject<'_>,
) -> Option<&'a RulesetName> {
    pins(rulesets, container, subject).first().map(|(ruleset, _)| &ruleset.name)
}

/// Candidates that have none of the others inside them.
pub(crate) fn innermost<'a, T>(all: &[(&'a Ruleset, &'a T)]) -> Vec<(&'a Ruleset, &'a T)> {
    let outer = |ruleset: &Ruleset| all.iter().any(|(other, _)| ruleset.is_around(other));
    all.iter().filter(|(ruleset, _)| !outer(ruleset)).copied().collect()
}

/// Two unrelated rulesets that set the same value differently.
#[derive(Debug)]
pub(crate) struct Conflict<'a> {
    what: String,
    first: &'a Ruleset,
    second: &'a Ruleset,
    at: Place,
}

impl Conflict<'_> {
    /// What tells it from others.
    pub(crate) fn key(&self) -> (Place, String) {
        (self.at, self.what.clone())
    }

    /// Notes it.
    pub(crate) fn note(&self, service: &str, findings: &mut Findings) {
        let (first, second) = (&self.first.name, &self.second.name);
        let message = format!(
            "{} of service {service} is set differently by rulesets {first} and {second}",
            self.what
        );
        let help =
            "neither contains the other: narrow a `match`, or set it in a ruleset inside both";
        findings.error_help(self.at, message, help);
    }
}

/// Each ruleset with what it shows in the repository's environment, for people: pins and variables,
/// the environment's own over those that flow.
pub(crate) fn rulesets_shown(repository: &Repository<'_>) -> Vec<(RulesetName, Vec<String>)> {
    let mut shown: BTreeMap<RulesetName, BTreeMap<String, String>> = BTreeMap::new();
    let mut all: Vec<&Ruleset> = repository.rulesets.all().collect();
    all.sort_by_key(|ruleset| ruleset.layer);
    for ruleset in all {
        let values = shown.entry(ruleset.name.clone()).or_default();
        for (container, pin) in &ruleset.pins {
            let (key, value) = match (&pin.image_id, &pin.digest) {
                (Some(id), _) => ("image_id", id.to_string()),
                (None, Some(digest)) => ("digest", digest.to_string()),
                (None, None) => continue,
            };
            let short: String = value.trim_start_matches("sha256:").chars().take(10).collect();
            values.insert(format!("container#{container}.{key}"), format!("{short}…"));
        }
        for (name, entry) in &ruleset.vars.0 {
            let value = scalar(&entry.node.value).unwrap_or_default().into_owned();
            values.insert(format!("vars.{name}"), value);
        }
    }
    let row = |(key, value): (String, String)| format!("{key} = {value}");
    shown.into_iter().map(|(name, values)| (name, values.into_iter().map(row).collect())).collect()
}
