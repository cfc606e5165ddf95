//! A real registry for one test: its own folder, a free port on loopback, ended on drop.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) struct TestHub {
    process: Child,
    pub(crate) authority: String,
    pub(crate) dir: TempDir,
}

impl Drop for TestHub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl TestHub {
    /// Sends it a signal, by its process id.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a registry; `extra` gets its folder and gives further configuration: `http:` keys
/// indented by two, then whatever stands at the top.
pub(crate) fn start(extra: impl Fn(&Path) -> (String, String)) -> TestHub {
    let dir = TempDir::new().unwrap();
    let port = free_port();
    let (http, top) = extra(dir.path());
    let storage = dir.path().join("data");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: 127.0.0.1:{port}\n{http}{top}",
        storage.display()
    );
    let config = dir.path().join("config.yml");
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let process = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .env("OTEL_TRACES_EXPORTER", "none")
        .spawn()
        .unwrap();
    let hub = TestHub { process, authority: format!("127.0.0.1:{port}"), dir };
    let since = Instant::now();
    while std::net::TcpStream::connect(&hub.authority).is_err() {
        let log = || std::fs::read_to_string(hub.dir.path().join("log")).unwrap();
        assert!(since.elapsed() < Duration::from_secs(20), "the hub does not start: {}", log());
        park(Duration::from_millis(20));
    }
    hub
}

/// A hub without authentication.
pub(crate) fn plain() -> TestHub {
    start(|_| (String::new(), String::new()))
}

/// Makes an authority and a certificate for 127.0.0.1 and 198.51.100.1 in `dir`: `ca.pem`,
/// `cert.pem`, `key.pem`.
pub(crate) fn certificates(dir: &Path) {
    let run = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    let args = |rest: &'static str| -> Vec<&'static str> {
        new.split(' ').chain(rest.split(' ')).collect()
    };
    run(&args("-x509 -keyout ca.key -out ca.pem -subj /CN=lab"));
    run(&args(
        "-x509 -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem -subj /CN=hub \
               -addext subjectAltName=IP:127.0.0.1,IP:198.51.100.1",
    ));
}
