//! Files that `key_value` cannot edit for certain, and those of which it keeps all else.

use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::support::{Host, only, rule};

fn key(format: &str, more: &str) -> String {
    rule("key_value", &format!("path = \"/etc/x\"\nformat = \"{format}\"\nkey = \"k\"\n{more}"))
}

#[test]
fn what_cannot_be_told_for_certain_is_an_error_and_nothing_is_planned() {
    for (format, text) in [
        ("equals", "\u{feff}k=2\n"),
        ("yaml", "\u{feff}k: 2\n"),
        ("json", "\u{feff}{\"k\": 2}"),
        ("equals", "k=2\r\na=3\n"),
        ("toml", "k = 2\r\na = 3\n"),
        ("equals", "export k=2\n"),
        ("equals", "k=\"a \\\n b\"\n"),
        ("ini", "k=2\n[a] # b\n"),
        ("ini", "k = a\n  b\n"),
        ("json", "{\"k\": {\"a\": 1}}"),
        ("toml", "[k]\na = 1\n"),
        ("yaml", "k:\n  a: 1\n"),
    ] {
        let host = Host::default().with("/etc/x", text);
        let checked = only(host.check(&key(format, "value = 1")));
        assert_eq!(checked.verdict.status, VerdictStatus::Error, "{text:?} {checked:?}");
        assert!(checked.changes.is_empty(), "{text:?} {checked:?}");
    }
}

#[test]
fn all_else_and_the_line_ends_stay() {
    for (format, before, after) in [
        ("equals", "a=1\r\nk=2\r\n\r\nb=3\r\n", "a=1\r\nk=1\r\n\r\nb=3\r\n"),
        ("ini", "k=2\r\n[a]\r\nb=3\r\n", "k=1\r\n[a]\r\nb=3\r\n"),
        ("toml", "k = 2 # c\r\n[a]\r\nb = 3\r\n", "k = 1 # c\r\n[a]\r\nb = 3\r\n"),
        ("yaml", "k: 2 # c\r\na:\r\n- b\r\n", "k: 1 # c\r\na:\r\n- b\r\n"),
        (
            "json",
            "{\r\n  \"z\": 12345678901234567890123,\r\n  \"k\": 2,\r\n  \"a\": 1.10\r\n}",
            "{\r\n  \"z\": 12345678901234567890123,\r\n  \"k\": 1,\r\n  \"a\": 1.10\r\n}",
        ),
    ] {
        let host = Host::default().with("/etc/x", before);
        let rule = key(format, "value = 1");
        host.fix(&rule).unwrap();
        assert_eq!(host.text("/etc/x"), after);
        assert_eq!(only(host.check(&rule)).verdict.status, VerdictStatus::Ok);
    }
}

#[test]
fn a_line_that_is_right_is_not_what_is_said_to_be_wrong() {
    for (text, actual) in [
        ("p 1\nq\np 2\n", "`p 2` as well"),
        ("p 1\np 1\n", "it stands more than once"),
        ("q\np 2\n", "`p 2`"),
        ("q\n", "no such line"),
    ] {
        let host = Host::default().with("/etc/x", text);
        let lines = "path = \"/etc/x\"\nline = \"p 1\"\nregex = \"^p \"";
        let verdict = only(host.check(&rule("file_line", lines))).verdict;
        assert_eq!((&*verdict.expected, &*verdict.actual), ("`p 1`", actual));
    }
}
