//! Variables by class → rules, pins and variables.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::import::collector::rules::{Rules, rules};
use crate::import::collector::shown::Shown;
use crate::import::collector::text;
use crate::import::collector::values::{each, scalar};
use crate::import::draft::{Draft, RuleDraft, RulesetDraft};
use crate::import::words::{name, variable};

/// Classes whose values are text, not JSON of a kind.
const PLAIN: [&str; 5] = ["", "raw", "string", "text", "variable"];

/// Whether a variable is just a value.
pub(crate) fn is_plain(row: &Value) -> bool {
    PLAIN.contains(&text(row, "var_class"))
}

/// A ruleset that is being read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) place: &'a str,
    /// Plain variables of the export.
    pub(crate) variables: &'a BTreeSet<String>,
    pub(crate) shown: &'a Shown,
    pub(crate) ruleset: &'a mut RulesetDraft,
}

impl Reading<'_> {
    /// Reads one variable.
    pub(crate) fn variable(&mut self, row: &Value, draft: &mut Draft) {
        let (named, class) = (text(row, "var_name"), text(row, "var_class"));
        let value = scalar(row.get("var_value")).unwrap_or_default();
        if let Some(pin) = Pin::read(named) {
            return self.pin(&pin, named, &value, draft);
        }
        if is_plain(row) {
            return self.plain(named, &value, draft);
        }
        let what = format!("{named} ({class})");
        let parsed: Value = match serde_json::from_str(&value) {
            Ok(parsed) => parsed,
            Err(_) if class == "cron" => Value::String(value),
            Err(error) => return draft.lost(self.place, what, format!("it is not JSON: {error}")),
        };
        if class == "svcconf" {
            return self.settings(named, &parsed, draft);
        }
        let mut found = Rules::new();
        let mut is_said = false;
        for one in items(class, &parsed) {
            let mut lost = |why: String| {
                is_said = true;
                draft.lost(self.place, &what, why);
            };
            match rules(class, &one, &mut lost) {
                Ok(rules) => found.extend(rules),
                Err(why) => lost(why),
            }
        }
        if found.is_empty() && !is_said {
            draft.lost(self.place, &what, "nothing is asked in it that can be understood");
        }
        let n_all = found.len();
        for (at, (kind, parameters)) in found.into_iter().enumerate() {
            let base = variable(named);
            let name = if n_all == 1 { base } else { format!("{base}-{}", at + 1) };
            let condition = self.shown.condition.clone();
            self.rule(RuleDraft { name, kind, parameters, condition }, &what, draft);
        }
    }

    fn rule(&mut self, mut rule: RuleDraft, what: &str, draft: &mut Draft) {
        if let Some(why) = rule.unknown() {
            return draft.lost(self.place, what, why);
        }
        if let Some(missing) = self.undefined(&rule) {
            let why = format!("nothing here says what variable {missing} is");
            return draft.lost(self.place, what, why);
        }
        let base = rule.name.clone();
        let mut n = 1;
        while self.ruleset.rules.iter().any(|other| other.name == rule.name) {
            n += 1;
            rule.name = format!("{base}-{n}");
        }
        draft.n_carried += 1;
        self.ruleset.rules.push(rule);
    }

    /// A variable that a rule refers to and no ruleset sets.
    fn undefined(&self, rule: &RuleDraft) -> Option<String> {
        let texts = rule.parameters.iter().filter_map(|(_, value)| value.as_str());
        let names = texts.flat_map(|text| text.split("${vars.").skip(1));
        let mut names = names.filter_map(|rest| rest.split('}').next());
        names.find(|name| !self.variables.contains(*name)).map(str::to_owned)
    }

    fn plain(&mut self, named: &str, value: &str, draft: &mut Draft) {
        if !self.shown.condition.is_empty() {
            let why = "a variable cannot depend on what is so on a node: use a label";
            return draft.lost(self.place, named, why);
        }
        match crate::import::words::percent(value) {
            Ok(value) => {
                let own = variable(named);
                if self.ruleset.vars.get(&own).is_some_and(|there| *there != value) {
                    return draft.lost(self.place, named, another(&own));
                }
                draft.n_carried += 1;
                drop(self.ruleset.vars.insert(own, value));
            }
            Err(why) => draft.lost(self.place, named, why),
        }
    }

    /// `[{ "key": "container#1.image_id", "op": "=", "value": … }]`
    fn settings(&mut self, named: &str, value: &Value, draft: &mut Draft) {
        for row in each(value) {
            let (key, wanted) = (text(row, "key"), scalar(row.get("value")).unwrap_or_default());
            match Pin::read(key) {
                Some(pin) if matches!(text(row, "op"), "" | "=") => {
                    self.pin(&pin, key, &wanted, draft);
                }
                _ => {
                    let why = "a service is what its definition says: write it there";
                    draft.lost(self.place, format!("{named}: {key} = {wanted}"), why);
                }
            }
        }
    }

    fn pin(&mut self, pin: &Pin, what: &str, value: &str, draft: &mut Draft) {
        let value = value.trim();
        let hex = value.strip_prefix("sha256:").unwrap_or(value);
        if hex.len() < 10 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let why =
                "it is no id of an image, ten hexadecimal digits or more: `tidegate pin` pins";
            return draft.lost(self.place, format!("{what} = {value}"), why);
        }
        let own = self.ruleset.pins.entry(pin.container.clone()).or_default();
        if own.get("image_id").is_some_and(|there| there != value) {
            let why = format!("container {} has another image's id already", pin.container);
            return draft.lost(self.place, format!("{what} = {value}"), why);
        }
        draft.n_carried += 1;
        own.insert("image_id", value.to_owned());
    }
}

/// Why a variable is left out whose name another has.
pub(crate) fn another(name: &str) -> String {
    format!("variable {name} is set already, to something else: give one of them another name")
}

/// `container#1.image_id`
#[derive(Debug)]
struct Pin {
    container: String,
}

impl Pin {
    fn read(key: &str) -> Option<Self> {
        let (container, field) = key.strip_prefix("container#")?.split_once('.')?;
        let is_image = matches!(field, "image_id" | "image" | "run_image");
        (is_image && container == name(container)).then(|| Self { container: container.to_owned() })
    }
}

/// What is one thing in a value of this class.
fn items(class: &str, value: &Value) -> Vec<Value> {
    match class {
        // All keys of one parameter belong together.
        "sysctl" => {
            let mut by_key: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
            for row in each(value) {
                by_key.entry(text(row, "key")).or_default().push(row.clone());
            }
            by_key.into_values().map(Value::Array).collect()
        }
        "user" | "group" | "group_membership" => {
            let entries = value.as_object().into_iter().flatten();
            entries.map(|(name, of)| serde_json::json!({ "name": name, "of": of })).collect()
        }
        _ => each(value).to_vec(),
    }
}
