//! The stage of every scene: one node with its engine, its hub, its repository and its agent.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::clients::registry::{PlainHttp, RegistryOptions};
use tidegate::model::{CommitId, Hub};
use tidegate::reconcile::report::{Status, StatusFile};

use crate::cli::support::{Said, tidegate};
use crate::registry::hub::{TestHub, free_port};
use crate::support::engine::PrivateEngine;
use crate::support::images::{PushedImage, push};
use crate::trust::history::{By, History};

/// The most that anything may take: a rollout with its health gate on a busy machine.
const WAIT_SECS_MAX: u64 = 240;
/// What nobody may ever read again: the hub's password, and its hash by bcrypt.
pub(crate) const HUB_CANARY: &str = "canary-hub-9f3b27";
const HTPASSWD: &str = "alice:$2b$04$731RjZca/Bhpv74bXpCb8epntkBpNqgdZ0auvzIrRE7X3tQpf4EQG\n";
/// `Tidegate: local dev`, which changes of dev's own files carry.
pub(crate) const LOCAL: &str = "\n\nTidegate: local dev";

/// One node.
pub(crate) struct Stage {
    agent: Option<Child>,
    pub(crate) engine: PrivateEngine,
    pub(crate) history: History,
    pub(crate) dir: TempDir,
    pub(crate) images: BTreeMap<&'static str, PushedImage>,
    hub: Hub,
    pub(crate) hub_process: TestHub,
}

/// Container names, with id and state.
pub(crate) type Running = BTreeMap<String, (String, String)>;

impl Stage {
    /// An engine, a hub that demands a password, and a repository whose dev wants three services.
    pub(crate) async fn new() -> Self {
        Self::on(PrivateEngine::start()).await
    }

    /// The same on this engine.
    pub(crate) async fn on(engine: PrivateEngine) -> Self {
        let process = crate::registry::hub::start(|dir| {
            let file = dir.join("htpasswd");
            fs::write(&file, HTPASSWD).unwrap();
            let top = format!("auth:\n  htpasswd:\n    realm: hub\n    path: {}\n", file.display());
            (String::new(), top)
        });
        let mut stage = Self {
            agent: None,
            engine,
            history: History::dev(),
            dir: tempfile::Builder::new().prefix("tg-").tempdir().unwrap(),
            images: BTreeMap::new(),
            hub: process.authority.parse().unwrap(),
            hub_process: process,
        };
        for (container, state) in [
            ("web", "good"),
            ("db", "good"),
            ("migrate", "good"),
            ("site", "good"),
            ("job", "good"),
        ] {
            stage.image(container, "1.0.0", state).await;
        }
        stage.begin();
        stage
    }

    /// Makes an image and remembers it as the container's; `state` is what its health check reads.
    pub(crate) async fn image(&mut self, container: &'static str, version: &str, state: &str) {
        let command = if container == "migrate" { ["true", ""] } else { ["sleep", "6000"] };
        let command: Vec<&str> = command.into_iter().filter(|word| !word.is_empty()).collect();
        let config = json!({
            "Cmd": command,
            "Env": ["PATH=/bin", format!("VERSION={version}"), format!("STATE={state}")],
        });
        let auth = tidegate::clients::docker::RegistryAuth::password(
            &self.hub.to_string(),
            "alice",
            HUB_CANARY,
        );
        let options =
            RegistryOptions { plain_http: PlainHttp::Loopback, ca: None, auth: Some(auth) };
        let image = push(&self.hub, &format!("apps/{container}"), config, options).await;
        self.images.insert(container, image);
    }

    fn begin(&mut self) {
        let hub = format!("name = \"dev\"\nhub = \"{}\"\nhub_plain_http = true\n", self.hub);
        self.history.write_own("environment.toml", &hub);
        self.history.write_own("nodes/n1.toml", "[labels]\nrole = \"web\"\n");
        self.history.write_own("nodes/n2.toml", "[labels]\nrole = \"other\"\n");
        self.history.commit(By::Ssh("bob"), &format!("dev: its hub and nodes{LOCAL}"));
        self.history.write("README.md", "Our services.\n");
        self.history.write("tidegate.toml", TIDEGATE);
        self.write_service("app1", "role=web", APP1);
        self.write_service("app2", "role=web", APP2);
        self.write_service("app3", "role=web", APP3);
        self.write_pins();
        self.history.commit(By::Ssh("alice"), "Three services");
        self.history.git(&["init", "-q", "--bare", &self.origin().display().to_string()]);
        self.publish();
        let url = self.origin().display().to_string();
        self.configure("agent.toml", "state", &format!("url = \"{url}\""));
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.dir.path().join("origin.git")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Writes a node's configuration; `url` is the line or lines that say where the repository is.
    pub(crate) fn configure(&self, file: &str, state: &str, url: &str) {
        let auths = json!({ "auths": { self.hub.to_string(): {
            "username": "alice", "password": HUB_CANARY } } });
        let at = |name: &str| self.dir.path().join(name);
        fs::write(at("hub.json"), auths.to_string()).unwrap();
        let text = format!(
            "node = \"n1\"\nenvironment = \"dev\"\nstate_dir = \"{}\"\n\
             [repository]\n{url}\nid = \"acme-config\"\nanchor = \"{}\"\ninterval = \"1s\"\n\
             [engine]\nsocket = \"unix://{}\"\n[hub]\ncredentials = \"{}\"\n",
            at(state).display(),
            self.history.anchor,
            self.engine.socket().display(),
            at("hub.json").display(),
        );
        fs::write(at(file), text).unwrap();
    }

    /// Lets the agent answer who asks for metrics, at this port.
    pub(crate) fn listen(&self) -> u16 {
        let port = free_port();
        let file = self.dir.path().join("agent.toml");
        let text = fs::read_to_string(&file).unwrap();
        let listen = format!("[listen]\nmetrics = \"127.0.0.1:{port}\"\n");
        fs::write(&file, text + &listen).unwrap();
        port
    }

    // Commits.

    /// Writes a service; its `nodes` go where `NODES` stands.
    pub(crate) fn write_service(&self, name: &str, nodes: &str, text: &str) {
        self.history.write(&format!("services/{name}.toml"), &text.replace("NODES", nodes));
    }

    /// Writes rulesets that pin the images of now.
    pub(crate) fn write_pins(&self) {
        for (service, containers) in
            [("app1", &["web", "db", "migrate"][..]), ("app2", &["site"]), ("app3", &["job"])]
        {
            let pins = containers.iter().map(|name| {
                let image = &self.images[name];
                let (digest, id) = (&image.reference.digest, &image.image_id);
                format!("[containers.{name}]\ndigest = \"{digest}\"\nimage_id = \"{id}\"\n")
            });
            let text = format!("[match]\nservice = \"{service}\"\n{}", pins.collect::<String>());
            self.history.write(&format!("rulesets/{service}.toml"), &text);
        }
    }

    /// A signed commit of what was written, pushed.
    pub(crate) fn commit(&mut self, message: &str) -> CommitId {
        let id = self.history.commit(By::Ssh("bob"), message);
        self.publish();
        id
    }

    /// Makes an image of another version, pins and commits it.
    pub(crate) async fn release(
        &mut self,
        container: &'static str,
        version: &str,
        state: &str,
    ) -> CommitId {
        self.image(container, version, state).await;
        self.write_pins();
        self.commit(&format!("{container} {version}"))
    }

    /// Pushes the tip, by force, as anybody may who may push.
    pub(crate) fn publish(&self) {
        let to = format!("{}:refs/heads/dev", self.history.tip);
        self.history.git(&["push", "-q", "--force", &self.origin().display().to_string(), &to]);
    }

    // The agent.

    /// The program with its configuration.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tidegate(self.dir.path());
        command.args(args).arg("--config").arg(self.dir.path().join("agent.toml"));
        command
    }

    /// Runs one command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    pub(crate) fn start_agent(&mut self) {
        assert!(self.agent.is_none());
        let mut options = fs::OpenOptions::new();
        let log = options.create(true).append(true).open(self.dir.path().join("agent.log"));
        let log = log.unwrap();
        let mut command = self.command(&["agent", "-vv"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
    }

    pub(crate) fn agent_pid(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// Ends the agent by a signal, and gives its exit code.
    pub(crate) fn end_agent(&mut self, signal: Signal) -> Option<i32> {
        let mut agent = self.agent.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        agent.wait().unwrap().code()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("agent.log")).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Option<Status> {
        StatusFile::below(&self.state_dir()).read().unwrap()
    }

    // Waiting.

    /// Waits until `look` finds something; says where the node stands if it never does.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let late = since.elapsed() > Duration::from_secs(WAIT_SECS_MAX);
            assert!(!late, "never: {what}\n{}", self.standing());
            park(Duration::from_millis(50));
        }
    }

    fn standing(&self) -> String {
        let (agent, engine) = (tail(&self.log()), tail(&self.engine.log()));
        format!("{:#?}\n{:#?}\n{agent}\n{engine}", self.status(), self.running())
    }

    /// Waits until a commit runs whole and everything is as it wants.
    #[track_caller]
    pub(crate) fn settled(&self, commit: CommitId) -> Running {
        self.until(&format!("{commit} applied"), |stage| {
            let status = stage.status()?;
            (status.revision.applied == Some(commit) && status.is_in_sync()).then_some(())
        });
        self.running()
    }

    /// Waits until the node says something that fits.
    #[track_caller]
    pub(crate) fn says(&self, what: &str, fits: impl Fn(&Status) -> bool) -> Status {
        self.until(what, |stage| stage.status().filter(|status| fits(status)))
    }

    // The engine, by hand.

    /// The docker command line against this engine.
    pub(crate) fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.env("HOME", self.dir.path()).stdin(Stdio::null());
        let host = format!("unix://{}", self.engine.socket().display());
        let output = command.args(["-H", &host]).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    #[track_caller]
    pub(crate) fn docker(&self, args: &[&str]) -> String {
        self.try_docker(args).unwrap()
    }

    /// Every container there is: name → id and state; nothing while the engine is gone.
    pub(crate) fn running(&self) -> Running {
        let format = "{{.Names}} {{.ID}} {{.State}}";
        let listed = self.try_docker(&["ps", "-a", "--no-trunc", "--format", format]);
        let listed = listed.unwrap_or_default();
        let rows = listed.lines().filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, (words.next()?, words.next()?)))
        });
        rows.collect()
    }

    pub(crate) fn inspect(&self, name: &str) -> Value {
        let text = self.docker(&["inspect", "--type", "container", name]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// The `VERSION` of the image that a container runs, if it runs and is well.
    pub(crate) fn version(&self, name: &str) -> Option<String> {
        let text = self.try_docker(&["inspect", "--type", "container", name]).ok()?;
        let found: Value = serde_json::from_str(&text).ok()?;
        let found = &found[0];
        let health = found.pointer("/State/Health/Status").and_then(Value::as_str);
        let well = found["State"]["Status"] == "running" && health.is_none_or(|h| h == "healthy");
        let environment = found["Config"]["Env"].as_array()?;
        let mut values = environment.iter().filter_map(Value::as_str);
        let version = values.find_map(|value| value.strip_prefix("VERSION="))?;
        well.then(|| version.to_owned())
    }
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let n_skipped = log.lines().count().saturating_sub(60);
    log.lines().skip(n_skipped).collect::<Vec<_>>().join("\n")
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        if let Ok(id) = self.try_docker(&["info", "--format", "{{.ID}}"]) {
            let lock = tidegate::model::Digest::of(id.as_bytes()).short();
            for scope in ["", ".dev"] {
                let _ = fs::remove_file(format!("/run/tidegate/{lock}{scope}.lock"));
            }
        }
        for (id, _) in self.running().values() {
            let _ = self.try_docker(&["rm", "-f", id]);
        }
    }
}

const TIDEGATE: &str = r#"repository = "acme-config"
environments = ["dev"]
[apps.app1]
title = "one"
owner = "alice"
contact = "alice@example.org"
[apps.app2]
title = "two"
owner = "bob"
contact = "bob@example.org"
[apps.app3]
title = "three"
owner = "bob"
contact = "bob@example.org"
"#;

/// Web server, database, and what runs once before the one and after the other.
pub(crate) const APP1: &str = r#"app = "app1"
nodes = "NODES"

[containers.web]
image = "apps/web"
restart = "unless-stopped"
stop_signal = "SIGKILL"
depends_on = { db = { condition = "service_healthy" }, migrate = { condition = "service_completed_successfully" } }
[containers.web.healthcheck]
test = ["CMD-SHELL", "test $$STATE = good"]
interval = "1s"
timeout = "30s"
retries = 2

[containers.db]
image = "apps/db"
restart = "unless-stopped"
stop_signal = "SIGKILL"
volumes = ["data:/data"]
[containers.db.healthcheck]
test = ["CMD", "test", "-d", "/data"]
interval = "1s"
timeout = "30s"
retries = 5

[containers.migrate]
image = "apps/migrate"
run = "once"
depends_on = { db = { condition = "service_healthy" } }

[volumes.data]

[update]
health_timeout = "120s"
stable = "1s"
"#;

/// One container that does not care for SIGTERM: `sleep` as the first process of its namespace.
pub(crate) const APP2: &str = r#"app = "app2"
nodes = "NODES"

[containers.site]
image = "apps/site"
restart = "unless-stopped"
stop_grace_period = "1s"

[update]
health_timeout = "120s"
stable = "1s"
"#;

/// One more.
pub(crate) const APP3: &str = r#"app = "app3"
nodes = "NODES"

[containers.job]
image = "apps/job"
restart = "unless-stopped"
stop_signal = "SIGKILL"

[update]
health_timeout = "120s"
stable = "1s"
"#;
