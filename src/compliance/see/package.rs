//! Packages: what is installed, and what the package manager would do.

use crate::clients::host::{HostError, HostRoot, InstalledPackage, unfinished_of, versions_of};
use crate::compliance::kind::{self, PackageOrder, PackageSight, View};
use crate::compliance::see::{Eyes, Purpose, once, said};
use crate::model::{Move, PackageManager};

/// What is installed.
#[derive(Debug)]
pub(super) struct Packages {
    manager: PackageManager,
    /// By name.
    installed: Vec<InstalledPackage>,
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
                unfinished: None,
                plan: None,
            }));
        };
        let manager = packages.manager;
        let installed = versions_of(&packages.installed, name);
        let installed: Vec<String> = installed.into_iter().map(str::to_owned).collect();
        let unfinished = unfinished_of(&packages.installed, name).map(str::to_owned);
        let order = order(manager, &installed);
        let asked = self.input.purpose == Purpose::Mend && order != PackageOrder::Nothing;
        let plan = asked.then(|| self.plan(manager, name, &order));
        let manager = Some(manager);
        Ok(View::Package(PackageSight { manager, installed, unfinished, plan }))
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

fn packages(host: &HostRoot) -> Result<Option<Packages>, HostError> {
    let Some((manager, _)) = host.package_manager()? else { return Ok(None) };
    Ok(Some(Packages { manager, installed: host.packages(manager)? }))
}
