//! Documents → what one node should run.
//!
//! In: a verified snapshot, the environment, the node. Out: [`Resolution`], or every mistake. Pure.
//!
//! # Guarantees
//! * A mistake anywhere in what the environment reads refuses the revision as a whole.
//! * A revision that asks for a newer agent is told apart from one with mistakes.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::AppName;
use crate::model::Diagnostics;
use crate::model::EnvironmentName;
use crate::model::Mode;
use crate::model::NodeName;
use crate::model::Selector;
use crate::model::ServiceName;
use crate::reconcile::desired::assemble::Assembly;
use crate::reconcile::desired::assemble::Prepared;
use crate::reconcile::desired::cross;
use crate::reconcile::desired::cross::Source;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::decode::environment::Environment;
use crate::reconcile::desired::decode::environment::environment as read_environment;
use crate::reconcile::desired::decode::environment::mode as read_mode;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::merge::overlay;
use crate::reconcile::desired::repository::Document;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::desired::rule::Shower;
use crate::reconcile::desired::rule::read_plain;
use crate::reconcile::desired::service::DesiredService;
use crate::reconcile::desired::service::DesiredState;
use crate::reconcile::desired::substitute::Scope;
use crate::reconcile::desired::substitute::Spent;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// A node's desired state, and what is worth saying about it.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// What should run.
    pub state: DesiredState,
    /// Whether the node copies images for its environment.
    pub promoter: bool,
    /// Warnings: they stop nothing.
    pub warnings: Diagnostics,
}

/// Why a revision gives no desired state; the previous one stays.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// It has mistakes.
    #[error("the revision's configuration has mistakes")]
    Invalid(Diagnostics),
    /// It needs a newer agent, which holds it.
    #[error("the revision requires tidegate {requires}; this is {version}")]
    TooOld {
        /// `requires` of tidegate.toml.
        requires: String,
        /// This agent's version.
        version: String,
    },
}

/// Resolves a revision for one node.
///
/// # Errors
/// With every mistake at once, or when the revision requires a newer agent.
pub fn resolve(
    snapshot: &Verified<Snapshot>,
    environment: &EnvironmentName,
    node: &NodeName,
) -> Result<Resolution, ResolveError> {
    let snapshot = snapshot.get();
    let reading = Reading::new(snapshot, environment)?;
    reading.node(node).map_err(ResolveError::Invalid)
}

/// An environment's documents, read once for all its nodes.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    snapshot: &'a Snapshot,
    repository: Repository<'a>,
    environment: Option<Environment>,
    services: BTreeMap<ServiceName, Prepared>,
    /// What does not depend on the node.
    findings: Findings,
}

impl<'a> Reading<'a> {
    /// Reads everything that `environment` reads.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        environment: &'a EnvironmentName,
    ) -> Result<Self, ResolveError> {
        let mut repository = Repository::read(&snapshot.files, environment);
        let mut findings = std::mem::take(&mut repository.findings);
        if let Some(document) = &repository.root {
            check_version(&document.table, &mut findings)?;
        }
        let (vars, labels) = (BTreeMap::new(), BTreeMap::new());
        let scope = nobodys(environment, &vars, &labels);
        let decoded = repository.environment.as_ref().and_then(|document| {
            let mut reader = Reader { scope: &scope, findings: &mut findings };
            read_environment(environment.as_str(), &document.table, &mut reader)
        });
        let services = prepare(&mut repository, &mut findings);
        Ok(Self { snapshot, repository, environment: decoded, services, findings })
    }

    /// The nodes that the environment declares.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.repository.nodes.keys()
    }

    /// Every service with its app, whether or not a node carries it.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&ServiceName, Option<&AppName>)> {
        self.services.iter().map(|(name, prepared)| (name, prepared.app.as_ref()))
    }

    /// The key that a node's reports are signed with, as its document says.
    pub(crate) fn report_key(&self, node: &NodeName) -> Option<&str> {
        self.repository.nodes.get(node)?.table.get("report_key")?.as_text()
    }

    /// What was found that does not depend on the node.
    pub(crate) fn general(&self) -> Diagnostics {
        self.findings.clone().into_diagnostics(&self.repository.files)
    }

    /// The same, and mistakes of rules whomever they are shown to, as far as they refer to nothing.
    pub(crate) fn general_with_rules(&self) -> Diagnostics {
        let mut findings = self.findings.clone();
        let (vars, labels) = (BTreeMap::new(), BTreeMap::new());
        let scope = nobodys(self.repository.name, &vars, &labels);
        read_plain(&self.repository, &scope, &mut findings);
        findings.into_diagnostics(&self.repository.files)
    }

    /// What one node should run, or every mistake.
    pub(crate) fn node(&self, node: &NodeName) -> Result<Resolution, Diagnostics> {
        let mut findings = self.findings.clone();
        let state = self.state(node, &mut findings);
        let errors = findings.errors();
        let diagnostics = findings.into_diagnostics(&self.repository.files);
        match state {
            Some(state) if errors == 0 => {
                Ok(Resolution { state, promoter: self.is_promoter(node), warnings: diagnostics })
            }
            _ => Err(diagnostics),
        }
    }

    fn is_promoter(&self, node: &NodeName) -> bool {
        let value = self.repository.nodes.get(node).and_then(|d| d.table.get("promoter"));
        value.is_some_and(|node| matches!(node.value, Value::Boolean(true)))
    }

    fn state(&self, node: &NodeName, findings: &mut Findings) -> Option<DesiredState> {
        let environment = self.environment.as_ref()?;
        let document = self.repository.nodes.get(node);
        let labels = document.map(|d| labels(&d.table)).unwrap_or_default();
        let assembly =
            Assembly { repository: &self.repository, environment, node, labels: &labels };
        let node_mode = document.map(|d| assembly.plain(findings, |r| read_mode(&d.table, r)));
        let mode = environment.mode.tightened_by(node_mode.unwrap_or_default());
        let (mut services, mut sources) = (BTreeMap::new(), BTreeMap::new());
        let here = |prepared: &Prepared| {
            prepared.selector.as_ref().is_some_and(|s| s.fits(node.as_str(), &labels))
        };
        // A node without a document keeps what runs; nothing is resolved for it.
        let fitting = self.services.iter().filter(|(_, p)| document.is_some() && here(p));
        for (name, prepared) in fitting {
            let Some(mut service) = assembly.service(name, prepared, findings) else { continue };
            service.mode = service.mode.tightened_by(mode);
            let source = Source { at: prepared.at, table: &prepared.table };
            cross::service(&mut service, source, findings);
            services.insert(name.clone(), service);
            sources.insert(name.clone(), source);
        }
        cross::node(&services, &sources, findings);
        let shower = Shower { assembly: &assembly, services: &services };
        let rules = if document.is_some() { shower.rules(findings) } else { Vec::new() };
        let pins = assembly.pin_sources(&services);
        let mut state = self.assembled(node, services, mode, environment);
        (state.rules, state.pins) = (rules, pins);
        Some(state)
    }

    fn assembled(
        &self,
        node: &NodeName,
        services: BTreeMap<ServiceName, DesiredService>,
        mode: Mode,
        environment: &Environment,
    ) -> DesiredState {
        DesiredState {
            revision: self.snapshot.revision.clone(),
            node: node.clone(),
            node_declared: self.repository.nodes.contains_key(node),
            hub: environment.hub.clone(),
            hub_plain_http: environment.hub_plain_http,
            services,
            rules: Vec::new(),
            pins: Vec::new(),
            windows: environment.windows.clone(),
            checks: environment.checks.clone(),
            freezes: environment.freezes.clone(),
            mode,
            allow_removal: self.snapshot.allow_removal.clone(),
            urgent: BTreeSet::new(),
        }
    }
}

/// A node's labels, which are literals.
pub(crate) fn labels(table: &Table) -> BTreeMap<String, String> {
    let entries = table.table("labels").into_iter().flat_map(|labels| labels.0.iter());
    let text = |node: &Node| {
        crate::reconcile::desired::substitute::scalar(&node.value).map(std::borrow::Cow::into_owned)
    };
    entries.filter_map(|(key, entry)| Some((key.clone(), text(&entry.node)?))).collect()
}

/// What may be referred to where no node is meant.
fn nobodys<'a>(
    environment: &'a EnvironmentName,
    vars: &'a BTreeMap<&'a str, &'a Node>,
    labels: &'a BTreeMap<String, String>,
) -> Scope<'a> {
    let environment = environment.as_str();
    Scope { environment, node: "", labels, service: None, hub: None, vars, spent: Spent::default() }
}

/// Refuses a revision that asks for a newer agent before anything else is said about it.
fn check_version(table: &Table, findings: &mut Findings) -> Result<(), ResolveError> {
    let Some(node) = table.get("requires") else { return Ok(()) };
    let Some(text) = node.as_text() else { return Ok(()) };
    let version = env!("CARGO_PKG_VERSION");
    match (text.parse::<semver::VersionReq>(), version.parse::<semver::Version>()) {
        (Ok(wanted), Ok(own)) if !wanted.matches(&own) => {
            Err(ResolveError::TooOld { requires: text.to_owned(), version: version.to_owned() })
        }
        (Err(_), _) => {
            let message = format!("`{text}` is not a range of versions");
            findings.error_help(node.at, message, "write for example `>=0.1` or `>=0.1, <1`");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Lays overlays over services and reads what decides where they run.
fn prepare(
    repository: &mut Repository<'_>,
    findings: &mut Findings,
) -> BTreeMap<ServiceName, Prepared> {
    let mut services = std::mem::take(&mut repository.services);
    for (name, document) in &repository.overlays {
        if let Some(base) = services.get_mut(name) {
            overlay(&mut base.table, &document.table, findings);
        } else {
            let message = format!("no service `{name}` flows here; this file is ignored");
            findings.warning(document.at, message, "remove it, or correct its name");
        }
    }
    let prepared = |(name, document): (ServiceName, Document)| {
        let prepared = prepare_one(repository, &name, document, findings);
        (name, prepared)
    };
    services.into_iter().map(prepared).collect()
}

fn prepare_one(
    repository: &Repository<'_>,
    name: &ServiceName,
    document: Document,
    findings: &mut Findings,
) -> Prepared {
    let Document { at, table } = document;
    let app = table.get("app").and_then(|node| declared_app(repository, node, findings));
    if table.table("containers").is_none_or(|containers| containers.0.is_empty()) {
        let help = "add `[containers.<name>]` with its `image`";
        findings.error_help(at, format!("service `{name}` has no container"), help);
    }
    if let Some(node) = table.get("engine") {
        match node.as_text() {
            Some("docker") | None => {}
            Some("swarm") => {
                let message = "`engine = \"swarm\"` is not supported in this version";
                findings.error_help(node.at, message, "remove it");
            }
            Some(other) => {
                let message = format!("`{other}` is not an engine");
                findings.error_help(node.at, message, "remove it; `docker` is the only one");
            }
        }
    }
    let selector = selector(repository, &table, findings);
    Prepared { at, table, app, selector }
}

fn declared_app(
    repository: &Repository<'_>,
    node: &Node,
    findings: &mut Findings,
) -> Option<AppName> {
    let text = node.as_text()?;
    let app = match text.parse::<AppName>() {
        Ok(app) => app,
        Err(error) => {
            findings.error(node.at, error.to_string());
            return None;
        }
    };
    let declared = repository.root.as_ref().and_then(|root| root.table.table("apps"));
    if repository.root.is_some() && declared.is_none_or(|apps| !apps.0.contains_key(text)) {
        let message = format!("app `{app}` is not declared");
        findings.error_help(node.at, message, format!("add `[apps.{app}]` to tidegate.toml"));
    }
    Some(app)
}

fn selector(
    repository: &Repository<'_>,
    table: &Table,
    findings: &mut Findings,
) -> Option<Selector> {
    let Some(node) = table.get("nodes") else { return Some(Selector::default()) };
    let selector = match node.as_text()?.parse::<Selector>() {
        Ok(selector) => selector,
        Err(error) => {
            findings.error(node.at, error.to_string());
            return None;
        }
    };
    let mut nodes = repository.nodes.iter();
    let fits = nodes.any(|(name, d)| selector.fits(name.as_str(), &labels(&d.table)));
    if !fits && !repository.nodes.is_empty() {
        let message = format!("`{selector}` fits no node of {}", repository.name);
        findings.warning(node.at, message, "correct it, or label a node");
    }
    Some(selector)
}
