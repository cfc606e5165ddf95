//! The engines: one each in namespaces of its own where the user is root, else the one that is
//! there.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::docker::{DockerClient, DockerRead as _};
use crate::demo::error::DemoError;
use crate::demo::place::Place;
use crate::demo::process::{run, start};

/// An engine starts within a fraction of this.
const START_SECS_MAX: u64 = 40;

/// Processes that were killed leave their cgroup within a fraction of this.
const CGROUP_SECS_MAX: u64 = 10;

/// Runs inside the new namespaces: its own /run hides the machine's containerd; /etc is a copy on
/// write, where neither the settings nor the identity of the machine's engine are (engine 20.10
/// keeps its id in /etc/docker). `$1` folder, `$2` the node's address, `$3` cgroup, `$4` the hub's
/// subnet.
const INSIDE: &str = r#"set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
rm -rf /etc/docker
ip link set lo up
until ip link set eth0 up 2>/dev/null; do sleep 0.02; done
ip address add "$2/30" dev eth0
exec dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" \
    -H "unix://$1/engine.sock" --cgroup-parent "$3" --exec-opt native.cgroupdriver=cgroupfs \
    --insecure-registry "$4" --bip 198.19.255.1/24 \
    --default-address-pool base=198.19.0.0/17,size=24
"#;

/// One environment's engine.
#[derive(Debug, Clone)]
pub(crate) struct DemoEngine {
    pub(crate) socket: PathBuf,
    /// Where the environment's hub listens.
    pub(crate) hub_host: IpAddr,
    /// Where published ports answer.
    pub(crate) node_host: IpAddr,
    pub(crate) kind: EngineKind,
}

/// Whose engine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// The demo's own.
    Private,
    /// The machine's; agents are scoped.
    Shared,
}

impl DemoEngine {
    /// A client of it.
    pub(crate) fn client(&self) -> Result<DockerClient, DemoError> {
        DockerClient::new(&self.address()).map_err(DemoError::Docker)
    }

    /// Its socket as `docker -H` takes it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

/// The machine's own engine at `socket`.
pub(crate) fn shared_at(socket: PathBuf) -> DemoEngine {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    DemoEngine { socket, hub_host: host, node_host: host, kind: EngineKind::Shared }
}

/// The machine's own engine, if this user may use it.
pub(crate) async fn shared() -> Result<DemoEngine, DemoError> {
    let told = std::env::var("DOCKER_HOST").ok();
    let told = told.as_deref().and_then(|host| host.strip_prefix("unix://"));
    for socket in told.into_iter().chain(["/run/docker.sock", "/var/run/docker.sock"]) {
        let engine = shared_at(PathBuf::from(socket));
        if engine.client()?.info().await.is_ok() {
            return Ok(engine);
        }
    }
    Err(DemoError::NoEngine(
        "run as root for engines of the demo's own, or start one that this user may use".to_owned(),
    ))
}

/// The name of the pair of network devices that leads to an environment's node.
fn device(environment: &str) -> String {
    // Device names have at most 15 characters.
    format!("tgd-{}", environment.chars().take(11).collect::<String>())
}

/// The cgroup that all containers of an environment are in.
pub(crate) fn cgroup(environment: &str) -> String {
    format!("/tidegate-demo-{environment}")
}

/// Starts the engine of the environment that is number `at`.
pub(crate) async fn private(
    place: &Place,
    environment: &str,
    at: u8,
) -> Result<DemoEngine, DemoError> {
    let folder = place.folder(&format!("{environment}/engine"))?;
    // 198.18.0.0/15 is set aside for tests within one site (RFC 2544).
    let (hub_host, node_host) = (Ipv4Addr::new(198, 18, at, 1), Ipv4Addr::new(198, 18, at, 2));
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh"]);
    command.arg(&folder).arg(node_host.to_string()).arg(cgroup(environment));
    command.arg(format!("{hub_host}/32"));
    let log = place.path(&format!("{environment}/engine.log"));
    let (outer, _) = start(&format!("engine {environment}"), command, &log, &place.ledger())?;
    let inner = child_of(&outer).await?;
    let device = device(environment);
    let ip = |args: &[&str]| run(Command::new("ip").args(args));
    ip(&["link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &inner])?;
    ip(&["address", "add", &format!("{hub_host}/30"), "dev", &device])?;
    ip(&["link", "set", &device, "up"])?;
    Ok(DemoEngine {
        socket: folder.join("engine.sock"),
        hub_host: IpAddr::V4(hub_host),
        node_host: IpAddr::V4(node_host),
        kind: EngineKind::Private,
    })
}

/// The process that `unshare` forked: the first one of the new namespaces.
async fn child_of(outer: &Child) -> Result<String, DemoError> {
    let children = format!("/proc/{0}/task/{0}/children", outer.id());
    let since = Instant::now();
    loop {
        let text = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(pid) = text.split_whitespace().next() {
            return Ok(pid.to_owned());
        }
        if since.elapsed() > Duration::from_secs(5) {
            let message = "no process in new namespaces; are they allowed here?".to_owned();
            return Err(DemoError::Program { program: "unshare".to_owned(), message });
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until an engine answers.
pub(crate) async fn ready(engine: &DemoEngine, log: &Path) -> Result<String, DemoError> {
    let since = Instant::now();
    loop {
        if let Ok(info) = engine.client()?.info().await {
            return Ok(info.version);
        }
        if since.elapsed() > Duration::from_secs(START_SECS_MAX) {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let seen = text.lines().last().unwrap_or("it says nothing").to_owned();
            let what = format!("an answer of the engine at {}", engine.socket.display());
            return Err(DemoError::Timeout { what, secs: START_SECS_MAX, seen });
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Removes the cgroups that ended containers leave behind, as soon as their processes are gone.
pub(crate) async fn remove_cgroups(environment: &str) {
    let name = cgroup(environment);
    let root = Path::new("/sys/fs/cgroup");
    let mut tops = vec![root.to_owned()];
    tops.extend(std::fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path()));
    let since = Instant::now();
    loop {
        let mut left = false;
        for top in &tops {
            let dir = top.join(name.trim_start_matches('/'));
            remove_empty(&dir, 0);
            left |= dir.is_dir();
        }
        if !left || since.elapsed() > Duration::from_secs(CGROUP_SECS_MAX) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn remove_empty(dir: &Path, level: u8) {
    // Containers' cgroups lie one level down, and may hold a few of their own.
    if level > 5 || !dir.is_dir() {
        return;
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path(), level + 1);
        }
    }
    // One with a process in it stays, and says so by staying.
    let _ = std::fs::remove_dir(dir);
}
