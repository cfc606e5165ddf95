//! A real bootstrapped Debian as the host: its own files, packages, users and links.

use std::fs;

use tidegate::compliance::facts::{Known, Wanted};
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::debian::debian;
use crate::support::program::write_program;

/// A copy of the root for one test alone.
pub(crate) fn host() -> Host {
    let host = Host::default();
    fs::remove_dir_all(host.path("/")).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([debian().as_path(), host.path("/").as_path()])
        .status();
    assert!(copied.unwrap().success());
    host
}

/// As dockerd 23 and later answers.
const DOCKERD: &str = r#"#!/bin/sh
[ "$*" = "--validate --config-file=/dev/stdin" ] || exit 9
if grep -q nonsense; then
    echo "unable to configure: the following directives don't match any option: nonsense" >&2
    exit 1
fi
"#;

/// One of each kind about files.
static FILES: &[Row] = &[
    Row {
        kind: "file",
        lines: "path = \"/etc/motd\"\ncontent = \"hello\\n\"\nowner = \"root\"\ngroup = \"adm\"",
        expected: "sha256:5891b5b522d5, 6 bytes",
        actual: "sha256:",
        fix: Fix::Plan(&["--- /etc/motd", "+hello"]),
    },
    Row {
        kind: "file",
        lines: "path = \"/etc/shadow\"\nmode = \"0600\"",
        expected: "mode 0600",
        actual: "mode 0640",
        fix: Fix::Plan(&["+++ /etc/shadow"]),
    },
    Row {
        kind: "file_line",
        lines: "path = \"/etc/login.defs\"\nline = \"UMASK 027\"\nregex = \"^#?UMASK\\\\s\"",
        expected: "`UMASK 027`",
        actual: "`UMASK",
        fix: Fix::Plan(&["+UMASK 027"]),
    },
    Row {
        kind: "file_absent",
        lines: "path = \"/etc/issue.net\"",
        expected: "nothing at /etc/issue.net",
        actual: "a file",
        fix: Fix::Plan(&["+++ /dev/null"]),
    },
    Row {
        kind: "directory",
        lines: "path = \"/srv/app1\"\nmode = \"0750\"\nowner = \"www-data\"",
        expected: "a directory, mode 0750",
        actual: "nothing",
        fix: Fix::Plan(&["+++ /srv/app1"]),
    },
    Row {
        kind: "symlink",
        lines: "path = \"/etc/localtime\"\nto = \"/usr/share/zoneinfo/Europe/Paris\"",
        expected: "a symbolic link to /usr/share/zoneinfo/Europe/Paris",
        actual: "a symbolic link to /usr/share/zoneinfo/Etc/UTC",
        fix: Fix::Plan(&["+++ /etc/localtime"]),
    },
    Row {
        kind: "key_value",
        lines: "path = \"/etc/adduser.conf\"\nformat = \"equals\"\nkey = \"DIR_MODE\"\n\
                value = \"0750\"",
        expected: "DIR_MODE = 0750",
        actual: "no `DIR_MODE`",
        fix: Fix::Plan(&["+DIR_MODE=0750"]),
    },
    Row {
        kind: "daemon_config",
        lines: "key = \"log-opts.max-size\"\nvalue = \"10m\"",
        expected: "log-opts.max-size = 10m",
        actual: "no such file",
        fix: Fix::Plan(&["+++ /etc/docker/daemon.json", "+    \"max-size\": \"10m\""]),
    },
    // /bin is a link of the system's own.
    Row {
        kind: "symlink",
        lines: "path = \"/bin/greet\"\nto = \"true\"",
        expected: "a symbolic link to true",
        actual: "nothing",
        fix: Fix::Plan(&["+++ /bin/greet"]),
    },
];

#[test]
fn files_do_all_seven_on_a_real_debian() {
    all_seven(&host(), FILES);
}

#[test]
fn the_engines_settings_do_all_seven_on_a_real_debian() {
    let text = "{\n    \"insecure-registries\": [\"10.0.0.1:5000\"],\n    \"debug\": false\n}\n";
    let host = host().with("/etc/docker/daemon.json", text);
    all_seven(
        &host,
        &[
            Row {
                kind: "daemon_config",
                lines: "key = \"live-restore\"\nvalue = true",
                expected: "live-restore = true",
                actual: "no `live-restore`",
                fix: Fix::Plan(&["+    \"live-restore\": true"]),
            },
            Row {
                kind: "daemon_config",
                lines: "key = \"insecure-registries\"\nstate = \"absent\"",
                expected: "no `insecure-registries`",
                actual: "insecure-registries = [\"10.0.0.1:5000\"]",
                fix: Fix::Plan(&["-    \"insecure-registries\": [\"10.0.0.1:5000\"],"]),
            },
        ],
    );
    // What dockerd refuses does not land, and what it takes does.
    write_program(host.path("/usr/bin/dockerd"), DOCKERD);
    all_seven(
        &host,
        &[
            Row {
                kind: "daemon_config",
                lines: "key = \"nonsense\"\nvalue = true",
                expected: "nonsense = true",
                actual: "no `nonsense`",
                fix: Fix::Cannot("dockerd refuses it: unable to configure"),
            },
            Row {
                kind: "daemon_config",
                lines: "key = \"debug\"\nvalue = true",
                expected: "debug = true",
                actual: "debug = false",
                fix: Fix::Plan(&["-    \"debug\": false", "+    \"debug\": true"]),
            },
        ],
    );
}

#[test]
fn facts_of_a_real_debian_are_its_own() {
    let host = host();
    let facts = host.facts(&Wanted::everything());
    assert!(facts.rows("package").iter().any(|row| row.text("name") == "dpkg"));
    assert!(facts.rows("user").iter().any(|row| row.text("name") == "www-data"));
    assert!(facts.rows("unit").iter().any(|row| row.text("name") == "fstrim.timer"));
    assert!(matches!(facts.get("kernel"), Some(Known::Missing(_))), "nothing is mounted there");
    for (condition, status) in [
        ("package = { name = \"apt\", version = \">=2.6\" }", VerdictStatus::Ok),
        ("package = { name = \"apt\", version = \"<2\" }", VerdictStatus::NotApplicable),
        (
            "user = { name = \"root\", uid = 0 }, group = { gid = \">=4\", name = \"adm\" }",
            VerdictStatus::Ok,
        ),
        ("not = { package = { name = \"openssh-server\" } }", VerdictStatus::Ok),
        ("kernel = \">=1\"", VerdictStatus::Unknown),
    ] {
        let rule = rule("file", &format!("path = \"/etc/passwd\"\nmatch = {{ {condition} }}"));
        assert_eq!(only(host.check(&rule)).verdict.status, status, "{condition}");
    }
}
