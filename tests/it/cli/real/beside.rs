//! What happens on a real node while one service is in a health gate that lasts.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tidegate::reconcile::report::Health;

use crate::cli::real::changes::assert_same;
use crate::cli::real::stage::{APP1, Stage};

const WEB: &str = "app1.dev-web";
const SITE: &str = "app2.dev-site";
/// The gate of the scene; all that happens beside it takes a fraction of that.
const GATE_SECS: u64 = 300;

/// Makes app1's web one that is neither healthy nor unhealthy for longer than the scene lasts.
async fn enters_its_gate(stage: &mut Stage, version: &str) {
    let text = APP1.replace("retries = 2", "retries = 1000");
    let timeout = format!("health_timeout = \"{GATE_SECS}s\"");
    stage.write_service("app1", "role=web", &text.replace("health_timeout = \"120s\"", &timeout));
    stage.release("web", version, "starting").await;
    stage
        .until("the new version is in its gate", |stage| in_its_gate(stage, version).then_some(()));
}

fn in_its_gate(stage: &Stage, version: &str) -> bool {
    let running = stage.running();
    let is_new = running.get(WEB).is_some_and(|(_, state)| state == "running");
    let env = || stage.inspect(WEB)["Config"]["Env"].to_string();
    is_new && running.len() == 6 && env().contains(&format!("VERSION={version}"))
}

#[tokio::test]
async fn a_gate_that_lasts_holds_up_nothing_but_its_service() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    enters_its_gate(&mut stage, "1.1.0").await;
    let gated = stage.running();

    // Drift of another service.
    stage.docker(&["rm", "-f", SITE]);
    stage.until("the other service is back", |stage| stage.version(SITE));
    assert_same(&gated, &stage.running(), &[SITE]);

    // A commit to another service.
    let commit = stage.release("job", "1.1.0", "good").await;
    stage.until("the other service is new", |stage| {
        let is_new = stage.version("app3.dev-job").as_deref() == Some("1.1.0");
        (is_new && !stage.running().keys().any(|name| name.starts_with("app3.dev-job.old-")))
            .then_some(())
    });
    stage.says("it is said", |status| status.revision.verified == Some(commit));
    assert_same(&gated, &stage.running(), &[SITE, "app3.dev-job"]);

    // An operator: answered at once, for what was asked.
    let said = stage.run(&["apply", "app2", "--timeout", "60s"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = stage.run(&["suspend", "app1", "--reason", "a look by hand"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    stage.says("the work is set aside", |s| s.services["app1"].health == Health::Suspended);
    assert!(in_its_gate(&stage, "1.1.0"), "{:#?}", stage.running());
    let said = stage.run(&["resume", "app1"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);

    // The end: within seconds, although the gate has minutes left; then it goes on.
    let since = Instant::now();
    assert_eq!(stage.end_agent(Signal::TERM), Some(0), "{}", stage.log());
    assert!(since.elapsed() < Duration::from_secs(GATE_SECS / 10), "{:?}", since.elapsed());
    assert!(in_its_gate(&stage, "1.1.0"));
    stage.start_agent();

    // A commit to the service itself: nothing is held against the version that it replaces.
    let commit = stage.release("web", "1.2.0", "good").await;
    stage.settled(commit);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.2.0"));
    assert_eq!(stage.running().len(), 5);
    let said = stage.run(&["history", "--limit", "0"]);
    assert!(!said.out.contains("failed"), "{}", said.out);
    assert_eq!(stage.end_agent(Signal::TERM), Some(0));
}
