//! An engine whose image store is full.

use crate::cli::real::stage::Stage;
use crate::support::engine::PrivateEngine;

const WEB: &str = "app1.dev-web";

#[tokio::test]
async fn a_full_image_store_keeps_what_runs_and_is_said_until_there_is_room() {
    let mut stage = Stage::on(PrivateEngine::with_store("64m")).await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    let before = stage.running();
    stage.engine.fill_store();
    let commit = stage.release("web", "1.1.0", "good").await;
    let status = stage.says("it is said", |status| {
        let reason = &status.services["app1"].reason;
        status.revision.verified == Some(commit) && reason.contains("no space left on device")
    });
    assert_ne!(status.revision.applied, Some(commit));
    assert_eq!(stage.running(), before);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.0.0"));
    stage.engine.empty_store();
    stage.settled(commit);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.1.0"));
}
