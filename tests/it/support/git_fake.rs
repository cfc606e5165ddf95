//! A server that speaks just enough of Git's protocol to be hostile in it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// The tip that every fake shows.
pub(crate) const TIP: &str = "0123456789abcdef0123456789abcdef01234567";

/// A listener whose connections each get a thread, which ends with the test's process.
pub(crate) struct Fake {
    pub(crate) port: u16,
}

impl Fake {
    pub(crate) fn start(serve: impl Fn(&mut TcpStream) + Send + Sync + Clone + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(&mut stream));
            }
        });
        Self { port }
    }
}

/// Holds the connection and says nothing.
pub(crate) fn pause() {
    std::thread::park_timeout(Duration::from_secs(60));
}

/// One line of Git's framing.
pub(crate) fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

/// Reads until the client has said all that it says before an answer.
pub(crate) fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while !seen.ends_with(end) {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(n) => seen.extend_from_slice(&chunk[..n]),
        }
    }
}

/// Shows one branch, `prd`, and goes on to where the pack begins.
pub(crate) fn pack_start(stream: &mut TcpStream) {
    read_until(stream, b"\0");
    let shown = packet(&format!("{TIP} refs/heads/prd\0agent=x\n"));
    stream.write_all(format!("{shown}0000").as_bytes()).unwrap();
    read_until(stream, b"0009done\n");
    stream.write_all(packet("NAK\n").as_bytes()).unwrap();
}
