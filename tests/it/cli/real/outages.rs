//! Engines that go away and come back, Git that does, and a second agent.

use rustix::process::Signal;

use crate::cli::real::stage::Stage;

const WEB: &str = "app1.dev-web";

#[tokio::test]
async fn what_goes_away_is_named_and_followed_again_when_it_is_back() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    a_second_agent_refuses(&stage);
    git_goes_and_comes(&mut stage).await;
    assert_eq!(stage.end_agent(Signal::TERM), Some(0));
}

#[tokio::test]
async fn an_engine_that_restarts_is_followed_again() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    the_engine_goes_and_comes(&mut stage).await;
    a_killed_engine_comes_back(&mut stage);
    assert_eq!(stage.end_agent(Signal::TERM), Some(0));
}

fn a_second_agent_refuses(stage: &Stage) {
    let before = stage.running();
    let url = format!("url = \"{}\"", stage.origin().display());
    stage.configure("second.toml", "second", &url);
    let mut command = crate::cli::support::tidegate(stage.dir.path());
    for args in [&["agent", "--config", "second.toml"][..], &["agent", "--config", "agent.toml"]] {
        let said: crate::cli::support::Said =
            command_again(&mut command, stage, args).output().unwrap().into();
        assert_eq!(said.code, 1, "{args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains("another"), "{}", said.err);
    }
    assert_eq!(before, stage.running());
}

fn command_again<'a>(
    command: &'a mut std::process::Command,
    stage: &Stage,
    args: &[&str],
) -> &'a mut std::process::Command {
    *command = crate::cli::support::tidegate(stage.dir.path());
    command.args(args)
}

async fn git_goes_and_comes(stage: &mut Stage) {
    let (before, away) = (stage.running(), stage.dir.path().join("away.git"));
    std::fs::rename(stage.origin(), &away).unwrap();
    let status = stage.says("git is gone", |status| status.git.is_some());
    assert!(!status.git.unwrap().reason.is_empty());
    stage.docker(&["stop", WEB]);
    stage.until("web is repaired without Git", |stage| stage.version(WEB));
    assert_eq!(before, stage.running());
    std::fs::rename(&away, stage.origin()).unwrap();
    let commit = stage.release("web", "1.1.0", "good").await;
    stage.settled(commit);
    assert_eq!(stage.status().unwrap().git, None);
}

async fn the_engine_goes_and_comes(stage: &mut Stage) {
    stage.engine.signal(Signal::TERM);
    let status = stage.says("the engine is gone", |status| status.engine.is_some());
    let reason = status.engine.unwrap().reason;
    assert!(reason.contains(&stage.engine.socket().display().to_string()), "{reason}");
    let said = stage.run(&["plan"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("engine"), "{}", said.err);
    let commit = stage.release("web", "1.2.0", "good").await;
    stage.says("Git is believed all the same", |s| s.revision.verified == Some(commit));
    // Without live-restore: all containers were stopped with it.
    stage.engine.restart();
    stage.settled(commit);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.2.0"));
}

fn a_killed_engine_comes_back(stage: &mut Stage) {
    let tip = stage.history.tip;
    stage.engine.signal(Signal::KILL);
    stage.says("the engine is gone", |status| status.engine.is_some());
    stage.engine.restart();
    stage.settled(tip);
    let wanted =
        ["app1.dev-db", "app1.dev-migrate", "app1.dev-web", "app2.dev-site", "app3.dev-job"];
    stage.until("every container runs again", |stage| {
        let running = stage.running();
        let well = running.iter().all(|(name, (_, state))| {
            state == "running" || (name.ends_with("migrate") && state == "exited")
        });
        (well && running.keys().eq(wanted)).then_some(())
    });
}
