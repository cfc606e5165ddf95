//! A private Docker engine for one test: its own folders, socket, network namespace and networks,
//! ended on drop.
//!
//! It needs root and dockerd and says so; it never uses an engine that it did not start. If the test
//! process is killed, the kernel ends the engine with it, and its bridges end with its namespace;
//! what even that leaves is ended by the next test that starts an engine.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidegate::clients::docker::DockerClient;

use crate::support::leftovers::{self, Claim};
use crate::support::relay;

/// Time an engine has to answer: eight of them may start at once on two cores.
const START_SECS_MAX: u64 = 90;

/// Holds the namespaces, whatever becomes of the daemon: a machine outlives its engine, and so do
/// its networks. `$1` is /etc/docker: engine 20.10 keeps its id there, whatever its folders, and
/// agents would take all of these engines for one. `$3` is how large its image store is, on a file
/// system of its own, or nothing. Hubs listen on the tests' loopback, which is
/// another one than in here, so connections to it are handed to a relay. [`STRANGE`] leads there,
/// too: an address that engines do not trust for being their own machine's.
const HOLD: &str = r#"set -e
mkdir -p /etc/docker
mount --bind "$1" /etc/docker
[ -z "$3" ] || mount -t tmpfs -o "size=$3" tmpfs "$4"
ip link set lo up
ip address add 198.51.100.1/32 dev lo
ip address add 198.51.100.2/32 dev lo
for at in 127.0.0.0/8 198.51.100.0/24; do
    iptables --wait -t nat -A OUTPUT -p tcp -d "$at" -j REDIRECT --to-ports "$2"
done
echo held
exec sleep infinity
"#;

/// Two addresses of documentation (RFC 5737) under which an engine of these finds the tests' hubs.
pub(crate) const STRANGE: [&str; 2] = ["198.51.100.1", "198.51.100.2"];

pub(crate) struct PrivateEngine {
    process: Child,
    /// The process that holds the namespaces.
    holder: Child,
    dir: TempDir,
    _claim: Claim,
}

impl PrivateEngine {
    /// Starts an engine and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::with_store("")
    }

    /// The same with an image store of this size, as `mount` writes it.
    pub(crate) fn with_store(size: &str) -> Self {
        let root = rustix::process::geteuid().is_root();
        let programs = ["dockerd", "setpriv", "unshare", "nsenter", "iptables", "ip"];
        assert!(
            root && programs.iter().all(|program| is_installed(program)),
            "tests on a real engine need root and Docker: run `make test` as root, or \
             `apt-get install docker.io docker-registry busybox-static iproute2 iptables`"
        );
        leftovers::end_all();
        let dir = tempfile::Builder::new().prefix(leftovers::PREFIX).tempdir().unwrap();
        let claim = Claim::on(dir.path());
        let holder = hold(dir.path(), size);
        relay::start(holder.id());
        let process = spawn(dir.path(), holder.id());
        let mut engine = Self { process, holder, dir, _claim: claim };
        engine.wait();
        engine
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("d.sock")
    }

    /// A folder on the same disk, for bind mounts and files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A client for it.
    pub(crate) fn client(&self) -> DockerClient {
        DockerClient::new(&format!("unix://{}", self.socket().display())).unwrap()
    }

    /// Leaves no byte in the image store.
    pub(crate) fn fill_store(&self) {
        self.in_store("dd if=/dev/zero of=filler bs=64k 2>/dev/null; dd if=/dev/zero of=rest bs=1");
    }

    /// Leaves this much in the image store, as `truncate` writes it.
    pub(crate) fn fill_store_but(&self, left: &str) {
        self.fill_store();
        self.in_store(&format!("truncate -s -{left} filler"));
    }

    /// Makes room again.
    pub(crate) fn empty_store(&self) {
        self.in_store("rm filler rest");
    }

    fn in_store(&self, what: &str) {
        let holder = self.holder.id().to_string();
        let what = format!("cd {} && {{ {what}; }}", self.dir.path().join("data").display());
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &holder, "sh", "-c", &what]);
        command.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    }

    /// Sends a signal to the daemon, by its process id.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.process.id()), signal).unwrap();
    }

    /// Ends the daemon and starts it again on the same folders.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.process = spawn(self.dir.path(), self.holder.id());
        self.wait();
    }

    /// Waits until it answers. One that gave up is started again, as systemd does: an engine gives its
    /// containerd 15 seconds, which a busy machine may not.
    fn wait(&mut self) {
        let since = Instant::now();
        while !self.answers() {
            let late = since.elapsed() > Duration::from_secs(START_SECS_MAX);
            assert!(!late, "no engine: {}", self.log());
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                self.process = spawn(self.dir.path(), self.holder.id());
            }
            park(Duration::from_millis(50));
        }
    }

    /// It takes connections long before it answers, and some that take them never will.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            Ok(answer.ends_with(b" 200"))
        };
        ask().unwrap_or(false)
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn end(&mut self) {
        let _ = kill_process(pid(self.process.id()), Signal::CONT);
        let _ = kill_process(pid(self.process.id()), Signal::TERM);
        let since = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if since.elapsed() > Duration::from_secs(20) {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
            park(Duration::from_millis(20));
        }
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.end();
        // A killed daemon leaves its containerd and its containers.
        leftovers::end_below(self.dir.path());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

fn hold(dir: &Path, size: &str) -> Child {
    let (etc, data) = (dir.join("etc"), dir.join("data"));
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::create_dir_all(&data).unwrap();
    let mut holder = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c", HOLD, "sh"])
        .arg(etc)
        .arg(relay::PORT.to_string())
        .arg(size)
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n", "no network namespace of its own");
    holder
}

fn spawn(dir: &Path, holder: u32) -> Child {
    let at = |name: &str| dir.join(name).display().to_string();
    // Another engine is tried by putting it first in PATH, with its configuration here.
    let config = std::env::var("TIDEGATE_TEST_DAEMON_CONFIG").unwrap_or_else(|_| "{}".to_owned());
    std::fs::write(dir.join("daemon.json"), config).unwrap();
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let space = dir.file_name().unwrap().to_string_lossy().replace('.', "");
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "nsenter", "--net", "--mount"])
        .args(["--target", &holder.to_string(), "dockerd"])
        .args(["--config-file", &at("daemon.json"), "--data-root", &at("data")])
        .args(["--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--host", &format!("unix://{}", at("d.sock"))])
        .args(["--containerd-namespace", &space])
        .args(["--containerd-plugins-namespace", &format!("p{space}")])
        .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
        .args(["--default-address-pool", "base=10.64.0.0/16,size=24", "--shutdown-timeout=1"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
