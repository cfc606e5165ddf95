//! Kernel parameters of a real Debian: of a /proc that is a folder, and of the kernel's own in a network
//! namespace that no one else is in.

use std::fs;
use std::process::Command;

use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::debian;
use crate::compliance::mounts::is_apart;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{only, rule};

#[test]
fn parameters_do_all_seven_on_a_real_debian() {
    let host = debian::host()
        .with("/proc/sys/vm/swappiness", "60\n")
        .with("/proc/sys/net/ipv4/ip_local_port_range", "1024\t65000\n")
        .with("/usr/lib/sysctl.d/50-ports.conf", "net/ipv4/ip_local_port_range = 2048 65000\n");
    all_seven(
        &host,
        &[
            Row {
                kind: "sysctl",
                lines: "key = \"vm.swappiness\"\nvalue = 10",
                expected: "vm.swappiness = 10, now and at boot",
                actual: "vm.swappiness = 60 now, nothing at boot",
                fix: Fix::Plan(&[
                    "+++ /etc/sysctl.d/99-tidegate-vm.swappiness.conf",
                    "+vm.swappiness = 10",
                    "-vm.swappiness = 60",
                ]),
            },
            // As it is now, and otherwise after the next boot.
            Row {
                kind: "sysctl",
                lines: "key = \"net.ipv4.ip_local_port_range\"\nvalue = \"1024 65000\"",
                expected: "net.ipv4.ip_local_port_range = 1024 65000, now and at boot",
                actual: "net.ipv4.ip_local_port_range = 1024 65000 now, 2048 65000 at boot",
                fix: Fix::Plan(&["+net.ipv4.ip_local_port_range = 1024 65000"]),
            },
        ],
    );
    let missing = only(host.check(&rule("sysctl", "key = \"vm.nothing\"\nvalue = 1"))).verdict;
    assert_eq!(missing.status, VerdictStatus::NotApplicable);
    assert_eq!(missing.reason.as_deref(), Some("this kernel has no `vm.nothing`"));
}

#[test]
fn parameters_do_all_seven_in_the_kernel_itself() {
    let test = "sysctl::parameters_do_all_seven_in_the_kernel_itself";
    if !is_apart(test, &["--mount", "--net"]) {
        return;
    }
    let host = debian::host();
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "proc", "proc"]).arg(host.path("/proc")).status();
    assert!(mounted.unwrap().success());
    let live = host.path("/proc/sys/net/ipv4/tcp_fin_timeout");
    fs::write(&live, "60\n").unwrap();
    all_seven(
        &host,
        &[Row {
            kind: "sysctl",
            lines: "key = \"net.ipv4.tcp_fin_timeout\"\nvalue = 33",
            expected: "net.ipv4.tcp_fin_timeout = 33, now and at boot",
            actual: "net.ipv4.tcp_fin_timeout = 60 now, nothing at boot",
            fix: Fix::Plan(&[
                "+++ /etc/sysctl.d/99-tidegate-net.ipv4.tcp_fin_timeout.conf",
                "-net.ipv4.tcp_fin_timeout = 60",
                "+net.ipv4.tcp_fin_timeout = 33",
            ]),
        }],
    );
    let wanted = rule("sysctl", "key = \"net.ipv4.tcp_fin_timeout\"\nvalue = 33");
    host.fix(&wanted).unwrap();
    assert_eq!(fs::read_to_string(&live).unwrap(), "33\n");
    // What the kernel does not take is no success.
    let refused = rule("sysctl", "key = \"net.ipv4.tcp_fin_timeout\"\nvalue = \"much\"");
    let result = host.fix(&refused).unwrap().result;
    assert!(matches!(result, FixResult::Failed { .. }), "{result:?}");
    assert_eq!(fs::read_to_string(&live).unwrap(), "33\n");
    assert_eq!(only(host.check(&wanted)).verdict.status, VerdictStatus::Ok);
}
