//! `tidegate hub`, and a promoter, on lines made by `init` and two real registries.

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidegate::clients::registry::{Document, ManifestReference, RegistryClient, RegistryRead as _};

use crate::cli::support::{Said, run, tidegate};
use crate::copy::{assert_whole, client, noise, push_image, wanted};
use crate::registry::hub::{TestHub, free_port, plain};
use crate::support::front::{Act, Front};

const WAIT_SECS_MAX: u64 = 60;

/// Two environments: tst wants an image that only dev's hub holds.
pub(crate) struct Lines {
    pub(crate) dir: TempDir,
    dev: TestHub,
    tst: TestHub,
    web: Document,
    anchor: String,
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Lines {
    async fn new() -> Self {
        let (dev, tst) = (plain(), plain());
        let (at_dev, at_tst) = (dev.authority.clone(), tst.authority.clone());
        Self::between((dev, &at_dev), (tst, &at_tst), &[noise(1, 100_000)]).await
    }

    /// Lines whose hubs are reached at other addresses than their own.
    async fn between(
        (dev, at_dev): (TestHub, &str),
        (tst, at_tst): (TestHub, &str),
        layers: &[Vec<u8>],
    ) -> Self {
        let web = push_image(&client(&dev.authority), "app1/web", layers).await;
        Self::wanting((dev, at_dev), (tst, at_tst), web)
    }

    /// Lines that want this image, which lies in dev's hub.
    pub(crate) fn wanting(
        (dev, at_dev): (TestHub, &str),
        (tst, at_tst): (TestHub, &str),
        web: Document,
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let at = dir.path();
        write(
            at,
            "tree/tidegate.toml",
            "repository = \"lines\"\nenvironments = [\"dev\", \"tst\"]\n[apps.app1]\ntitle = \"App\"\n",
        );
        let service = "app = \"app1\"\n[containers.web]\nimage = \"app1/web\"\n";
        write(at, "tree/services/app1.toml", service);
        let pin = format!(
            "[match]\nservice = \"app1\"\n[containers.web]\ndigest = \"{}\"\nversion = \"1.0.0\"\n",
            web.digest
        );
        write(at, "tree/rulesets/app1.toml", &pin);
        for (name, hub, promotion) in [
            ("dev", at_dev, ""),
            (
                "tst",
                at_tst,
                "[promotion]\nfrom = \"dev\"\nanchor = \"0000000000000000000000000000000000000000\"\n",
            ),
        ] {
            let own = |file: &str| format!("tree/environments/{name}/{file}");
            let text = format!("name = \"{name}\"\nhub = \"{hub}\"\n");
            write(at, &own("environment.toml"), &text);
            write(at, &own("nodes/n1.toml"), "promoter = true\n");
            write(at, &own("nodes/n2.toml"), "");
            let kind = if name == "dev" { "change" } else { "promote" };
            let trust = format!(
                "version = 1\n[people.alice]\nkeys = []\n[roles]\nadmin = {{ people = [\"alice\"] }}\n\
                 {kind} = {{ people = [\"alice\"] }}\n{promotion}"
            );
            write(at, &own("trust.toml"), &trust);
        }
        write(
            at,
            "tree/history/01.toml",
            "kind = \"change\"\nenvironment = \"dev\"\nsigner = \"alice\"\n",
        );
        write(
            at,
            "tree/history/02.toml",
            "kind = \"promote\"\nenvironment = \"tst\"\nsource = \"dev\"\nsigner = \"alice\"\n",
        );
        let said = run(at, ["init", "--from", "tree", "--keys", "keys", "config"]);
        assert_eq!(said.code, 0, "{}", said.err);
        let line = said.out.lines().find(|line| line.starts_with("tst")).unwrap();
        let anchor = line.split_whitespace().nth(1).unwrap().to_owned();
        Self { dir, dev, tst, web, anchor }
    }

    fn target(&self) -> RegistryClient {
        client(&self.tst.authority)
    }

    fn hub(&self, args: &[&str]) -> Said {
        let place = ["--repository", "config", "--anchor", self.anchor.as_str()];
        run(self.dir.path(), ["hub"].iter().chain(args).chain(&place))
    }
}

#[tokio::test]
async fn what_a_hub_lacks_is_shown_copied_and_then_there() {
    let lines = Lines::new().await;
    let status = |lines: &Lines| {
        let said = lines.hub(&["status", "--env", "tst", "-o", "json"]);
        let json: Value = serde_json::from_str(&said.out).unwrap();
        let states = json["environments"].as_array().unwrap().iter().map(|e| {
            (e["environment"].as_str().unwrap().to_owned(), e["images"][0]["state"].clone())
        });
        (said.code, states.collect::<Vec<_>>())
    };
    let there = |tst: &str, dev: &str| {
        vec![("tst".to_owned(), Value::from(tst)), ("dev".to_owned(), Value::from(dev))]
    };
    assert_eq!(status(&lines), (2, there("missing", "present")));
    let copy = ["copy", "--from", "dev", "--to", "tst"];
    let dry = lines.hub(&[&copy[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 2, "{}", dry.err);
    assert!(dry.out.contains("Missing"), "{}", dry.out);
    let said = lines.hub(&copy);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("Copied"), "{}", said.out);
    assert_whole(&lines.target(), &wanted("app1/web", &lines.web)).await;
    let again = lines.hub(&copy);
    assert!(again.code == 0 && again.out.contains("Present"), "{}{}", again.out, again.err);
    assert_eq!(status(&lines), (0, there("present", "present")));
}

#[tokio::test]
async fn a_killed_copy_goes_on_where_it_was() {
    let (dev, tst) = (plain(), plain());
    let before_dev = Front::new(&dev.authority, |_, _| Act::Pass);
    let is_stuck = Arc::new(AtomicBool::new(true));
    let stuck = Arc::clone(&is_stuck);
    let n_parts = AtomicUsize::new(0);
    let before_tst = Front::new(&tst.authority, move |_, head| {
        let second = head.starts_with("PATCH") && n_parts.fetch_add(1, Ordering::Relaxed) == 1;
        if second && stuck.load(Ordering::Relaxed) { Act::Hang } else { Act::Pass }
    });
    let layers = [noise(1, 70 << 20), noise(2, 1000)];
    let fronts = (before_dev.authority.clone(), before_tst.authority.clone());
    let lines = Lines::between((dev, &fronts.0), (tst, &fronts.1), &layers).await;
    let mut first = tidegate(lines.dir.path())
        .args(["hub", "copy", "--from", "dev", "--to", "tst", "--repository", "config", "--anchor"])
        .arg(&lines.anchor)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while before_tst.seen("PATCH").len() < 2 {
        assert!(since.elapsed() < Duration::from_secs(WAIT_SECS_MAX), "no second part");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.kill().unwrap();
    first.wait().unwrap();
    is_stuck.store(false, Ordering::Relaxed);
    let n_reads = before_dev.seen("GET /v2/app1/web/blobs/").len();
    let said = lines.hub(&["copy", "--from", "dev", "--to", "tst"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_whole(&lines.target(), &wanted("app1/web", &lines.web)).await;
    // Of three blobs two were there, and of the third its first part.
    let reads = before_dev.seen("GET /v2/app1/web/blobs/");
    assert_eq!(reads.len() - n_reads, 1);
    assert!(reads[n_reads].contains(&format!("range: bytes={}-", 32 << 20)), "{}", reads[n_reads]);
}

#[tokio::test]
async fn ctrl_c_lets_the_part_under_way_end_and_the_next_run_goes_on_there() {
    let (dev, tst) = (plain(), plain());
    let before_dev = Front::new(&dev.authority, |_, _| Act::Pass);
    let before_tst = Front::new(&tst.authority, |_, _| Act::Pass);
    let fronts = (before_dev.authority.clone(), before_tst.authority.clone());
    let layers = [noise(1, 70 << 20)];
    let lines = Lines::between((dev, &fronts.0), (tst, &fronts.1), &layers).await;
    // The first part takes two seconds.
    let copy = ["hub", "copy", "--to", "tst", "--limit-rate", "16m", "--repository", "config"];
    let first = tidegate(lines.dir.path())
        .args(copy)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while before_tst.seen("PATCH").is_empty() {
        assert!(since.elapsed() < Duration::from_secs(WAIT_SECS_MAX), "no part");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = Said::from(first.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.err);
    assert!(said.err.contains("it goes on where it was"), "{}", said.err);
    let again = lines.hub(&["copy", "--to", "tst"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert_whole(&lines.target(), &wanted("app1/web", &lines.web)).await;
    let resumed = before_dev.seen(&format!("range: bytes={}-", 32 << 20));
    assert_eq!(resumed.len(), 1, "the second run reads on from the first part's end");
}

/// The most that a process held in memory until now, in KiB.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test]
async fn a_layer_of_256_mib_is_copied_in_64_mib_of_memory() {
    let (dev, tst) = (plain(), plain());
    let (at_dev, at_tst) = (dev.authority.clone(), tst.authority.clone());
    let layers = [noise(1, 256 << 20)];
    let lines = Lines::between((dev, &at_dev), (tst, &at_tst), &layers).await;
    let mut copying = tidegate(lines.dir.path())
        .args(["hub", "copy", "--to", "tst", "--repository", "config"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let ended = loop {
        peak = peak.max(peak_kib(copying.id()).unwrap_or_default());
        if let Some(ended) = copying.try_wait().unwrap() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(ended.success());
    let (target, image) = (lines.target(), wanted("app1/web", &lines.web));
    let tag = ManifestReference::Tag(image.keep_tag());
    let kept = target.manifest_digest(&image.repository, &tag).await.unwrap();
    assert_eq!(kept, Some(image.digest));
    assert!((1..64 << 10).contains(&peak), "{peak} KiB");
}

#[tokio::test]
async fn a_clone_needs_no_anchor_and_reading_it_reads_no_authorities() {
    let lines = Lines::new().await;
    let clone = lines.dir.path().join("config");
    // Whoever opens it waits for ever.
    let trap = lines.dir.path().join("authorities.pem");
    assert!(std::process::Command::new("mkfifo").arg(&trap).status().unwrap().success());
    let hub = |args: &[&str]| {
        let command = ["hub"].iter().chain(args);
        let output = tidegate(&clone).args(command).env("SSL_CERT_FILE", &trap).output();
        Said::from(output.unwrap())
    };
    let copied = hub(&["copy", "--to", "tst"]);
    assert_eq!(copied.code, 0, "{}", copied.err);
    assert!(!copied.err.contains("git config"), "{}", copied.err);
    let unset = ["config", "--unset", "tidegate.tst.anchor"];
    let git = std::process::Command::new("git").current_dir(&clone).args(unset).status();
    assert!(git.unwrap().success());
    let status = hub(&["status", "--env", "tst"]);
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.err.contains("git config tidegate.tst.anchor"), "{}", status.err);
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_told_with_what_would_be_right() {
    let lines = Lines::new().await;
    for (args, code, words) in [
        (&["copy", "--from", "prd", "--to", "tst"][..], 64, "the line is tst ← dev"),
        (&["copy", "--to", "tst", "app9/web"], 64, "it wants app1/web"),
        (&["copy", "--from", "tst", "--to", "tst"], 64, "the same hub"),
        (&["status"], 64, "--env"),
    ] {
        let said = lines.hub(args);
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    }
    let node = run(lines.dir.path(), ["hub", "status"]);
    assert!(node.code == 64 && node.err.contains("--repository"), "{}", node.err);
}

#[tokio::test]
async fn a_hub_that_is_gone_is_named() {
    let lines = Lines::new().await;
    let Lines { dev, tst, .. } = &lines;
    let gone = dev.authority.clone();
    assert_ne!(gone, tst.authority);
    let mut lines = lines;
    lines.dev = plain();
    let said = lines.hub(&["copy", "--from", "dev", "--to", "tst"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains(&gone), "{}", said.err);
}

/// A node's agent, ended on drop.
pub(crate) struct Agent(Child);

impl Agent {
    /// Starts tst's agent of a node, whose configuration and log are `NODE.toml` and `NODE.log`.
    pub(crate) fn start(lines: &Lines, node: &str, socket: &str) -> Self {
        let at = lines.dir.path();
        let config = format!(
            "node = \"{node}\"\nenvironment = \"tst\"\nstate_dir = \"{0}/{node}\"\n\
             [repository]\nurl = \"{0}/config\"\nid = \"lines\"\nanchor = \"{1}\"\n\
             interval = \"1s\"\n[engine]\nsocket = \"unix://{socket}\"\n",
            at.display(),
            lines.anchor,
        );
        write(at, &format!("{node}.toml"), &config);
        let log = std::fs::File::create(at.join(format!("{node}.log"))).unwrap();
        let agent = tidegate(at)
            .args(["--config", &format!("{node}.toml"), "agent"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_promoter_copies_what_its_hub_lacks_for_a_verified_commit() {
    let lines = Lines::new().await;
    let at = lines.dir.path();
    // No engine: copying does not need one.
    let _agent = Agent::start(&lines, "n1", &format!("{}/no-{}.sock", at.display(), free_port()));
    let told = || std::fs::read_to_string(at.join("n1.log")).unwrap();
    let since = Instant::now();
    while !told().contains("the hub holds every image") {
        assert!(since.elapsed() < Duration::from_secs(WAIT_SECS_MAX), "{}", told());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_whole(&lines.target(), &wanted("app1/web", &lines.web)).await;
}
