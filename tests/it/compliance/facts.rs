//! What is known of a host, and what nobody knows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tidegate::compliance::facts::{Known, Wanted};
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::support::{Host, only, rule, rules_of};
use crate::desired::support::Repo;

#[test]
fn what_cannot_be_read_is_unknown_with_the_reason_and_never_none() {
    for (fact, path) in [
        ("filesystem", "/proc/self/mounts"),
        ("address", "/proc/net/fib_trie"),
        ("address", "/proc/net/route"),
        ("address", "/proc/net/if_inet6"),
    ] {
        let host = Host::default().with("/proc/net/fib_trie", "");
        let _gone = fs::remove_file(host.path(path));
        fs::create_dir_all(host.path(path).parent().unwrap()).unwrap();
        // More than anybody reads.
        fs::File::create(host.path(path)).unwrap().set_len(64 << 20).unwrap();
        let facts = host.facts(&Wanted::everything());
        let Some(Known::Missing(reason)) = facts.get(fact) else { panic!("{path}: {facts:?}") };
        assert!(reason.contains(path), "{path}: {reason}");
    }
}

#[test]
fn a_kernel_parameter_is_asked_for_by_its_name_alone() {
    for (asks, is_refused) in [
        ("{ key = \"vm.swappiness\", value = \"1\" }", false),
        ("{ key = [\"vm.swappiness\", \"vm.x\"] }", false),
        ("{ value = \"1\" }", true),
        ("{ key = \"vm.*\", value = \"1\" }", true),
        ("[{ key = \"vm.x\" }, { key = [\"vm.x\", \"net.*\"] }]", true),
    ] {
        let lines = format!("path = \"/etc/x\"\nmatch = {{ sysctl = {asks} }}");
        let found =
            Repo::default().web("").with("rulesets/it.toml", rule("file", &lines)).findings();
        let says = found.contains("`sysctl` needs the `key` of each kernel parameter");
        assert_eq!(says, is_refused, "{asks}\n{found}");
        assert!(!is_refused || found.contains("rulesets/it.toml:5:"), "{asks}\n{found}");
    }
}

#[test]
fn a_kernel_parameter_that_not_everybody_may_read_is_compared_and_not_shown() {
    let host = Host::default().with("/proc/sys/net/ipv4/key", "canary\n");
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(host.path("/proc/sys/net/ipv4/key"), closed).unwrap();
    let lines = "path = \"/etc/motd\"\n\
                 match = { sysctl = { key = \"net.ipv4.key\", value = \"canary\" } }";
    let state = rules_of(&rule("file_absent", lines));
    let facts = host.facts(&Wanted::by(&state.rules));
    let shown = serde_json::to_string(&facts).unwrap();
    assert!(shown.contains("net.ipv4.key") && !shown.contains("canary"), "{shown}");
    assert_eq!(only(host.check_state(&state)).verdict.status, VerdictStatus::Ok);
}

#[test]
fn where_the_kernel_is_not_shown_its_parameters_are_not_known_rather_than_missing() {
    let host = Host::default();
    let swappiness = rule("sysctl", "key = \"vm.swappiness\"\nvalue = 10");
    let verdict = only(host.check(&swappiness)).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error, "{verdict:?}");
    let reason = verdict.reason.unwrap();
    assert!(reason.contains("/proc/sys: nothing is mounted there"), "{reason}");
    let asks = "path = \"/etc/x\"\nmatch = { sysctl = { key = \"vm.x\", value = \"1\" } }";
    assert_eq!(only(host.check(&rule("file", asks))).verdict.status, VerdictStatus::Unknown);
    let host = host.with("/proc/sys/kernel/ostype", "Linux\n");
    let verdict = only(host.check(&swappiness)).verdict;
    assert_eq!(verdict.status, VerdictStatus::NotApplicable, "{verdict:?}");
    assert_eq!(only(host.check(&rule("file", asks))).verdict.status, VerdictStatus::NotApplicable);
}

#[test]
fn a_machine_that_is_not_shown_is_not_called_a_real_one() {
    let virtualization = |host: &Host| {
        serde_json::to_value(host.facts(&Wanted::everything())).unwrap()["virtualization"].clone()
    };
    assert!(virtualization(&Host::default()).is_null());
    let shown = Host::default().with("/proc/cpuinfo", "flags : fpu\n");
    assert_eq!(virtualization(&shown), "none");
    let vendor = Host::default().with("/sys/class/dmi/id/sys_vendor", "QEMU\n");
    assert_eq!(virtualization(&vendor), "kvm");
    let container = Host::default().with("/.dockerenv", "");
    assert_eq!(virtualization(&container), "container");
}
