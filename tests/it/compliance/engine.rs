//! Rules about the engine: how containers run, whose they are, what lies about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tidegate::clients::docker::{
    ContainerId, ContainerInspect, ContainerState, ContainerSummary, EngineInfo, Stock,
    StoredImage, VolumeInspect,
};
use tidegate::clients::host::{HostRoot, Silence};
use tidegate::compliance::check::{CheckInput, Checked, Purpose, check};
use tidegate::compliance::dispute::Disputes;
use tidegate::compliance::facts::{
    FactValue, Facts, Known, Row, Wanted, collect, learn_stock, learn_versions,
};
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::Digest;
use tidegate::reconcile::desired::DesiredState;
use tidegate::reconcile::observed::{
    ObjectKind, ObservedContainer, ObservedState, Owned, UnknownContainer,
};
use tidegate::reconcile::plan::body::image_name;

use crate::compliance::support::{Host, only, rule};
use crate::desired::support::Repo;

fn owned(key: &str) -> Owned {
    Owned {
        kind: ObjectKind::Container,
        environment: "prd".parse().unwrap(),
        node: "n1".parse().unwrap(),
        service: "app1".parse().unwrap(),
        key: key.parse().unwrap(),
        revision: "worktree".to_owned(),
        spec: Digest::of(b""),
        nonce: "00".to_owned(),
    }
}

fn summary(name: &str, image: &str) -> ContainerSummary {
    ContainerSummary {
        id: ContainerId(name.to_owned()),
        name: name.to_owned(),
        image: image.to_owned(),
        image_id: "sha256:used".to_owned(),
        state: ContainerState::Exited,
        status: String::new(),
        labels: BTreeMap::new(),
        networks: Vec::new(),
    }
}

/// A container of app1 that runs well, with these differences in its `HostConfig`.
fn container(key: &str, differs: &Value) -> ObservedContainer {
    let mut host = json!({ "ReadonlyRootfs": true, "Memory": 1 << 20, "NanoCpus": 500_000_000,
        "PidsLimit": 100, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"] });
    let differences = differs.as_object().unwrap();
    host.as_object_mut().unwrap().extend(differences.clone());
    let user = differences.get("user").and_then(Value::as_str).unwrap_or("1000:1000");
    let image = "dckhub.prd/app1/web@sha256:00";
    let inspect = ContainerInspect {
        id: ContainerId(key.to_owned()),
        name: format!("app1.prd-{key}"),
        image_id: "sha256:used".to_owned(),
        state: match differences.get("state").and_then(Value::as_str) {
            Some(state) => ContainerState::from(state),
            None => ContainerState::Running,
        },
        exit_code: 0,
        health: differences.get("health").and_then(Value::as_str).map(str::to_owned),
        health_log: None,
        created_at: String::new(),
        started_at: String::new(),
        restart_count: differences.get("restarts").and_then(Value::as_i64).unwrap_or_default(),
        error: String::new(),
        labels: BTreeMap::new(),
        raw: json!({ "Config": { "User": user, "Image": image }, "HostConfig": host }),
    };
    ObservedContainer { owned: owned(key), inspect: Arc::new(inspect) }
}

fn observed(containers: Vec<ObservedContainer>) -> ObservedState {
    let mut observed = ObservedState::default();
    observed.services.insert("app1".parse().unwrap(), containers);
    observed
}

fn desired(rules: &str) -> DesiredState {
    let migrate = "[containers.migrate]\nrun = \"once\"\nimage = \"app1/migrate\"";
    Repo::default().web(migrate).with("rulesets/it.toml", rules).state()
}

fn facts(host: &Host, state: &DesiredState, observed: &ObservedState) -> Facts {
    let info = EngineInfo::default();
    let wanted = Wanted::by(&state.rules);
    let root = host.root();
    collect(&root, Ok((&info, observed)), &wanted)
}

/// No program may be run.
static NONE: BTreeSet<String> = BTreeSet::new();
/// No rules contradict one another.
static QUIET: LazyLock<Disputes> = LazyLock::new(Disputes::default);

fn input<'a>(desired: &'a DesiredState, facts: &'a Facts, host: &'a HostRoot) -> CheckInput<'a> {
    let purpose = Purpose::Mend;
    let silence = Box::leak(Box::new(Silence::below(host.folder().to_owned())));
    CheckInput { desired, facts, host, purpose, disputes: &QUIET, silence, commands: &NONE }
}

fn checked(rules: &str, observed: &ObservedState, stock: &Stock) -> Checked {
    let (host, state) = (Host::default(), desired(rules));
    let mut facts = facts(&host, &state, observed);
    learn_stock(Ok((stock, observed)), &mut facts);
    let root = host.root();
    only(check(input(&state, &facts, &root), &state.rules))
}

fn on(kind: &str, lines: &str, observed: &ObservedState) -> Checked {
    checked(&rule(kind, lines), observed, &Stock::default())
}

#[test]
fn a_containers_version_is_its_pins_or_else_what_its_image_says() {
    let mut state = desired("");
    let service = state.services.values_mut().next().unwrap();
    let web = service.containers.values_mut().find(|c| c.name.as_str() == "web").unwrap();
    web.pin.version = Some("1.2.3".to_owned());
    let image = image_name(&web.pin, &state.hub);
    let labelled = |key: &str, image: &str| {
        let mut one = container(key, &json!({}));
        let inspect = Arc::get_mut(&mut one.inspect).unwrap();
        inspect.raw["Config"]["Image"] = image.into();
        let label = "org.opencontainers.image.version".to_owned();
        inspect.labels.insert(label, "9 by label".to_owned());
        one
    };
    let own = vec![
        labelled("web", &image),
        labelled("web", "dckhub.prd/app1/web:other"),
        container("migrate", &json!({})),
    ];
    let host = Host::default();
    let mut facts = facts(&host, &state, &observed(own));
    let services: Vec<_> = state.services.values().collect();
    learn_versions(&services, &state.hub, &mut facts);
    let versions: Vec<&str> = facts.rows("container").iter().map(|r| r.text("version")).collect();
    assert_eq!(versions, ["1.2.3", "9 by label", ""]);
    let root = host.root();
    for (version, wanted) in [("1.2.*", VerdictStatus::Ok), ("2*", VerdictStatus::NotApplicable)] {
        let lines = format!(
            "path = \"/etc/passwd\"\nmatch = {{ container = {{ name = \"*-web\", version = \"{version}\" }} }}"
        );
        let state = desired(&rule("file", &lines));
        let found = only(check(input(&state, &facts, &root), &state.rules)).verdict;
        assert_eq!(found.status, wanted, "{version} {found:#?}");
    }
}

/// Parameters, what is otherwise, and what is said about it.
const BREACHES: &[(&str, &str, &str)] = &[
    ("state = \"running\"", r#"{"state":"exited"}"#, "is exited"),
    ("health = [\"healthy\"]", r#"{"health":"unhealthy"}"#, "is unhealthy"),
    ("health = \"healthy\"", "{}", "has no health check"),
    ("restarts_max = 3", r#"{"restarts":4}"#, "was restarted 4 times"),
    ("privileged = false", r#"{"Privileged":true}"#, "is privileged"),
    ("host_namespaces = []", r#"{"PidMode":"host"}"#, "shares the host's pid"),
    (
        "host_namespaces = [\"pid\"]",
        r#"{"PidMode":"host","NetworkMode":"host"}"#,
        "shares the host's network",
    ),
    ("root = false", r#"{"user":""}"#, "runs as root"),
    ("root = false", r#"{"user":"0:1000"}"#, "runs as root"),
    ("user = \"1000*\"", r#"{"user":"app"}"#, "runs as app"),
    ("read_only = true", r#"{"ReadonlyRootfs":false}"#, "can write to its root"),
    ("memory_max = \"1m\"", r#"{"Memory":0}"#, "has no limit of bytes of memory"),
    ("memory_max = \"1m\"", r#"{"Memory":1048577}"#, "may use 1048577 bytes of memory"),
    (
        "cpus_max = 0.5",
        r#"{"NanoCpus":0,"CpuQuota":60000}"#,
        "may use 600 thousandths of a processor",
    ),
    ("pids_max = 100", r#"{"PidsLimit":-1}"#, "has no limit of processes"),
    ("cap_add = []", r#"{"CapAdd":["CAP_NET_ADMIN"]}"#, "was given NET_ADMIN"),
    ("cap_drop = [\"CAP_SYS_TIME\", \"kill\"]", r#"{"CapDrop":["KILL"]}"#, "keeps SYS_TIME"),
    ("no_new_privileges = true", r#"{"SecurityOpt":[]}"#, "can gain privileges"),
];

#[test]
fn each_way_in_which_a_container_may_run_otherwise_is_named_and_is_nothing_to_mend() {
    for (lines, differs, said) in BREACHES {
        let differs = serde_json::from_str(differs).unwrap();
        let breach = on("container", lines, &observed(vec![container("web", &differs)]));
        assert_eq!(breach.verdict.status, VerdictStatus::NotOk, "{lines}\n{breach:#?}");
        assert_eq!(breach.verdict.actual, format!("app1.prd-web {said}"), "{lines}");
        assert!(!breach.verdict.fixable && breach.changes.is_empty(), "{lines}");
        let sound = if lines.starts_with("health") { r#"{"health":"healthy"}"# } else { "{}" };
        let sound = serde_json::from_str(sound).unwrap();
        let holds = on("container", lines, &observed(vec![container("web", &sound)])).verdict;
        assert_eq!(holds.status, VerdictStatus::Ok, "{lines}\n{holds:#?}");
        assert!(!holds.expected.is_empty(), "{lines}");
    }
}

#[test]
fn only_containers_that_are_meant_count_and_one_that_should_run_is_missed() {
    let loose = json!({ "Privileged": true });
    let both = || observed(vec![container("web", &json!({})), container("migrate", &loose)]);
    let web = on("container", "container = \"w*\"\nprivileged = false", &both()).verdict;
    assert_eq!(web.status, VerdictStatus::Ok);
    let all = on("container", "privileged = false", &both()).verdict;
    assert_eq!(all.actual, "app1.prd-migrate is privileged");
    // What runs once need not run.
    let done = json!({ "state": "exited" });
    let done = observed(vec![container("web", &json!({})), container("migrate", &done)]);
    let runs = on("container", "state = \"running\"", &done).verdict;
    assert_eq!(runs.status, VerdictStatus::Ok, "{runs:#?}");
    let none = observed(Vec::new());
    let missing = on("container", "state = \"running\"", &none).verdict;
    assert_eq!(missing.actual, "app1/web is not there");
    let none = on("container", "privileged = false", &none).verdict;
    assert_eq!(none.status, VerdictStatus::NotApplicable);
}

#[test]
fn what_the_engine_does_not_show_is_an_error_and_never_ok() {
    let mut hidden = observed(Vec::new());
    let summary = summary("app1.prd-web", "x");
    hidden.unknown.push(UnknownContainer { owned: owned("web"), summary, reason: "hung".into() });
    let verdict = on("container", "privileged = false", &hidden).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert_eq!(verdict.reason.as_deref(), Some("the engine does not show app1.prd-web whole"));
    for (kind, lines) in [
        ("container", "privileged = false"),
        ("unmanaged_container", ""),
        ("forbidden_image", "images = \"x\""),
        ("dangling", "volumes_max = 0"),
        ("hub_login", ""),
    ] {
        let verdict = only(Host::default().check(&rule(kind, lines))).verdict;
        assert_eq!(verdict.status, VerdictStatus::Error, "{kind} {verdict:#?}");
    }
}

#[test]
fn a_container_that_is_not_ours_is_named_unless_it_is_known() {
    let mut observed = observed(vec![container("web", &json!({}))]);
    observed.foreign.insert("registry".into(), summary("registry", "registry:2"));
    let verdict = on("unmanaged_container", "", &observed).verdict;
    assert_eq!(verdict.actual, "registry (registry:2, exited)");
    let known = on("unmanaged_container", "except = [\"reg*\"]", &observed).verdict;
    assert_eq!(known.status, VerdictStatus::Ok);
}

#[test]
fn a_forbidden_image_is_found_by_any_of_its_names_and_where_it_lies() {
    let mut observed = observed(vec![container("web", &json!({}))]);
    observed.foreign.insert("proxy".into(), summary("proxy", "nginx"));
    let image = |id: &str, names: &[&str]| StoredImage {
        id: id.to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        size: 1,
    };
    let images = vec![image("sha256:1", &["old:1"]), image("sha256:used", &["nginx:latest"])];
    let stock = Stock { images, unused_volumes: BTreeSet::new() };
    for (lines, actual) in [
        ("images = [\"docker.io/*\"]", "proxy is made of nginx"),
        ("images = [\"*:latest\"]", "proxy is made of nginx"),
        (
            "images = [\"*\"]\nexcept = [\"docker.io/*\"]",
            "app1.prd-web is made of dckhub.prd/app1/web@sha256:00",
        ),
        ("images = [\"old:*\"]\nstored = true", "old:1 lies on the engine"),
        ("images = [\"old:*\"]", ""),
        ("images = [\"*\"]\nexcept = [\"docker.io/library/nginx:*\", \"dckhub.prd/*\"]", ""),
    ] {
        let found = checked(&rule("forbidden_image", lines), &observed, &stock).verdict;
        let status = if actual.is_empty() { VerdictStatus::Ok } else { VerdictStatus::NotOk };
        assert_eq!((found.status, found.actual.as_str()), (status, actual), "{lines}");
    }
}

#[test]
fn what_nothing_uses_counts_and_what_something_uses_does_not() {
    let mut observed = observed(vec![container("web", &json!({}))]);
    for name in ["a", "b", "keep-c", "used"] {
        let (labels, raw) = (BTreeMap::new(), json!({ "Driver": "local" }));
        let volume = VolumeInspect { name: name.to_owned(), labels, raw };
        observed.volumes.insert(name.to_owned(), volume);
    }
    let image = |id: &str, names: &[&str]| StoredImage {
        id: id.to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        size: 2 << 20,
    };
    let images =
        vec![image("sha256:1", &[]), image("sha256:used", &[]), image("sha256:2", &["x:1"])];
    let unused_volumes = ["a", "b", "keep-c"].map(str::to_owned).into();
    let stock = Stock { images, unused_volumes };
    for (lines, actual) in [
        ("images_max = 0", "1 images"),
        ("images_size_max = \"1m\"", "2 MiB of images"),
        ("volumes_max = 1\nexcept = \"keep-*\"", "2 volumes"),
        ("images_max = 1\nimages_size_max = \"2m\"\nvolumes_max = 3", ""),
    ] {
        let found = checked(&rule("dangling", lines), &observed, &stock).verdict;
        let status = if actual.is_empty() { VerdictStatus::Ok } else { VerdictStatus::NotOk };
        assert_eq!((found.status, found.actual.as_str()), (status, actual), "{lines}");
    }
}

#[test]
fn credentials_are_there_accepted_and_nobody_elses() {
    let login = |file: &str, others: bool, answer: &str, lines: &str| {
        let (host, state) = (Host::default(), desired(&rule("hub_login", lines)));
        let mut facts = facts(&host, &state, &ObservedState::default());
        let row = Row(vec![
            ("hub", FactValue::text("dckhub.prd")),
            ("file", FactValue::text(file)),
            ("others", FactValue::Boolean(others)),
            ("answer", FactValue::text(answer)),
        ]);
        facts.learn("hub_login", Known::Rows(vec![row]));
        let root = host.root();
        only(check(input(&state, &facts, &root), &state.rules)).verdict
    };
    assert_eq!(login("/x", false, "accepted", "").status, VerdictStatus::Ok);
    assert_eq!(login("", false, "", "").actual, "no credentials are configured");
    assert_eq!(login("/x", true, "accepted", "").actual, "others can read /x");
    let refused = login("/x", false, "the hub does not let it in", "");
    assert_eq!(refused.actual, "the hub does not let it in");
    assert_eq!(login("/x", false, "no answer: gone", "").status, VerdictStatus::Error);
    let unasked = login("/x", false, "no answer: gone", "verify = false");
    assert_eq!(unasked.status, VerdictStatus::Ok);
}

#[test]
fn a_rule_that_asks_for_nothing_is_a_mistake() {
    for (kind, lines, said) in [
        ("container", "container = \"web\"", "this rule asks for nothing"),
        ("container", "cpus_max = \"many\"", "`many` is no number of processors"),
        ("container", "state = \"runs\"", "`state` must be \"created\" or"),
        ("dangling", "", "this rule has no limit"),
        ("daemon_config", "key = \"a..b\"\nvalue = 1", "`a..b` is no key"),
        ("daemon_config", "key = \"a\"", "`value` is missing"),
        ("forbidden_image", "", "images"),
    ] {
        let found = Repo::default().web("").with("rulesets/it.toml", rule(kind, lines)).findings();
        assert!(found.contains(said) && found.contains("rulesets/it.toml:"), "{kind}\n{found}");
    }
}
