//! A hotfix and a rollback pass what holds a promotion, on a real engine and with plain git.

use std::fs;
use std::process::Command;

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::cli::support::{Said, run};
use crate::registry::hub::{TestHub, plain};
use crate::support::engine::PrivateEngine;
use crate::support::images::{PushedImage, open, push};
use crate::trust::history::{By, History};

const TIDEGATE: &str = "repository = \"acme-config\"\nenvironments = [\"dev\", \"tst\", \"prd\"]\n\
    [apps.app1]\ntitle = \"One\"\nowner = \"alice\"\ncontact = \"alice@example.org\"\n";
const SITE: &str = "site.tst-web";
const SHOP: &str = "shop.tst-web";

/// A node of tst whose services run one image, told apart by a variable.
struct Node {
    h: History,
    dir: tempfile::TempDir,
    engine: PrivateEngine,
    hub: TestHub,
    image: PushedImage,
}

impl Node {
    async fn new() -> Self {
        let hub = plain();
        let config = json!({ "Cmd": ["sleep", "6000"], "Env": ["PATH=/bin"] });
        let image = push(&hub.authority.parse().unwrap(), "apps/web", config, open()).await;
        let dir = tempfile::Builder::new().prefix("tg-").tempdir().unwrap();
        let mut h = History::line();
        h.write("tidegate.toml", TIDEGATE);
        h.git(&["rm", "-qf", "services/app1.toml"]);
        h.commit(By::Ssh("alice"), "Ours");
        h.git(&["init", "-q", "--bare", dir.path().join("origin.git").to_str().unwrap()]);
        let node = Self { h, dir, engine: PrivateEngine::start(), hub, image };
        node.configure("agent.toml", &node.engine.socket().display().to_string());
        node.configure("blind.toml", "/nowhere.sock");
        node
    }

    fn configure(&self, file: &str, socket: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "node = \"n1\"\nenvironment = \"tst\"\nstate_dir = \"{dir}/state\"\n[repository]\n\
             url = \"{dir}/origin.git\"\nid = \"acme-config\"\nanchor = \"{}\"\n\
             [engine]\nsocket = \"unix://{socket}\"\n",
            self.h.tip_of("tst")
        );
        fs::write(self.dir.path().join(file), text).unwrap();
    }

    fn environment(&mut self, more: &str) {
        let hub = &self.hub.authority;
        let head = format!("name = \"tst\"\nhub = \"{hub}\"\nhub_plain_http = true\n");
        self.h.write_own("environment.toml", &(head + more));
        self.h.write_own("nodes/n1.toml", "");
        self.h.commit_as("bob", "local", "");
    }

    fn service(&self, version: &str) -> String {
        let digest = &self.image.reference.digest;
        format!(
            "app = \"app1\"\n[containers.web]\nimage = \"apps/web\"\ndigest = \"{digest}\"\n\
             stop_signal = \"SIGKILL\"\nenvironment = {{ VERSION = \"{version}\" }}\n\
             [update]\nstable = \"1s\"\n"
        )
    }

    /// Both services at these versions on dev, promoted.
    fn promote(&mut self, site: &str, shop: &str) {
        self.h.on("dev");
        self.h.write("services/site.toml", &self.service(site));
        self.h.write("services/shop.toml", &self.service(shop));
        self.h.commit(By::Ssh("alice"), "Change");
        self.h.promote_to_tst();
    }

    fn publish(&self) {
        let to = self.dir.path().join("origin.git");
        for name in ["dev", "tst"] {
            let refspec = format!("+{}:refs/heads/{name}", self.h.tip_of(name));
            self.h.git(&["push", "-q", to.to_str().unwrap(), &refspec]);
        }
    }

    fn lose_memory(&self) {
        for file in fs::read_dir(self.dir.path().join("state")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if name.starts_with("memory.json") {
                fs::remove_file(&path).unwrap();
            }
        }
    }

    fn run(&self, config: &str, args: &[&str]) -> Said {
        run(self.dir.path(), [args, &["--config", config]].concat())
    }

    /// What the node does of its own accord now, and which versions run then.
    #[track_caller]
    fn assert_runs(&self, site: &str, shop: &str) -> Said {
        self.publish();
        let said = self.run("agent.toml", &["apply"]);
        let version = |name: &str| {
            let host = format!("unix://{}", self.engine.socket().display());
            let inspected = Command::new("docker").args(["-H", &host, "inspect", name]).output();
            let found: Value = serde_json::from_slice(&inspected.unwrap().stdout).unwrap();
            let set = found[0]["Config"]["Env"].as_array().unwrap().iter();
            let set = set.filter_map(|set| set.as_str()?.strip_prefix("VERSION="));
            set.map(str::to_owned).next().unwrap_or_default()
        };
        let runs = (version(SITE), version(SHOP));
        assert_eq!(runs, (site.to_owned(), shop.to_owned()), "{}{}", said.out, said.err);
        said
    }
}

/// A window that is shut for hours.
fn shut() -> String {
    let at = |hours: i64| (Timestamp::now() + hours.hours()).strftime("%H:%M").to_string();
    format!("window = \"{}-{} UTC\"\n", at(11), at(12))
}

fn frozen() -> String {
    let to = Timestamp::now() + 240.hours();
    format!("[[freeze]]\nfrom = \"2026-01-01T00:00:00Z\"\nto = \"{to}\"\nreason = \"year's end\"\n")
}

#[tokio::test]
async fn a_hotfix_and_a_rollback_pass_a_shut_window_and_a_freeze_that_hold_promotions() {
    let mut node = Node::new().await;
    node.h.on("tst");
    node.environment(&shut());
    node.promote("1", "1");
    let first = node.h.tip;
    // A first deployment stops nothing.
    node.assert_runs("1", "1");
    node.promote("1", "2");
    let said = node.assert_runs("1", "1");
    assert_eq!(said.code, 2, "{}", said.err);
    assert!((said.out + &said.err).contains("shop is held: no window is open before"));

    // The hotfix is verified by a process that dies before anything is done; with it comes a
    // promotion of the other service, which waits on.
    let urgent = node.service("1 and no retries");
    node.h.hotfix("services/site.toml", &urgent);
    node.publish();
    let tip = node.h.tip.to_string();
    assert_eq!(node.run("blind.toml", &["agent", "--once"]).code, 1);
    let status: Value =
        serde_json::from_str(&node.run("agent.toml", &["status", "-o", "json"]).out).unwrap();
    assert_eq!(status["revision"]["verified"], tip);
    let plan = node.run("agent.toml", &["plan"]);
    assert!(plan.out.contains("a hotfix or rollback made it"), "{}{}", plan.out, plan.err);
    // So it is where the memory is lost, which the same pass rebuilds.
    node.lose_memory();
    let said = node.assert_runs("1 and no retries", "1");
    assert!((said.out + &said.err).contains("shop is held: no window is open before"));

    // Back to before all that, in a freeze.
    node.environment(&frozen());
    node.assert_runs("1 and no retries", "1");
    node.h.rollback("carol", first);
    assert_eq!(node.assert_runs("1", "1").code, 0);
    let status = node.run("agent.toml", &["status"]);
    assert_eq!(status.code, 0, "{}", status.out);
    let history = node.run("agent.toml", &["history", "site", "-o", "json"]);
    assert!(history.out.contains("which passes: frozen until"), "{}", history.out);
}
