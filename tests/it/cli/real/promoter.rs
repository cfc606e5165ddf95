//! A promoter brings an image, and another node, on a real engine, goes on by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate::clients::registry::{ManifestReference, RegistryRead as _};
use tidegate::model::Hub;

use crate::cli::hub::{Agent, Lines};
use crate::cli::support::run;
use crate::copy::{client, path};
use crate::registry::hub::{free_port, plain};
use crate::support::engine::PrivateEngine;
use crate::support::images::{open, push};

/// A waiting node asks again at least every minute.
const WAIT_SECS_MAX: u64 = 150;

#[tokio::test]
async fn a_node_waits_for_an_image_and_goes_on_by_itself_when_the_promoter_has_brought_it() {
    let (dev, tst) = (plain(), plain());
    let hub: Hub = dev.authority.parse().unwrap();
    let config = json!({ "Cmd": ["sleep", "6000"], "Env": ["PATH=/bin"] });
    let image = push(&hub, "app1/web", config, open()).await;
    let reference = ManifestReference::Digest(image.reference.digest);
    let web = client(&dev.authority).manifest(&path("app1/web"), &reference).await.unwrap();
    let at = (dev.authority.clone(), tst.authority.clone());
    let lines = Lines::wanting((dev, &at.0), (tst, &at.1), web.unwrap());
    let engine = PrivateEngine::start();
    let docker = |args: &[&str]| {
        let socket = format!("unix://{}", engine.socket().display());
        let output = Command::new("docker").args(["--host", &socket]).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let until = |what: &str, look: &dyn Fn() -> bool, told: &dyn Fn() -> String| {
        let since = Instant::now();
        while !look() {
            assert!(since.elapsed() < Duration::from_secs(WAIT_SECS_MAX), "{what}: {}", told());
            std::thread::park_timeout(Duration::from_millis(200));
        }
    };
    let _waiting = Agent::start(&lines, "n2", &engine.socket().display().to_string());
    let status = || {
        let said = run(lines.dir.path(), ["--config", "n2.toml", "status", "-o", "json"]);
        said.out + &said.err
    };
    until("it does not wait", &|| status().contains("an image is not there yet"), &status);
    assert_eq!(docker(&["ps", "--quiet"]), "");
    // The promoter has no engine: copying needs none.
    let nowhere = format!("/nowhere-{}.sock", free_port());
    let _promoter = Agent::start(&lines, "n1", &nowhere);
    let ps = ["ps", "--format", "{{.Names}} {{.Image}}"];
    let is_there = || docker(&ps).contains(&format!("app1.tst-web {}/app1/web", at.1));
    until("it does not go on", &is_there, &status);
    let running = docker(&["inspect", "--format", "{{.Image}}", "app1.tst-web"]);
    // An engine that keeps images in containerd has the manifest's digest for an id.
    let ids = [image.image_id, image.reference.digest].map(|id| id.to_string());
    assert!(ids.contains(&running.trim().to_owned()), "{running}: {ids:?}");
}
