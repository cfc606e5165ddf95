//! The manual's examples on a real Debian: each does what it says, and comes back.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use tidegate::clients::host::Program;
use tidegate::compliance::check::Checked;
use tidegate::compliance::record::{FixRecord, FixResult};
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::archives::site;
use crate::compliance::debian;
use crate::compliance::seven::{assert_same, tree};
use crate::compliance::support::Host;

/// Kinds whose example has something to mend on the host below.
const MENDED: [&str; 17] = [
    "file",
    "file_line",
    "file_absent",
    "directory",
    "symlink",
    "key_value",
    "sysctl",
    "user",
    "group",
    "membership",
    "ssh_authorized_key",
    "sudoers",
    "cron",
    "time",
    "archive",
    "mount",
    "daemon_config",
];

/// A Debian on which none of them holds yet.
fn host() -> Host {
    let timer = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    let mut host = debian::host()
        .with("/proc/sys/vm/swappiness", "60\n")
        .with("/etc/hosts", "127.0.0.1 localhost\n")
        .with("/root/.rhosts", "trusted\n")
        .with("/etc/ssh/sshd_config", "PermitRootLogin yes\n")
        .with("/lib/systemd/system/chrony.service", timer)
        .with("/etc/fstab", "UUID=12 /srv/usb vfat noauto 0 0\n");
    host.files.insert("site.tar".to_owned(), site());
    for argv in [
        &["useradd", "--create-home", "alice"][..],
        &["useradd", "--groups", "sudo", "bob"],
        &["useradd", "--create-home", "carol"],
        &["useradd", "--create-home", "--no-user-group", "deploy"],
    ] {
        host.root().run_well(Program::changing(argv)).unwrap();
    }
    host
}

/// The example of a kind.
fn example(kind: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compliance.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(&format!("\n### {kind}\n")).unwrap();
    let section = section.split("\n### ").next().unwrap();
    let blocks = section.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.collect()
}

fn not_ok(checked: &[Checked]) -> Vec<&Checked> {
    checked.iter().filter(|one| one.verdict.status != VerdictStatus::Ok).collect()
}

/// Mends what can be mended of an example, which is all but what the test's host cannot have.
fn mend(host: &Host, kind: &str) -> Vec<FixRecord> {
    let text = example(kind);
    let checked = host.check(&text);
    let wrong: Vec<&Checked> = not_ok(&checked).into_iter().filter(|c| !is_a_machines(c)).collect();
    assert!(!wrong.is_empty(), "{kind}: nothing to mend\n{checked:#?}");
    let mut records = Vec::new();
    for one in wrong {
        assert!(one.verdict.fixable, "{:#?}", one.verdict);
        let rule = &one.verdict.rule;
        let recheck = || {
            let again = host.check(&text);
            let left = not_ok(&again).into_iter().find(|other| other.verdict.rule == *rule);
            left.map(|left| format!("{:?}", left.verdict))
        };
        let record = host.mender(|mender| mender.fix(one, recheck, Timestamp::now())).unwrap();
        assert_eq!(record.result, FixResult::Fixed, "{kind}");
        records.push(record);
    }
    let again = host.check(&text);
    let left: Vec<_> = not_ok(&again).into_iter().filter(|one| !is_a_machines(one)).collect();
    assert!(left.is_empty(), "{kind}\n{left:#?}");
    records
}

/// What takes a disk, or a /tmp of its own.
fn is_a_machines(checked: &Checked) -> bool {
    ["it/data", "it/tmp-is-its-own"].contains(&checked.verdict.rule.as_str())
}

#[test]
fn examples_that_need_no_machine_are_mended_and_taken_back_on_a_real_debian() {
    let host = host();
    let before = tree(&host);
    let mut records = Vec::new();
    for kind in MENDED {
        records.extend(mend(&host, kind));
    }
    for record in records.iter().rev() {
        assert_eq!(host.restore(record), FixResult::Fixed, "{}", record.rule);
    }
    assert_same(&tree(&host), &before, "all examples");
}
