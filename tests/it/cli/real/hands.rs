//! What people do to containers by hand, and how it is repaired.

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::real::changes::assert_same;
use crate::cli::real::stage::Stage;

const WEB: &str = "app1.dev-web";
const DB: &str = "app1.dev-db";
const MIGRATE: &str = "app1.dev-migrate";

#[tokio::test]
async fn what_is_changed_by_hand_is_repaired_and_nothing_else_is_touched() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    comes_back_when_removed(&stage);
    is_updated_back_in_place(&stage);
    gets_its_name_back(&stage);
    is_connected_again(&stage);
    is_started_again(&stage);
    runs_its_migration_on_the_data_of_now(&stage);
    waits_while_suspended(&stage);
    leaves_a_foreigner_with_its_name_alone(&stage);
}

fn comes_back_when_removed(stage: &Stage) {
    let before = stage.running();
    stage.docker(&["rm", "-f", WEB]);
    stage.until("web is back", |stage| {
        let now = stage.running();
        let other = now.get(WEB).is_some_and(|web| web.0 != before[WEB].0);
        (other && stage.version(WEB).is_some() && stage.status()?.is_in_sync()).then_some(())
    });
    assert_same(&before, &stage.running(), &[WEB]);
}

fn is_updated_back_in_place(stage: &Stage) {
    let before = stage.running();
    stage.docker(&["update", "--restart", "no", WEB]);
    stage.until("the restart policy is back", |stage| {
        let policy = stage.inspect(WEB)["HostConfig"]["RestartPolicy"]["Name"].take();
        (policy == "unless-stopped").then_some(())
    });
    assert_eq!(before, stage.running());
}

fn gets_its_name_back(stage: &Stage) {
    let before = stage.running();
    stage.docker(&["rename", WEB, "somebody"]);
    stage.until("web has its name again", |stage| {
        let named = stage.running().contains_key(WEB) && stage.version(WEB).is_some();
        (named && stage.status()?.is_in_sync()).then_some(())
    });
    assert_same(&before, &stage.running(), &[WEB]);
}

fn is_connected_again(stage: &Stage) {
    let before = stage.running();
    let networks = |stage: &Stage| {
        let networks = stage.inspect(WEB)["NetworkSettings"]["Networks"].take();
        networks.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let wanted = networks(stage);
    assert!(!wanted.is_empty());
    stage.docker(&["network", "disconnect", &wanted[0], WEB]);
    stage.until("web is connected again", |stage| {
        stage.version(WEB)?;
        (networks(stage) == wanted && stage.status()?.is_in_sync()).then_some(())
    });
    assert_same(&before, &stage.running(), &[WEB]);
}

/// The volume goes right after the container that kept it, before anybody looked.
fn runs_its_migration_on_the_data_of_now(stage: &Stage) {
    let before = stage.running();
    let agent = Pid::from_raw(i32::try_from(stage.agent_pid()).unwrap()).unwrap();
    kill_process(agent, Signal::STOP).unwrap();
    stage.docker(&["rm", "-f", DB]);
    stage.docker(&["volume", "rm", "app1.dev_data"]);
    kill_process(agent, Signal::CONT).unwrap();
    stage.until("the migration has run again, and all is well", |stage| {
        let now = stage.running();
        let other = now.get(MIGRATE).is_some_and(|it| it.0 != before[MIGRATE].0);
        (other && stage.version(DB).is_some() && stage.status()?.is_in_sync()).then_some(())
    });
    let labels = stage.docker(&["volume", "inspect", "-f", "{{json .Labels}}", "app1.dev_data"]);
    assert!(labels.contains("tidegate"), "the engine made it, not the agent: {labels}");
    // Also by its own event, once nothing else wakes.
    stage.until("a volume's event wakes", |stage| {
        stage.docker(&["volume", "create", "somebodys"]);
        stage.docker(&["volume", "rm", "somebodys"]);
        stage.log().contains("docker destroy somebodys").then_some(())
    });
}

fn is_started_again(stage: &Stage) {
    let before = stage.running();
    stage.docker(&["stop", WEB]);
    stage.until("web runs again", |stage| stage.version(WEB));
    assert_eq!(before, stage.running());
}

fn waits_while_suspended(stage: &Stage) {
    let said = stage.run(&["suspend", "app1", "--reason", "looking into it"]);
    assert_eq!(said.code, 0, "{}", said.err);
    stage.says("app1 is suspended", |status| {
        format!("{:?}", status.services.values().collect::<Vec<_>>()).contains("looking into it")
    });
    stage.docker(&["stop", WEB]);
    let stopped = stage.running();
    // A pass that looks at everything.
    let said = stage.run(&["apply"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert_eq!(stopped, stage.running());
    let said = stage.run(&["resume", "app1"]);
    assert_eq!(said.code, 0, "{}", said.err);
    stage.until("web runs again", |stage| stage.version(WEB));
}

fn leaves_a_foreigner_with_its_name_alone(stage: &Stage) {
    let image = stage.inspect(WEB)["Image"].as_str().unwrap().to_owned();
    let said = stage.run(&["suspend", "app1", "--reason", "a foreigner comes"]);
    assert_eq!(said.code, 0, "{}", said.err);
    stage.docker(&["rm", "-f", WEB]);
    let foreigner = stage.docker(&["run", "-d", "--network", "none", "--name", WEB, &image]);
    let said = stage.run(&["resume", "app1"]);
    assert!(matches!(said.code, 0 | 1), "{}", said.err);
    let before = stage.running();
    stage.run(&["apply"]);
    let after = stage.running();
    assert_eq!(after.get(WEB).map(|web| &web.0), Some(&foreigner), "{before:?} {after:?}");
    let status = stage.status().unwrap();
    assert!(!status.is_in_sync(), "{status:#?}");
    stage.docker(&["rm", "-f", &foreigner]);
    stage.until("web is ours again", |stage| {
        let own = stage.running().get(WEB).is_some_and(|web| web.0 != foreigner);
        (own && stage.version(WEB).is_some() && stage.status()?.is_in_sync()).then_some(())
    });
}
