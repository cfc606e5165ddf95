//! Which rules a node and its services are shown, and which of several of one name counts.
//!
//! In: rulesets, the services that run on a node. Out: [`Rule`]s, in the order of their ids. Pure.

use std::collections::BTreeMap;

use crate::model::RuleName;
use crate::model::ServiceName;
use crate::model::diagnostic::line_and_column;
use crate::reconcile::desired::assemble::Assembly;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::desired::rule::Rule;
use crate::reconcile::desired::rule::RuleFiles;
use crate::reconcile::desired::rule::RuleId;
use crate::reconcile::desired::rule::RuleSource;
use crate::reconcile::desired::rule::Target;
use crate::reconcile::desired::rule::kind;
use crate::reconcile::desired::rule::read::For;
use crate::reconcile::desired::rule::read::rule;
use crate::reconcile::desired::ruleset::Ruleset;
use crate::reconcile::desired::select::Subject;
use crate::reconcile::desired::service::DesiredService;
use crate::reconcile::desired::substitute::Scope;

/// The most rules of one ruleset: a mistake in a generator must not fill a node.
const RULES_MAX: usize = 5_000;

/// A rule as its ruleset writes it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    name: RuleName,
    table: Table,
    at: Place,
}

impl Template {
    /// Its name within the ruleset.
    pub(crate) fn name(&self) -> &RuleName {
        &self.name
    }

    /// Reads the names of a ruleset's rules; their parameters are read for each target.
    pub(crate) fn read_all(document: &Table, findings: &mut Findings) -> Vec<Self> {
        let nodes = document.get("rules").and_then(Node::as_list).unwrap_or_default();
        let mut found: Vec<Self> = Vec::new();
        for node in nodes.iter().take(RULES_MAX) {
            let Some(table) = node.as_table() else { continue };
            let Some(name_node) = table.get("name") else { continue };
            let Some(text) = name_node.as_text() else { continue };
            match text.parse::<RuleName>() {
                Err(error) => findings.error(name_node.at, error.to_string()),
                Ok(name) if found.iter().any(|other| other.name == name) => {
                    let message = format!("rule `{name}` stands twice in this ruleset");
                    findings.error_help(name_node.at, message, "give one of them another name");
                }
                Ok(name) => found.push(Self { name, table: table.clone(), at: name_node.at }),
            }
        }
        if let Some(node) = nodes.get(RULES_MAX) {
            findings.error(node.at, format!("a ruleset has at most {RULES_MAX} rules"));
        }
        found
    }
}

/// Finds the mistakes of every rule that refers to nothing, whomever it is shown to.
pub(crate) fn read_plain(repository: &Repository<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    for ruleset in repository.rulesets.all() {
        let files = files(repository, ruleset);
        for template in ruleset.rules.iter().filter(|template| !template.table.refers()) {
            let mut reader = Reader { scope, findings: &mut *findings };
            let _read = kind::read(&template.table, &files, &mut reader);
        }
    }
}

fn files<'a>(repository: &'a Repository<'_>, ruleset: &'a Ruleset) -> RuleFiles<'a> {
    RuleFiles {
        contents: repository.contents,
        environment: repository.name,
        ruleset: &ruleset.name,
        layer: ruleset.layer,
    }
}

/// What rules are shown with.
#[derive(Debug)]
pub(crate) struct Shower<'a> {
    /// Documents, environment, node.
    pub(crate) assembly: &'a Assembly<'a>,
    /// The services that run here.
    pub(crate) services: &'a BTreeMap<ServiceName, DesiredService>,
}

impl Shower<'_> {
    /// Every rule that is shown to this node.
    pub(crate) fn rules(&self, findings: &mut Findings) -> Vec<Rule> {
        let repository = self.assembly.repository;
        if repository.rulesets.all().all(|ruleset| ruleset.rules.is_empty()) {
            return Vec::new();
        }
        let mut found = Vec::new();
        self.add(None, &mut found, findings);
        for service in self.services.values() {
            self.add(Some(service), &mut found, findings);
        }
        found.sort_by(|(a, _), (b, _)| (&a.id, &a.target).cmp(&(&b.id, &b.target)));
        conflicts(&found, findings);
        found.into_iter().map(|(rule, _)| rule).collect()
    }

    /// The rules of one target: a service, or else the node.
    fn add(
        &self,
        service: Option<&DesiredService>,
        found: &mut Vec<(Rule, Place)>,
        findings: &mut Findings,
    ) {
        let assembly = self.assembly;
        let subject = assembly.subject(
            service.map_or("", |service| service.name.as_str()),
            service.map_or("", |service| service.app.as_str()),
        );
        let rulesets = assembly.repository.rulesets.fitting(&subject);
        let mut by_name: BTreeMap<&RuleName, Vec<(&Ruleset, &Template)>> = BTreeMap::new();
        for ruleset in rulesets.iter().filter(|ruleset| shows(ruleset, service, &subject)) {
            for template in &ruleset.rules {
                by_name.entry(&template.name).or_default().push((ruleset, template));
            }
        }
        if by_name.is_empty() {
            return;
        }
        let hub = assembly.environment.hub.to_string();
        // A variable that is set differently was found where services use it.
        let vars = assembly.vars(&rulesets, &subject, &mut Vec::new());
        let scope = assembly.scope(service.map(|service| &service.name), &hub, &vars);
        let target = service.map_or(Target::Node, |service| Target::Service(service.name.clone()));
        for candidates in by_name.values() {
            let hidden =
                |ruleset: &Ruleset| candidates.iter().any(|(other, _)| ruleset.yields_to(other));
            for (ruleset, template) in candidates.iter().filter(|(ruleset, _)| !hidden(ruleset)) {
                let read_for = For {
                    id: RuleId { ruleset: ruleset.name.clone(), name: template.name.clone() },
                    target: target.clone(),
                    source: self.source(template.at),
                    subject,
                    files: files(assembly.repository, ruleset),
                };
                let mut reader = Reader { scope: &scope, findings: &mut *findings };
                let read = rule(&template.table, read_for, &mut reader);
                found.extend(read.map(|rule| (rule, template.at)));
            }
        }
    }

    fn source(&self, at: Place) -> RuleSource {
        let repository = self.assembly.repository;
        let file = repository.files.path(at).to_owned();
        let bytes = repository.contents.get(&file);
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        RuleSource { line: line_and_column(text, at.start as usize).0, file }
    }
}

/// Whether a ruleset shows its rules to this service, or to the node as such.
fn shows(ruleset: &Ruleset, service: Option<&DesiredService>, subject: &Subject<'_>) -> bool {
    let matches = &ruleset.matches;
    let Some(service) = service else {
        return !matches.asks_for_service() && matches.fits(subject);
    };
    if !matches.asks_for_service() {
        return false;
    }
    let with = |container| matches.fits(&Subject { container: Some(container), ..*subject });
    if matches.asks_for_container() {
        service.containers.keys().any(|name| with(name.as_str()))
    } else {
        matches.fits(subject)
    }
}

/// Two rules that want one thing differently would undo each other's work for ever.
fn conflicts(rules: &[(Rule, Place)], findings: &mut Findings) {
    let mut wanted: BTreeMap<String, Vec<&Rule>> = BTreeMap::new();
    for (rule, at) in rules.iter().filter(|(rule, _)| rule.condition.is_always()) {
        let thing = rule.kind.thing();
        let others = wanted.entry(thing.clone()).or_default();
        if let Some(other) = others.iter().find(|other| other.kind.contradicts(&rule.kind)) {
            let message =
                format!("{thing} is wanted differently by rules {} and {}", other.id, rule.id);
            let help = "narrow a `match`, or give the inner ruleset's rule the outer one's name";
            findings.error_help(*at, message, help);
        }
        others.push(rule);
    }
}
