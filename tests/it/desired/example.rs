//! The example repository has no mistakes and says what its README promises.

use std::path::Path;

use tidegate::clients::host::read_tree;
use tidegate::lint::Files;
use tidegate::lint::environments;
use tidegate::lint::lint;
use tidegate::lint::render_json;
use tidegate::lint::render_text;
use tidegate::lint::ruleset_tree;
use tidegate::lint::work_tree;
use tidegate::model::NodeName;
use tidegate::reconcile::desired::DesiredState;
use tidegate::reconcile::desired::resolve;

fn example() -> Files {
    read_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("example-repo"), |_| false).unwrap()
}

fn state(files: &Files, environment: &str, node: &str) -> DesiredState {
    let environment = environment.parse().unwrap();
    let node: NodeName = node.parse().unwrap();
    let resolution = resolve(&work_tree(files, &environment), &environment, &node).unwrap();
    assert!(resolution.warnings.is_empty(), "{:?}", resolution.warnings);
    resolution.state
}

#[test]
fn the_example_has_no_mistakes() {
    let found = lint(&example());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_node_of_the_example_resolves_without_a_warning() {
    let files = example();
    for environment in environments(&files) {
        let prefix = format!("environments/{environment}/nodes/");
        let nodes = files.keys().filter_map(|path| path.strip_prefix(&prefix));
        for node in nodes.filter_map(|file| file.strip_suffix(".toml")) {
            let state = state(&files, environment.as_str(), node);
            let n_services = if node == "n2" { 0 } else { 2 };
            assert_eq!(state.services.len(), n_services, "{environment} {node}");
        }
    }
}

#[test]
fn each_environment_publishes_its_own_port() {
    let files = example();
    for (environment, port) in [("dev", 8081), ("tst", 8082), ("prd", 8083)] {
        let state = state(&files, environment, "n1");
        let app1 = state.services.values().next().unwrap();
        let ports: Vec<u16> = app1
            .containers
            .values()
            .flat_map(|c| &c.spec.ports)
            .filter_map(|p| p.host_port)
            .collect();
        assert_eq!(ports, [port], "{environment}");
    }
}

#[test]
fn a_node_is_rendered_as_json_and_as_text() {
    let state = state(&example(), "prd", "n1");
    let json: serde_json::Value = serde_json::from_str(&render_json(&state)).unwrap();
    assert_eq!(json["schema"], "tidegate.render/1");
    let web = &json["state"]["services"]["app1"]["containers"]["web"];
    assert_eq!(web["spec"]["environment"]["GREETING"], "good day");
    assert!(render_json(&state).starts_with("{\n  \"schema\""));
    let text = render_text(&state);
    assert!(text.starts_with("# prd@worktree (UNVERIFIED) on node n1\n"), "{text}");
    assert!(text.contains("[services.app1.containers.web.spec.environment]"), "{text}");
    assert!(text.contains("GREETING = \"good day\""), "{text}");
}

#[test]
fn the_ruleset_tree_shows_each_environments_leaf() {
    let files = example();
    let lines: Vec<_> = ["dev", "tst", "prd"]
        .iter()
        .map(|name| work_tree(&files, &name.parse().unwrap()))
        .collect();
    let tree = ruleset_tree(&lines).replace("   container#migrate.image_id = ed304d610a…", "");
    insta::assert_snapshot!(tree, @r"
    it.applications.app1
    ├─ it.applications.app1.dev   dev@worktree (UNVERIFIED)   container#db.image_id = da4848233d…   container#web.image_id = c6efbd5df1…   vars.greeting = hello
    ├─ it.applications.app1.tst   tst@worktree (UNVERIFIED)   container#db.image_id = da4848233d…   container#web.image_id = c6efbd5df1…   vars.greeting = hello
    └─ it.applications.app1.prd   prd@worktree (UNVERIFIED)   container#db.image_id = da4848233d…   container#web.image_id = c6efbd5df1…   vars.greeting = good day
    it.applications.app2
    ├─ it.applications.app2.dev   dev@worktree (UNVERIFIED)   container#site.image_id = 7abb99e428…
    ├─ it.applications.app2.tst   tst@worktree (UNVERIFIED)   container#site.image_id = 7abb99e428…
    └─ it.applications.app2.prd   prd@worktree (UNVERIFIED)   container#site.image_id = 7abb99e428…
    ");
}
