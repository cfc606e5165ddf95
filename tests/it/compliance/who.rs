//! `tidegate ruleset who`: whom a ruleset reaches, and why.

use serde_json::{Value, json};

use crate::compliance::cli::{Stage, json as parsed};

fn who(stage: &Stage, name: &str) -> Value {
    parsed(&stage.run(&["ruleset", "who", name, "repo", "-o", "json"]))["environments"]["dev"]
        .clone()
}

#[test]
fn who_names_nodes_services_and_containers_with_what_fits() {
    let stage = Stage::new("");
    let vars = "[vars]\ngreeting = \"hi\"\n";
    stage.commit("rulesets/it/web.toml", &format!("[match]\ncontainer = \"web\"\n{vars}"));
    stage.commit("rulesets/it/none.toml", &format!("[match]\nservice = \"nobody\"\n{vars}"));
    let nodes = who(&stage, "it.linux");
    assert_eq!(nodes["reached"][0]["target"], "node", "{nodes}");
    assert_eq!(nodes["reached"][0]["why"], json!([]));
    assert_eq!(nodes["reached"][0]["shows"][0], "rule motd", "{nodes}");
    let containers = who(&stage, "it.web");
    assert_eq!(containers["reached"][0]["target"], "hello.dev/web", "{containers}");
    assert_eq!(containers["reached"][0]["why"], json!(["container is web"]));
    assert_eq!(containers["reached"][0]["shows"], json!(["var greeting"]));
    let pins = who(&stage, "it.applications.hello");
    assert_eq!(pins["reached"][0]["file"], "rulesets/it/applications/hello.toml", "{pins}");
    assert_eq!(pins["reached"][0]["why"], json!(["service is hello"]));
    let nobody = who(&stage, "it.none");
    assert_eq!((&nobody["is_known"], &nobody["reached"]), (&json!(true), &json!([])));
    let unknown = stage.run(&["ruleset", "who", "it.nothing", "repo"]);
    assert!(unknown.code == 64 && unknown.err.contains("ruleset tree"), "{}", unknown.err);
    let table = stage.run(&["ruleset", "who", "it.web", "repo"]).out;
    assert!(table.contains("hello.dev/web   container is web   var greeting"), "{table}");
}
