//! What is shown, and that it is shown as Prometheus reads it.
#![expect(clippy::float_cmp, reason = "whole numbers that were written are read back")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::{CommitId, Mode};
use crate::reconcile::report::metrics::family::{FAMILIES, FamilyKind};
use crate::reconcile::report::metrics::services::ServiceMeasure;
use crate::reconcile::report::metrics::{End, Measures, RuleTally, SERVICES_MAX};
use crate::reconcile::report::status::{
    Health, Outage, RefusedCommit, Revisions, RuleCount, SCHEMA, ServiceStatus, Status, Sync,
    TrustLevel,
};

const CANARY: &str = "canary \"} 1\n# HELP";

fn at(secs: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(secs)
}

fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn service(sync: Sync, health: Health) -> ServiceStatus {
    ServiceStatus {
        app: Some("app1".to_owned()),
        sync,
        health,
        reason: CANARY.to_owned(),
        held: None,
        since: at(100),
        revision: None,
        mode: Mode::Apply,
        containers: BTreeMap::new(),
    }
}

/// A node with trouble of every sort, whose every message is a canary.
fn troubled(names: &[&str]) -> Measures {
    let mut measures = Measures::new("prd".parse().unwrap(), "n1".parse().unwrap());
    let services =
        names.iter().map(|name| (name.parse().unwrap(), service(Sync::Held, Health::Suspended)));
    let outage = Some(Outage { since: at(50), reason: CANARY.to_owned() });
    measures.status = Some(Status {
        schema: SCHEMA.to_owned(),
        node: "n1".parse().unwrap(),
        environment: "prd".parse().unwrap(),
        trust: TrustLevel::None,
        mode: Mode::Apply,
        changed_at: at(0),
        revision: Revisions { tip: Some(commit('a')), verified: Some(commit('b')), applied: None },
        refused: Some(RefusedCommit {
            commit: commit('a'),
            rule: "signature".to_owned(),
            reason: CANARY.to_owned(),
            remedy: CANARY.to_owned(),
            since: at(60),
        }),
        waits: None,
        git: outage.clone(),
        engine: outage,
        metrics: None,
        unused: None,
        configuration: None,
        services: services.collect(),
        compliance: None,
    });
    let measure = ServiceMeasure {
        n_wanted: 2,
        n_running: Some(1),
        n_restarts: Some(7),
        n_differences: Some(3),
        held: Some("window"),
        is_failing: true,
    };
    measures.services = names.iter().map(|name| (name.parse().unwrap(), measure.clone())).collect();
    measures.committed_at = Some(at(10));
    measures.passed(at(200), Duration::from_millis(1500), End::Failed);
    measures.did("rollback", End::Done);
    measures.checked(Some((tally(), 2)));
    measures.checked(None);
    measures
}

fn tally() -> RuleTally {
    let counts = |ok, not_ok| -> BTreeMap<String, usize> {
        [("ok", ok), ("not_ok", not_ok), ("unknown", 0)].map(|(s, n)| (s.to_owned(), n)).into()
    };
    let score = RuleCount { ok: 3, trouble: 1, not_applicable: 1 };
    let none = RuleCount { ok: 0, trouble: 0, not_applicable: 4 };
    RuleTally {
        checked_at: at(150),
        stale_at: Some(at(1000)),
        rules: [("critical".to_owned(), counts(3, 1))].into(),
        images: counts(1, 1),
        score,
        services: [("app1".to_owned(), score)].into(),
        rulesets: [("it.linux".to_owned(), score), ("it.none".to_owned(), none)].into(),
        services_cut: 0,
        rulesets_cut: 9,
    }
}

/// Samples by name and labels; panics where Prometheus would.
fn read(page: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let mut now = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            now = rest.split(' ').next().unwrap();
            assert!(families.insert(now), "{now} twice");
            continue;
        }
        if line.starts_with("# TYPE ") {
            let family = FAMILIES.iter().find(|family| family.name == now).unwrap();
            assert_eq!(line, format!("# TYPE {now} {}", family.kind.as_str()));
            continue;
        }
        let (series, number) = line.rsplit_once(' ').unwrap();
        assert_eq!(series.split('{').next(), Some(now), "{line}");
        let number: f64 = number.parse().unwrap();
        assert!(number.is_finite() && samples.insert(series.to_owned(), number).is_none());
    }
    samples
}

#[test]
fn a_node_in_trouble_shows_each_trouble() {
    let page = troubled(&["app1"]).render(at(300));
    let samples = read(&page);
    for (series, number) in [
        ("tidegate_pass_timestamp_seconds", 200.0),
        ("tidegate_pass_duration_seconds", 1.5),
        ("tidegate_pass_success", 0.0),
        ("tidegate_passes_total{result=\"failed\"}", 1.0),
        ("tidegate_passes_total{result=\"ok\"}", 0.0),
        ("tidegate_revision_commit_timestamp_seconds", 10.0),
        ("tidegate_condition{condition=\"git_unreachable\"}", 1.0),
        ("tidegate_condition{condition=\"tip_refused\"}", 1.0),
        ("tidegate_condition{condition=\"tip_waits\"}", 0.0),
        ("tidegate_condition{condition=\"unverified\"}", 1.0),
        ("tidegate_condition_since_timestamp_seconds{condition=\"tip_refused\"}", 60.0),
        ("tidegate_services{sync=\"held\"}", 1.0),
        ("tidegate_services_by_health{health=\"suspended\"}", 1.0),
        ("tidegate_services_held{reason=\"window\"}", 1.0),
        ("tidegate_services_failing", 1.0),
        ("tidegate_changes_total{change=\"rollback\",result=\"done\"}", 1.0),
        ("tidegate_service_info{service=\"app1\",app=\"app1\",mode=\"apply\"}", 1.0),
        ("tidegate_service_in_sync{service=\"app1\"}", 0.0),
        ("tidegate_service_held{service=\"app1\",reason=\"window\"}", 1.0),
        ("tidegate_service_containers_wanted{service=\"app1\"}", 2.0),
        ("tidegate_service_containers_running{service=\"app1\"}", 1.0),
        ("tidegate_service_restarts_total{service=\"app1\"}", 7.0),
        ("tidegate_service_report_differences{service=\"app1\"}", 3.0),
        ("tidegate_check_timestamp_seconds", 150.0),
        ("tidegate_check_stale", 0.0),
        ("tidegate_checks_total{result=\"failed\"}", 1.0),
        ("tidegate_fixes_total", 2.0),
        ("tidegate_rules{severity=\"critical\",status=\"not_ok\"}", 1.0),
        ("tidegate_images{status=\"not_ok\"}", 1.0),
        ("tidegate_score_ratio", 0.75),
        ("tidegate_service_score_ratio{service=\"app1\"}", 0.75),
        ("tidegate_ruleset_score_ratio{ruleset=\"it.linux\"}", 0.75),
        ("tidegate_metrics_cut{series=\"rulesets\"}", 9.0),
    ] {
        assert_eq!(samples.get(series), Some(&number), "{series}\n{page}");
    }
    let refused = format!("tidegate_refused_info{{commit=\"{}\",rule=\"signature\"}}", commit('a'));
    assert!(samples.contains_key(&refused), "{page}");
    // Where nothing applies there is no score.
    assert!(!page.contains("it.none"), "{page}");
}

#[test]
fn what_was_checked_too_long_ago_is_unknown() {
    let samples = read(&troubled(&["app1"]).render(at(1000)));
    assert_eq!(samples["tidegate_check_stale"], 1.0);
    assert_eq!(samples["tidegate_rules{severity=\"critical\",status=\"unknown\"}"], 4.0);
    assert_eq!(samples["tidegate_rules{severity=\"critical\",status=\"ok\"}"], 0.0);
    assert_eq!(samples["tidegate_images{status=\"unknown\"}"], 2.0);
    assert_eq!(samples["tidegate_score_ratio"], 0.0);
}

#[test]
fn no_message_and_no_reason_is_shown() {
    let page = troubled(&["app1"]).render(at(300));
    assert!(!page.contains("canary"), "{page}");
}

#[test]
fn an_agent_that_has_seen_nothing_yet_says_who_it_is_and_claims_nothing() {
    let measures = Measures::new("prd".parse().unwrap(), "n1".parse().unwrap());
    let page = measures.render(at(300));
    let samples = read(&page);
    let info = samples.keys().find(|series| series.starts_with("tidegate_agent_info")).unwrap();
    assert!(info.contains("environment=\"prd\",node=\"n1\""), "{info}");
    for absent in ["tidegate_pass_success", "tidegate_condition", "tidegate_services", "score"] {
        assert!(!page.contains(absent), "{absent}\n{page}");
    }
}

#[test]
fn a_node_with_many_services_shows_some_and_says_how_many_it_leaves_out() {
    let names: Vec<String> = (0..SERVICES_MAX + 7).map(|n| format!("app{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let page = troubled(&names).render(at(300));
    let samples = read(&page);
    assert_eq!(samples["tidegate_metrics_cut{series=\"services\"}"], 7.0);
    assert_eq!(samples["tidegate_services{sync=\"held\"}"], 507.0);
    for family in FAMILIES.iter().filter(|family| family.labels.contains(&"service")) {
        let n = samples.keys().filter(|s| s.starts_with(&format!("{}{{", family.name))).count();
        assert!(n <= SERVICES_MAX, "{}: {n}", family.name);
    }
}

#[test]
fn names_end_with_units_and_counters_with_total() {
    for family in FAMILIES {
        let counts = family.name.ends_with("_total");
        assert_eq!(counts, family.kind == FamilyKind::Counter, "{}", family.name);
        assert!(family.name.starts_with("tidegate_"), "{}", family.name);
        assert!(family.help.ends_with('.') && !family.help.contains(['\\', '\n', '|']));
        let time = family.name.contains("timestamp") || family.name.contains("duration");
        assert_eq!(time, family.name.ends_with("_seconds"), "{}", family.name);
    }
}

const MANUAL: &str = include_str!("../../../../docs/metrics.md");

#[test]
fn the_manual_has_every_metric_and_no_other() {
    let rows: Vec<&str> = MANUAL.lines().filter(|line| line.starts_with("| `tidegate_")).collect();
    let written = FAMILIES.iter().map(|family| {
        let labels: Vec<String> = family.labels.iter().map(|l| format!("`{l}`")).collect();
        let (name, kind) = (family.name, family.kind.as_str());
        format!("| `{name}` | {kind} | {} | {} |", labels.join(" "), family.help)
    });
    assert_eq!(rows, written.collect::<Vec<_>>());
}

#[test]
fn the_manual_has_every_reason_to_hold_a_service() {
    // The words stand in one match; each arm ends with one.
    let arms = include_str!("../../plan/reasons.rs").lines().filter_map(|line| {
        line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\",")
    });
    let words: BTreeSet<&str> = arms.collect();
    assert!(words.len() >= 17, "{words:?}");
    for word in words {
        assert!(MANUAL.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn every_alert_asks_for_metrics_that_there_are() {
    let text = format!("{MANUAL}{}", include_str!("../../../../docs/alerts.yml"));
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    let named = text.match_indices("tidegate_").map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]
    });
    let named: BTreeSet<&str> = named.collect();
    assert!(named.len() >= FAMILIES.len(), "{named:?}");
    let known = |name: &&&str| FAMILIES.iter().any(|family| family.name == **name);
    let unknown: Vec<&&str> = named.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
