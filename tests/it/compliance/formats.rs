//! What commands print for programs: as its schema says, and as other tools expect it.

use std::collections::BTreeSet;

use tidegate::compliance::interchange::sarif;
use tidegate::compliance::verdict::VerdictStatus;

use crate::audit::formats::assert_fits;
use crate::compliance::cli::{Stage, json};
use crate::compliance::support::{Host, only, rule};

/// A rule whose every text is somebody else's code.
const HOSTILE: &str = r#"
[[rules]]
name = "quotes"
kind = "file_line"
path = "/etc/hosts"
line = "<a href=\"x\">]]>&amp;'\u001b[31m</a>"
severity = "info"

[[rules]]
name = "elsewhere"
kind = "directory"
path = "/etc"
match = { os = "rhel" }

[[rules]]
name = "nobody"
kind = "directory"
path = "/etc"
owner = "carol"
match = { os = "debian", os_name = ["", "*"] }

[[rules]]
name = "held"
kind = "directory"
path = "/etc"
"#;

fn stage() -> Stage {
    let stage = Stage::new("[policy]\nfixes = [\"file\", \"file_line\"]\n");
    stage.commit("rulesets/it/hostile.toml", HOSTILE);
    stage
}

#[test]
fn json_is_as_its_schema_says() {
    let stage = stage();
    let run = |args: &[&str]| json(&stage.run(&[args, &["-o", "json"]].concat()));
    assert_fits("check", &run(&["check", "--node"]));
    assert_fits("facts", &run(&["facts"]));
    assert_fits("fix-plan", &run(&["fix", "--dry-run"]));
    assert_fits("fixes", &run(&["fix", "--yes", "--rule", "it.linux/motd"]));
    assert_fits("fixes", &run(&["fix", "list"]));
    assert_fits("check-history", &run(&["check", "--history"]));
}

#[test]
fn every_output_has_its_schema_in_the_program() {
    let stage = stage();
    let listed = stage.run(&["schema"]).out;
    for name in ["check", "check-history", "facts", "fix-plan", "fixes", "import"] {
        assert!(listed.lines().any(|line| line == name), "{listed}");
        let schema = json(&stage.run(&["schema", name]));
        assert_eq!(schema["title"], name);
    }
}

#[test]
fn sarif_names_rules_that_it_lists_levels_that_exist_and_places_in_the_repository() {
    let sarif = json(&stage().run(&["check", "--node", "--report", "sarif"]));
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["id"].as_str()).collect();
    assert_eq!(ids.len(), rules.len(), "each rule stands once");
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 3, "{sarif:#}");
    for result in results {
        assert!(ids.contains(result["ruleId"].as_str().unwrap()), "{result:#}");
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        let file = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(file.starts_with("rulesets/") && !file.contains([' ', '\\']), "{file}");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn junit_is_xml_whatever_rules_say_and_its_counts_are_its_cases() {
    let text = stage().run(&["check", "--node", "--report", "junit"]).out;
    let document = Xml::parse(&text);
    assert_eq!(document.count("testsuite"), 1);
    let suite = document.elements.iter().find(|(name, _)| name == "testsuite").unwrap();
    for (attribute, element) in [
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ] {
        let counted = document.count(element).to_string();
        let said = suite.1.iter().find(|(name, _)| name == attribute).map(|(_, value)| value);
        assert_eq!(said, Some(&counted), "{attribute}\n{text}");
    }
    assert!(document.count("failure") > 0 && document.count("skipped") > 0, "{text}");
}

/// Elements and their attributes, of XML without anything but those.
struct Xml {
    elements: Vec<(String, Vec<(String, String)>)>,
}

impl Xml {
    /// Reads it, or panics: every element is closed, every attribute quoted, nothing is loose.
    fn parse(text: &str) -> Self {
        let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        let (mut elements, mut open) = (Vec::new(), Vec::new());
        while let Some((before, after)) = rest.split_once('<') {
            assert!(before.trim().is_empty(), "loose text {before:?}");
            let (tag, next) = after.split_once('>').unwrap();
            assert!(!tag.contains('<'), "{tag}");
            rest = next;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let closed = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let mut parts = attributes.split('"');
            let mut found = Vec::new();
            while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                let entities = value.split('&').skip(1).all(|part| {
                    ["amp;", "lt;", "gt;", "quot;"].iter().any(|known| part.starts_with(known))
                });
                assert!(entities, "{value}");
                found.push((key.trim().trim_end_matches('=').to_owned(), value.to_owned()));
            }
            elements.push((name.to_owned(), found));
            if !closed {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
        Self { elements }
    }

    fn count(&self, element: &str) -> usize {
        self.elements.iter().filter(|(name, _)| name == element).count()
    }
}

#[test]
fn wrong_flags_are_usage_and_say_what_to_do() {
    let stage = stage();
    for (args, said) in [
        (&["check", "--severity", "bad"][..], "none of info, warning and critical"),
        (&["check", "--node", "--service", "app1"][..], "cannot be used with"),
        (&["check", "--report", "xml"][..], "junit"),
        (&["check", "--report", "junit", "-o", "json"][..], "cannot be used with"),
        (&["check", "--last", "--history"][..], "cannot be used with"),
        (&["check", "-o", "csv"][..], "audit"),
        (&["fix", "--dry-run", "--yes"][..], "cannot be used with"),
        (&["fix", "restore"][..], "<ID>"),
        (&["schema", "nothing"][..], "one of"),
        (&["import", "opensvc"][..], "<FILE>"),
        (
            &["import", "opensvc", "x", "--environments", "P R D"][..],
            "not a valid environment name",
        ),
    ] {
        let answer = stage.run(args);
        assert_eq!(answer.code, 64, "{args:?} {}", answer.err);
        assert!(answer.err.contains(said), "{args:?}\n{}", answer.err);
    }
    for command in ["check", "fix"] {
        let nobody = stage.run(&[command, "--rule", "no/such", "--node"]);
        assert_eq!(nobody.code, 64, "{}{}", nobody.out, nobody.err);
        assert!(nobody.err.contains("no rule here is called `no/such`"), "{}", nobody.err);
    }
    // A rule that there is, and that is not so severe.
    let severe = ["check", "--rule", "it.linux/hosts", "--severity", "critical", "--node"];
    assert_eq!(stage.run(&severe).code, 0);
}

#[test]
fn a_critical_rule_that_cannot_be_judged_is_an_error_for_sarif_too() {
    let host = Host::default().with("/etc/motd", "x");
    for (severity, level) in [("critical", "error"), ("warning", "warning"), ("info", "note")] {
        let lines =
            format!("path = \"/etc/motd\"\nowner = \"nobody-here\"\nseverity = \"{severity}\"");
        let verdict = only(host.check(&rule("file", &lines))).verdict;
        assert_eq!(verdict.status, VerdictStatus::Error);
        assert_eq!(sarif(&[&verdict])["runs"][0]["results"][0]["level"], level);
    }
}
