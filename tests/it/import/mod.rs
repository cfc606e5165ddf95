//! Coming from OpenSVC: a collector's export, a service's configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidegate::reconcile::desired::rule::kind::KINDS;

use crate::cli::support::{Said, run, tidegate};
use crate::compliance::cli::json;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/import");

fn import(dir: &Path, what: &str, file: &str, more: &[&str]) -> Said {
    let file = format!("{HERE}/{file}");
    let args = ["import", what, &file, "--to", "config", "--keys", "people"];
    run(dir, args.iter().copied().chain(more.iter().copied()))
}

/// Every file below a folder, by path.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                drop(found.insert(name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Everything of the result that a person reads, and what was said.
fn result(dir: &Path, said: &Said) -> String {
    let read = files(&dir.join("config")).into_iter();
    let read = read.filter(|(path, _)| !path.ends_with("trust.toml"));
    let text: Vec<String> =
        read.map(|(path, content)| format!("=== {path}\n{content}\n")).collect();
    let text = text.concat();
    let lines: Vec<&str> = said.out.lines().map(str::trim_end).collect();
    format!("{text}=== said\n{}", lines.join("\n"))
}

#[track_caller]
fn assert_lints(dir: &Path) {
    let said = run(dir, ["lint", "config"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn a_service_is_carried_into_composes_words_and_the_rest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = import(dir.path(), "opensvc", "app1.conf", &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_lints(dir.path());
    insta::assert_snapshot!("service", result(dir.path(), &said));
}

#[test]
fn an_export_is_carried_class_by_class_and_the_rest_is_named_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let said = import(dir.path(), "opensvc-compliance", "export.json", &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_lints(dir.path());
    let result = result(dir.path(), &said);
    assert!(!result.contains("canary"), "{result}");
    insta::assert_snapshot!("export", result);
}

#[test]
fn the_reference_documents_tree_is_each_lines_own_after_init() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let lines = ["--environments", "dev,tst,prd"];
    let service = import(at, "opensvc", "reference/app1.conf", &lines);
    assert_eq!(service.code, 0, "{}", service.err);
    let rules = json(&import(at, "opensvc-compliance", "reference.json", &["-o", "json"]));
    assert_eq!((&rules["schema"], &rules["carried"]), (&"tidegate.import/1".into(), &6.into()));
    assert_lints(at);
    let made = run(at, ["init", "--from", "config", "--keys", "people", "repository"]);
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    let tree = run(at, ["ruleset", "tree", "--repository", "repository"]);
    assert_eq!(tree.code, 0, "{}", tree.err);
    for (environment, first, second) in [
        ("dev", "1111122222", "2222211111"),
        ("tst", "3333344444", "4444433333"),
        ("prd", "5555566666", "6666655555"),
    ] {
        let leaf = format!("it.applications.app1.{environment}");
        let line = tree.out.lines().find(|line| line.contains(&leaf)).unwrap_or_default();
        for wanted in
            [format!("container#1.image_id = {first}"), format!("container#2.image_id = {second}")]
        {
            assert!(line.contains(&wanted), "{wanted}\n{}", tree.out);
        }
    }
}

#[test]
fn a_kind_that_this_version_has_is_carried_and_another_is_named() {
    for (class, value, kind) in [
        ("package", "[\"bzip2\",\"-telnet\"]", "package"),
        ("vuln", "[{\"pkgname\":\"openssl\",\"minver\":\"3.0.13\"}]", "package_vulnerable"),
        ("user", "{\"app\":{\"uid\":1000,\"shell\":\"/bin/sh\"}}", "user"),
        ("group", "{\"app\":{\"gid\":1000}}", "group"),
        ("group_membership", "{\"app\":{\"members\":[\"alice\"]}}", "membership"),
        ("systemd_unit_state", "{\"name\":\"ssh.service\",\"mask\":true}", "systemd_unit"),
        ("fileprop", "{\"path\":\"/etc/x\",\"mode\":600}", "file"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let variable =
            serde_json::json!({ "var_name": "a", "var_class": class, "var_value": value });
        let ruleset = serde_json::json!({ "ruleset_name": "it", "ruleset_type": "contextual",
            "fset_name": null, "rulesets": [], "variables": [variable] });
        let export = serde_json::json!({ "rulesets": [ruleset] }).to_string();
        fs::write(at.join("export.json"), export).unwrap();
        let said = json(&run(at, ["import", "opensvc-compliance", "export.json", "-o", "json"]));
        let known = KINDS.iter().any(|keys| keys.name == kind);
        assert_eq!(said["carried"] != 0, known, "{class}: {said:#}");
        assert_eq!(said["remarks"].as_array().unwrap().is_empty(), known, "{class}: {said:#}");
        assert_eq!(run(at, ["lint", "imported"]).code, 0, "{class}");
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    assert_eq!(import(at, "opensvc", "reference/app1.conf", &[]).code, 0);
    let service = at.join("config/services/app1.toml");
    fs::write(&service, "mine").unwrap();
    let before = files(&at.join("config"));
    let again = import(at, "opensvc", "reference/app1.conf", &[]);
    assert_eq!(again.code, 1, "{}", again.out);
    assert!(again.err.contains("services/app1.toml is there already"), "{}", again.err);
    assert_eq!(files(&at.join("config")), before);
}

#[test]
fn what_is_no_such_document_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("x.conf"), "[DEFAULT]\napp = a\n").unwrap();
    fs::write(at.join("y.conf"), "app = a\n").unwrap();
    fs::write(at.join("x.json"), "{}").unwrap();
    fs::write(at.join("y.json"), "[").unwrap();
    for (what, file, said) in [
        ("opensvc", "x.conf", "it has no [container#…] that Docker runs"),
        ("opensvc", "y.conf", "line 1 is neither"),
        ("opensvc-compliance", "x.json", "it has no list `rulesets`"),
        ("opensvc-compliance", "y.json", "it is not JSON"),
    ] {
        let answer = run(at, ["import", what, file]);
        assert_eq!(answer.code, 1, "{file}");
        assert!(answer.err.contains(said), "{file}: {}", answer.err);
        assert!(!at.join("imported").exists());
    }
    assert_eq!(run(at, ["import", "opensvc", "none.conf"]).code, 64);
    let mut plain = tidegate(at);
    assert_eq!(plain.args(["import"]).output().unwrap().status.code(), Some(64));
}
