//! Files whose change has a rule checked soon.

use tidegate::clients::host::Program;
use tidegate::compliance::kind::files_of;
use tidegate::model::{Digest, HostPath};
use tidegate::reconcile::desired::DesiredState;

use crate::compliance::archives::site;
use crate::compliance::debian;
use crate::compliance::support::{Host, only, rule, rules_of};
use crate::desired::support::Repo;

#[track_caller]
fn told_by(kind: &str, lines: &str, files: &[&str]) {
    are_told_by(&rules_of(&rule(kind, lines)), files);
}

#[track_caller]
fn are_told_by(state: &DesiredState, files: &[&str]) {
    let told: Vec<HostPath> = state.rules.iter().flat_map(|rule| files_of(&rule.kind)).collect();
    let told: Vec<&str> = told.iter().map(HostPath::as_str).collect();
    assert_eq!((state.rules.len(), &told[..]), (1, files));
}

#[test]
fn a_unit_that_is_enabled_disabled_or_masked_changes_one_of_the_files_that_tell_of_it() {
    let host = debian::host();
    for name in ["cron.service", "fstrim.timer", "getty@tty7.service"] {
        let state = rules_of(&rule("systemd_unit", &format!("unit = \"{name}\"\nenabled = true")));
        let files = files_of(&state.rules[0].kind);
        let seen = || -> Vec<_> {
            files.iter().map(|path| std::fs::read_link(host.path(path.as_str())).ok()).collect()
        };
        for verb in ["enable", "disable", "enable", "disable", "mask"] {
            let before = seen();
            host.root().run_well(Program::changing(&["systemctl", verb, name])).unwrap();
            assert!(seen() != before || verb == "enable", "{verb} {name}");
        }
    }
}

#[test]
fn rules_are_told_by_their_own_files_and_by_the_systems() {
    told_by("file", "path = \"/etc/motd\"\nmode = \"0644\"", &["/etc/motd"]);
    told_by(
        "sysctl",
        "key = \"vm.swappiness\"\nvalue = \"10\"",
        &["/etc/sysctl.d/99-tidegate-vm.swappiness.conf", "/etc/sysctl.conf"],
    );
    told_by("package", "package = \"sudo\"", &["/var/lib/dpkg/status"]);
    told_by("user", "user = \"alice\"", &["/etc/passwd", "/etc/group"]);
    told_by("time", "zone = \"Europe/Paris\"", &["/etc/localtime"]);
    told_by(
        "kernel_module",
        "module = \"br_netfilter\"",
        &[
            "/etc/modules-load.d/tidegate-br_netfilter.conf",
            "/etc/modprobe.d/tidegate-br_netfilter.conf",
        ],
    );
    told_by("mount", "path = \"/srv/data\"\nstate = \"absent\"", &["/etc/fstab"]);
    told_by("process", "process = \"sshd\"", &[]);
    told_by("listening_port", "port = 22", &[]);
    let digest = Digest::of(&site());
    let lines = format!("path = \"/etc/site\"\nsource = \"site.tar\"\ndigest = \"{digest}\"");
    let repo = Repo::default().web("").with("rulesets/it.files/site.tar", site());
    are_told_by(
        &repo.with("rulesets/it.toml", rule("archive", &lines)).state(),
        &[
            "/etc/site",
            "/etc/site/bin",
            "/etc/site/bin/check",
            "/etc/site/current",
            "/etc/site/www",
            "/etc/site/www/index.html",
        ],
    );
}

#[test]
fn what_a_line_says_is_told_with_its_tabs_and_without_control_characters() {
    let host = Host::default().with("/etc/login.defs", "UMASK\t\t022\u{1b}\n");
    let lines = "path = \"/etc/login.defs\"\nline = \"UMASK\\t\\t027\"\nregex = \"^UMASK\"";
    let verdict = only(host.check(&rule("file_line", lines))).verdict;
    assert_eq!(verdict.expected, "`UMASK\t\t027`");
    assert_eq!(verdict.actual, "`UMASK\t\t022\u{fffd}`");
}
