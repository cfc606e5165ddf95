//! Who says what a value is: every candidate, and the winner that resolving takes.

use std::fmt::Write as _;

use tidegate::reconcile::desired::explain::ExplainError;
use tidegate::reconcile::desired::explain::explain;

use crate::desired::support::DIGEST;
use crate::desired::support::OTHER;
use crate::desired::support::Repo;

/// `key = value`, then a line for each candidate: what came of it, where, as written.
fn told(repo: &Repo, key: &str) -> String {
    let (environment, node) = ("prd".parse().unwrap(), "n1".parse().unwrap());
    let snapshot = repo.snapshot();
    let all = explain(&snapshot, &environment, &node, &"app1".parse().unwrap(), key);
    let mut text = String::new();
    for explanation in all.unwrap() {
        let value = explanation.value.unwrap_or_else(|| "(not set)".to_owned());
        writeln!(text, "{} = {value}", explanation.key).unwrap();
        for candidate in explanation.candidates {
            let bytes = &snapshot.get().files[&candidate.file];
            assert!(candidate.span.end <= bytes.len() && !candidate.span.is_empty());
            let standing = format!("{:?}", candidate.standing).to_lowercase();
            writeln!(text, "  {standing}  {}  {}", candidate.file, candidate.written).unwrap();
        }
    }
    text
}

const OVERLAY: &str = "environments/prd/services/app1.toml";

#[test]
fn an_overlay_wins_over_the_service_and_unset_removes() {
    let service = "environment = { A = \"1\", B = \"2\" }\nports = [\"80\"]";
    let overlay = "[containers.web]\nunset = [\"environment.A\"]\nenvironment = { B = \"3\" }\n\
                   ports = [\"81:80\"]";
    let repo = Repo::default().web(service).with(OVERLAY, overlay);
    insta::assert_snapshot!(told(&repo, "containers.web.environment"), @r#"
    containers.web.environment.A = (not set)
      removed  services/app1.toml  "1"
      wins  environments/prd/services/app1.toml  unset
    containers.web.environment.B = 3
      overridden  services/app1.toml  "2"
      wins  environments/prd/services/app1.toml  "3"
    "#);
    insta::assert_snapshot!(told(&repo, "containers.web.ports"), @r#"
    containers.web.ports = ["81:80"]
      overridden  services/app1.toml  ["80"]
      wins  environments/prd/services/app1.toml  ["81:80"]
    "#);
    let state = repo.state();
    let web = &state.services.values().next().unwrap().containers.values().next().unwrap().spec;
    assert_eq!(format!("{:?}", web.environment), r#"{"B": "3"}"#);
}

#[test]
fn an_inner_ruleset_pins_over_an_outer_one_and_over_the_service() {
    let pin = |digest: &str, rest: &str| {
        format!("[match]\nservice = \"app1\"\n[containers.web]\ndigest = \"{digest}\"\n{rest}")
    };
    let repo = Repo::default()
        .web("")
        .with("rulesets/it.toml", pin(DIGEST, "version = \"1.0.0\""))
        .with("rulesets/it/app1.toml", pin(OTHER, ""))
        .with("rulesets/it/other.toml", pin(OTHER, "").replace("app1", "app2"));
    let text = told(&repo, "containers.web.digest");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("containers.web.digest = {OTHER}"));
    assert!(lines[1].starts_with("  overridden  services/app1.toml"), "{text}");
    assert!(lines[2].starts_with("  overridden  rulesets/it.toml"), "{text}");
    assert!(lines[3].starts_with("  wins  rulesets/it/app1.toml") && lines.len() == 4, "{text}");
    // A pin is taken whole: the outer one's version is not that of the image.
    assert!(
        told(&repo, "containers.web.version").starts_with("containers.web.version = (not set)")
    );
}

#[test]
fn variables_are_followed_to_who_sets_them() {
    let vars = |value: &str| format!("[vars]\ngreeting = \"{value}\"\n");
    let environment = "name = \"prd\"\nhub = \"dckhub.prd\"\n[vars]\ngreeting = \"good day\"\n";
    let narrow = "[match]\ncontainer = \"web\"\n[vars]\ncolour = \"blue\"\n";
    let repo = Repo::default()
        .web("command = [\"${vars.greeting}, ${vars.colour} $${vars.x}\"]")
        .with("rulesets/words.toml", vars("hello"))
        .with("rulesets/words/narrow.toml", narrow)
        .with("environments/prd/environment.toml", environment);
    insta::assert_snapshot!(told(&repo, "containers.web.command"), @r#"
    containers.web.command = ["${vars.greeting}, ${vars.colour} $${vars.x}"]
      wins  services/app1.toml  ["${vars.greeting}, ${vars.colour} $${vars.x}"]
    vars.greeting = good day
      overridden  rulesets/words.toml  "hello"
      wins  environments/prd/environment.toml  "good day"
    containers.web.vars.colour = blue
      wins  rulesets/words/narrow.toml  "blue"
    "#);
}

#[test]
fn unrelated_rulesets_that_differ_are_disputed() {
    let vars = |value: &str| format!("[vars]\nx = \"{value}\"\n");
    let repo = Repo::default()
        .web("user = \"${vars.x}\"")
        .with("rulesets/a.toml", vars("1"))
        .with("rulesets/b.toml", vars("2"));
    insta::assert_snapshot!(told(&repo, "vars.x"), @r#"
    vars.x = (not set)
      disputed  rulesets/a.toml  "1"
      disputed  rulesets/b.toml  "2"
    "#);
}

#[test]
fn networks_volumes_updates_and_modes_are_explained_too() {
    let environment = "name = \"prd\"\nhub = \"dckhub.prd\"\nmode = \"report\"\n\
                       [update]\nstable = \"5s\"\n";
    let service = "mode = \"apply\"\n[containers.web]\nimage = \"w\"\nvolumes = [\"data:/d\"]\n\
                   [networks.default]\ninternal = true\n[volumes.data]\ndriver = \"local\"\n\
                   [update]\nstable = \"2s\"\n";
    let overlay = "[networks.default]\ninternal = false\n[volumes.data]\nlabels = [\"a=b\"]\n";
    let repo = Repo::default()
        .service("app1", service)
        .with(OVERLAY, overlay)
        .with("environments/prd/environment.toml", environment);
    let text = ["networks", "volumes", "update", "mode"].map(|key| told(&repo, key)).concat();
    insta::assert_snapshot!(text, @r#"
    networks.default.internal = false
      overridden  services/app1.toml  true
      wins  environments/prd/services/app1.toml  false
    volumes.data.driver = local
      wins  services/app1.toml  "local"
    volumes.data.labels.a = b
      wins  environments/prd/services/app1.toml  "b"
    update.stable = 2s
      overridden  environments/prd/environment.toml  "5s"
      wins  services/app1.toml  "2s"
    mode = report
      overridden  services/app1.toml  "apply"
      wins  environments/prd/environment.toml  "report"
    "#);
}

#[test]
fn what_nothing_sets_is_answered_with_what_is_like_it() {
    let repo = Repo::default().web("read_only = true");
    let ask = |service: &str, key: &str| {
        let (environment, node) = ("prd".parse().unwrap(), "n1".parse().unwrap());
        explain(&repo.snapshot(), &environment, &node, &service.parse().unwrap(), key)
    };
    let Err(ExplainError::Unset { near, .. }) = ask("app1", "containers.web.readonly") else {
        unreachable!()
    };
    assert_eq!(near[0], "containers.web.read_only");
    let Err(ExplainError::NoService { known, .. }) = ask("app2", "") else { unreachable!() };
    assert_eq!(known[0].as_str(), "app1");
}
