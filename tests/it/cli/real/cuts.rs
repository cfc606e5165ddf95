//! A node cut off from everything outside it.

use rustix::process::Signal;

use crate::cli::real::stage::Stage;

const WEB: &str = "app1.dev-web";
const SITE: &str = "app2.dev-site";

#[tokio::test]
async fn a_node_cut_off_from_git_and_hub_heals_with_what_it_has_says_since_when_and_catches_up() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    let first = stage.settled(stage.history.tip);
    stage.image("web", "1.1.0", "good").await;
    stage.write_pins();

    // Nothing answers any more: the hub is silent, the repository gone.
    let away = stage.dir.path().join("away.git");
    stage.hub_process.signal(Signal::STOP);
    std::fs::rename(stage.origin(), &away).unwrap();
    let since = stage.says("git is gone", |status| status.git.is_some()).git.unwrap().since;
    stage.docker(&["rm", "-f", SITE]);
    stage.until("what is lost comes back without a hub", |stage| {
        let other = stage.running().get(SITE).is_some_and(|site| site.0 != first[SITE].0);
        (other && stage.version(SITE).is_some()).then_some(())
    });
    let still = stage.says("it is healed", |status| {
        status.services.values().all(|s| s.sync == tidegate::reconcile::report::Sync::Synced)
    });
    assert_eq!(still.git.unwrap().since, since, "since when, not since the last try");
    assert_eq!(stage.run(&["status"]).code, 0, "what runs is as it was wanted last");

    // Git is back first: a version whose image does not come leaves what runs as it is.
    std::fs::rename(&away, stage.origin()).unwrap();
    let commit = stage.commit("web 1.1.0");
    stage.says("git is believed", |s| s.git.is_none() && s.revision.verified == Some(commit));
    stage.docker(&["stop", SITE]);
    stage.until("others are healed meanwhile", |stage| stage.version(SITE));
    assert_eq!(stage.version(WEB).as_deref(), Some("1.0.0"));
    assert_eq!(stage.running()[WEB], first[WEB]);
    stage.hub_process.signal(Signal::CONT);
    stage.settled(commit);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.1.0"));
}
