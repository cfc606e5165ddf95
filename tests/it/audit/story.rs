//! What an auditor reads of a year in production.

use crate::audit::{PINS, SERVICE, SERVICE_FILE, World, digest, pins};
use crate::trust::history::By;

/// Promotions, a hotfix, a rollback, a pull request and a change of roles.
fn story() -> World {
    let mut w = World::new();
    let local = w.h.tip_of("prd");
    w.name(local, "local-1");
    w.at("2026-02-01T10:00:00Z");
    w.h.promote_to_tst();
    let promoted = w.h.promote_to_prd();
    w.name(promoted, "promot1");
    let tst = w.h.tip_of("tst");
    w.name(tst, "fromtst");
    let fixed = w.at("2026-03-01T22:00:00Z").hotfix(PINS, &pins(2));
    w.name(fixed, "hotfix1");
    w.at("2026-03-02T09:00:00Z").develop(PINS, &pins(3));
    w.h.promote_to_tst();
    let source = w.h.tip_of("tst");
    w.name(source, "tst-two");
    w.h.on("prd");
    let second =
        w.h.promote_with("carol", source, &format!("\nTicket: OPS-7\nSupersedes: {fixed}"));
    w.name(second, "promot2");
    let back = w.at("2026-03-03T09:00:00Z").rollback("bob", promoted);
    w.name(back, "rollbac");
    let below = w.h.tip;
    w.h.write_own("nodes/n2.toml", "[labels]\nrole = \"web\"\n");
    let added = w.h.commit_as("carol", "local", "");
    w.name(added, "local-2");
    let tree = w.h.tree();
    let merged = w.h.make(&tree, &[below, added], By::Nobody, "Merge pull request #3");
    w.h.tip = w.name(merged, "merge-3");
    w.h.write("environments/prd/trust.toml", &trust(&w));
    let admin = w.h.commit_as("carol", "admin", "");
    w.name(admin, "admin-1");
    let anchor = w.h.anchor;
    w.name(anchor, "anchor1");
    w
}

/// prd's trust.toml, in which bob may no longer roll back.
fn trust(w: &World) -> String {
    let text = std::fs::read_to_string(w.h.path("environments/prd/trust.toml")).unwrap();
    text.replace(
        "rollback = { people = [\"bob\", \"carol\"] }",
        "rollback = { people = [\"carol\"] }",
    )
}

#[test]
fn the_log_tells_who_changed_what_when_from_where_and_with_whom() {
    let mut w = story();
    let said = w.audit(&["log"]);
    assert_eq!(said.code, 0, "{}", said.err);
    insta::assert_snapshot!(said.out);
}

#[test]
fn images_are_those_that_git_wanted_then_and_it_says_so() {
    let mut w = story();
    let said = w.audit(&["images", "--at", "2026-03-02"]);
    assert_eq!(said.code, 0, "{}", said.err);
    insta::assert_snapshot!(said.out);
}

#[test]
fn a_span_lists_everything_that_was_wanted_within_it() {
    let mut w = story();
    let report = w.json(&["images", "--from", "2026-03-01", "--to", "2026-03-02"]);
    let versions: Vec<&str> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["image"]["version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, ["1.1.0", "1.2.0", "1.3.0"]);
    assert_eq!(report["basis"], "git");
    // Before it began, nothing was wanted.
    let report = w.json(&["images", "--at", "2026-01-15"]);
    assert_eq!(report["images"].as_array().unwrap().len(), 0);
}

#[test]
fn a_day_is_one_of_utc_and_an_instant_may_be_of_any_zone() {
    let mut w = story();
    // The hotfix came at 22:00 in UTC: at 23:00 in Paris.
    for (at, version) in [
        ("2026-02-28", "1.1.0"),
        ("2026-03-01T22:59:59+01:00", "1.1.0"),
        ("2026-03-01T23:00:00+01:00", "1.2.0"),
        ("2026-03-01", "1.2.0"),
    ] {
        let report = w.json(&["images", "--at", at]);
        assert_eq!(report["images"][0]["image"]["version"], version, "{at}");
    }
}

#[test]
fn a_refused_tail_is_said_first_and_does_not_count() {
    let mut w = story();
    w.h.write(PINS, &pins(9));
    let evil = w.h.commit(By::Ssh("stranger"), "Quickly\n\nTidegate: hotfix prd\nHotfix: trust me");
    w.name(evil, "evil-01");
    for report in [&["log"][..], &["images"], &["provenance", "0000000900"]] {
        let said = w.audit(report);
        assert_eq!(said.code, 3, "{}", said.out);
        let second = said.out.lines().nth(1).unwrap();
        assert!(second.starts_with("REFUSED: commit evil-01 of prd"), "{second}");
        assert!(!said.out.contains("1.9.0"), "{}", said.out);
        assert!(said.err.contains("evil-01") && said.err.contains("hint:"), "{}", said.err);
    }
    let rows = w.audit(&["log", "-o", "csv"]).out;
    assert!(rows.lines().skip(1).all(|row| row.ends_with(",admin-1,evil-01")), "{rows}");
    let page = w.audit(&["images", "-o", "html"]).out;
    assert!(page.contains("class=\"alert\""), "{page}");
}

#[test]
fn a_service_that_changes_its_app_is_told_and_found_under_both() {
    let mut w = story();
    let text = "app = \"web\"\nnodes = \"role=web\"\n[containers.web]\nimage = \"app1/web\"\n";
    w.at("2026-04-01T09:00:00Z").develop(SERVICE_FILE, text);
    w.h.promote_to_tst();
    let renamed = w.h.promote_to_prd().to_string();
    let report = w.json(&["log", "--app", "web"]);
    let commits = report["commits"].as_array().unwrap();
    let found: Vec<&str> = commits.iter().map(|c| c["step"]["commit"].as_str().unwrap()).collect();
    assert_eq!(found, [renamed.as_str()]);
    let images = w.json(&["images", "--from", "2026-03-31"]);
    let apps: Vec<&str> =
        images["images"].as_array().unwrap().iter().map(|i| i["app"].as_str().unwrap()).collect();
    // One row for n1, which had it back earlier, one for n2.
    assert_eq!(apps, ["app1", "app1", "web"]);
}

#[test]
fn a_commit_with_mistakes_leaves_what_was_wanted_before_and_is_named() {
    let mut w = story();
    w.h.write_own("services/app1.toml", "[containers.web]\nimage = \"evil/web\"\n");
    let bad = w.h.commit_as("carol", "local", "").to_string();
    let report = w.json(&["images"]);
    assert_eq!(report["images"][0]["image"]["digest"], digest(1));
    assert_eq!(report["images"][0]["image"]["repository"], "app1/web");
    assert_eq!(report["unusable"][0]["at"]["commit"], bad);
    let log = w.json(&["log"]);
    let last = log["commits"].as_array().unwrap().last().unwrap();
    assert!(last["unusable"][0]["mistakes"][0].as_str().unwrap().contains("services/app1.toml"));
}

#[test]
fn a_service_that_no_node_carries_is_listed_as_such() {
    let mut w = story();
    let text = "app = \"app1\"\nnodes = \"role=batch\"\n[containers.web]\nimage = \"app1/web\"\n";
    w.h.develop(SERVICE_FILE, text);
    w.h.promote_to_tst();
    w.h.promote_to_prd();
    let report = w.json(&["images"]);
    assert_eq!(report["images"].as_array().unwrap().len(), 0);
    assert_eq!(report["idle"][0]["service"], "app1");
}

#[test]
fn what_makes_no_sense_is_told_how_to_ask() {
    let mut w = story();
    for (args, words) in [
        (&["images", "--at", "yesterday"][..], "2026-11-01T14:00:00Z"),
        (&["images", "--at", "2099-01-01"], "in the future"),
        (&["images", "--from", "2026-03-02", "--to", "2026-03-01"], "before it begins"),
        (&["provenance", "latest"], "at least 10"),
        (&["images", "--observed", "nowhere.jsonl"], "there is no nowhere.jsonl"),
    ] {
        let said = w.audit(args);
        assert_eq!(said.code, 64, "{args:?}: {}", said.out);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    }
    let said = w.run(&["audit", "log", "--env", "prd"]);
    assert!(said.err.contains("--repository PATH --env NAME --anchor ID"), "{}", said.err);
}

/// What a commit changed, as a report of it alone has it: resolved whole, with nothing before it.
#[test]
fn commits_that_change_pins_alone_are_told_as_if_they_were_resolved_whole() {
    let mut w = World::new();
    let other = |version: u32| pins(version).replace("app1", "web");
    let shared = "[match]\nservice = [\"app1\", \"web\"]\n[vars]\nword = \"1\"\n";
    let service = "app = \"web\"\n[containers.web]\nimage = \"web/web\"\n\
                   environment = { W = \"${vars.word}\" }\n";
    let bad = pins(5).replace("1.5.0", "1.5.0\"\nimage_id = \"none");
    let clash = format!("{service}ports = [\"80:80\"]\n");
    for (path, text) in [
        ("services/web.toml", service),
        ("rulesets/web.toml", &other(1)),
        ("rulesets/shared.toml", shared),
        (PINS, &pins(2)),
        ("rulesets/web.toml", &other(2)),
        (PINS, &bad),
        ("rulesets/web.toml", &other(3)),
        (PINS, &pins(6)),
        (PINS, &pins(7).replace("1.7.0", "1.7.0\"\nimage_id = \"sha256:")),
        (PINS, &pins(7)),
        ("rulesets/shared.toml", &shared.replace('1', "2")),
        (PINS, &format!("{}# only words\n", pins(7))),
        (PINS, &pins(8).replace("\"app1\"", "[\"app1\", \"web\"]")),
        ("services/web.toml", &clash),
        (SERVICE_FILE, &format!("{SERVICE}ports = [\"80:80\"]\n")),
        (PINS, &pins(9)),
        (SERVICE_FILE, SERVICE),
        (PINS, &pins(10)),
        ("rulesets/web.toml", &other(4)),
    ] {
        w.h.develop(path, text);
    }
    w.branches();
    w.h.on("dev");
    let anchor = w.h.anchor.to_string();
    let place = ["audit", "log", "-o", "json", "--repository", ".", "--env", "dev", "--anchor"];
    let ask = |more: &[&str]| -> Vec<serde_json::Value> {
        let said = w.run(&[&place[..], &[&anchor], more].concat());
        let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        report["commits"].as_array().unwrap().clone()
    };
    let all = ask(&[]);
    let told = all.iter().filter(|commit| !commit["services"].as_array().unwrap().is_empty());
    assert!(told.count() > 5, "{all:#?}");
    assert!(all.iter().filter(|c| !c["unusable"].as_array().unwrap().is_empty()).count() > 4);
    for commit in &all {
        let at = commit["step"]["at"].as_str().unwrap();
        assert_eq!(&ask(&["--since", at, "--until", at]), std::slice::from_ref(commit), "{at}");
    }
}
