//! Whom a ruleset is shown to: its filterset, what encapsulates it, what was attached by hand.

use serde_json::Value;
use toml_edit::InlineTable;

use crate::import::collector::filter::{Expression, filterset};
use crate::import::collector::{Export, list, text};
use crate::import::draft::Draft;
use crate::import::words::name;
use crate::model::EnvironmentName;

/// Rulesets within rulesets, at most so deep; the collector has the same limit for filtersets.
const DEPTH_MAX: usize = 10;

/// Whom a ruleset is shown to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// The environment that it asks for, if it asks for one.
    pub(crate) environment: Option<EnvironmentName>,
    /// Of places: services, nodes, labels.
    pub(crate) matches: InlineTable,
    /// Of facts, for each rule.
    pub(crate) condition: InlineTable,
}

impl Shown {
    /// What pins may be matched by.
    pub(crate) fn for_pins(&self) -> InlineTable {
        let own = self.matches.iter().filter(|(key, _)| matches!(*key, "service" | "app"));
        own.map(|(key, value)| (key, value.clone())).collect()
    }
}

/// Whom the ruleset `of` is shown to; none if nobody is.
pub(crate) fn shown(export: &Export<'_>, of: &str, draft: &mut Draft) -> Option<Shown> {
    let expression = whom(export, of, &mut Vec::new(), draft)?;
    let (mut places, mut facts, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for part in expression.conjuncts() {
        match part.environment() {
            Some(environment) => wanted.push(environment),
            None if part.is_of_places() => places.push(part),
            None => facts.push(part),
        }
    }
    let mut environment = None;
    for named in wanted {
        match draft.environment(&named) {
            Some(found) if environment.is_none() => environment = Some(found),
            Some(found) => places.push(Expression::leaf(&["environment"], found.as_str())),
            None => {
                let why = format!("it is for {named}, which is not among the environments");
                draft.lost(&format!("ruleset {of}"), "all of it", why);
                return None;
            }
        }
    }
    let (matches, condition) = (Expression::All(places).table(), Expression::All(facts).table());
    Some(Shown { environment, matches, condition })
}

/// `within` are the rulesets that were gone through on the way here.
fn whom<'a>(
    export: &Export<'a>,
    of: &str,
    within: &mut Vec<&'a str>,
    draft: &mut Draft,
) -> Option<Expression> {
    let (of, row) = export.rulesets.get_key_value(of)?;
    let holds = |row: &Value| list(row, "rulesets").iter().any(|child| child.as_str() == Some(*of));
    let parents = export.rulesets.iter().filter(|(_, row)| holds(row)).map(|(name, _)| *name);
    let parents: Vec<&str> = parents.filter(|name| !within.contains(name)).collect();
    let own = own(export, of, draft);
    if parents.is_empty() || within.len() >= DEPTH_MAX {
        return Some(own);
    }
    let only_within = row.get("ruleset_public").and_then(Value::as_bool) == Some(false);
    let mut ways: Vec<Expression> = if only_within { Vec::new() } else { vec![own.clone()] };
    within.push(of);
    for parent in parents {
        ways.extend(whom(export, parent, within, draft));
    }
    within.pop();
    let any = if ways.len() == 1 { ways.remove(0) } else { Expression::Any(ways) };
    // Its own filterset counts within what encapsulates it, too; attachment does not.
    let filtered = !text(row, "fset_name").is_empty();
    Some(if filtered && only_within { Expression::All(vec![own, any]) } else { any })
}

/// What the ruleset itself asks for.
fn own(export: &Export<'_>, of: &str, draft: &mut Draft) -> Expression {
    let place = format!("ruleset {of}");
    let everywhere = Expression::All(Vec::new());
    let Some(row) = export.rulesets.get(of) else { return everywhere };
    let gate = |what: &str, named: &str| {
        let key = name(&format!("{what}-{named}"));
        (Expression::leaf(&["labels", &key], "yes"), key)
    };
    let fset = text(row, "fset_name");
    if fset.is_empty() {
        if text(row, "ruleset_type") == "contextual" || of.contains(".applications.") {
            return everywhere;
        }
        let (gate, key) = gate("ruleset", of);
        let why = format!("the export does not say to which nodes: label those {key} = \"yes\"");
        draft.changed(&place, "it was attached by hand", why);
        return gate;
    }
    match filterset(export, fset, 0) {
        Ok((expression, labels)) => {
            for key in labels {
                let why = "nodes have no such field here: label them so, in nodes/<name>.toml";
                draft.changed(&place, format!("label {key}"), why);
            }
            expression
        }
        Err(why) => {
            let (gate, key) = gate("filterset", fset);
            let why = format!("{why}: label the nodes that it means {key} = \"yes\"");
            draft.changed(&place, format!("filterset {fset}"), why);
            gate
        }
    }
}
