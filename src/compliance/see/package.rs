//! Packages: what is installed, and what the package manager would do.

use std::collections::BTreeMap;

use crate::clients::host::{HostError, HostRoot, InstalledPackage};
use crate::compliance::kind::{self, PackageOrder, PackageSight, View};
use crate::compliance::see::{Eyes, Purpose, once, said};
use crate::model::{Move, PackageManager};

/// What is installed.
#[derive(Debug)]
pub(super) struct Packages {
    manager: PackageManager,
    /// Versions by name.
    versions: BTreeMap<String, Vec<InstalledPackage>>,
}

impl Eyes<'_> {
    pub(super) fn package(
        &self,
        name: &str,
        order: impl Fn(PackageManager, &[String]) -> PackageOrder,
    ) -> Result<View<'_>, String> {
        let Some(packages) = once(&self.packages, || packages(self.input.host))? else {
            return Ok(View::Package(PackageSight {
                manager: None,
                installed: Vec::new(),
                plan: None,
            }));
        };
        let manager = packages.manager;
        let installed = packages.of(name);
        let order = order(manager, &installed);
        let asked = self.input.purpose == Purpose::Mend && order != PackageOrder::Nothing;
        let plan = asked.then(|| self.plan(manager, name, &order));
        Ok(View::Package(PackageSight { manager: Some(manager), installed, plan }))
    }

    fn plan(
        &self,
        manager: PackageManager,
        name: &str,
        order: &PackageOrder,
    ) -> Result<Vec<Move>, String> {
        let version = match order {
            PackageOrder::Nothing | PackageOrder::Removal => None,
            PackageOrder::Newest { .. } => {
                let offer = self.input.host.package_offer(manager, name).map_err(said)?;
                kind::choose(order, manager, name, &offer)?
            }
        };
        self.input.host.plan_package(manager, name, version.as_deref()).map_err(said)
    }
}

impl Packages {
    /// Versions that are installed of a package, whose name may end in an architecture.
    fn of(&self, name: &str) -> Vec<String> {
        let (bare, arch) = name.split_once(':').map_or((name, None), |(n, a)| (n, Some(a)));
        let all = self.versions.get(bare).map(Vec::as_slice).unwrap_or_default();
        let fits = all.iter().filter(|p| arch.is_none_or(|arch| arch == p.arch));
        let mut versions: Vec<String> = fits.map(|p| p.version.clone()).collect();
        versions.sort();
        versions.dedup();
        versions
    }
}

fn packages(host: &HostRoot) -> Result<Option<Packages>, HostError> {
    let Some((manager, ..)) = host.package_manager()? else { return Ok(None) };
    let mut versions: BTreeMap<String, Vec<InstalledPackage>> = BTreeMap::new();
    for package in host.packages(manager)? {
        versions.entry(package.name.clone()).or_default().push(package);
    }
    Ok(Some(Packages { manager, versions }))
}
