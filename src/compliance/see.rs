//! What rules have to see of the host.
//!
//! In: a rule, the host. Out: a [`View`]. Effect: reads the host, and runs programs that only look.
//!
//! # Guarantees
//! * What several rules need is looked at once a check, and only if one of them needs it.
//! * Package managers are asked what they would do only where something is about to be mended.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::clients::host::{HostError, HostRoot, InstalledPackage, Units};
use crate::compliance::facts::{Accounts, Facts};
use crate::compliance::kind::{
    self, FactSight, Need, PackageOrder, PackageSight, Sight, SysctlSight, UnitSight, View,
    own_path,
};
use crate::model::{AccountTables, HostPath, Move, PackageManager, PathState};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::Rule;
use crate::reconcile::desired::rule::kind::SysctlRule;
use crate::telemetry::Chain;

/// The largest file that a rule may be about: reading it must not fill memory.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Verdicts: what would be changed is not asked of package managers.
    Judge,
    /// Verdicts, and what would be changed.
    Mend,
}

/// What rules are checked against.
#[derive(Debug, Clone, Copy)]
pub struct CheckInput<'a> {
    /// The rules, their revision, the modes.
    pub desired: &'a DesiredState,
    /// What is so.
    pub facts: &'a Facts,
    /// The host.
    pub host: &'a HostRoot,
    /// What for.
    pub purpose: Purpose,
}

/// What one check has seen.
#[derive(Debug)]
pub struct Eyes<'a> {
    input: CheckInput<'a>,
    accounts: Once<Accounts>,
    tables: Once<AccountTables>,
    packages: Once<Option<Packages>>,
    units: Once<Option<Units>>,
}

type Once<T> = OnceCell<Result<T, String>>;

#[derive(Debug)]
struct Packages {
    manager: PackageManager,
    /// Versions by name.
    versions: BTreeMap<String, Vec<InstalledPackage>>,
}

impl<'a> Eyes<'a> {
    /// Eyes that have not looked yet.
    pub fn new(input: CheckInput<'a>) -> Self {
        let (accounts, tables) = (OnceCell::new(), OnceCell::new());
        let (packages, units) = (OnceCell::new(), OnceCell::new());
        Self { input, accounts, tables, packages, units }
    }

    /// Sees what a rule needs.
    ///
    /// # Errors
    /// When it cannot be seen, for people.
    pub fn see<'b>(&'b self, rule: &'b Rule) -> Result<View<'b>, String> {
        let CheckInput { desired, facts, host, .. } = self.input;
        match kind::need(&rule.kind) {
            Need::Path(path) => {
                let accounts = once(&self.accounts, || Accounts::read(host))?;
                let (state, missing) = look(host, path).map_err(said)?;
                let (creator, id) = (creator(), &rule.id);
                Ok(View::Path(Sight { state, missing, accounts, creator, id }))
            }
            Need::Sysctl(rule) => sysctl(host, rule, creator()).map(View::Sysctl).map_err(said),
            Need::Package(rule) => self
                .package(&rule.package, |manager, installed| kind::order(rule, manager, installed)),
            Need::Vulnerable(rule) => self.package(&rule.package, |manager, installed| {
                kind::order_vulnerable(rule, manager, installed)
            }),
            Need::Unit(name) => {
                let units = once(&self.units, || host.units())?;
                Ok(View::Unit(match units {
                    Some(units) => UnitSight::Unit(host.unit_of(units, name).map_err(said)?),
                    None => UnitSight::NoSystemd,
                }))
            }
            Need::Facts => Ok(View::Facts(FactSight { facts, desired, target: &rule.target })),
            Need::Accounts => once(&self.tables, || host.account_tables()).map(View::Accounts),
        }
    }

    fn package(
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
                let on_offer = self.input.host.package_versions(manager, name).map_err(said)?;
                kind::choose(order, manager, name, &on_offer)?
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

fn said(error: impl std::error::Error) -> String {
    Chain(&error).to_string()
}

fn once<T>(cell: &Once<T>, look: impl FnOnce() -> Result<T, HostError>) -> Result<&T, String> {
    cell.get_or_init(|| look().map_err(said)).as_ref().map_err(Clone::clone)
}

/// User and group of what is made without saying whose it is.
fn creator() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// What lies at a path, and which folders are missing on the way to it.
fn look(host: &HostRoot, path: &HostPath) -> Result<(PathState, Vec<HostPath>), HostError> {
    let state = host.look(path, FILE_BYTES_MAX)?;
    let missing = match state {
        PathState::Absent => host.missing_folders(path)?,
        _ => Vec::new(),
    };
    Ok((state, missing))
}

/// Folders of sysctl.d(5), the strongest first: a file of the same name hides those after it.
const SYSCTL_FOLDERS: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];
/// A folder with more files than this is no configuration.
const SYSCTL_FILES_MAX: usize = 1_000;

fn sysctl(
    host: &HostRoot,
    rule: &SysctlRule,
    creator: (u32, u32),
) -> Result<SysctlSight, HostError> {
    let mut boot = BTreeMap::new();
    for folder in SYSCTL_FOLDERS {
        let names = host.names(folder, SYSCTL_FILES_MAX)?;
        for name in names.into_iter().filter(|name| name.strip_suffix(".conf").is_some()) {
            let path = format!("{folder}/{name}");
            if let Entry::Vacant(place) = boot.entry(name) {
                place.insert(host.text(&path, FILE_BYTES_MAX)?.unwrap_or_default());
            }
        }
    }
    let last = host.text("/etc/sysctl.conf", FILE_BYTES_MAX)?.unwrap_or_default();
    let (own, missing) = match own_path(rule) {
        Some(path) => look(host, &path)?,
        None => (PathState::Absent, Vec::new()),
    };
    Ok(SysctlSight { live: host.kernel(&rule.key)?, boot, last, own, missing, creator })
}
