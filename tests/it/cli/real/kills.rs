//! The agent killed at every event of a rollout, and while it recovers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::cli::real::changes::assert_same;
use crate::cli::real::stage::Stage;

const WEB: &str = "app1.dev-web";
/// Events of containers and images in one rollout.
const POINTS: usize = 9;

/// The engine's events, as they come.
struct Events {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Events {
    fn listen(stage: &Stage) -> Self {
        let host = format!("unix://{}", stage.engine.socket().display());
        let mut command = Command::new("docker");
        command.args(["-H", &host, "events", "--since", "0s", "--format"]);
        command.args(["{{.Type}} {{.Action}}", "--filter", "type=container"]);
        command.args(["--filter", "type=image"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next that is not about a health check's own process.
    fn next(&mut self) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| !line.contains("exec_")).unwrap()
    }

    /// The first so many of a rollout, which begins with a pull: pull, rename, create, kill, die,
    /// stop, start, healthy, destroy.
    fn of_the_rollout(&mut self, count: usize) -> Vec<String> {
        while self.next() != "image pull" {}
        std::iter::once("image pull".to_owned())
            .chain(std::iter::repeat_with(|| self.next()))
            .take(count)
            .collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn an_agent_killed_at_any_event_of_a_rollout_converges_and_loses_nothing() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    let mut before = stage.settled(stage.history.tip);
    for point in 1..=POINTS {
        let old = stage.running()[WEB].0.clone();
        let version = format!("2.{point}.0");
        let mut events = Events::listen(&stage);
        let commit = stage.release("web", &version, "good").await;
        let seen: Vec<String> = events.of_the_rollout(point);
        stage.end_agent(Signal::KILL);
        // The old one is there still, or the new one has taken its place and is well.
        let there = stage.running().values().any(|(id, _)| *id == old);
        assert!(there || stage.version(WEB).as_deref() == Some(&version), "{seen:?}");
        if point % 3 == 0 {
            // Nested: killed while it recovers.
            stage.start_agent();
            let seen = stage.running();
            stage.until("it recovers", |stage| {
                let done = stage.status().is_some_and(|s| s.revision.applied == Some(commit));
                (done || stage.running() != seen).then_some(())
            });
            stage.end_agent(Signal::KILL);
        }
        stage.start_agent();
        let after = stage.settled(commit);
        assert_eq!(stage.version(WEB).as_deref(), Some(version.as_str()), "{seen:?}");
        assert_same(&before, &after, &[WEB]);
        before = after;
    }
    // Asked to end, it ends with its step, and the next one goes on.
    let mut events = Events::listen(&stage);
    let commit = stage.release("web", "3.0.0", "good").await;
    events.of_the_rollout(3);
    assert_eq!(stage.end_agent(Signal::TERM), Some(0), "{}", stage.log());
    stage.start_agent();
    assert_same(&before, &stage.settled(commit), &[WEB]);
    assert_eq!(stage.end_agent(Signal::TERM), Some(0));
    let said = stage.run(&["history", "--verify"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}
