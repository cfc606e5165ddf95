//! What engines and hubs do when they fail: FAULTS 8, 9, 12, 20 to 22.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::json;
use tidegate::clients::docker::{
    CreateContainer, DockerClient, DockerErrorKind, DockerEvents, DockerRead, DockerWrite,
    RegistryAuth,
};
use tidegate::clients::registry::RegistryOptions;
use tidegate::model::{Digest, Hub, ImageReference};

use crate::registry::hub::{plain, start};
use crate::support::engine::PrivateEngine;
use crate::support::images::{open, push};
use crate::support::socket::{Canned, answer};

/// `secret`, by bcrypt.
const HTPASSWD: &str = "alice:$2b$04$731RjZca/Bhpv74bXpCb8eBk/FOwIDNTKOi8L6/xYjQo5zLmz9g32\n";

fn client(socket: &std::path::Path) -> DockerClient {
    DockerClient::new(&socket.display().to_string()).unwrap()
}

#[tokio::test]
async fn a_missing_engine_is_said_to_be_missing() {
    let error = client("/nowhere/docker.sock".as_ref()).containers().await.unwrap_err();
    assert_eq!(error.kind, DockerErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains("no Docker engine answers at /nowhere/docker.sock"), "{text}");
    assert!(DockerClient::new("tcp://10.0.0.1:2375").is_err());
}

#[tokio::test]
async fn a_stopped_engine_runs_into_the_deadline_and_a_restarted_one_is_found_again() {
    let mut engine = PrivateEngine::start();
    let client = engine.client();
    assert!(client.containers().await.unwrap().is_empty());
    engine.signal(Signal::STOP);
    // The signal takes a moment to reach all its threads.
    let error = loop {
        if let Err(error) = client.containers().await {
            break error;
        }
    };
    assert_eq!(error.kind, DockerErrorKind::Timeout, "{error}");
    engine.signal(Signal::CONT);
    assert!(client.containers().await.unwrap().is_empty());
    engine.restart();
    assert!(client.containers().await.unwrap().is_empty(), "on a new connection");
    let info = client.info().await.unwrap();
    assert_eq!((info.os.as_str(), info.id.is_empty()), ("linux", false));
}

#[tokio::test]
async fn garbage_and_refusals_are_told_apart() {
    let version = answer(200, r#"{"ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#);
    let huge = format!("HTTP/1.1 200 X\r\nContent-Length: 99999999\r\n\r\n{}", "x".repeat(1000));
    let progress = "{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"unexpected EOF\"}}";
    let canned = Canned::start(vec![
        ("/_ping", answer(200, "OK")),
        ("/version", version),
        ("/containers/json", answer(200, r#"[{"Id":"a","State":"odd","Names":["/x"]}, 7, {}]"#)),
        ("/containers/create?name=taken", answer(409, r#"{"message":"name in use"}"#)),
        ("/containers/create?name=noimage", answer(404, r#"{"message":"No such image: x"}"#)),
        ("/containers/broken", answer(500, r#"{"message":"disk on fire"}"#)),
        ("/containers/garbage", answer(200, "<html>")),
        ("/containers/empty", answer(200, "{}")),
        ("/containers/gone", answer(404, r#"{"message":"No such container"}"#)),
        ("/containers/cut", huge),
        ("/images/create", answer(200, progress)),
        ("/start", answer(304, "")),
    ]);
    let client = client(&canned.socket());
    let listed = client.containers().await.unwrap();
    assert_eq!(listed.len(), 1, "one row that cannot be read hides no other");
    for (name, kind) in [
        ("broken", DockerErrorKind::Engine),
        ("garbage", DockerErrorKind::Malformed),
        ("empty", DockerErrorKind::Malformed),
        ("cut", DockerErrorKind::Interrupted),
        ("silent", DockerErrorKind::Interrupted),
    ] {
        let error = client.container(name).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    assert_eq!(client.container("gone").await.unwrap(), None);
    for (name, kind) in
        [("taken", DockerErrorKind::Conflict), ("noimage", DockerErrorKind::ImageMissing)]
    {
        let request = CreateContainer { name: name.into(), body: json!({}).into() };
        let error = client.create_container(&request).await.unwrap_err();
        assert_eq!((error.kind, error.may_have_happened()), (kind, false), "{error}");
    }
    let error = client.pull(&reference("127.0.0.1:1"), None).await.unwrap_err();
    assert_eq!(error.kind, DockerErrorKind::Registry, "an error after 200 is an error: {error}");
    client.start(&listed[0].id).await.unwrap();
}

/// What one answer may take: half of what an agent may have (FAULTS, I14).
const ANSWER_KILOBYTES_MAX: u64 = 128 << 10;

/// A line of this process's status: what it holds, or its peak.
fn kilobytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn no_answer_of_an_engine_costs_more_memory_than_an_agent_may_have() {
    // Each just below the cap on bytes, and dozens of times as large when decoded.
    for part in ["{\"a\":0}", "[0]", "0", "{}"] {
        let count = (31 << 20) / (part.len() + 1);
        let list = format!("[{}{part}]", format!("{part},").repeat(count));
        let canned = Canned::start(vec![
            ("/_ping", answer(200, "OK")),
            ("/version", answer(200, r#"{"ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#)),
            ("/containers/json", answer(200, &list)),
        ]);
        drop(list);
        // The peak is counted from here on.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = kilobytes("VmRSS:");
        let error = client(&canned.socket()).containers().await.unwrap_err();
        assert_eq!(error.kind, DockerErrorKind::Malformed, "{part}: {error}");
        let taken = kilobytes("VmHWM:").saturating_sub(before);
        assert!(taken < ANSWER_KILOBYTES_MAX, "{part}: {taken} kB");
    }
}

#[tokio::test]
async fn an_engine_too_new_or_too_old_is_refused_with_what_to_do() {
    for (newest, oldest, wanted) in
        [("1.60", "1.50", "update Tidegate"), ("1.39", "1.12", "20.10 or newer")]
    {
        let body = format!(r#"{{"ApiVersion": "{newest}", "MinAPIVersion": "{oldest}"}}"#);
        // One that names no version in its answer to a ping is asked further.
        let ping = ("/_ping", answer(200, "OK"));
        let canned = Canned::start(vec![ping, ("/version", answer(200, &body))]);
        let error = client(&canned.socket()).containers().await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

fn reference(hub: &str) -> ImageReference {
    ImageReference {
        hub: hub.parse().unwrap(),
        repository: "app1/web".parse().unwrap(),
        digest: Digest::of(b"none"),
    }
}

/// A hub that answers every request alike, whatever it is asked.
fn stand_in(answer: String) -> Hub {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    authority.parse().unwrap()
}

#[tokio::test]
async fn pulls_succeed_by_digest_and_fail_by_name() {
    let hub = start(|dir| {
        std::fs::write(dir.join("htpasswd"), HTPASSWD).unwrap();
        let path = dir.join("htpasswd").display().to_string();
        (String::new(), format!("auth:\n  htpasswd:\n    realm: hub\n    path: {path}\n"))
    });
    let auth = |password: &str| RegistryAuth::password(&hub.authority, "alice", password);
    let name: Hub = hub.authority.parse().unwrap();
    let options = RegistryOptions { auth: Some(auth("secret")), ..open() };
    let image = push(&name, "app1/web", json!({ "Cmd": ["true"] }), options).await;
    let engine = PrivateEngine::start();
    let client = engine.client();

    client.pull(&image.reference, Some(&auth("secret"))).await.unwrap();
    let found = client.image(&image.reference.to_string()).await.unwrap().unwrap();
    let store = client.info().await.unwrap().containerd_image_store;
    let id = if store { image.reference.digest } else { image.image_id };
    assert_eq!(found.id, id.to_string());
    assert!(found.repo_digests.contains(&image.reference.to_string()));
    client.remove_image(&image.reference.to_string()).await.unwrap();
    client.remove_image(&image.reference.to_string()).await.unwrap();

    let missing = reference(&hub.authority);
    let empty = plain();
    let closed = crate::registry::hub::free_port();
    let other = r#"{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}, "layers": []}"#;
    let wrong = stand_in(format!(
        "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\
         Content-Type: application/vnd.docker.distribution.manifest.v2+json\r\nContent-Length: {}\r\n\r\n{other}",
        other.len()
    ));
    let cut = stand_in("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"schema".to_owned());
    let busy = stand_in(answer(503, "{}"));
    let spared =
        stand_in(answer(429, "{}").replace("Connection", "Retry-After: 3600\r\nConnection"));
    let denied = r#"{"errors": [{"code": "DENIED", "message": "access is denied"}]}"#;
    let closed_off = stand_in(answer(403, denied));
    for (case, image, auth, kind) in [
        ("no credentials", &image.reference, None, DockerErrorKind::Unauthorized),
        ("bad ones", &image.reference, Some(auth("canary")), DockerErrorKind::Unauthorized),
        ("no such image", &missing, Some(auth("secret")), DockerErrorKind::ImageMissing),
        ("empty hub", &reference(&empty.authority), None, DockerErrorKind::ImageMissing),
        ("no hub", &reference(&format!("127.0.0.1:{closed}")), None, DockerErrorKind::Registry),
        ("another manifest", &reference(wrong.authority()), None, DockerErrorKind::Registry),
        ("cut off", &reference(cut.authority()), None, DockerErrorKind::Registry),
        ("busy", &reference(busy.authority()), None, DockerErrorKind::Registry),
        ("too many requests", &reference(spared.authority()), None, DockerErrorKind::Registry),
        ("forbidden", &reference(closed_off.authority()), None, DockerErrorKind::Unauthorized),
        (
            "another hub's",
            &reference("127.0.0.1:9"),
            Some(auth("canary")),
            DockerErrorKind::Unauthorized,
        ),
    ] {
        let error = client.pull(image, auth.as_ref()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{case}: {error}");
        assert!(!error.to_string().contains("canary"), "{case}: {error}");
    }
    let log = std::fs::read_to_string(engine.dir().join("log")).unwrap();
    assert!(!log.contains("canary") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn events_tell_what_happens_and_end_with_the_engine() {
    let mut engine = PrivateEngine::start();
    let client = engine.client();
    let mut events = Box::pin(client.events());
    let body = json!({ "Name": "seen", "Labels": BTreeMap::from([("maker", "carol")]) });
    let (event, ()) = tokio::join!(events.next(), async {
        // The stream begins when it is first asked; what happens before is found by listing.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        client.create_network(&body).await.unwrap();
    });
    let event = event.unwrap().unwrap();
    assert_eq!((event.kind.as_str(), event.action.as_str()), ("network", "create"));
    assert_eq!(event.attributes.get("name").map(String::as_str), Some("seen"));
    engine.restart();
    while let Some(event) = events.next().await {
        drop(event);
    }
}
