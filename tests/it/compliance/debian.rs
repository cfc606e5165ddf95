//! A real bootstrapped Debian as the host: its own files, packages, users and links.

use std::fs;

use tidegate::compliance::facts::{Known, Wanted};
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

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

#[test]
fn every_kind_mends_a_real_debian_and_takes_it_back() {
    let host = host();
    for (kind, lines) in [
        ("file", "path = \"/etc/motd\"\ncontent = \"hello\\n\"\nowner = \"root\"\ngroup = \"adm\""),
        ("file", "path = \"/etc/shadow\"\nmode = \"0600\""),
        (
            "file_line",
            "path = \"/etc/login.defs\"\nline = \"UMASK 027\"\nregex = \"^#?UMASK\\\\s\"",
        ),
        ("file_absent", "path = \"/etc/issue.net\""),
        ("directory", "path = \"/srv/app1\"\nmode = \"0750\"\nowner = \"www-data\""),
        ("symlink", "path = \"/etc/localtime\"\nto = \"/usr/share/zoneinfo/Europe/Paris\""),
        (
            "key_value",
            "path = \"/etc/adduser.conf\"\nformat = \"equals\"\nkey = \"DIR_MODE\"\nvalue = \"0750\"",
        ),
        // /bin is a link of the system's own.
        ("symlink", "path = \"/bin/greet\"\nto = \"true\""),
    ] {
        let rule =
            rule(kind, &format!("{lines}\nmatch = {{ os = \"debian\", os_version = \"12\" }}"));
        assert_eq!(only(host.check(&rule)).verdict.status, VerdictStatus::NotOk, "{lines}");
        let record = host.fix(&rule).unwrap();
        assert_eq!(record.result, FixResult::Fixed, "{lines}");
        assert!(only(host.check(&rule)).changes.is_empty(), "{lines}");
        assert_eq!(host.restore(&record), FixResult::Fixed, "{lines}");
        assert_eq!(only(host.check(&rule)).verdict.status, VerdictStatus::NotOk, "{lines}");
    }
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
