//! Installed packages.

use crate::clients::host::{HostRoot, InstalledPackage, Stamp};
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::model::{PackageManager, VersionOrder};
use crate::telemetry::Chain;

/// The packages as they were read last.
#[derive(Debug, Default)]
pub(super) struct Packages(Option<(Stamp, PackageManager, Vec<Row>)>);

impl Packages {
    /// Learns which manager there is and what it installed.
    pub(super) fn learn(&mut self, host: &HostRoot, facts: &mut Facts) {
        let (manager, stamp) = match host.package_manager() {
            Ok(Some((manager, stamp, _))) => (manager, stamp),
            Ok(None) => {
                facts.one("package_manager", Some(FactValue::text("none")), "");
                let reason = "neither dpkg nor rpm is used here".to_owned();
                return facts.learn("package", Known::Missing(reason));
            }
            Err(error) => {
                for name in ["package_manager", "package"] {
                    facts.learn(name, Known::Missing(Chain(&error).to_string()));
                }
                return;
            }
        };
        facts.one("package_manager", Some(FactValue::text(manager.as_str())), "");
        if !matches!(&self.0, Some((known, name, _)) if *known == stamp && *name == manager) {
            match host.packages(manager) {
                Ok(all) => {
                    let rows = all.into_iter().map(|package| row(package, manager.order()));
                    self.0 = Some((stamp, manager, rows.collect()));
                }
                Err(error) => {
                    self.0 = None;
                    return facts.learn("package", Known::Missing(Chain(&error).to_string()));
                }
            }
        }
        let rows = self.0.as_ref().map(|(_, _, rows)| rows.clone()).unwrap_or_default();
        facts.learn("package", Known::Rows(rows));
    }
}

fn row(package: InstalledPackage, order: VersionOrder) -> Row {
    Row(vec![
        ("name", FactValue::Text(package.name)),
        ("version", FactValue::Version(package.version, order)),
        ("arch", FactValue::Text(package.arch)),
    ])
}
