//! OpenSVC's compliance export: rulesets with variables by class, filtersets, modulesets.
//!
//! A ruleset whose last segment is an environment's name is that environment's own: its variables and
//! rules belong to the environment, its pins to the environment's line.

mod accounts;
mod class;
mod fields;
mod filter;
mod rules;
mod running;
mod shown;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::import::ImportError;
use crate::import::collector::class::{Reading, another};
use crate::import::collector::shown::{Shown, shown};
use crate::import::draft::{Draft, RulesetDraft};
use crate::import::words::{path, variable};
use crate::model::EnvironmentName;

/// More than any collector has.
const RULESETS_MAX: usize = 20_000;

/// Pins by environment and file.
type Pinned = BTreeMap<EnvironmentName, BTreeMap<String, RulesetDraft>>;

/// The lists of an export, by name.
#[derive(Debug)]
struct Export<'a> {
    rulesets: BTreeMap<&'a str, &'a Value>,
    filtersets: BTreeMap<&'a str, &'a Value>,
}

/// The text of a field; empty if there is none.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Reads an export into the draft.
pub(crate) fn read(export: &str, draft: &mut Draft) -> Result<(), ImportError> {
    let not_that = |what: String| ImportError::NotThat { what };
    let document: Value = serde_json::from_str(export)
        .map_err(|error| not_that(format!("it is not JSON: {error}")))?;
    if document.get("rulesets").and_then(Value::as_array).is_none() {
        let what = "it has no list `rulesets`: it is not what a collector's \
            /compliance/rulesets/export or /compliance/modulesets/export answers";
        return Err(not_that(what.to_owned()));
    }
    let named = |field: &str, name: &str| -> BTreeMap<&str, &Value> {
        let rows = list(&document, field).iter().take(RULESETS_MAX);
        rows.map(|row| (text(row, name), row)).filter(|(name, _)| !name.is_empty()).collect()
    };
    let (rulesets, filtersets) =
        (named("rulesets", "ruleset_name"), named("filtersets", "fset_name"));
    let export = Export { rulesets, filtersets };
    let variables = export.variables();
    let mut pinned = Pinned::new();
    for (name, row) in &export.rulesets {
        let Some(shown) = shown(&export, name, draft) else { continue };
        one(name, row, &shown, &variables, &mut pinned, draft);
    }
    modulesets(&document, draft);
    place_pins(pinned, draft);
    Ok(())
}

impl Export<'_> {
    /// Names of plain variables: what `%%ENV:…%%` can mean.
    fn variables(&self) -> BTreeSet<String> {
        let rows = self.rulesets.values().flat_map(|row| list(row, "variables"));
        let plain = rows.filter(|row| class::is_plain(row));
        plain.map(|row| variable(text(row, "var_name"))).collect()
    }
}

/// One ruleset.
fn one(
    name: &str,
    row: &Value,
    shown: &Shown,
    variables: &BTreeSet<String>,
    pinned: &mut Pinned,
    draft: &mut Draft,
) {
    let place = format!("ruleset {name}");
    let mut segments = path(name);
    let leaf = segments.last().and_then(|last| draft.environment_of(last));
    if leaf.is_some() && segments.len() > 1 {
        segments.pop();
    }
    let environment = shown.environment.clone().or(leaf);
    let file = format!("rulesets/{}.toml", segments.join("/"));
    let mut ruleset = RulesetDraft { title: place.clone(), ..RulesetDraft::default() };
    let mut reading = Reading { place: &place, variables, shown, ruleset: &mut ruleset };
    for variable in list(row, "variables") {
        reading.variable(variable, draft);
    }
    ruleset.matches = shown.matches.clone();
    let pins = std::mem::take(&mut ruleset.pins);
    if !pins.is_empty() {
        let mut matches = shown.for_pins();
        if matches.is_empty() {
            let service = segments.last().map(String::as_str).unwrap_or_default();
            let why = format!("it names no service: they are taken to be {service}'s, by its name");
            draft.changed(&place, "image pins", why);
            matches.insert("service", service.into());
        }
        let own = RulesetDraft { title: place, matches, pins, ..RulesetDraft::default() };
        match &environment {
            None => draft.merge(&file, own),
            Some(environment) => {
                let lines = pinned.entry(environment.clone()).or_default();
                match lines.get_mut(&file) {
                    None => drop(lines.insert(file.clone(), own)),
                    Some(there) => draft.absorb(there, own),
                }
            }
        }
    }
    if ruleset.is_empty() {
        return;
    }
    match environment {
        Some(environment) => draft.merge(&format!("environments/{environment}/{file}"), ruleset),
        None => draft.merge(&file, ruleset),
    }
}

/// The last line's pins lie in the tree; earlier lines' are what `init --from` replays.
fn place_pins(mut pinned: Pinned, draft: &mut Draft) {
    let order = draft.environments.clone();
    let Some(last) = order.iter().rev().find(|name| pinned.contains_key(*name)) else { return };
    for (path, ruleset) in pinned.remove(last).unwrap_or_default() {
        draft.merge(&path, ruleset);
    }
    draft.lines = pinned;
}

/// Modules are programs; here each rule is checked for itself.
fn modulesets(document: &Value, draft: &mut Draft) {
    for row in list(document, "modulesets") {
        let place = format!("moduleset {}", text(row, "modset_name"));
        for module in list(row, "modules") {
            let what = format!("module {}", text(module, "modset_mod_name"));
            let autofix = module.get("autofix").and_then(Value::as_bool).unwrap_or_default();
            draft.lost(&place, what, "it is a program; here each rule is checked for itself");
            if autofix {
                let why =
                    "it mended by itself: write `fix = \"auto\"` into rules where that is meant";
                draft.changed(&place, "autofix", why);
            }
        }
    }
}

impl Draft {
    /// The environment that a ruleset's last segment names: one that is known, or is called as
    /// environments are.
    fn environment_of(&mut self, segment: &str) -> Option<EnvironmentName> {
        const USUAL: [&str; 7] = ["dev", "int", "tst", "test", "uat", "prd", "prod"];
        let known = self.environments.iter().any(|name| name.as_str() == segment);
        if known || USUAL.contains(&segment) { self.environment(segment) } else { None }
    }

    /// Adds to what a file says already: two rulesets may have become one.
    fn merge(&mut self, path: &str, ruleset: RulesetDraft) {
        let same = |there: &RulesetDraft| there.matches.to_string() == ruleset.matches.to_string();
        match self.rulesets.remove(path) {
            None => drop(self.rulesets.insert(path.to_owned(), ruleset)),
            Some(mut there) if same(&there) => {
                self.absorb(&mut there, ruleset);
                self.rulesets.insert(path.to_owned(), there);
            }
            Some(there) => {
                self.rulesets.insert(path.to_owned(), there);
                let stem = path.strip_suffix(".toml").unwrap_or(path);
                let mut others = (2_usize..).map(|n| format!("{stem}-{n}.toml"));
                let free = others.find(|path| !self.rulesets.contains_key(path));
                self.rulesets.extend(free.map(|path| (path, ruleset)));
            }
        }
    }

    /// Adds one ruleset to another; what that says otherwise already is left out.
    fn absorb(&mut self, there: &mut RulesetDraft, ruleset: RulesetDraft) {
        let place = ruleset.title.clone();
        if there.title != ruleset.title {
            there.title = format!("{}\n{}", there.title, ruleset.title);
        }
        let mut left = Vec::new();
        for (name, value) in ruleset.vars {
            if there.vars.get(&name).is_some_and(|other| *other != value) {
                left.push((name.clone(), another(&name)));
            } else {
                there.vars.insert(name, value);
            }
        }
        for (container, pin) in ruleset.pins {
            let own = there.pins.entry(container.clone()).or_default();
            if own.iter().any(|(key, value)| pin.get(key).is_some_and(|other| other != value)) {
                let why = "another ruleset of this name pins it otherwise".to_owned();
                left.push((format!("pin of container {container}"), why));
            } else {
                own.extend(pin);
            }
        }
        there.rules.extend(ruleset.rules);
        self.n_carried = self.n_carried.saturating_sub(left.len());
        for (what, why) in left {
            self.lost(&place, what, why);
        }
    }
}
