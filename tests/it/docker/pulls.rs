//! The engine's own pulls from hubs that lie, break off, lead elsewhere or prove nothing, and onto a
//! disk that ends: FAULTS 14, 21 to 24.

use serde_json::json;
use tidegate::clients::docker::{
    DockerError, DockerErrorKind, DockerRead, DockerWrite, RegistryAuth,
};
use tidegate::clients::registry::RegistryOptions;
use tidegate::model::{Hub, ImageReference};

use crate::registry::hub::{TestHub, certificates, plain, start};
use crate::support::engine::{PrivateEngine, STRANGE};
use crate::support::front::{Act, Front};
use crate::support::images::{PushedImage, open, push};

/// `canary`, by bcrypt.
const HTPASSWD: &str = "alice:$2b$04$731RjZca/Bhpv74bXpCb8epntkBpNqgdZ0auvzIrRE7X3tQpf4EQG\n";
const PASSWORD: &str = "canary-hub-9f3b27";

async fn pushed(hub: &TestHub, options: RegistryOptions) -> PushedImage {
    let name: Hub = hub.authority.parse().unwrap();
    push(&name, "app1/web", json!({ "Cmd": ["true"] }), options).await
}

/// The same image at another address.
fn at(authority: &str, image: &PushedImage) -> ImageReference {
    ImageReference { hub: authority.parse().unwrap(), ..image.reference.clone() }
}

/// Whether the engine holds any image.
async fn has_image(engine: &PrivateEngine, image: &ImageReference) -> bool {
    engine.client().image(&image.to_string()).await.unwrap().is_some()
}

async fn fails(engine: &PrivateEngine, image: &ImageReference) -> DockerError {
    let error = engine.client().pull(image, None).await.unwrap_err();
    assert!(!has_image(engine, image).await, "{error}");
    error
}

#[tokio::test]
async fn a_hubs_wrong_bytes_never_become_an_image_and_broken_ones_are_fetched_on() {
    let hub = plain();
    let image = pushed(&hub, open()).await;
    let engine = PrivateEngine::start();
    let config = image.image_id.to_string();

    // Other bytes for a layer, and for the configuration, whose digests the manifest names.
    for (what, is_it) in [("a layer", false), ("the configuration", true)] {
        let wanted = config.clone();
        let liar = Front::new(&hub.authority, move |_, head| {
            let is_blob = head.starts_with("GET") && head.contains("/blobs/");
            let lies = is_blob && head.contains(&wanted) == is_it;
            if lies { Act::say("200 OK", "", "other bytes") } else { Act::Pass }
        });
        let error = fails(&engine, &at(&liar.authority, &image)).await;
        assert_eq!(error.kind, DockerErrorKind::Registry, "{what}: {error}");
        assert!(!liar.seen("/blobs/").is_empty(), "{what} was asked for");
    }

    // A layer that breaks off: the engine asks on, and takes nothing for whole that is not.
    let wanted = config.clone();
    let n_cut = std::sync::atomic::AtomicU32::new(0);
    let breaker = Front::new(&hub.authority, move |_, head| {
        let is_layer = head.starts_with("GET") && head.contains("/blobs/");
        let cuts = is_layer && !head.contains(&wanted);
        let again = cuts && n_cut.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 1;
        if again { Act::Cut(100_000) } else { Act::Pass }
    });
    let broken = at(&breaker.authority, &image);
    engine.client().pull(&broken, None).await.unwrap();
    assert!(has_image(&engine, &broken).await);
    assert!(breaker.seen("/blobs/").len() >= 3, "{:?}", breaker.seen("/blobs/"));
}

#[tokio::test]
async fn a_disk_that_ends_within_a_pull_leaves_no_image_and_the_next_pull_succeeds() {
    let hub = plain();
    let image = pushed(&hub, open()).await;
    let engine = PrivateEngine::with_store("32m");
    // In the download, and while it is unpacked.
    for left in ["8K", "200K", "1M", "2500K"] {
        engine.fill_store_but(left);
        let error = fails(&engine, &image.reference).await;
        assert_eq!(error.kind, DockerErrorKind::Engine, "{left}: {error}");
        assert!(error.message.contains("no space left on device"), "{left}: {error}");
        engine.empty_store();
    }
    engine.client().pull(&image.reference, None).await.unwrap();
    assert!(has_image(&engine, &image.reference).await);
}

#[tokio::test]
async fn credentials_for_a_hub_go_to_no_host_that_it_leads_a_pull_to() {
    let hub = start(|dir| {
        std::fs::write(dir.join("htpasswd"), HTPASSWD).unwrap();
        let path = dir.join("htpasswd").display().to_string();
        (String::new(), format!("auth:\n  htpasswd:\n    realm: hub\n    path: {path}\n"))
    });
    let auth = |server: &str| RegistryAuth::password(server, "alice", PASSWORD);
    let options = RegistryOptions { auth: Some(auth(&hub.authority)), ..open() };
    let image = pushed(&hub, options).await;
    // The same blobs where nobody asks for a password.
    let free = plain();
    pushed(&free, open()).await;
    let stranger = Front::new(&free.authority, |_, _| Act::Pass);
    let to = stranger.authority.replace("127.0.0.1", STRANGE[0]);
    let leader = Front::new(&hub.authority, move |_, head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        if head.starts_with("GET") && path.contains("/blobs/") {
            let location = format!("Location: http://{to}{path}\r\n");
            return Act::say("307 Temporary Redirect", &location, "");
        }
        Act::Pass
    });
    let engine = PrivateEngine::start();
    let reference = at(&leader.authority, &image);
    engine.client().pull(&reference, Some(&auth(&leader.authority))).await.unwrap();
    assert!(!leader.seen("Authorization: Basic").is_empty(), "the hub itself is told");
    assert!(!stranger.seen("/blobs/").is_empty(), "the stranger was asked");
    for head in stranger.seen("") {
        assert!(!head.to_lowercase().contains("authorization"), "{head}");
    }
}

#[tokio::test]
async fn an_engine_pulls_from_nobody_who_cannot_prove_to_be_the_hub() {
    let hub = start(|dir| {
        certificates(dir);
        let at = |name: &str| dir.join(name).display().to_string();
        let (cert, key) = (at("cert.pem"), at("key.pem"));
        (format!("  tls:\n    certificate: {cert}\n    key: {key}\n"), String::new())
    });
    let ca = hub.dir.path().join("ca.pem");
    let authority = std::fs::read(&ca).unwrap();
    let image = pushed(&hub, RegistryOptions { ca: Some(authority), ..open() }).await;
    let engine = PrivateEngine::start();
    let (_, port) = hub.authority.rsplit_once(':').unwrap();
    let [right, wrong] = STRANGE.map(|address| format!("{address}:{port}"));

    let error = fails(&engine, &at(&right, &image)).await;
    assert_eq!(error.kind, DockerErrorKind::Registry, "{error}");
    assert!(error.message.contains("unknown authority"), "{error}");
    // Who says whom to believe: the machine's operator, in the engine's own folder.
    for authority in [&right, &wrong] {
        let folder = engine.dir().join("etc/certs.d").join(authority);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(&ca, folder.join("ca.crt")).unwrap();
    }
    let error = fails(&engine, &at(&wrong, &image)).await;
    assert!(error.message.contains(&format!("not {}", STRANGE[1])), "another's name: {error}");
    engine.client().pull(&at(&right, &image), None).await.unwrap();

    // No TLS at all: nothing is asked in the clear.
    let clear = plain();
    pushed(&clear, open()).await;
    let error =
        fails(&engine, &at(&clear.authority.replace("127.0.0.1", STRANGE[0]), &image)).await;
    assert!(error.message.contains("HTTP response to HTTPS client"), "{error}");
}
