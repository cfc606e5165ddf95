//! Installed packages: dpkg's list is read, rpm is asked.

use crate::clients::host::{HostRoot, Stamp};
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::model::VersionOrder;

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

/// The packages as they were read last.
#[derive(Debug, Default)]
pub(super) struct Packages(Option<(Stamp, &'static str, Vec<Row>)>);

impl Packages {
    /// Learns which manager there is and what it installed.
    pub(super) async fn learn(&mut self, host: &HostRoot, facts: &mut Facts) {
        let stamp = |path: &str| host.stamp(path).ok().flatten();
        let found = stamp(DPKG).map(|stamp| (stamp, "dpkg"));
        let found = found.or_else(|| RPM.iter().find_map(|p| stamp(p)).map(|s| (s, "rpm")));
        let Some((stamp, manager)) = found else {
            facts.one("package_manager", Some(FactValue::text("none")), "");
            facts.learn("package", Known::Missing("neither dpkg nor rpm is used here".to_owned()));
            return;
        };
        facts.one("package_manager", Some(FactValue::text(manager)), "");
        if !matches!(&self.0, Some((known, name, _)) if *known == stamp && *name == manager) {
            let read = if manager == "dpkg" { dpkg(host) } else { rpm(host).await };
            match read {
                Ok(rows) => self.0 = Some((stamp, manager, rows)),
                Err(reason) => {
                    self.0 = None;
                    return facts.learn("package", Known::Missing(reason));
                }
            }
        }
        let rows = self.0.as_ref().map(|(_, _, rows)| rows.clone()).unwrap_or_default();
        facts.learn("package", Known::Rows(rows));
    }
}

fn row(name: &str, version: &str, order: VersionOrder, arch: &str) -> Row {
    Row(vec![
        ("name", FactValue::text(name)),
        ("version", FactValue::Version(version.to_owned(), order)),
        ("arch", FactValue::text(arch)),
    ])
}

fn dpkg(host: &HostRoot) -> Result<Vec<Row>, String> {
    let text = host.text(DPKG, BYTES_MAX).map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(text.split("\n\n").filter_map(stanza).collect())
}

fn stanza(text: &str) -> Option<Row> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
    };
    field("Status").filter(|status| status.ends_with(" installed"))?;
    let arch = field("Architecture").unwrap_or_default();
    Some(row(field("Package")?, field("Version")?, VersionOrder::Debian, arch))
}

async fn rpm(host: &HostRoot) -> Result<Vec<Row>, String> {
    let root = host.folder().to_string_lossy().into_owned();
    let format = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n";
    let argv = ["rpm", "--root", &root, "-qa", "--qf", format];
    let ran = crate::clients::host::run(&argv).await.map_err(|error| error.to_string())?;
    if !ran.succeeded() {
        return Err(format!("rpm failed: {}", ran.last_words()));
    }
    let one = |line: &str| {
        let words: Vec<&str> = line.split('\t').collect();
        let [name, version, arch] = words[..] else { return None };
        let version = version.strip_prefix("0:").unwrap_or(version);
        (name != "gpg-pubkey").then(|| row(name, version, VersionOrder::Rpm, arch))
    };
    let mut rows: Vec<Row> = ran.out().lines().filter_map(one).collect();
    rows.sort_by(|a, b| a.text("name").cmp(b.text("name")));
    Ok(rows)
}
