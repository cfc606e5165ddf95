//! Kernel modules. No test loads one into this machine's kernel: modprobe and rmmod are stand-ins
//! below the Debian's root that keep its /proc/modules, as the kernel would.

use std::fs;

use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::program::write_program;

const MODPROBE: &str = "#!/bin/sh
test \"$1\" = -- || exit 1
grep -q \"/$(echo $2 | tr _ .).ko\" /lib/modules/6.1.0-1/modules.dep || {
  echo \"modprobe: FATAL: Module $2 not found\" >&2; exit 1; }
echo \"$2 16384 0 - Live 0x0000000000000000\" >>/proc/modules
";
const RMMOD: &str = "#!/bin/sh
test \"$1\" = -- || exit 1
grep -q \"^$2 [0-9]* 0 \" /proc/modules || { echo \"rmmod: ERROR: Module $2 is in use\" >&2; exit 1; }
sed -i \"/^$2 /d\" /proc/modules
";

fn host() -> Host {
    let host = debian::host()
        .with("/proc/sys/kernel/osrelease", "6.1.0-1\n")
        .with("/proc/modules", "dummy 16384 0 - Live 0x0\nvfat 20480 1 - Live 0x0\n")
        .with(
            "/lib/modules/6.1.0-1/modules.dep",
            "kernel/drivers/net/dummy.ko:\nkernel/net/bridge/br_netfilter.ko.xz: \
             kernel/net/bridge/bridge.ko.xz\nkernel/fs/fat/vfat.ko:\n",
        )
        .with("/lib/modules/6.1.0-1/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
    for (program, script) in [("/usr/sbin/modprobe", MODPROBE), ("/usr/sbin/rmmod", RMMOD)] {
        write_program(host.path(program), script);
    }
    host
}

fn loaded(host: &Host) -> String {
    host.text("/proc/modules")
}

#[test]
fn modules_do_all_seven_on_a_real_debian() {
    let host = host();
    all_seven(
        &host,
        &[
            Row {
                kind: "kernel_module",
                lines: "module = \"br-netfilter\"",
                expected: "module br_netfilter loaded, now and at boot",
                actual: "br_netfilter: not loaded, not at boot",
                fix: Fix::Plan(&[
                    "+++ /etc/modules-load.d/tidegate-br_netfilter.conf",
                    "+br_netfilter",
                    "+++ kernel module br_netfilter",
                ]),
            },
            Row {
                kind: "kernel_module",
                lines: "module = \"dummy\"\nstate = \"absent\"",
                expected: "module dummy not loaded, and blacklisted",
                actual: "dummy: loaded, not blacklisted",
                fix: Fix::Plan(&[
                    "+++ /etc/modprobe.d/tidegate-dummy.conf",
                    "+blacklist dummy",
                    "--- kernel module dummy",
                ]),
            },
            Row {
                kind: "kernel_module",
                lines: "module = \"ext4\"\nstate = \"absent\"",
                expected: "module ext4 not loaded, and blacklisted",
                actual: "ext4: part of the kernel",
                fix: Fix::Cannot("what is built into the kernel stays"),
            },
            Row {
                kind: "kernel_module",
                lines: "module = \"nothing\"",
                expected: "module nothing loaded, now and at boot",
                actual: "nothing: not loaded, not at boot",
                fix: Fix::Cannot("kernel 6.1.0-1 has no module nothing"),
            },
        ],
    );
}

#[test]
fn a_module_that_is_part_of_the_kernel_counts_as_loaded() {
    let verdict = only(host().check(&rule("kernel_module", "module = \"ext4\""))).verdict;
    assert_eq!(verdict.status, VerdictStatus::Ok);
}

#[test]
fn what_others_files_say_of_the_next_boot_counts() {
    let loaded = "module = \"dummy\"";
    let absent = "module = \"dccp\"\nstate = \"absent\"";
    for (path, text, lines, status) in [
        ("/etc/modules", "# x\ndummy\n", loaded, VerdictStatus::Ok),
        ("/usr/lib/modules-load.d/a.conf", "dummy\n", loaded, VerdictStatus::Ok),
        ("/etc/modprobe.d/a.conf", "blacklist dccp # x\n", absent, VerdictStatus::Ok),
        ("/etc/modprobe.d/a.conf", "# blacklist dccp\n", absent, VerdictStatus::NotOk),
        ("/etc/modprobe.d/a.conf", "install dccp /bin/false\n", absent, VerdictStatus::Ok),
        ("/etc/modprobe.d/a.conf", "install dccp /sbin/x dccp\n", absent, VerdictStatus::NotOk),
        (
            "/etc/modprobe.d/a.conf",
            "install dccp /bin/true && modprobe --ignore-install dccp\n",
            absent,
            VerdictStatus::NotOk,
        ),
        ("/etc/modprobe.d/a.txt", "blacklist dccp\n", absent, VerdictStatus::NotOk),
    ] {
        let host = host().with(path, text);
        let verdict = only(host.check(&rule("kernel_module", lines))).verdict;
        assert_eq!(verdict.status, status, "{path} {text:?} {verdict:#?}");
    }
    let host = host().with("/etc/modprobe.d/a.conf", "blacklist dummy\n");
    let verdict = only(host.check(&rule("kernel_module", loaded))).verdict;
    assert_eq!(verdict.actual, "dummy: kept out by /etc/modprobe.d/a.conf");
    assert!(verdict.reason.unwrap().contains("remove it there"));
}

#[test]
fn one_rule_after_its_opposite_takes_the_others_file_away() {
    let host = host();
    let on = rule("kernel_module", "module = \"dummy\"");
    let off = rule("kernel_module", "module = \"dummy\"\nstate = \"absent\"");
    for (text, files) in [(&on, [true, false]), (&off, [false, true]), (&on, [true, false])] {
        assert_eq!(host.fix(text).unwrap().result, FixResult::Fixed);
        let is = ["modules-load.d", "modprobe.d"]
            .map(|folder| host.path(&format!("/etc/{folder}/tidegate-dummy.conf")).exists());
        assert_eq!(is, files);
    }
}

#[test]
fn a_module_in_use_stays_and_so_does_the_next_boot() {
    let host = host();
    let off = rule("kernel_module", "module = \"vfat\"\nstate = \"absent\"");
    let FixResult::Failed { reason } = host.fix(&off).unwrap().result else { panic!("removed") };
    assert!(reason.contains("Module vfat is in use"), "{reason}");
    assert!(loaded(&host).contains("vfat") && !host.path("/etc/modprobe.d").exists());
}

#[test]
fn a_kernel_that_loads_none_has_no_such_rule_and_without_proc_nobody_knows() {
    let text = rule("kernel_module", "module = \"dummy\"");
    let host = host();
    fs::remove_file(host.path("/proc/modules")).unwrap();
    let verdict = only(host.check(&text)).verdict;
    assert_eq!(verdict.status, VerdictStatus::NotApplicable);
    assert_eq!(verdict.reason.as_deref(), Some("this kernel loads no modules"));
    let host = self::host();
    fs::remove_dir_all(host.path("/lib/modules/6.1.0-1")).unwrap();
    let verdict = only(host.check(&text)).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("not shown (ProtectKernelModules=)"));
    let verdict = only(debian::host().check(&text)).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("nothing is mounted there"));
}
