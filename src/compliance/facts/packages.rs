//! Installed packages.

use crate::clients::host::{HostRoot, InstalledPackage};
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::model::VersionOrder;
use crate::telemetry::Chain;

/// Learns which manager there is and what it installed.
pub(super) fn learn(host: &HostRoot, facts: &mut Facts) {
    let manager = match host.package_manager() {
        Ok(Some((manager, _))) => manager,
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
    let rows = |all: Vec<InstalledPackage>| {
        all.into_iter().map(|package| row(package, manager.order())).collect()
    };
    let known = host.packages(manager).map(rows);
    let unknown = |error| Known::Missing(Chain(&error).to_string());
    facts.learn("package", known.map_or_else(unknown, Known::Rows));
}

fn row(package: InstalledPackage, order: VersionOrder) -> Row {
    Row(vec![
        ("name", FactValue::Text(package.name)),
        ("version", FactValue::Version(package.version, order)),
        ("arch", FactValue::Text(package.arch)),
    ])
}
