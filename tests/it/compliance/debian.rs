//! A real bootstrapped Debian as the host: its own files, packages, users and links.

use std::fs;

use tidegate::compliance::facts::{Known, Wanted};
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::debian::debian;

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
