//! Which paths of the host a service is given, and where they lead.
//!
//! In: services; what was seen of each path. Out: paths, and where each leads. Pure.

use std::collections::BTreeMap;

use crate::reconcile::desired::container::MountSource;
use crate::reconcile::desired::{DesiredContainer, DesiredService};
use crate::reconcile::plan::policy::volume::bound;

/// Where paths of the host lead, or why that cannot be seen. One that was not looked at leads where
/// it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostLinks(BTreeMap<String, Result<String, String>>);

impl HostLinks {
    /// Where `path` leads.
    pub(crate) fn of<'a>(&'a self, path: &'a str) -> Result<&'a str, &'a str> {
        match self.0.get(path) {
            Some(led) => led.as_deref().map_err(String::as_str),
            None => Ok(path),
        }
    }
}

impl FromIterator<(String, Result<String, String>)> for HostLinks {
    fn from_iter<I: IntoIterator<Item = (String, Result<String, String>)>>(seen: I) -> Self {
        Self(seen.into_iter().collect())
    }
}

/// Every path of the host that a container is given, by itself or through a volume.
fn given<'a>(
    service: &'a DesiredService,
    container: &'a DesiredContainer,
) -> impl Iterator<Item = &'a str> {
    container.spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some(path.as_str()),
        MountSource::Volume { volume, .. } => service.volumes.get(volume).and_then(bound),
        MountSource::Tmpfs { .. } | MountSource::Config { .. } => None,
    })
}

/// Every path of the host that a service is given, or makes a volume of.
pub(crate) fn host_paths(service: &DesiredService) -> impl Iterator<Item = &str> {
    let given = service.containers.values().flat_map(|container| given(service, container));
    given.chain(service.volumes.values().filter_map(bound))
}

/// The paths of the host that a container is given, and where each led when that was judged.
pub(crate) fn binds(
    service: &DesiredService,
    container: &DesiredContainer,
    links: &HostLinks,
) -> BTreeMap<String, String> {
    let led = |path: &str| links.of(path).unwrap_or(path).to_owned();
    given(service, container).map(|path| (path.to_owned(), led(path))).collect()
}
