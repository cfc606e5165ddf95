//! One service for one node, from its merged document and the rulesets that fit it.
//!
//! In: [`Prepared`], [`Repository`]. Out: [`DesiredService`]. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::AppName;
use crate::model::ConfigName;
use crate::model::ContainerName;
use crate::model::Instance;
use crate::model::NetworkName;
use crate::model::NodeName;
use crate::model::Selector;
use crate::model::ServiceName;
use crate::model::VolumeName;
use crate::reconcile::desired::container::ConfigContent;
use crate::reconcile::desired::container::DesiredContainer;
use crate::reconcile::desired::container::MountSource;
use crate::reconcile::desired::container::NetworkAttachment;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::decode::container::Surroundings;
use crate::reconcile::desired::decode::container::container;
use crate::reconcile::desired::decode::environment::Environment;
use crate::reconcile::desired::decode::environment::mode;
use crate::reconcile::desired::decode::environment::suspension;
use crate::reconcile::desired::decode::environment::update;
use crate::reconcile::desired::decode::mounts::Sources;
use crate::reconcile::desired::decode::service::ConfigFiles;
use crate::reconcile::desired::decode::service::configs;
use crate::reconcile::desired::decode::service::default_network;
use crate::reconcile::desired::decode::service::networks;
use crate::reconcile::desired::decode::service::volumes;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::desired::ruleset::Conflict;
use crate::reconcile::desired::ruleset::Layer;
use crate::reconcile::desired::ruleset::Ruleset;
use crate::reconcile::desired::ruleset::add_vars;
use crate::reconcile::desired::ruleset::pin;
use crate::reconcile::desired::ruleset::pin_ruleset;
use crate::reconcile::desired::select::Subject;
use crate::reconcile::desired::service::DesiredService;
use crate::reconcile::desired::service::PinSource;
use crate::reconcile::desired::substitute::Scope;
use crate::reconcile::desired::substitute::Spent;

/// A service with its overlay laid over it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its file.
    pub(crate) at: Place,
    /// Service and overlay, merged.
    pub(crate) table: Table,
    /// Its app, if it is sound.
    pub(crate) app: Option<AppName>,
    /// Where it runs, if the selector is sound.
    pub(crate) selector: Option<Selector>,
}

/// What a node's services are assembled from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assembly<'a> {
    /// All documents.
    pub(crate) repository: &'a Repository<'a>,
    /// `environment.toml`.
    pub(crate) environment: &'a Environment,
    /// The node.
    pub(crate) node: &'a NodeName,
    /// Its labels.
    pub(crate) labels: &'a BTreeMap<String, String>,
}

/// Variables by name.
pub(crate) type Vars<'a> = BTreeMap<&'a str, &'a Node>;

impl<'a> Assembly<'a> {
    /// Reads something outside services, where there are no variables.
    pub(crate) fn plain<T>(
        &self,
        findings: &mut Findings,
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> T {
        let vars = BTreeMap::new();
        let scope = Scope {
            environment: self.repository.name.as_str(),
            node: self.node.as_str(),
            labels: self.labels,
            service: None,
            hub: None,
            vars: &vars,
            spent: Spent::default(),
        };
        read(&mut Reader { scope: &scope, findings })
    }

    /// Assembles one service; `None` after an error was noted.
    pub(crate) fn service(
        &self,
        name: &ServiceName,
        prepared: &'a Prepared,
        findings: &mut Findings,
    ) -> Option<DesiredService> {
        let app = prepared.app.clone()?;
        let subject = self.subject(name.as_str(), app.as_str());
        let rulesets = self.repository.rulesets.fitting(&subject);
        let hub = self.environment.hub.to_string();
        let mut conflicts = Vec::new();
        let vars = self.vars(&rulesets, &subject, &mut conflicts);
        let scope = self.scope(Some(name), &hub, &vars);
        let mut reader = Reader { scope: &scope, findings };
        let environment = self.repository.name.clone();
        let instance = Instance { service: name.clone(), environment }.to_string();
        let table = &prepared.table;
        let files = ConfigFiles {
            contents: self.repository.contents,
            environment: self.repository.name,
            service: name,
        };
        let mut service = DesiredService {
            name: name.clone(),
            app: app.clone(),
            mode: mode(table, &mut reader),
            suspend: suspension(table, &mut reader),
            update: update(table, self.environment.update.clone(), &mut reader),
            containers: BTreeMap::new(),
            networks: networks(&instance, table, &mut reader),
            volumes: volumes(&instance, table, &mut reader),
        };
        let configs = configs(&files, table, &mut reader);
        let parts =
            Parts { networks: table.names("networks"), volumes: table.names("volumes"), configs };
        let members = Members { rulesets: &rulesets, subject, hub: &hub, vars: &vars };
        service.containers =
            self.containers(name, table, &parts, &members, &mut conflicts, findings);
        keep_used(&mut service, &instance);
        conflicts.dedup_by_key(|conflict| conflict.key());
        for conflict in &conflicts {
            conflict.note(name.as_str(), findings);
        }
        Some(service)
    }

    fn containers(
        &self,
        name: &ServiceName,
        table: &Table,
        parts: &Parts,
        members: &Members<'a, '_>,
        conflicts: &mut Vec<Conflict<'a>>,
        findings: &mut Findings,
    ) -> BTreeMap<ContainerName, Box<DesiredContainer>> {
        let mut found = BTreeMap::new();
        let particular = members.rulesets.iter().any(|r| r.matches.asks_for_container());
        for (key, at, inner) in table.tables("containers") {
            let container_name = match key.parse::<ContainerName>() {
                Ok(name) => name,
                Err(error) => {
                    findings.error(at, error.to_string());
                    continue;
                }
            };
            let subject = Subject { container: Some(key), ..members.subject };
            let own = particular.then(|| self.vars(members.rulesets, &subject, conflicts));
            let scope = self.scope(Some(name), members.hub, own.as_ref().unwrap_or(members.vars));
            let mut reader = Reader { scope: &scope, findings: &mut *findings };
            let around = Surroundings {
                sources: parts.sources(),
                networks: &parts.networks,
                pin: pin(members.rulesets, key, &subject, conflicts),
            };
            if let Some(desired) = container(&container_name, at, inner, &around, &mut reader) {
                found.insert(container_name, Box::new(desired));
            }
        }
        found
    }

    /// Where the pins of these services' containers are written.
    pub(crate) fn pin_sources(
        &self,
        services: &BTreeMap<ServiceName, DesiredService>,
    ) -> Vec<PinSource> {
        let mut found = Vec::new();
        for service in services.values() {
            let subject = self.subject(service.name.as_str(), service.app.as_str());
            let rulesets = self.repository.rulesets.fitting(&subject);
            for container in service.containers.keys() {
                found.push(PinSource {
                    service: service.name.clone(),
                    container: container.clone(),
                    ruleset: pin_ruleset(&rulesets, container.as_str(), &subject).cloned(),
                });
            }
        }
        found
    }

    /// A service, or with empty names the node, as rulesets' `match` sees it.
    pub(crate) fn subject<'s>(&'s self, service: &'s str, app: &'s str) -> Subject<'s> {
        Subject {
            service,
            app,
            container: None,
            environment: self.repository.name.as_str(),
            node: self.node.as_str(),
            labels: self.labels,
        }
    }

    /// Variables from general to specific: rulesets that flow, the environment's, its rulesets.
    pub(crate) fn vars(
        &self,
        rulesets: &[&'a Ruleset],
        subject: &Subject<'_>,
        conflicts: &mut Vec<Conflict<'a>>,
    ) -> Vars<'a> {
        let mut vars = BTreeMap::new();
        add_vars(&mut vars, rulesets, Layer::Flow, subject, conflicts);
        let own = self.repository.environment.as_ref().and_then(|d| d.table.table("vars"));
        for (name, entry) in own.into_iter().flat_map(|vars| vars.0.iter()) {
            vars.insert(name, &entry.node);
        }
        add_vars(&mut vars, rulesets, Layer::Environment, subject, conflicts);
        vars
    }

    /// What `${…}` may name; outside services without one.
    pub(crate) fn scope<'s>(
        &'s self,
        service: Option<&'s ServiceName>,
        hub: &'s str,
        vars: &'s Vars<'s>,
    ) -> Scope<'s> {
        Scope {
            environment: self.repository.name.as_str(),
            node: self.node.as_str(),
            labels: self.labels,
            service: service.map(ServiceName::as_str),
            hub: Some(hub),
            vars,
            spent: Spent::default(),
        }
    }
}

/// What the containers of a service share.
#[derive(Debug)]
struct Members<'a, 's> {
    rulesets: &'s [&'a Ruleset],
    subject: Subject<'s>,
    hub: &'s str,
    vars: &'s Vars<'a>,
}

/// What containers may refer to.
#[derive(Debug)]
struct Parts {
    networks: BTreeSet<NetworkName>,
    volumes: BTreeSet<VolumeName>,
    configs: BTreeMap<ConfigName, Option<ConfigContent>>,
}

impl Parts {
    fn sources(&self) -> Sources<'_> {
        Sources { volumes: &self.volumes, configs: &self.configs }
    }
}

/// Adds the default network where a container joins it, and drops what no container uses.
fn keep_used(service: &mut DesiredService, instance: &str) {
    let (mut joined, mut mounted) = (BTreeSet::new(), BTreeSet::new());
    for container in service.containers.values() {
        if let NetworkAttachment::Networks { networks } = &container.spec.network {
            joined.extend(networks.keys().cloned());
        }
        for mount in &container.spec.mounts {
            if let MountSource::Volume { volume, .. } = &mount.source {
                mounted.insert(volume.clone());
            }
        }
    }
    for network in &joined {
        service.networks.entry(network.clone()).or_insert_with(|| default_network(instance));
    }
    service.networks.retain(|name, _| joined.contains(name));
    service.volumes.retain(|name, _| mounted.contains(name));
}
