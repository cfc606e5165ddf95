//! Comparisons of versions, numbers and text: what is none is never taken for one.

use crate::desired::support::Repo;

const FILE: &str = "rulesets/it/linux.toml";

/// What `lint` finds in a rule with these lines, the first of which is line 3.
fn found(lines: &str) -> String {
    Repo::default().web("").with(FILE, format!("[[rules]]\nname = \"a\"\n{lines}\n")).findings()
}

/// Wherever a version is compared.
const VERSIONS: [&str; 4] = [
    "kind = \"package\"\npackage = \"a\"\nversion = \"…\"",
    "kind = \"package_vulnerable\"\npackage = \"a\"\nvulnerable = [\"<1\", \"…\"]",
    "kind = \"file\"\npath = \"/x\"\nmatch = { os_version = \"…\" }",
    "kind = \"file\"\npath = \"/x\"\nmatch = { not = { package = { version = \"…\" } } }",
];

#[test]
fn what_is_no_comparison_of_versions_is_a_mistake_wherever_one_stands() {
    for (text, says) in [
        ("=>3", "write `>=`"),
        ("=<3", "write `<=`"),
        ("<<3", "write `<`"),
        (">>3", "write `>`"),
        ("==3", "write `=`"),
        ("!=3", "there is no `!=`"),
        ("~3", "there is no `~`"),
        ("^3.1", "there is no `^`"),
        (">=", "no version to compare with"),
        ("> = 3", "no version to compare with"),
        ("", "no version to compare with"),
        (">=3 <4", "no version to compare with"),
        (">=3<4", "no version to compare with"),
        (">=3, ", "no version to compare with"),
        (">=3.*", "no version to compare with"),
        ("3.*, <3.1", "no version to compare with"),
        ("=>3.*", "no version to compare with"),
    ] {
        for rule in VERSIONS {
            let found = found(&rule.replace('…', text));
            let line = found.lines().find(|line| line.starts_with("Error ")).unwrap_or_default();
            assert!(line.contains("no version") && line.contains(says), "{rule} {text}: {found}");
        }
    }
}

#[test]
fn versions_as_dpkg_and_rpm_write_them_are_compared() {
    for text in [
        "3",
        "=3",
        "= 3",
        ">=1:9.2~rc1+dfsg-5.1, <2",
        ">2.0^20260101git-1.el9_4",
        "12.*",
        "*~rc*",
        "v1.2",
        "<5.10.0-microsoft-standard-WSL2",
    ] {
        for rule in VERSIONS {
            assert_eq!(found(&rule.replace('…', text)), "", "{rule} {text}");
        }
    }
}

#[test]
fn numbers_and_text_are_compared_with_operators_of_theirs_alone() {
    for (fact, says) in [
        ("cpus = \"=>4\"", "write `>=`"),
        ("cpus = \"!=4\"", "there is no `!=`"),
        ("cpus = \"4*\"", "no number to compare with"),
        ("memory = \"==4gb\"", "write `=`"),
        ("filesystem = { free = \"<<1gb\" }", "write `<`"),
        ("os = \"!=debian\"", "is compared as it is"),
        ("os = [\"debian\", \"=rhel\"]", "is compared as it is"),
        ("sysctl = { key = \"vm.swappiness\", value = \"<=10\" }", "is compared as it is"),
        ("boot_time = \">2026-01-01T00:00:00Z\"", "is compared as it is"),
    ] {
        let found = found(&format!("kind = \"file\"\npath = \"/x\"\nmatch = {{ {fact} }}"));
        assert!(found.starts_with("Error ") && found.contains(says), "{fact}: {found}");
    }
}

#[test]
fn a_list_that_asks_for_nothing_is_a_mistake() {
    let file = "kind = \"file\"\npath = \"/x\"\nmatch = ";
    for rule in [
        "kind = \"forbidden_image\"\nimages = []",
        "kind = \"package_vulnerable\"\npackage = \"a\"\nvulnerable = []",
        "kind = \"container\"\nhealth = []",
        "kind = \"container\"\nuser = []",
        "kind = \"certificate\"\npath = \"/x\"\nnames = []",
    ] {
        assert!(found(rule).contains("asks for nothing"), "{rule}: {}", found(rule));
    }
    for condition in [
        "{ os = [] }",
        "{ node = [] }",
        "{ labels = { role = [] } }",
        "{ any = [] }",
        "{ package = [] }",
        "{ package = { name = [] } }",
        "{ not = { cpus = [] } }",
    ] {
        let found = found(&format!("{file}{condition}"));
        assert!(found.contains("asks for nothing"), "{condition}: {found}");
    }
    for table in ["service = []", "any = []", "labels = { role = [] }"] {
        let found = Repo::default().web("").with(FILE, format!("[match]\n{table}\n")).findings();
        assert!(found.contains("asks for nothing"), "{table}: {found}");
    }
}
