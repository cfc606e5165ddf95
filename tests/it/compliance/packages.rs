//! Packages of real package managers: apt in a real Debian, dnf and rpm in a root of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate::compliance::change::Change;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::VersionOrder;
use tidegate::telemetry::Chain;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::program::write_program;

/// Name, version, what it needs.
const PACKAGES: [(&str, &str, &str); 5] = [
    ("tg-hello", "1.0-1", "tg-lib"),
    ("tg-hello", "2.0-1", "tg-lib"),
    ("tg-hello", "2.1-1", "tg-nowhere"),
    ("tg-lib", "1.0-1", ""),
    ("tg-user", "1.0-1", "tg-hello"),
];

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}\n{said}");
}

fn chroot(host: &Host, argv: &[&str]) {
    let mut command = Command::new("chroot");
    run(command.arg(host.path("/")).args(argv).env("DEBIAN_FRONTEND", "noninteractive"));
}

/// A Debian whose only repository is a folder of its own.
fn debian_with_repository() -> Host {
    let host = debian::host();
    let repository = host.path("/repo");
    let mut index = String::new();
    for (name, version, needs) in PACKAGES {
        let needs = if needs.is_empty() { String::new() } else { format!("Depends: {needs}\n") };
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\n\
             Maintainer: alice <alice@example.org>\n{needs}Description: a test\n"
        );
        let folder = tempfile::tempdir_in(host.dir.path()).unwrap();
        fs::create_dir_all(folder.path().join("DEBIAN")).unwrap();
        fs::create_dir_all(&repository).unwrap();
        fs::write(folder.path().join("DEBIAN/control"), &control).unwrap();
        let file = format!("{name}_{version}_all.deb");
        let mut build = Command::new("dpkg-deb");
        run(build.arg("--build").arg(folder.path()).arg(repository.join(&file)));
        let bytes = fs::read(repository.join(&file)).unwrap();
        let digest = tidegate::model::Digest::of(&bytes).hex();
        let size = bytes.len();
        index.extend(
            [&control, &format!("Filename: ./{file}\nSize: {size}\nSHA256: {digest}\n\n")]
                .map(String::as_str),
        );
    }
    fs::write(repository.join("Packages"), index).unwrap();
    let host = host.with("/etc/apt/sources.list", "deb [trusted=yes] file:/repo ./\n");
    chroot(&host, &["apt-get", "--quiet", "update"]);
    host
}

/// A root that rpm and dnf of this machine look after.
fn rpm_root() -> Host {
    let host = rpm_root_of(&PACKAGES);
    dnf(&host.path("/"), &["install", "tg-lib"]);
    dnf(&host.path("/"), &["remove", "tg-lib"]);
    host
}

/// One whose repository has these packages: name, version and release, what it needs.
fn rpm_root_of(packages: &[(&str, &str, &str)]) -> Host {
    let host = Host::default().with("/etc/os-release", "ID=fedora\nVERSION_ID=38\n");
    // Debian's rpm keeps its list elsewhere than those of rpm's own systems.
    fs::create_dir_all(host.path("/usr/lib/sysimage/rpm")).unwrap();
    fs::create_dir_all(host.path("/root")).unwrap();
    symlink("../usr/lib/sysimage/rpm", host.path("/root/.rpmdb")).unwrap();
    let build = host.dir.path().join("build");
    for (name, version, needs) in packages {
        let (version, release) = version.split_once('-').unwrap();
        let needs = if needs.is_empty() { String::new() } else { format!("Requires: {needs}\n") };
        let spec = format!(
            "Name: {name}\nVersion: {version}\nRelease: {release}\nSummary: a test\n\
             License: MIT\nBuildArch: noarch\n{needs}%description\nA test.\n%files\n"
        );
        fs::create_dir_all(&build).unwrap();
        let file = build.join(format!("{name}-{version}.spec"));
        fs::write(&file, spec).unwrap();
        let define =
            |name: &str, folder: &str| format!("{name} {}", host.dir.path().join(folder).display());
        let mut rpmbuild = Command::new("rpmbuild");
        rpmbuild.args(["-bb", "--define", &define("_topdir", "build")]);
        run(rpmbuild.args(["--define", &define("_rpmdir", "repo")]).arg(&file));
    }
    let repository = host.dir.path().join("repo");
    run(Command::new("createrepo_c").arg("--quiet").arg(&repository));
    let text =
        format!("[local]\nname=local\nbaseurl=file://{}\ngpgcheck=0\n", repository.display());
    let host = host.with("/etc/yum.repos.d/local.repo", &text);
    let root = host.path("/");
    run(Command::new("rpm").arg("--root").arg(&root).arg("--initdb"));
    host
}

fn dnf(root: &Path, args: &[&str]) {
    let mut dnf = Command::new("dnf");
    dnf.arg(format!("--installroot={}", root.display()));
    run(dnf.args(["--quiet", "--assumeyes"]).args(args));
}

/// The newest one cannot be installed; with nothing installed.
static FROM_NOTHING: &[Row] = &[
    Row {
        kind: "package",
        lines: "package = \"tg-hello\"\nversion = \"<2\"",
        expected: "package tg-hello <2",
        actual: "tg-hello is not installed",
        fix: Fix::Plan(&["+++ package tg-hello", "+version = 1.0-1", "+++ package tg-lib"]),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-hello\"\nversion = \">=1.5, <2.1\"",
        expected: "package tg-hello >=1.5, <2.1",
        actual: "tg-hello is not installed",
        fix: Fix::Plan(&["+version = 2.0-1"]),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-lib\"",
        expected: "package tg-lib",
        actual: "tg-lib is not installed",
        fix: Fix::Plan(&["--- /dev/null", "+++ package tg-lib"]),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-hello\"\nversion = \">=3\"",
        expected: "package tg-hello >=3",
        actual: "tg-hello is not installed",
        fix: Fix::Cannot("has a version of tg-hello that will do; the newest is 2.1-1"),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-nowhere\"",
        expected: "package tg-nowhere",
        actual: "tg-nowhere is not installed",
        fix: Fix::Cannot("no repository of this node has tg-nowhere"),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-hello\"\nversion = \">2.0-1\"",
        expected: "package tg-hello >2.0-1",
        actual: "tg-hello is not installed",
        fix: Fix::Cannot("installing tg-hello 2.1-1 is not possible"),
    },
];

/// With tg-user, and so tg-hello 1.0-1 and tg-lib, installed.
static FROM_INSTALLED: &[Row] = &[
    Row {
        kind: "package",
        lines: "package = \"tg-hello\"\nversion = \">=2, <2.1\"",
        expected: "package tg-hello >=2, <2.1",
        actual: "tg-hello 1.0-1 is installed",
        fix: Fix::Plan(&["-version = 1.0-1", "+version = 2.0-1"]),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-user\"\nstate = \"absent\"",
        expected: "no package tg-user",
        actual: "tg-user 1.0-1 is installed",
        fix: Fix::Plan(&["--- package tg-user", "+++ /dev/null", "-version = 1.0-1"]),
    },
    Row {
        kind: "package",
        lines: "package = \"tg-lib\"\nstate = \"absent\"",
        expected: "no package tg-lib",
        actual: "tg-lib 1.0-1 is installed",
        fix: Fix::Cannot("would be removed with it: an operator must do that"),
    },
    Row {
        kind: "package_vulnerable",
        lines: "package = \"tg-hello\"\nvulnerable = [\"<1.5\", \">2.0-1\"]\nadvisory = \"TG-1\"",
        expected: "package tg-hello not <1.5 or >2.0-1 (TG-1)",
        actual: "tg-hello 1.0-1 is installed",
        fix: Fix::Plan(&["-version = 1.0-1", "+version = 2.0-1"]),
    },
];

#[test]
fn packages_do_all_seven_with_apt_on_a_real_debian() {
    let host = debian_with_repository();
    all_seven(&host, FROM_NOTHING);
    chroot(&host, &["apt-get", "--quiet", "--assume-yes", "install", "tg-user", "tg-hello=1.0-1"]);
    all_seven(&host, FROM_INSTALLED);
}

#[test]
fn what_apts_pins_forbid_is_not_installed() {
    let pins = "Package: tg-hello\nPin: version 2.*\nPin-Priority: -1\n";
    let host = debian_with_repository().with("/etc/apt/preferences.d/tg", pins);
    for version in ["version = \">=2\"", "version = \">2.0-1\""] {
        let error = host.fix(&rule("package", &format!("package = \"tg-hello\"\n{version}")));
        assert!(error.is_err() || error.unwrap().result != FixResult::Fixed, "{version}");
    }
    let record = host.fix(&rule("package", "package = \"tg-hello\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    let installed = host.text("/var/lib/dpkg/status");
    assert!(installed.contains("Package: tg-hello\n"), "{installed}");
    assert!(installed.contains("Version: 1.0-1\n"), "{installed}");
}

#[test]
fn packages_do_all_seven_with_dnf_on_a_root_of_rpm() {
    let host = rpm_root();
    all_seven(&host, FROM_NOTHING);
    dnf(&host.path("/"), &["install", "tg-user", "tg-hello-1.0-1"]);
    all_seven(&host, FROM_INSTALLED);
}

#[test]
fn a_kernel_that_is_installed_beside_the_one_before_is_a_fix() {
    let host = rpm_root_of(&[("kernel", "1.0-1", ""), ("kernel", "2.0-1", "")]);
    dnf(&host.path("/"), &["install", "kernel-1.0-1"]);
    let wanted = rule("package", "package = \"kernel\"\nversion = \">=2\"");
    let record = host.fix(&wanted).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(only(host.check(&wanted)).verdict.status, VerdictStatus::Ok);
    // Nobody knows which of the two was there before.
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("taken back") };
    assert!(reason.contains("no longer as it was"), "{reason}");
    assert_eq!(only(host.check(&wanted)).verdict.status, VerdictStatus::Ok);
}

#[test]
fn what_is_not_installed_is_not_vulnerable_and_without_a_package_manager_nothing_applies() {
    let vulnerable = "package = \"tg-hello\"\nvulnerable = \"<9\"";
    let host = debian::host();
    let verdict = only(host.check(&rule("package_vulnerable", vulnerable))).verdict;
    assert_eq!(verdict.status, VerdictStatus::NotApplicable);
    assert_eq!(verdict.reason.as_deref(), Some("tg-hello is not installed"));
    let host = Host::default();
    for (kind, lines) in [("package_vulnerable", vulnerable), ("package", "package = \"a\"")] {
        let verdict = only(host.check(&rule(kind, lines))).verdict;
        assert_eq!(verdict.status, VerdictStatus::NotApplicable, "{kind}");
        assert_eq!(verdict.reason.as_deref(), Some("neither dpkg nor rpm is used here"));
    }
}

#[test]
fn a_package_that_dpkg_has_not_finished_is_there() {
    let status = |package: &str, state: &str| {
        format!(
            "Package: {package}\nStatus: install ok {state}\nArchitecture: all\nVersion: 5.6.0-0.2\n\n"
        )
    };
    let seen = |state: &str, kind: &str, lines: &str| {
        let text = status("tg-lib", state) + &status("tg-other", "installed");
        let host = Host::default().with("/var/lib/dpkg/status", &text);
        only(host.check(&rule(kind, &format!("package = \"tg-lib\"\n{lines}")))).verdict
    };
    let (bad, gone) = ("vulnerable = \"=5.6.0-0.2\"", "state = \"absent\"");
    for state in ["installed", "triggers-awaited", "triggers-pending"] {
        let verdict = seen(state, "package_vulnerable", bad);
        assert_eq!(verdict.actual, "tg-lib 5.6.0-0.2 is installed", "{state}");
        assert_eq!(seen(state, "package", gone).status, VerdictStatus::NotOk, "{state}");
        assert_eq!(seen(state, "package", "").status, VerdictStatus::Ok, "{state}");
    }
    for state in ["half-configured", "unpacked", "half-installed", "of-tomorrow"] {
        let verdict = seen(state, "package_vulnerable", bad);
        assert_eq!(verdict.actual, format!("tg-lib 5.6.0-0.2 is {state}"));
        assert_eq!(seen(state, "package", gone).status, VerdictStatus::NotOk, "{state}");
        let present = seen(state, "package", "");
        assert_eq!(present.status, VerdictStatus::Error, "{state}");
        assert!(present.reason.unwrap().contains(state));
    }
    for state in ["not-installed", "config-files"] {
        let verdict = seen(state, "package_vulnerable", bad);
        assert_eq!(verdict.status, VerdictStatus::NotApplicable, "{state}");
        assert_eq!(seen(state, "package", gone).status, VerdictStatus::Ok, "{state}");
        assert_eq!(seen(state, "package", "").status, VerdictStatus::NotOk, "{state}");
    }
}

#[test]
fn what_came_along_is_known_as_such_and_a_fix_that_somebody_changed_is_not_taken_back() {
    let host = debian_with_repository();
    let record = host.fix(&rule("package", "package = \"tg-hello\"\nversion = \"<2\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    let states = host.text("/var/lib/apt/extended_states");
    assert!(states.contains("Package: tg-lib") && !states.contains("tg-hello"), "{states}");
    chroot(&host, &["apt-get", "--quiet", "--assume-yes", "install", "tg-hello=2.0-1"]);
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("restored") };
    assert!(reason.contains("package tg-hello is no longer as it was"), "{reason}");
}

#[test]
fn versions_are_ordered_as_dpkg_and_rpm_themselves_do() {
    let versions = [
        "1.0",
        "1.0-1",
        "1.0-0",
        "1.10",
        "1.9",
        "1.0~rc1",
        "1.0~~",
        "1:0.1",
        "1.0a",
        "1.0+b1",
        "007",
        "7",
        "2.4-1-3",
        "3.0.11-1~deb12u2",
        "3.0.11-1",
        "5.5p10",
        "5.5p1",
        "10xyz",
        "xyz.4",
        "0",
        "1.0.",
        "1..0",
        "6.0.rc1",
        "20230101git",
        "1.0-2.el9",
        "1.0-10.el9",
    ];
    // Of each the part that rpm.vercmp compares: without epoch and release.
    let plain = |text: &str| {
        let text = text.split_once(':').map_or(text, |(_, rest)| rest);
        text.split('-').next().unwrap_or_default().to_owned()
    };
    let mut pairs = Vec::new();
    for a in versions {
        for b in versions {
            let dpkg = ["--compare-versions", a, "lt", b];
            // dpkg refuses what does not begin with a digit.
            let fits = [a, b].iter().all(|v| plain(v).starts_with(|c: char| c.is_ascii_digit()));
            if fits {
                let less = Command::new("dpkg").args(dpkg).status().unwrap().success();
                assert_eq!(VersionOrder::Debian.compare(a, b).is_lt(), less, "{a} {b}");
            }
            pairs.push((plain(a), plain(b)));
        }
    }
    let one = |(a, b): &(String, String)| format!("print(rpm.vercmp('{a}','{b}')..' ')");
    let script: String = pairs.iter().map(one).collect();
    let said =
        Command::new("rpm").args(["--eval", &format!("%{{lua:{script}}}")]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let orders: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(orders.len(), pairs.len());
    for ((a, b), order) in pairs.iter().zip(orders) {
        let own = VersionOrder::Rpm.compare(a, b) as i8;
        assert_eq!(own.to_string(), order, "{a} {b}");
    }
}

#[test]
fn a_package_manager_is_ended_when_the_nodes_configuration_says_so() {
    let host = debian_with_repository();
    let wanted = rule("package", "package = \"tg-lib\"");
    let changes = only(host.check(&wanted)).changes;
    fs::rename(host.path("/usr/bin/dpkg"), host.path("/usr/bin/dpkg.real")).unwrap();
    let script =
        "#!/bin/sh\ncase \"$*\" in *--unpack*) exec sleep 600;; esac\nexec dpkg.real \"$@\"\n";
    write_program(host.path("/usr/bin/dpkg"), script);
    let [Change::Managed(moves)] = &changes[..] else { panic!("{changes:?}") };
    let root = host.root().with_package_time_max(Duration::from_secs(3));
    let said = Chain(&root.manage(moves).unwrap_err()).to_string();
    assert!(said.contains("took longer than 3 s and was ended"), "{said}");
}
