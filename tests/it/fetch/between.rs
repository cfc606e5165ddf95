//! What stands between a node and its repository: a proxy, and doors to elsewhere.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use tidegate::clients::git::{FailureKind, GitError};
use tidegate::config::Remote;

use crate::fetch::{Bench, check_adoption, remote, write_secret};
use crate::support::git_fake::Fake;
use crate::support::git_server::Https;

const PASSWORD: &str = "bob:secret";

/// A server with TLS and a password, and how to be let in.
async fn server(bench: &Bench) -> (Https, Remote) {
    let https = Https::start(bench.path(), bench.path(), PASSWORD).await;
    let credentials = bench.path().join("credentials");
    write_secret(&credentials, PASSWORD);
    let url = format!("https://127.0.0.1:{}/origin.git", https.server.port);
    let remote =
        Remote { ca: Some(https.ca.clone()), credentials: Some(credentials), ..remote(&url) };
    (https, remote)
}

/// What was asked of it, connection by connection.
type Asked = Arc<Mutex<Vec<String>>>;

/// Bytes up to the empty line that ends a request.
fn head(stream: &mut TcpStream) -> String {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Either side may hang up first.
    let _ended = std::io::copy(&mut from, &mut to);
    let _told = to.shutdown(std::net::Shutdown::Write);
}

/// A proxy that tunnels to this machine's ports.
fn proxy() -> (Fake, Asked) {
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let fake = Fake::start(move |client| {
        let head = head(client);
        let target = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
        kept.lock().unwrap().push(head);
        let Ok(mut server) = TcpStream::connect(target) else { return };
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (back, out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let answers = std::thread::spawn(move || copy(back, out));
        copy(client.try_clone().unwrap(), server.try_clone().unwrap());
        let _flushed = server.flush();
        answers.join().unwrap();
    });
    (fake, asked)
}

#[tokio::test]
async fn a_proxy_carries_the_tunnel_and_sees_no_password() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    let (https, direct) = server(&bench).await;
    let (proxy, asked) = proxy();
    let through =
        Remote { proxy: Some(format!("http://127.0.0.1:{}", proxy.port)), ..direct.clone() };
    let fetched = bench.fetch(&through).await.unwrap();
    check_adoption(&bench, fetched, tip);
    let asked = asked.lock().unwrap();
    let tunnel = format!("CONNECT 127.0.0.1:{} ", https.server.port);
    assert!(!asked.is_empty() && asked.iter().all(|head| head.starts_with(&tunnel)), "{asked:?}");
    assert!(asked.iter().all(|head| !head.to_lowercase().contains("authorization")), "{asked:?}");
}

/// A port is no identity, a certificate is: another port of the host is followed where it shows the
/// host's own, and sees no password where it does not.
#[tokio::test]
async fn a_redirect_to_another_port_needs_the_hosts_own_certificate() {
    let bench = Bench::new();
    bench.origin.commit("prd", "a", "one");
    let (https, good) = server(&bench).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let thief = Https::start(elsewhere.path(), bench.path(), PASSWORD).await;
    let through = |port: u16| {
        let url = format!("https://127.0.0.1:{}/https/{port}/origin.git", https.server.port);
        Remote { url: url.parse().unwrap(), ..good.clone() }
    };
    bench.fetch(&through(https.server.port)).await.unwrap();
    let error = bench.fetch_error(&through(thief.server.port)).await;
    let certificate = FailureKind::Certificate;
    assert!(matches!(&error, GitError::Refused { kind, .. } if *kind == certificate), "{error:?}");
}

#[tokio::test]
async fn a_redirect_out_of_tls_is_not_followed() {
    let bench = Bench::new();
    bench.origin.commit("prd", "a", "one");
    let (https, good) = server(&bench).await;
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let thief = Fake::start(move |client| kept.lock().unwrap().push(head(client)));
    let url = format!("https://127.0.0.1:{}/http/{}/origin.git", https.server.port, thief.port);
    let error = bench.fetch_error(&Remote { url: url.parse().unwrap(), ..good }).await.to_string();
    assert!(error.contains("redirect"), "{error}");
    assert!(asked.lock().unwrap().is_empty(), "{asked:?}");
}
