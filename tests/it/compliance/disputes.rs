//! Rules that would undo one another are named and left alone; those that agree are not.

use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::Digest;

use crate::cli::support::run;
use crate::compliance::archives::site;
use crate::compliance::cli::Stage;
use crate::compliance::support::{Host, rule};

/// Two rules that facts decide on, of which the revision alone does not say that both apply.
fn two([(one, a), (other, b)]: [(&str, &str); 2]) -> String {
    let named = |name: &str, kind: &str, lines: &str| {
        let lines = format!("{lines}\nmatch = {{ os = \"debian\" }}");
        rule(kind, &lines).replace("\"a\"\nkind", &format!("\"{name}\"\nkind"))
    };
    named("a", one, a) + &named("b", other, b)
}

const WHOLE: Lines = ("file", "path = \"/etc/x\"\ncontent = \"a = 1\\nb = 2\\n\"");

type Lines = (&'static str, &'static str);

const fn line(lines: &'static str) -> Lines {
    ("file_line", lines)
}

const fn key(lines: &'static str) -> Lines {
    ("key_value", lines)
}

/// Two rules, and whether they are in dispute.
const CASES: [(&str, Lines, Lines, bool); 18] = [
    ("a line of it", WHOLE, line("path = \"/etc/x\"\nline = \"a = 1\""), false),
    ("a line more", WHOLE, line("path = \"/etc/x\"\nline = \"c = 3\""), true),
    ("a line less", WHOLE, line("path = \"/etc/x\"\nregex = \"^b\"\nstate = \"absent\""), true),
    (
        "its key",
        WHOLE,
        key("path = \"/etc/x\"\nformat = \"equals\"\nkey = \"a\"\nvalue = 1"),
        false,
    ),
    (
        "its key otherwise",
        WHOLE,
        key("path = \"/etc/x\"\nformat = \"equals\"\nkey = \"a\"\nvalue = 2"),
        true,
    ),
    ("another file", WHOLE, line("path = \"/etc/y\"\nline = \"c = 3\""), false),
    (
        "no content",
        ("file", "path = \"/etc/x\"\nmode = \"0600\""),
        line("path = \"/etc/x\"\nline = \"c\""),
        false,
    ),
    (
        "no file",
        ("file_absent", "path = \"/etc/x\""),
        line("path = \"/etc/x\"\nline = \"c\""),
        true,
    ),
    (
        "nothing twice",
        ("file_absent", "path = \"/etc/x\""),
        line("path = \"/etc/x\"\nline = \"c\"\nstate = \"absent\""),
        false,
    ),
    ("a folder", ("directory", "path = \"/etc/x\""), line("path = \"/etc/x\"\nline = \"c\""), true),
    (
        "a job",
        ("cron", "file = \"x\"\nschedule = \"@daily\"\nuser = \"root\"\ncommand = \"a\""),
        line("path = \"/etc/cron.d/x\"\nline = \"c\""),
        true,
    ),
    (
        "settings",
        ("file", "path = \"/etc/docker/daemon.json\"\ncontent = \"{}\""),
        ("daemon_config", "key = \"live-restore\"\nvalue = true"),
        true,
    ),
    (
        "a line and its like",
        line("path = \"/etc/x\"\nline = \"a 1\""),
        line("path = \"/etc/x\"\nregex = \"^a\"\nstate = \"absent\""),
        true,
    ),
    (
        "a line and no other",
        line("path = \"/etc/x\"\nline = \"a 1\""),
        line("path = \"/etc/x\"\nregex = \"^b\"\nstate = \"absent\""),
        false,
    ),
    (
        "a key and a line",
        key("path = \"/etc/x\"\nformat = \"spaces\"\nkey = \"a\"\nvalue = 1"),
        line("path = \"/etc/x\"\nline = \"a 2\"\nregex = \"^a \""),
        true,
    ),
    (
        "both ways to say it",
        key("path = \"/etc/x\"\nformat = \"spaces\"\nkey = \"a\"\nvalue = 1"),
        line("path = \"/etc/x\"\nline = \"a 1\"\nregex = \"^a \""),
        false,
    ),
    (
        "one setting, twice",
        ("daemon_config", "key = \"a.b\"\nvalue = 1"),
        ("daemon_config", "key = \"a\"\nstate = \"absent\""),
        true,
    ),
    (
        "two settings",
        ("daemon_config", "key = \"a.b\"\nvalue = 1"),
        ("daemon_config", "key = \"a.c\"\nvalue = 1"),
        false,
    ),
];

#[test]
fn what_a_rule_wants_of_a_file_is_held_against_all_that_others_want_there() {
    for (case, one, other, is_disputed) in CASES {
        for pair in [[one, other], [other, one]] {
            for checked in Host::default().check(&two(pair)) {
                let reason = checked.verdict.reason.clone().unwrap_or_default();
                let says = reason.contains("is wanted differently by rules it/");
                assert_eq!(says, is_disputed, "{case}: {:?}", checked.verdict);
                assert_eq!(checked.verdict.status == VerdictStatus::Error, is_disputed, "{case}");
                assert!(!is_disputed || checked.changes.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn what_an_archive_has_is_held_against_rules_about_its_members() {
    let mut host = Host::default();
    let archive = site();
    let lines = format!(
        "path = \"/etc/site\"\nsource = \"site.tar\"\ndigest = \"{}\"\nowner = \"root\"\ngroup = \"root\"",
        Digest::of(&archive)
    );
    host.files.insert("site.tar".to_owned(), archive);
    let found = host.check(&rule("archive", &lines));
    let path = "/etc/site/www/index.html";
    let said = format!("{found:?}");
    assert!(said.contains(path), "{said}");
    for (line, is_disputed) in [("never in it", true), ("<p>hello", false)] {
        let line = format!("path = \"{path}\"\nline = \"{line}\"");
        let found = host.check(&two([("archive", &lines), ("file_line", &line)]));
        let disputed = |status| status == VerdictStatus::Error;
        assert!(found.iter().all(|c| disputed(c.verdict.status) == is_disputed), "{found:?}");
    }
}

#[test]
fn lint_names_rules_that_undo_one_another_whatever_the_facts_are() {
    let stage = Stage::new("");
    let line = "path = \"/etc/x\"\nline = \"c = 3\"";
    let rules = two([WHOLE, ("file_line", line)]);
    let repo = stage.dir.path().join("repo");
    stage.commit("rulesets/it/linux.toml", &rules);
    let said = run(&repo, ["lint"]);
    assert!(!said.err.contains("wanted differently"), "{}", said.err);
    stage.commit("rulesets/it/linux.toml", &rules.replace("match = { os = \"debian\" }", ""));
    let said = run(&repo, ["lint"]);
    let text = format!("{}{}", said.out, said.err);
    assert_ne!(said.code, 0, "{text}");
    let reason = "/etc/x is wanted differently by rules it.linux/a and it.linux/b";
    assert_eq!(text.matches(reason).count(), 2, "{text}");
    assert!(text.contains("rulesets/it/linux.toml:2:1") && text.contains(":8:1"), "{text}");
}
