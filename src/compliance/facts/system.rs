//! Operating system, kernel, processors, memory, time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Facts, Known, Row};

/// Files of /proc, /sys and /etc that are read here are small; /proc/cpuinfo of a large host is not.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

fn text(host: &HostRoot, path: &str) -> Option<String> {
    host.text(path, BYTES_MAX).ok().flatten()
}

fn line(host: &HostRoot, path: &str) -> Option<String> {
    let text = text(host, path)?;
    let line = text.lines().next().unwrap_or_default().trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Learns them.
pub(super) fn learn(host: &HostRoot, facts: &mut Facts) {
    let release = os_release(host);
    let of = |key: &str| release.get(key).cloned();
    let none = "there is no /etc/os-release";
    facts.one("os", of("ID").map(FactValue::text), none);
    facts.one("os_like", of("ID_LIKE").or(of("ID")).map(FactValue::text), none);
    facts.one("os_version", of("VERSION_ID").map(FactValue::version), "this system has no version");
    facts.one("os_name", of("PRETTY_NAME").map(FactValue::text), none);
    let none = "/proc of the host is not there";
    let kernel = line(host, "/proc/sys/kernel/osrelease");
    facts.one("kernel", kernel.map(FactValue::version), none);
    let name = line(host, "/proc/sys/kernel/hostname");
    facts.one("host_name", name.map(FactValue::text), none);
    let uname = rustix::system::uname();
    facts.one("arch", Some(FactValue::text(uname.machine().to_string_lossy())), none);
    let stat = text(host, "/proc/stat").unwrap_or_default();
    let cpus = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    facts.one("cpus", (cpus > 0).then(|| FactValue::count(cpus)), none);
    let boot = stat.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok());
    let boot = boot.and_then(|secs| Timestamp::from_second(secs).ok());
    facts.one("boot_time", boot.map(|at| FactValue::text(at.to_string())), none);
    let info = text(host, "/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
    facts.one("cpu_model", model.map(|(_, m)| FactValue::text(m)), "the kernel does not say");
    facts.one("memory", memory(host), none);
    let machine = virtualization(host, &info).map(FactValue::text);
    facts.one("virtualization", machine, "neither /proc nor /sys of the host is there");
    facts.one("time_zone", time_zone(host).map(FactValue::text), "there is no /etc/localtime");
}

fn os_release(host: &HostRoot) -> BTreeMap<String, String> {
    let found = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|p| text(host, p));
    let found = found.unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let value = value.trim_matches(['"', '\'']).to_owned();
        (!key.starts_with('#')).then(|| (key.to_owned(), value))
    };
    found.lines().filter_map(pair).collect()
}

fn memory(host: &HostRoot) -> Option<FactValue> {
    let info = text(host, "/proc/meminfo")?;
    let kib: i64 = info.lines().find_map(|l| {
        l.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok()
    })?;
    Some(FactValue::Number(kib * 1024))
}

/// What systemd-detect-virt would say, from the same places.
fn virtualization(host: &HostRoot, cpuinfo: &str) -> Option<&'static str> {
    let container = line(host, "/run/systemd/container");
    if container.is_some() || text(host, "/.dockerenv").is_some() {
        return Some("container");
    }
    let dmi = ["sys_vendor", "product_name", "bios_vendor"]
        .iter()
        .filter_map(|name| line(host, &format!("/sys/class/dmi/id/{name}")))
        .collect::<Vec<_>>()
        .join(" ");
    let known = [
        ("KVM", "kvm"),
        ("QEMU", "kvm"),
        ("Amazon EC2", "kvm"),
        ("Google", "kvm"),
        ("VMware", "vmware"),
        ("VirtualBox", "oracle"),
        ("innotek", "oracle"),
        ("Microsoft Corporation Virtual", "microsoft"),
        ("Xen", "xen"),
        ("Bochs", "bochs"),
        ("Parallels", "parallels"),
    ];
    let by_dmi = known.iter().find(|(vendor, _)| dmi.contains(vendor)).map(|(_, name)| *name);
    let by_cpu = || {
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
        flags.is_some_and(|line| line.split(' ').any(|flag| flag == "hypervisor"))
    };
    match by_dmi {
        Some(name) => Some(name),
        None if by_cpu() => Some("other"),
        None => (!cpuinfo.is_empty() || !dmi.is_empty()).then_some("none"),
    }
}

fn time_zone(host: &HostRoot) -> Option<String> {
    let path = "/etc/localtime".parse().ok()?;
    let link = match host.look(&path, BYTES_MAX).ok()? {
        crate::model::PathState::Symlink { to } => {
            to.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned())
        }
        _ => None,
    };
    link.or_else(|| line(host, "/etc/timezone"))
}

/// Kernel parameters by their keys; those the kernel does not have are left out, and those that
/// cannot be read have no value; what not everybody may read is hidden.
pub(super) fn sysctls(host: &HostRoot, keys: &BTreeSet<String>) -> Known {
    if keys.is_empty() {
        let reason = "ask for one by its name, `sysctl=vm.swappiness`";
        return Known::Missing(reason.to_owned());
    }
    let row = |key: &String| {
        let seen = host.kernel_owned(key).transpose()?.ok();
        let value = seen.map(|(value, owned)| match FactValue::text(value) {
            FactValue::Text(value) if owned.is_hidden() => FactValue::Hidden(value),
            value => value,
        });
        let value = value.map(|value| ("value", value));
        Some(Row([("key", FactValue::text(key))].into_iter().chain(value).collect()))
    };
    Known::Rows(keys.iter().filter_map(row).collect())
}
