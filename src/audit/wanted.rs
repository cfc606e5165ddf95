//! What one commit wants, by node: resolved as the nodes resolve it.
//!
//! In: a `Verified<Snapshot>`. Out: [`Resolved`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::model::diagnostic::line_and_column;
use crate::model::{
    AppName, ContainerName, Diagnostic, Diagnostics, Digest, EnvironmentName, Hub, ImageId,
    NodeName, RepositoryPath, ServiceName, Severity,
};
use crate::reconcile::desired::container::Pin;
use crate::reconcile::desired::{DesiredService, Reading};
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// Mistakes told of one commit; more are counted.
const MISTAKES_MAX: usize = 20;

/// An image as a pin names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Image {
    /// Its path in the environment's registry.
    pub repository: RepositoryPath,
    /// The manifest's digest: what is pulled.
    pub digest: Option<Digest>,
    /// The configuration's digest.
    pub image_id: Option<ImageId>,
    /// For people.
    pub version: Option<String>,
}

impl From<&Pin> for Image {
    fn from(pin: &Pin) -> Self {
        Self {
            repository: pin.repository.clone(),
            digest: pin.digest,
            image_id: pin.image_id.clone(),
            version: pin.version.clone(),
        }
    }
}

impl Image {
    /// The digest, or without one the image id, as people quote it.
    pub fn short(&self) -> String {
        match (&self.digest, &self.image_id) {
            (Some(digest), _) | (None, Some(ImageId::Full(digest))) => digest.short(),
            (None, Some(ImageId::Short(id))) => id.clone(),
            (None, None) => String::new(),
        }
    }

    /// Whether `text`, whole or the first digits, names it.
    pub fn is_named(&self, text: &str) -> bool {
        let text = text.strip_prefix("sha256:").unwrap_or(text);
        let id = match &self.image_id {
            Some(ImageId::Full(digest)) => Some(digest.hex()),
            Some(ImageId::Short(id)) => Some(id.clone()),
            None => None,
        };
        let names = self.digest.map(|digest| digest.hex()).into_iter().chain(id);
        // A pin may hold a shorter id than was asked for.
        names.into_iter().any(|own| own.starts_with(text) || text.starts_with(own.as_str()))
    }
}

impl fmt::Display for Image {
    /// `1.4.2 (aaaabbbbcccc)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{version} ({})", self.short()),
            None => f.write_str(&self.short()),
        }
    }
}

/// An image in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The service.
    pub service: ServiceName,
    /// The container.
    pub container: ContainerName,
    /// Whom the service belongs to.
    pub app: AppName,
    /// The image.
    pub image: Image,
}

/// What a node should run.
#[derive(Debug, Clone)]
pub struct NodeWanted {
    /// Services by name, whole.
    pub services: BTreeMap<ServiceName, Arc<DesiredService>>,
    /// Their images.
    pub uses: BTreeSet<Arc<Use>>,
    /// The environment's registry.
    pub hub: Hub,
}

/// Mistakes for which nodes stay at what was wanted before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which nodes; none: all of them.
    pub nodes: BTreeSet<NodeName>,
    /// What is wrong, as `file:line:column: what`.
    pub mistakes: Vec<String>,
}

/// What one commit wants, as far as it can be used.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Every node that has a document; none where the commit has mistakes for it.
    pub nodes: BTreeMap<NodeName, Option<Arc<NodeWanted>>>,
    /// The keys that nodes sign reports with.
    pub report_keys: BTreeMap<NodeName, String>,
    /// Services that no node carries.
    pub idle: BTreeMap<ServiceName, Option<AppName>>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Whether the commit can be read at all.
    pub is_readable: bool,
}

impl Resolved {
    /// Of a commit that says nothing.
    pub fn unreadable(mistakes: Vec<String>) -> Self {
        let fault = Fault { nodes: BTreeSet::new(), mistakes };
        Self { faults: vec![fault], ..Self::default() }
    }
}

/// Resolves a commit for every node that it declares.
pub fn resolve(snapshot: &Verified<Snapshot>, environment: &EnvironmentName) -> Resolved {
    let files = &snapshot.get().files;
    let reading = match Reading::new(snapshot.get(), environment) {
        Ok(reading) => reading,
        Err(error) => return Resolved::unreadable(vec![error.to_string()]),
    };
    let mut resolved = Resolved { is_readable: true, ..Resolved::default() };
    let mut carried = BTreeSet::new();
    for node in reading.nodes() {
        let wanted = match reading.node(node) {
            Ok(resolution) => {
                Some(Arc::new(wanted(resolution.state.services, resolution.state.hub)))
            }
            Err(found) => {
                add_fault(&mut resolved.faults, node, mistakes(&found, files));
                None
            }
        };
        carried.extend(wanted.iter().flat_map(|wanted| wanted.services.keys().cloned()));
        resolved.nodes.insert(node.clone(), wanted);
        if let Some(key) = reading.report_key(node) {
            resolved.report_keys.insert(node.clone(), key.to_owned());
        }
    }
    if resolved.faults.is_empty() {
        let idle = reading.services().filter(|(name, _)| !carried.contains(*name));
        resolved.idle = idle.map(|(name, app)| (name.clone(), app.cloned())).collect();
    }
    let general = reading.general();
    if resolved.nodes.is_empty() && general.has_errors() {
        return Resolved::unreadable(mistakes(&general, files));
    }
    resolved
}

impl NodeWanted {
    /// The same with other services in place of those that are there.
    #[must_use]
    pub fn with(&self, part: &Self) -> Self {
        let Self { mut services, mut uses, hub } = self.clone();
        uses.retain(|used| !part.services.contains_key(&used.service));
        uses.extend(part.uses.iter().cloned());
        services.extend(part.services.iter().map(|(name, s)| (name.clone(), Arc::clone(s))));
        Self { services, uses, hub }
    }
}

fn wanted(services: BTreeMap<ServiceName, DesiredService>, hub: Hub) -> NodeWanted {
    let services: BTreeMap<ServiceName, Arc<DesiredService>> =
        services.into_iter().map(|(name, service)| (name, Arc::new(service))).collect();
    let uses = services.values().flat_map(|service| {
        service.containers.values().map(|container| {
            Arc::new(Use {
                service: service.name.clone(),
                container: container.name.clone(),
                app: service.app.clone(),
                image: Image::from(&container.pin),
            })
        })
    });
    let uses = uses.collect();
    NodeWanted { services, uses, hub }
}

fn add_fault(faults: &mut Vec<Fault>, node: &NodeName, mistakes: Vec<String>) {
    match faults.iter_mut().find(|fault| fault.mistakes == mistakes) {
        Some(fault) => drop(fault.nodes.insert(node.clone())),
        None => faults.push(Fault { nodes: BTreeSet::from([node.clone()]), mistakes }),
    }
}

fn mistakes(found: &Diagnostics, files: &BTreeMap<String, Arc<[u8]>>) -> Vec<String> {
    let place = |mistake: &Diagnostic| {
        let text = files.get(&mistake.file).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let at = mistake.span.as_ref().zip(text);
        let at = at.map(|(span, text)| line_and_column(text, span.start));
        let at = at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        format!("{}{at}: {}", mistake.file, mistake.message)
    };
    let errors = found.all().filter(|mistake| mistake.severity == Severity::Error);
    let mut told: Vec<String> = errors.map(place).collect();
    let more = told.len().saturating_sub(MISTAKES_MAX);
    if more > 0 {
        told.truncate(MISTAKES_MAX);
        told.push(format!("and {more} more"));
    }
    told
}
