//! Whom a ruleset reaches, and why: `tidegate ruleset who`.
//!
//! In: a snapshot, a ruleset's name. Out: [`Reached`]. Pure.
//!
//! # Guarantees
//! * The rules are those of resolving: the same documents, the same `match`.

use serde::Serialize;

use crate::model::NodeName;
use crate::model::RulesetName;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::desired::resolve::Resolution;
use crate::reconcile::desired::resolve::labels;
use crate::reconcile::desired::resolve::resolve;
use crate::reconcile::desired::ruleset::Layer;
use crate::reconcile::desired::ruleset::Ruleset;
use crate::reconcile::desired::select::Subject;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// Somebody whom a ruleset reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The node.
    pub node: NodeName,
    /// `node`, `app1.prd` or `app1.prd/web`.
    pub target: String,
    /// The ruleset's file.
    pub file: String,
    /// What of its `match` fits; empty where it has none.
    pub why: Vec<String>,
    /// What it shows: `rule motd`, `pin`, `var greeting`.
    pub shows: Vec<String>,
}

/// What a ruleset reaches in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reach {
    /// Whether the environment has a ruleset of this name at all.
    pub is_known: bool,
    /// Nodes whose configuration has mistakes, so that nobody can tell.
    pub broken: Vec<NodeName>,
    /// Whom it reaches.
    pub reached: Vec<Reached>,
}

/// Whom the ruleset reaches in the snapshot's environment.
pub fn reach(snapshot: &Verified<Snapshot>, name: &RulesetName) -> Reach {
    let environment = snapshot.get().revision.environment();
    let repository = Repository::read(&snapshot.get().files, environment);
    let named: Vec<&Ruleset> = repository.rulesets.all().filter(|r| r.name == *name).collect();
    let mut found = Reach { is_known: !named.is_empty(), ..Reach::default() };
    for (node, document) in &repository.nodes {
        let labels = labels(&document.table);
        let Ok(resolution) = resolve(snapshot, environment, node) else {
            found.broken.push(node.clone());
            continue;
        };
        let subject = Subject {
            service: "",
            app: "",
            container: None,
            environment: environment.as_str(),
            node: node.as_str(),
            labels: &labels,
        };
        for ruleset in &named {
            found.reached.extend(of_node(ruleset, &subject, &resolution));
        }
    }
    found
}

/// Whom one ruleset reaches on one node.
fn of_node(ruleset: &Ruleset, node: &Subject<'_>, resolution: &Resolution) -> Vec<Reached> {
    let mut found = Vec::new();
    if !ruleset.matches.asks_for_service() && ruleset.matches.fits(node) {
        found.push(reached(ruleset, node, "node".to_owned(), resolution));
    }
    for service in resolution.state.services.values() {
        let (name, app) = (service.name.as_str(), service.app.as_str());
        let subject = Subject { service: name, app, ..*node };
        let instance = format!("{name}.{}", node.environment);
        if ruleset.matches.asks_for_container() {
            for container in service.containers.keys() {
                let subject = Subject { container: Some(container.as_str()), ..subject };
                if ruleset.matches.fits(&subject) {
                    let target = format!("{instance}/{container}");
                    found.push(reached(ruleset, &subject, target, resolution));
                }
            }
        } else if ruleset.matches.fits(&subject) && ruleset.matches.asks_for_service() {
            found.push(reached(ruleset, &subject, instance, resolution));
        }
    }
    found
}

fn reached(
    ruleset: &Ruleset,
    subject: &Subject<'_>,
    target: String,
    resolution: &Resolution,
) -> Reached {
    let path = ruleset.name.segments().join("/");
    let folder = match ruleset.layer {
        Layer::Flow => String::new(),
        Layer::Environment => format!("environments/{}/", subject.environment),
    };
    let rules = ruleset.rules.iter().map(|rule| format!("rule {}", rule.name()));
    let pins = ruleset.pins.keys().map(|container| format!("pin of {container}"));
    let vars = ruleset.vars.0.keys().map(|name| format!("var {name}"));
    Reached {
        node: resolution.state.node.clone(),
        target,
        file: format!("{folder}rulesets/{path}.toml"),
        why: ruleset.matches.why(subject),
        shows: pins.chain(vars).chain(rules).collect(),
    }
}
