//! Networks and volumes whose settings a commit changes, on a real engine.

use serde_json::json;
use tidegate::reconcile::report::Sync;

use crate::cli::real::changes::assert_same;
use crate::cli::real::stage::{APP1, Stage};

const NETWORK: &str = "app1.dev";
const DB: &str = "app1.dev-db";
const WEB: &str = "app1.dev-web";

#[tokio::test]
async fn a_network_is_made_anew_for_new_settings_and_a_volume_is_not() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    is_made_anew_with_what_is_on_it(&mut stage);
    waits_for_others_to_leave(&mut stage);
    comes_back_when_the_engine_refuses(&mut stage);
    keeps_a_volume_until_people_remove_it(&mut stage);
}

fn change(stage: &mut Stage, text: &str) -> tidegate::model::CommitId {
    stage.write_service("app1", "role=web", &format!("{APP1}\n{text}\n"));
    stage.commit("other settings")
}

fn subnet(stage: &Stage) -> String {
    let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
    stage.docker(&["network", "inspect", NETWORK, "--format", format])
}

fn with_subnet(subnet: &str) -> String {
    format!("[networks.default]\nipam = {{ config = [{{ subnet = \"{subnet}\" }}] }}")
}

fn is_made_anew_with_what_is_on_it(stage: &mut Stage) {
    let before = stage.running();
    let commit = change(stage, &with_subnet("10.70.1.0/24"));
    let after = stage.settled(commit);
    assert_eq!(subnet(stage), "10.70.1.0/24");
    // The migration, which is over, is left where it is.
    assert_same(&before, &after, &[WEB, DB]);
    assert!(before[WEB] != after[WEB] && before[DB] != after[DB]);
    let address = stage.inspect(WEB)["NetworkSettings"]["Networks"][NETWORK]["IPAddress"].take();
    assert!(address.as_str().unwrap().starts_with("10.70.1."), "{address}");
}

fn waits_for_others_to_leave(stage: &mut Stage) {
    let before = stage.running();
    let image = stage.inspect(WEB)["Image"].as_str().unwrap().to_owned();
    stage.docker(&["run", "-d", "--name", "guest", "--network", NETWORK, &image, "sleep", "600"]);
    let commit = change(stage, &with_subnet("10.70.2.0/24"));
    let status = stage.says("it is held", |status| {
        let app1 = &status.services["app1"];
        app1.sync == Sync::Held && status.revision.verified == Some(commit)
    });
    let reason = &status.services["app1"].reason;
    assert!(reason.contains("`app1.dev` has to be made anew"), "{reason}");
    assert!(reason.contains("`guest` is on it: disconnect or remove"), "{reason}");
    assert_same(&before, &stage.running(), &["guest"]);
    stage.docker(&["network", "disconnect", NETWORK, "guest"]);
    stage.settled(commit);
    assert_eq!(subnet(stage), "10.70.2.0/24");
    stage.docker(&["rm", "-f", "guest"]);
}

fn comes_back_when_the_engine_refuses(stage: &mut Stage) {
    let before = stage.running();
    stage.docker(&["network", "create", "--subnet", "10.70.3.0/24", "taken"]);
    change(stage, &with_subnet("10.70.3.0/24"));
    let status = stage.says("it failed", |status| {
        status.services["app1"].reason.contains("overlaps")
            && status.services["app1"].sync == Sync::Held
    });
    let reason = &status.services["app1"].reason;
    assert!(reason.contains("make network app1.dev anew"), "{reason}");
    stage.until("the version before is back", |stage| {
        let healed =
            stage.status()?.services["app1"].health == tidegate::reconcile::report::Health::Healthy;
        (healed && stage.version(WEB).is_some() && stage.version(DB).is_some()).then_some(())
    });
    assert_eq!(subnet(stage), "10.70.2.0/24");
    assert_same(&before, &stage.running(), &[WEB, DB]);
    stage.docker(&["network", "rm", "taken"]);
    let mended = change(stage, &with_subnet("10.70.2.0/24"));
    stage.settled(mended);
}

fn keeps_a_volume_until_people_remove_it(stage: &mut Stage) {
    stage.docker(&["exec", DB, "/bin/sh", "-c", "echo precious > /data/file"]);
    let before = stage.running();
    let text = "driver_opts = { type = \"tmpfs\", device = \"tmpfs\" }";
    let text = APP1.replace("[volumes.data]", &format!("[volumes.data]\n{text}"));
    stage.write_service("app1", "role=web", &format!("{text}\n{}", with_subnet("10.70.2.0/24")));
    let commit = stage.commit("another volume");
    let status = stage.says("it is held", |status| {
        let app1 = &status.services["app1"];
        app1.sync == Sync::Held && status.revision.verified == Some(commit)
    });
    let reason = &status.services["app1"].reason;
    assert!(reason.contains("its data is never dropped"), "{reason}");
    assert_same(&before, &stage.running(), &[]);
    assert_eq!(stage.docker(&["exec", DB, "/bin/cat", "/data/file"]), "precious");
    // What it says is to be done: suspend, remove by hand, resume.
    let said = stage.run(&["suspend", "app1", "--reason", "another volume"]);
    assert_eq!(said.code, 0, "{}", said.err);
    stage.docker(&["rm", "-f", WEB, DB, "app1.dev-migrate"]);
    stage.docker(&["volume", "rm", "app1.dev_data"]);
    let said = stage.run(&["resume", "app1"]);
    assert!(matches!(said.code, 0 | 1), "{}", said.err);
    stage.settled(commit);
    let options =
        stage.docker(&["volume", "inspect", "app1.dev_data", "--format", "{{json .Options}}"]);
    let options: serde_json::Value = serde_json::from_str(&options).unwrap();
    assert_eq!(options["type"], json!("tmpfs"));
}
