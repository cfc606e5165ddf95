//! Which value wins, and what an environment's own files may not do.

use tidegate::model::ContainerName;
use tidegate::reconcile::desired::DesiredContainer;

use crate::desired::support::DIGEST;
use crate::desired::support::OTHER;
use crate::desired::support::Repo;

const OVERLAY: &str = "environments/prd/services/app1.toml";

fn web(repo: &Repo) -> DesiredContainer {
    let name: ContainerName = "web".parse().unwrap();
    repo.state().services.values().next().unwrap().containers[&name].as_ref().clone()
}

#[test]
fn the_more_specific_variable_wins() {
    let mut repo = Repo::default().web("user = \"${vars.u}\"");
    let environment = "environments/prd/environment.toml";
    for (path, text, wins) in [
        ("rulesets/a.toml", "[vars]\nu = \"outer\"", "outer"),
        ("rulesets/a/b.toml", "[vars]\nu = \"inner\"", "inner"),
        ("rulesets/a/b/c.toml", "match.service = \"other\"\n[vars]\nu = \"unfit\"", "inner"),
        (environment, "name = \"prd\"\nhub = \"h\"\n[vars]\nu = \"env\"", "env"),
        ("environments/prd/rulesets/a.toml", "[vars]\nu = \"own\"", "own"),
        ("environments/prd/rulesets/a/z.toml", "[vars]\nu = \"inmost\"", "inmost"),
    ] {
        repo = repo.with(path, text);
        assert_eq!(web(&repo).spec.user.as_deref(), Some(wins), "{path}");
    }
}

#[test]
fn an_inner_rulesets_pin_is_taken_whole() {
    let outer = format!("containers.web = {{ digest = \"{DIGEST}\", image_id = \"{DIGEST}\" }}");
    let inner = format!("containers.web = {{ digest = \"{OTHER}\", version = \"2\" }}");
    let repo = Repo::default().web("").with("rulesets/a.toml", outer);
    assert!(web(&repo).pin.image_id.is_some());
    let pin = web(&repo.with("rulesets/a/b.toml", inner)).pin;
    assert_eq!(pin.digest.unwrap().to_string(), OTHER);
    assert_eq!((pin.image_id, pin.version.as_deref()), (None, Some("2")));
}

#[test]
fn a_match_nests_lists_any_and_not() {
    for (matching, fits) in [
        ("", true),
        ("match = { service = [\"x\", \"app1\"] }", true),
        ("match = { app = \"app1\", node = \"n2\" }", false),
        ("match = { labels = { role = [\"db\", \"web\"] } }", true),
        ("match = { any = [{ node = \"n2\" }, { environment = \"prd\" }] }", true),
        ("match = { not = { any = [{ node = \"n1\" }] } }", false),
        ("match = { container = \"web\" }", true),
        ("match = { not = { container = \"web\" } }", false),
    ] {
        let repo = Repo::default()
            .web("user = \"${vars.u}\"")
            .with("rulesets/a.toml", "[vars]\nu = \"no\"")
            .with("rulesets/a/b.toml", format!("{matching}\n[vars]\nu = \"yes\""));
        let wanted = if fits { "yes" } else { "no" };
        assert_eq!(web(&repo).spec.user.as_deref(), Some(wanted), "{matching}");
    }
}

#[test]
fn overlays_merge_tables_replace_lists_and_unset() {
    let base = "environment = [\"A=1\", \"B=2\", \"DEBUG=1\"]\nports = [\"80:80\", \"81:81\"]\nlabels = { a = \"1\" }";
    let over = "unset = [\"containers.web.labels\"]\n[containers.web]\nunset = [\"environment.DEBUG\"]\nports = [\"8083:80\"]\nenvironment = { B = \"3\", C = \"${environment.name}\" }\n";
    let spec = web(&Repo::default().web(base).with(OVERLAY, over)).spec;
    let environment: Vec<String> =
        spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(environment, ["A=1", "B=3", "C=prd"]);
    assert_eq!(spec.ports.len(), 1);
    assert_eq!(spec.ports[0].host_port, Some(8083));
    assert!(spec.labels.is_empty());
}

#[test]
fn substitution_knows_node_environment_service_and_hub() {
    let text = "command = [\"${node.name} ${node.labels.role} ${environment.name} ${service.name} ${hub} $$x $${y}\"]";
    let command = web(&Repo::default().web(text)).spec.command.unwrap();
    assert_eq!(command, ["n1 web prd app1 dckhub.prd $x ${y}"]);
}

#[test]
fn an_environments_own_files_cannot_decide_what_runs() {
    for (key, value) in [
        ("image", "\"x\""),
        ("digest", "\"x\""),
        ("image_id", "\"x\""),
        ("command", "\"x\""),
        ("entrypoint", "[]"),
    ] {
        let repo =
            Repo::default().web("").with(OVERLAY, format!("[containers.web]\n{key} = {value}"));
        let wanted = format!("{OVERLAY}:2:1: `{key}` is refused because what runs");
        assert!(repo.findings().contains(&wanted), "{}", repo.findings());
    }
    for (overlay, wanted) in [
        ("containers.web.healthcheck.test = \"true\"", ":1:28: `test` is refused"),
        ("containers.web.healthcheck.disable = true", ":1:28: `disable` is refused"),
        ("app = \"app2\"", ":1:1: `app` is refused"),
        ("unset = [\"containers.web.command\"]", ":1:10: `containers.web.command` cannot be unset"),
        ("containers.web.unset = [\"healthcheck\"]", ":1:25: `healthcheck` cannot be unset"),
    ] {
        let found = Repo::default().web("command = \"x\"").with(OVERLAY, overlay).findings();
        assert!(found.contains(&format!("{OVERLAY}{wanted}")), "{overlay}\n{found}");
    }
    let own = format!("[containers.web]\ndigest = \"{OTHER}\"");
    let repo = Repo::default().web("").with("environments/prd/rulesets/a.toml", own);
    assert!(repo.findings().contains("a.toml:1:2: an environment's own ruleset sets no pin"));
}

#[test]
fn a_pin_cannot_depend_on_environment_node_or_labels() {
    for matching in ["environment = \"prd\"", "node = \"n1\"", "not = { labels = { a = \"b\" } }"] {
        let text = format!("[match]\n{matching}\n[containers.web]\ndigest = \"{OTHER}\"");
        let found = Repo::default().web("").with("rulesets/a.toml", text).findings();
        assert!(found.contains("matches on service, app and container alone"), "{found}");
        assert!(found.contains("rulesets/a.toml:2:"), "{found}");
    }
}

#[test]
fn what_no_longer_flows_is_ignored_with_a_warning() {
    let found = Repo::default().web("").with("environments/prd/services/old.toml", "").findings();
    assert!(found.contains("Warning environments/prd/services/old.toml: no service `old`"));
    let repo = Repo::default().web("").with(OVERLAY, "[containers.old]\nuser = \"x\"");
    assert!(repo.findings().contains(":1:13: the service has no container `old`"));
    assert_eq!(repo.state().services.values().next().unwrap().containers.len(), 1);
    let found = Repo::default().web("").with(OVERLAY, "unset = [\"volumes.x\"]").findings();
    assert!(found.contains(":1:10: there is no `volumes.x` to unset"), "{found}");
    let pin = format!("[containers.gone]\ndigest = \"{OTHER}\"");
    let found = Repo::default().web("").with("rulesets/a.toml", pin).findings();
    assert!(found.contains("no service has a container `gone`"), "{found}");
}

#[test]
fn mode_is_only_ever_tightened() {
    let report = "name = \"prd\"\nhub = \"h\"\nmode = \"report\"";
    let repo = Repo::default().web("").with("environments/prd/environment.toml", report);
    assert_eq!(repo.state().services.values().next().unwrap().mode.to_string(), "report");
    let repo = Repo::default().web("").with("environments/prd/nodes/n1.toml", "mode = \"report\"");
    assert_eq!(repo.state().mode.to_string(), "report");
}

#[test]
fn a_node_without_a_document_is_not_declared() {
    let repo = Repo::default().web("");
    let state = tidegate::reconcile::desired::resolve(
        &repo.snapshot(),
        &"prd".parse().unwrap(),
        &"n9".parse().unwrap(),
    );
    let state = state.unwrap().state;
    assert!(!state.node_declared);
    assert!(state.services.is_empty());
}
