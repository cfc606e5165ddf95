//! Packages: dpkg's list is read, rpm is asked; apt and dnf plan and change.
//!
//! What apt or dnf would do is asked first, each time: nothing else is then done.

use std::collections::BTreeMap;
use std::path::Path;

use crate::clients::host::managed::cannot;
use crate::clients::host::{HostError, HostRoot, ProcessError, Program};
use crate::model::managed::attributes;
use crate::model::{Attributes, Move, Offer, PackageManager, Thing};

/// A large installation's list is some 10 MiB.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
const DPKG: &str = "/var/lib/dpkg/status";
/// Where rpm keeps its list, newest place first.
const RPM: [&str; 4] = [
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/var/lib/rpm/Packages.db",
];

/// A package whose files are there, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version, epoch and release included.
    pub version: String,
    /// Its architecture.
    pub arch: String,
    /// What the manager left it as, such as `half-configured`; none if it is wholly installed.
    pub unfinished: Option<String>,
}

/// A package's name and the version that it should have; none removes it.
pub(super) type Wish<'a> = (&'a str, Option<&'a str>);
/// What a package manager would do: by name, the version after it.
pub(super) type Would = BTreeMap<String, Option<String>>;

impl HostRoot {
    /// Which manager there is, and where its list is.
    ///
    /// # Errors
    /// When it cannot be looked for.
    pub fn package_manager(&self) -> Result<Option<(PackageManager, &'static str)>, HostError> {
        let dpkg = std::iter::once((PackageManager::Dpkg, DPKG));
        for (manager, path) in dpkg.chain(RPM.map(|path| (PackageManager::Rpm, path))) {
            if self.is_there(path)? {
                return Ok(Some((manager, path)));
            }
        }
        Ok(None)
    }

    /// Every package of which more than its settings is there, by name.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn packages(&self, manager: PackageManager) -> Result<Vec<InstalledPackage>, HostError> {
        let mut found: Vec<InstalledPackage> = match manager {
            PackageManager::Dpkg => {
                let text = self.text(DPKG, BYTES_MAX)?.unwrap_or_default();
                text.split("\n\n").filter_map(stanza).collect()
            }
            PackageManager::Rpm => {
                let database = self.package_manager()?.map_or(RPM[0], |(_, path)| path);
                let folder = Path::new(database).parent().unwrap_or(Path::new("/"));
                let text = self.rpm_list(folder).map_err(cannot("listing packages"))?;
                text.lines().filter_map(line).collect()
            }
        };
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Versions of a package that the host's repositories have.
    ///
    /// # Errors
    /// When they cannot be asked.
    pub fn package_offer(&self, manager: PackageManager, name: &str) -> Result<Offer, HostError> {
        let offer = match manager {
            PackageManager::Dpkg => self.apt_offer(name),
            PackageManager::Rpm => self.dnf_offer(name),
        };
        offer.map_err(cannot(format!("finding versions of package {name}")))
    }

    /// What the package manager would do for this wish, all that comes along or goes included; the
    /// wished package first.
    ///
    /// # Errors
    /// When it could not do it.
    pub fn plan_package(
        &self,
        manager: PackageManager,
        name: &str,
        version: Option<&str>,
    ) -> Result<Vec<Move>, HostError> {
        let would = self.would(manager, &[(name, version)])?;
        let installed = self.packages(manager)?;
        let one = |(name, after): (String, Option<String>)| Move {
            before: package(&installed, &name),
            after: after.map(|version| attributes([("version", &version)])),
            thing: Thing::Package { manager, name },
        };
        let mut moves: Vec<Move> = would.into_iter().map(one).collect();
        moves.sort_by_key(|m| !matches!(&m.thing, Thing::Package { name: n, .. } if n == name));
        Ok(moves)
    }

    pub(super) fn move_packages(
        &self,
        manager: PackageManager,
        moves: &[Move],
    ) -> Result<(), HostError> {
        let wish = |m: &Move| -> Option<(String, Option<String>)> {
            let Thing::Package { name, .. } = &m.thing else { return None };
            Some((name.clone(), m.after.as_ref().and_then(|a| a.get("version")).cloned()))
        };
        let decided: Vec<(String, Option<String>)> = moves.iter().filter_map(wish).collect();
        let all: Vec<Wish<'_>> = decided.iter().map(|(n, v)| (n.as_str(), v.as_deref())).collect();
        let decided: Would = decided.iter().cloned().collect();
        // What comes along is not named, so that the manager knows why it is there; the way back
        // names everything.
        let ways: &[&[Wish<'_>]] = if all.len() > 1 { &[&all[..1], &all] } else { &[&all] };
        for &wishes in ways {
            if self.would(manager, wishes)? == decided {
                let done = match manager {
                    PackageManager::Dpkg => self.apt_do(wishes),
                    PackageManager::Rpm => self.dnf_do(wishes),
                };
                return done.map_err(cannot(shown(wishes)));
            }
        }
        let reason = "apt or dnf would now do something else than was decided; check again";
        Err(HostError::unfit(self.folder(), reason))
    }

    fn would(&self, manager: PackageManager, wishes: &[Wish<'_>]) -> Result<Would, HostError> {
        let would = match manager {
            PackageManager::Dpkg => self.apt_would(wishes),
            PackageManager::Rpm => self.dnf_would(wishes),
        };
        would.map_err(cannot(shown(wishes)))
    }

    /// rpm's list, a line a package. A folder without rpm is read by this machine's.
    fn rpm_list(&self, database: &Path) -> Result<String, ProcessError> {
        let database = database.to_string_lossy();
        let format = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n";
        let query = ["--dbpath", &database, "-qa", "--qf", format];
        let folder = self.folder().to_string_lossy();
        let outside = ["rpm", "--root", &folder];
        let ran = if self.has("/usr/bin/rpm") {
            self.run_well(Program::looking(&[&["rpm"][..], &query].concat()))?
        } else {
            Program::looking(&[&outside[..], &query].concat()).run_here()?.well()?
        };
        Ok(ran.out().to_owned())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.is_this_machine() || self.is_there(path).unwrap_or(false)
    }
}

/// Versions that are installed under a name, which may end in an architecture, of packages in the
/// order of their names.
pub fn versions_of<'p>(installed: &'p [InstalledPackage], name: &str) -> Vec<&'p str> {
    let mut versions: Vec<&str> = named(installed, name).map(|p| p.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// What a package of this name was left as, if one is not wholly installed.
pub fn unfinished_of<'p>(installed: &'p [InstalledPackage], name: &str) -> Option<&'p str> {
    named(installed, name).find_map(|p| p.unfinished.as_deref())
}

fn named<'p>(
    installed: &'p [InstalledPackage],
    name: &str,
) -> impl Iterator<Item = &'p InstalledPackage> {
    let (bare, arch) = name.split_once(':').map_or((name, None), |(n, a)| (n, Some(a)));
    let from = installed.partition_point(|p| p.name.as_str() < bare);
    let count = installed[from..].iter().take_while(|p| p.name == bare).count();
    installed[from..from + count].iter().filter(move |p| arch.is_none_or(|arch| arch == p.arch))
}

/// What is installed under this name; all versions of it.
pub(super) fn package(installed: &[InstalledPackage], name: &str) -> Option<Attributes> {
    let versions = versions_of(installed, name);
    (!versions.is_empty()).then(|| attributes([("version", &versions.join(" "))]))
}

/// Whether the versions that are installed are among others the one that was wanted.
pub(super) fn has(installed: &Attributes, wanted: &Attributes) -> bool {
    let version = |of: &Attributes| of.get("version").cloned().unwrap_or_default();
    version(installed).split(' ').any(|one| one == version(wanted))
}

fn shown(wishes: &[Wish<'_>]) -> String {
    let one = |(name, version): &Wish<'_>| match version {
        Some(version) => format!("installing {name} {version}"),
        None => format!("removing {name}"),
    };
    wishes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn stanza(text: &str) -> Option<InstalledPackage> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
    };
    // What was wanted, whether dpkg may go on, what is so: dpkg(1).
    let state = field("Status")?.split_whitespace().next_back()?;
    let unfinished = match state {
        "not-installed" | "config-files" => return None,
        // Only what other packages do upon it is still to come.
        "installed" | "triggers-awaited" | "triggers-pending" => None,
        between => Some(between.to_owned()),
    };
    Some(InstalledPackage {
        name: field("Package")?.to_owned(),
        version: field("Version").unwrap_or_default().to_owned(),
        arch: field("Architecture").unwrap_or_default().to_owned(),
        unfinished,
    })
}

fn line(text: &str) -> Option<InstalledPackage> {
    let words: Vec<&str> = text.split('\t').collect();
    let [name, version, arch] = words[..] else { return None };
    // Keys that rpm trusts are kept like packages.
    (name != "gpg-pubkey").then(|| InstalledPackage {
        name: name.to_owned(),
        version: version.strip_prefix("0:").unwrap_or(version).to_owned(),
        arch: arch.to_owned(),
        unfinished: None,
    })
}
