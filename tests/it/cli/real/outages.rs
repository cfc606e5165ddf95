//! Engines that go away and come back, Git that does, and a second agent.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::cli::real::changes::assert_same;
use crate::cli::real::stage::{Running, Stage};
use crate::support::engine::PrivateEngine;
use crate::support::program::copy_program;

const WEB: &str = "app1.dev-web";

#[tokio::test]
async fn what_goes_away_is_named_and_followed_again_when_it_is_back() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    a_second_agent_refuses(&stage);
    git_goes_and_comes(&mut stage).await;
    the_engine_hangs_and_goes_on(&mut stage).await;
    nobody_is_told_who_may(&stage);
    another_engine_takes_its_place(&mut stage);
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

async fn the_engine_hangs_and_goes_on(stage: &mut Stage) {
    let before = stage.running();
    stage.engine.signal(Signal::STOP);
    let status = stage.says("the engine hangs", |status| status.engine.is_some());
    let reason = status.engine.unwrap().reason;
    assert!(reason.contains("no answer within"), "{reason}");
    let commit = stage.release("job", "1.1.0", "good").await;
    stage.says("Git is believed all the same", |s| s.revision.verified == Some(commit));
    stage.engine.signal(Signal::CONT);
    stage.settled(commit);
    assert_same(&before, &stage.running(), &["app3.dev-job"]);
}

/// A user who may open neither the socket nor its folder.
fn nobody_is_told_who_may(stage: &Stage) {
    const NOBODY: u32 = 65534;
    let dir = stage.dir.path();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let url = format!("url = \"{}\"", stage.origin().display());
    stage.configure("nobody.toml", "nobody", &url);
    std::fs::create_dir(dir.join("nobody")).unwrap();
    std::os::unix::fs::chown(dir.join("nobody"), Some(NOBODY), Some(NOBODY)).unwrap();
    let program = dir.join("tidegate");
    copy_program(env!("CARGO_BIN_EXE_tidegate"), &program);
    let mut command = std::process::Command::new("setpriv");
    command.args([
        "--reuid",
        &NOBODY.to_string(),
        "--regid",
        &NOBODY.to_string(),
        "--clear-groups",
    ]);
    command.arg(&program).args(["plan", "--config", "nobody.toml"]);
    command.current_dir(dir).env("HOME", dir.join("nobody"));
    let said: crate::cli::support::Said = command.output().unwrap().into();
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.err.contains("may not be opened"), "{}", said.err);
}

/// What answers at the socket now has nothing of ours: it gets all, and the first keeps its own.
fn another_engine_takes_its_place(stage: &mut Stage) {
    let first = stage.running();
    stage.engine.signal(Signal::TERM);
    stage.says("the engine is gone", |status| status.engine.is_some());
    let other = PrivateEngine::start();
    std::fs::rename(other.socket(), stage.engine.socket()).unwrap();
    let second = stage.settled(stage.history.tip);
    // The migration, too: what it did lies in a volume of the first.
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    assert_eq!(second["app1.dev-migrate"].1, "exited");
    let ids = |running: &Running| running.values().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    assert!(ids(&second).iter().all(|id| !ids(&first).contains(id)));
    for id in ids(&second) {
        stage.docker(&["rm", "-f", &id]);
    }
    drop(other);
    stage.engine.restart();
    let back = stage.settled(stage.history.tip);
    assert_eq!(first.keys().collect::<Vec<_>>(), back.keys().collect::<Vec<_>>());
    // All are kept, but for those that the engine itself says it cannot start any more.
    let log = stage.log();
    for (name, (id, _)) in &first {
        let lost = || log.contains(&format!("task {id}: already exists"));
        assert!(&back[name].0 == id || lost(), "{name} {id} was made anew for nothing\n{log}");
    }
}
