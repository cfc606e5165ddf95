//! Stand-ins at a Unix socket: a proxy that notes requests and can hang one, a server of canned
//! answers.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

/// Passes everything on to an engine, except requests that contain `hang`.
pub(crate) struct Proxy {
    dir: TempDir,
    seen: Arc<Mutex<Vec<String>>>,
    hang: Arc<Mutex<Option<String>>>,
}

impl Proxy {
    pub(crate) fn start(engine: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("tg-").tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("p.sock")).unwrap();
        let proxy = Self { dir, seen: Arc::default(), hang: Arc::default() };
        let (seen, hang, engine) = (proxy.seen.clone(), proxy.hang.clone(), engine.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&engine) else { continue };
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || copy(from, to, |_| true));
                let (seen, hang) = (seen.clone(), hang.clone());
                std::thread::spawn(move || {
                    copy(client, server, |bytes| pass(bytes, &seen, &hang));
                });
            }
        });
        proxy
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("p.sock")
    }

    /// Requests that contain this are never answered.
    pub(crate) fn hang(&self, text: &str) {
        *self.hang.lock().unwrap() = Some(text.to_owned());
    }

    /// Request lines since the last time.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn pass(bytes: &[u8], seen: &Mutex<Vec<String>>, hang: &Mutex<Option<String>>) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default().to_owned();
    let hangs = hang.lock().unwrap().as_ref().is_some_and(|needle| line.contains(needle));
    seen.lock().unwrap().push(line);
    !hangs
}

fn copy(mut from: UnixStream, mut to: UnixStream, pass: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if pass(&buffer[..count]) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Answers each request by the first entry whose text its request line contains, and closes.
pub(crate) struct Canned {
    dir: TempDir,
}

impl Canned {
    pub(crate) fn start(answers: Vec<(&'static str, String)>) -> Self {
        let dir = tempfile::Builder::new().prefix("tg-").tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("c.sock")).unwrap();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut buffer = vec![0; 64 << 10];
                let count = client.read(&mut buffer).unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let line = text.lines().next().unwrap_or_default();
                let answer = answers.iter().find(|(needle, _)| line.contains(needle));
                let _ = client.write_all(answer.map_or("", |(_, answer)| answer).as_bytes());
            }
        });
        Self { dir }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("c.sock")
    }
}

/// An HTTP answer.
pub(crate) fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
