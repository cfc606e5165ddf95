//! A private Docker engine for one test: its own folders, socket and networks, ended on drop.
//!
//! It needs root and dockerd and says so; it never uses an engine that it did not start. If the test
//! process is killed, the kernel ends the engine with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate::clients::docker::DockerClient;

/// Time an engine has to answer: eight of them may start at once on two cores.
const START_SECS_MAX: u64 = 90;

pub(crate) struct PrivateEngine {
    process: Child,
    dir: TempDir,
}

impl PrivateEngine {
    /// Starts an engine and waits until it answers.
    pub(crate) fn start() -> Self {
        let root = rustix::process::geteuid().is_root();
        let installed =
            ["dockerd", "setpriv", "unshare"].iter().all(|program| is_installed(program));
        assert!(
            root && installed,
            "tests on a real engine need root and Docker: run `make test` as root, or \
             `apt-get install docker.io docker-registry busybox-static`"
        );
        let dir = tempfile::Builder::new().prefix("tg-").tempdir().unwrap();
        let process = spawn(dir.path());
        let engine = Self { process, dir };
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

    /// Sends a signal to the daemon, by its process id.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(pid(self.process.id()), signal).unwrap();
    }

    /// Ends the daemon and starts it again on the same folders.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.process = spawn(self.dir.path());
        self.wait();
    }

    fn wait(&self) {
        let since = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(since.elapsed() < Duration::from_secs(START_SECS_MAX), "no engine: {log}");
            park(Duration::from_millis(50));
        }
    }

    fn end(&mut self) {
        let _ =
            rustix::process::kill_process(pid(self.process.id()), rustix::process::Signal::CONT);
        let _ =
            rustix::process::kill_process(pid(self.process.id()), rustix::process::Signal::TERM);
        let since = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if since.elapsed() > Duration::from_secs(20) {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
            park(Duration::from_millis(20));
        }
    }

    /// Ends what a killed daemon left: its containerd and shims, known by our own folder's path.
    fn end_children(&self) {
        let needle = self.dir.path().display().to_string();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&command);
            let program = text.split('\0').next().unwrap_or_default();
            if program.contains("containerd") && text.contains(&needle) {
                let _ = rustix::process::kill_process(pid(id), rustix::process::Signal::KILL);
            }
        }
    }

    fn unmount(&self) {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let below: Vec<&str> =
            below.filter(|path| Path::new(path).starts_with(self.dir.path())).collect();
        for path in below.iter().rev() {
            let _ = Command::new("umount").args(["-l", path]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.end();
        self.end_children();
        self.unmount();
    }
}

fn pid(id: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// Networks of different engines on one machine must not overlap: each has 256 of its own, chosen by
/// process id.
fn address_pool() -> String {
    format!("base=10.{}.0.0/16,size=24", 64 + std::process::id() % 128)
}

fn spawn(dir: &Path) -> Child {
    let at = |name: &str| dir.join(name).display().to_string();
    // Another engine is tried by putting it first in PATH, with its configuration here.
    let config = std::env::var("TIDEGATE_TEST_DAEMON_CONFIG").unwrap_or_else(|_| "{}".to_owned());
    std::fs::write(dir.join("daemon.json"), config).unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let space = dir.file_name().unwrap().to_string_lossy().replace('.', "");
    // Engine 20.10 keeps its id in /etc/docker, whatever its folders: agents would take all of these
    // engines for one. Each has an /etc/docker of its own, in its own mount namespace.
    let own =
        "mkdir -p /etc/docker && mount --bind \"$1\" /etc/docker && shift && exec dockerd \"$@\"";
    std::fs::create_dir_all(dir.join("etc")).unwrap();
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "unshare", "--mount", "sh", "-c", own, "sh", &at("etc")])
        .args(["--config-file", &at("daemon.json"), "--data-root", &at("data")])
        .args(["--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--host", &format!("unix://{}", at("d.sock"))])
        .args(["--containerd-namespace", &space])
        .args(["--containerd-plugins-namespace", &format!("p{space}")])
        // The host's packet filter is nobody's business here; published ports go through the proxy.
        .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
        .args(["--default-address-pool", &address_pool(), "--shutdown-timeout=1"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
