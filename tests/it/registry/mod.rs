//! The registry client against real registries.

pub(crate) mod hub;
mod pins;
mod tokens;

use std::io::{Read, Write};
use std::net::TcpListener;

use tidegate::clients::docker::RegistryAuth;
use tidegate::clients::registry::{
    Document, ManifestReference, PlainHttp, Platform, RegistryClient, RegistryErrorKind,
    RegistryOptions, RegistryRead, RegistryWrite, resolve,
};
use tidegate::config::HubSettings;
use tidegate::hub::open_hub;
use tidegate::model::{Digest, Hub, RepositoryPath};

use crate::registry::hub::{TestHub, certificates, free_port, plain, start};

/// `secret`, by bcrypt.
const HTPASSWD: &str = "alice:$2b$04$731RjZca/Bhpv74bXpCb8eBk/FOwIDNTKOi8L6/xYjQo5zLmz9g32\n";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn options() -> RegistryOptions {
    RegistryOptions { plain_http: PlainHttp::Loopback, ca: None, auth: None }
}

pub(crate) fn auth(server: &str, password: &str) -> RegistryAuth {
    RegistryAuth::password(server, "alice", password)
}

pub(crate) fn client(hub: &TestHub, options: RegistryOptions) -> RegistryClient {
    RegistryClient::new(&hub.authority.parse::<Hub>().unwrap(), options).unwrap()
}

pub(crate) fn web() -> RepositoryPath {
    "app1/web".parse().unwrap()
}

fn tag(name: &str) -> ManifestReference {
    ManifestReference::Tag(name.to_owned())
}

fn document(media_type: &str, json: &serde_json::Value) -> Document {
    let bytes = serde_json::to_vec(json).unwrap();
    Document { media_type: media_type.to_owned(), digest: Digest::of(&bytes), bytes }
}

/// Pushes an image whose configuration is `config`; returns its manifest's and its own digest.
pub(crate) async fn push_image(
    client: &RegistryClient,
    config: &str,
    name: Option<&str>,
) -> (Digest, Digest) {
    let layer = client.push_blob(&web(), b"layer".to_vec()).await.unwrap();
    let image_id = client.push_blob(&web(), config.as_bytes().to_vec()).await.unwrap();
    let manifest = document(
        MANIFEST,
        &serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json",
                        "digest": image_id, "size": config.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar",
                         "digest": layer, "size": 5 }],
        }),
    );
    client.push_manifest(&web(), &manifest, name).await.unwrap();
    (manifest.digest, image_id)
}

#[tokio::test]
async fn a_tag_and_a_digest_resolve_to_the_same_image() {
    let hub = plain();
    let client = client(&hub, options());
    let (digest, image_id) = push_image(&client, "{\"os\":\"linux\"}", Some("1.4.2")).await;
    for reference in [tag("1.4.2"), ManifestReference::Digest(digest)] {
        let image = resolve(&client, &web(), &reference, &Platform::own()).await.unwrap();
        assert_eq!((image.digest, image.manifest, image.image_id), (digest, digest, image_id));
    }
    let error = resolve(&client, &web(), &tag("none"), &Platform::own()).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn an_index_resolves_to_the_platforms_image_and_keeps_its_own_digest() {
    let hub = plain();
    let client = client(&hub, options());
    let (amd64, amd64_id) = push_image(&client, "{\"for\":\"amd64\"}", None).await;
    let (arm64, arm64_id) = push_image(&client, "{\"for\":\"arm64\"}", None).await;
    let entry = |digest: Digest, architecture: &str| {
        serde_json::json!({ "mediaType": MANIFEST, "digest": digest, "size": 1,
                            "platform": { "os": "linux", "architecture": architecture } })
    };
    let index = document(
        INDEX,
        &serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX,
                             "manifests": [entry(amd64, "amd64"), entry(arm64, "arm64")] }),
    );
    client.push_manifest(&web(), &index, Some("multi")).await.unwrap();
    for (platform, manifest, image_id) in
        [("linux/amd64", amd64, amd64_id), ("linux/arm64", arm64, arm64_id)]
    {
        let wanted: Platform = platform.parse().unwrap();
        let image = resolve(&client, &web(), &tag("multi"), &wanted).await.unwrap();
        assert_eq!(
            (image.digest, image.manifest, image.image_id),
            (index.digest, manifest, image_id),
            "{platform}"
        );
    }
    let other = "linux/s390x".parse().unwrap();
    let error = resolve(&client, &web(), &tag("multi"), &other).await.unwrap_err();
    assert!(error.message.contains("linux/amd64, linux/arm64"), "{error}");
}

/// A hub that lets in alice alone, whose password is `secret`.
pub(crate) fn guarded() -> TestHub {
    start(|dir| {
        let file = dir.join("htpasswd");
        std::fs::write(&file, HTPASSWD).unwrap();
        let top = format!("auth:\n  htpasswd:\n    realm: hub\n    path: {}\n", file.display());
        (String::new(), top)
    })
}

#[tokio::test]
async fn basic_credentials_open_their_own_hub_alone() {
    let hub = guarded();
    let with = |auth| client(&hub, RegistryOptions { auth, ..options() });
    push_image(&with(Some(auth(&hub.authority, "secret"))), "{}", Some("1")).await;
    for (case, auth) in [
        ("none", None),
        ("wrong", Some(auth(&hub.authority, "guess"))),
        ("for another hub", Some(auth("dckhub.prd", "secret"))),
    ] {
        let error = with(auth).manifest(&web(), &tag("1")).await.unwrap_err();
        assert_eq!(error.kind, RegistryErrorKind::Unauthorized, "{case}: {error}");
        assert!(!format!("{error:?}").contains("guess"), "{case}");
    }
}

/// Answers one request with 401 and gives its head.
fn listen_once(listener: TcpListener) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).unwrap();
        String::from_utf8(head).unwrap()
    })
}

fn token_hub(realm: &str) -> TestHub {
    let realm = realm.to_owned();
    start(move |dir| {
        certificates(dir);
        let top = format!(
            "auth:\n  token:\n    realm: {realm}\n    service: hub\n    issuer: lab\n    \
             rootcertbundle: {}/ca.pem\n",
            dir.display()
        );
        (String::new(), top)
    })
}

#[tokio::test]
async fn credentials_never_go_to_a_foreign_auth_realm() {
    // `localhost` is not the hub's `127.0.0.1`, so it is as foreign as any other name.
    for (host, sent) in [("localhost", false), ("127.0.0.1", true)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let hub = token_hub(&format!("http://{host}:{port}/token"));
        let received = listen_once(listener);
        let own = Some(auth(&hub.authority, "secret"));
        let client = client(&hub, RegistryOptions { auth: own, ..options() });
        let error = client.manifest(&web(), &tag("1")).await.unwrap_err();
        let head = received.join().unwrap();
        assert!(head.contains("scope=repository%3Aapp1%2Fweb%3Apull"), "{head}");
        assert_eq!(head.to_lowercase().contains("authorization:"), sent, "{host}: {head}");
        let kind =
            if sent { RegistryErrorKind::Unauthorized } else { RegistryErrorKind::ForeignRealm };
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn credentials_never_follow_a_redirect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let to = target.local_addr().unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        let answer =
            format!("HTTP/1.1 307 T\r\nLocation: http://{to}/x\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let hub: Hub = authority.parse().unwrap();
    let own = Some(auth(&authority, "secret"));
    let client = RegistryClient::new(&hub, RegistryOptions { auth: own, ..options() }).unwrap();
    let error = client.manifest(&web(), &tag("1")).await.unwrap_err();
    server.join().unwrap();
    assert_eq!(error.kind, RegistryErrorKind::Malformed, "{error}");
    assert!(target.accept().is_err(), "the redirect was followed");
}

#[tokio::test]
async fn tls_needs_the_private_ca() {
    let hub = start(|dir| {
        certificates(dir);
        let at = dir.display();
        let http = format!("  tls:\n    certificate: {at}/cert.pem\n    key: {at}/key.pem\n");
        (http, String::new())
    });
    let ca = std::fs::read(hub.dir.path().join("ca.pem")).unwrap();
    let good = client(&hub, RegistryOptions { ca: Some(ca), ..options() });
    push_image(&good, "{}", Some("1")).await;
    assert!(good.manifest(&web(), &tag("1")).await.unwrap().is_some());
    // Another authority of the same name does not vouch for this hub.
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let ca = std::fs::read(other.path().join("ca.pem")).unwrap();
    let bad = client(&hub, RegistryOptions { ca: Some(ca), ..options() });
    let error = bad.manifest(&web(), &tag("1")).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_node_reaches_hubs_by_the_files_of_its_configuration() {
    let hub = start(|dir| {
        certificates(dir);
        let at = dir.display();
        let http = format!("  tls:\n    certificate: {at}/cert.pem\n    key: {at}/key.pem\n");
        let file = dir.join("htpasswd");
        std::fs::write(&file, HTPASSWD).unwrap();
        (http, format!("auth:\n  htpasswd:\n    realm: hub\n    path: {}\n", file.display()))
    });
    let path = |name: &str| Some(hub.dir.path().join(name));
    let auths = serde_json::json!({ "auths": {
        hub.authority.clone(): { "username": "alice", "password": "secret" },
        "dckhub.tst": { "username": "alice", "password": "another" } } });
    std::fs::write(hub.dir.path().join("hub.json"), auths.to_string()).unwrap();
    let good =
        HubSettings { credentials: path("hub.json"), ca: path("ca.pem"), token_server: None };
    let ask = async |settings: &HubSettings| {
        let hub: Hub = hub.authority.parse().unwrap();
        let client = open_hub(&hub, PlainHttp::Loopback, settings).unwrap();
        client.manifest_digest(&web(), &tag("1")).await.map_err(|error| error.kind)
    };
    assert_eq!(ask(&good).await, Ok(None));
    let nobody = HubSettings { credentials: None, ..good.clone() };
    assert_eq!(ask(&nobody).await, Err(RegistryErrorKind::Unauthorized));
    let gone = HubSettings { ca: path("gone.pem"), ..good };
    let error = open_hub(&"hub".parse().unwrap(), PlainHttp::Loopback, &gone).unwrap_err();
    assert!(error.to_string().contains("gone.pem"), "{error}");
}

/// Serves `body` once for whatever is asked, as a manifest.
fn serve_once(body: Vec<u8>, length: usize) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\nContent-Length: {length}\r\n\r\n"
        );
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.write_all(&body);
    });
    (authority, server)
}

#[tokio::test]
async fn another_manifest_truncated_or_endless_is_refused() {
    let wanted = ManifestReference::Digest(Digest::of(b"what was asked for"));
    for (case, body, length, kind) in [
        ("another", b"{}".to_vec(), 2, RegistryErrorKind::Malformed),
        ("truncated", b"{".to_vec(), 100, RegistryErrorKind::Unreachable),
        ("endless", vec![b' '; 5 << 20], 1 << 40, RegistryErrorKind::Malformed),
    ] {
        let (authority, server) = serve_once(body, length);
        let hub: Hub = authority.parse().unwrap();
        let client = RegistryClient::new(&hub, options()).unwrap();
        let error = client.manifest(&web(), &wanted).await.unwrap_err();
        assert_eq!(error.kind, kind, "{case}: {error}");
        drop(client);
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_hub_that_is_down_is_unreachable() {
    let hub: Hub = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let client = RegistryClient::new(&hub, options()).unwrap();
    let error = client.manifest(&web(), &tag("1")).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Unreachable, "{error}");
}
