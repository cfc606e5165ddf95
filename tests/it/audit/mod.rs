//! Audits of real histories, made by plain git; the program itself reads them.

pub(crate) mod formats;
mod journals;
mod lines;
mod soak;
mod story;

use std::process::Command;

use tidegate::clients::host::NodeKey;
use tidegate::model::CommitId;

use crate::trust::history::{By, History};

const ROOT: &str = "repository = \"acme-config\"\nenvironments = [\"dev\", \"tst\", \"prd\"]\n\
    [apps.app1]\ntitle = \"App 1\"\nowner = \"alice\"\n\
    [apps.web]\ntitle = \"Web\"\nowner = \"alice\"\n";
const SERVICE: &str =
    "app = \"app1\"\nnodes = \"role=web\"\n[containers.web]\nimage = \"app1/web\"\n";
pub(crate) const SERVICE_FILE: &str = "services/app1.toml";
pub(crate) const PINS: &str = "rulesets/app1.toml";

/// What the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The digest of a pretended image.
pub(crate) fn digest(version: u32) -> String {
    format!("sha256:{}", format!("{version:08x}").repeat(8))
}

/// The ruleset that pins the web container.
pub(crate) fn pins(version: u32) -> String {
    format!(
        "[match]\nservice = \"app1\"\n[containers.web]\ndigest = \"{}\"\nversion = \"1.{version}.0\"\n",
        digest(version)
    )
}

/// Three environments with one node each; what they want is app1.
pub(crate) struct World {
    pub(crate) h: History,
    pub(crate) key: NodeKey,
    names: Vec<(CommitId, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let h = History::line();
        let key = NodeKey::load_or_create(&h.path("home/node.key")).unwrap();
        let mut world = Self { h, key, names: Vec::new() };
        for environment in ["dev", "tst", "prd"] {
            let h = &mut world.h;
            h.on(environment);
            let hub = format!("name = \"{environment}\"\nhub = \"dckhub.{environment}\"\n");
            h.write_own("environment.toml", &hub);
            let key = world.key.public().to_owned();
            h.write_own(
                "nodes/n1.toml",
                &format!("report_key = \"{key}\"\n[labels]\nrole = \"web\"\n"),
            );
            h.commit_as("bob", "local", "");
        }
        world.h.on("dev");
        world.h.write("tidegate.toml", ROOT);
        world.h.write(SERVICE_FILE, SERVICE);
        world.h.write(PINS, &pins(1));
        world.h.commit(By::Ssh("alice"), "Begin with app1");
        world
    }

    /// The next commits are made at this time.
    pub(crate) fn at(&mut self, time: &str) -> &mut History {
        self.h.clock = time.parse().unwrap();
        &mut self.h
    }

    /// dev pins another version, and tst and prd get it.
    pub(crate) fn release(&mut self, version: u32) -> CommitId {
        self.h.develop(PINS, &pins(version));
        self.h.promote_to_tst();
        self.h.promote_to_prd()
    }

    /// Commits are shown under a name of seven letters in snapshots.
    pub(crate) fn name(&mut self, commit: CommitId, name: &str) -> CommitId {
        assert_eq!(name.len(), 7);
        self.names.push((commit, name.to_owned()));
        commit
    }

    /// Branches point at the tips.
    pub(crate) fn branches(&self) {
        for environment in ["dev", "tst", "prd"] {
            let tip = self.h.tip_of(environment).to_string();
            self.h.git(&["update-ref", &format!("refs/heads/{environment}"), &tip]);
        }
    }

    /// Runs `tidegate audit …` on prd from its anchor.
    pub(crate) fn audit(&mut self, args: &[&str]) -> Said {
        self.branches();
        self.h.on("prd");
        let anchor = self.h.anchor.to_string();
        let place = ["--repository", ".", "--env", "prd", "--anchor", &anchor];
        self.run(&[&["audit"], args, &place].concat())
    }

    /// Runs the program in the repository.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.current_dir(self.h.path(".")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let output = command.env("HOME", self.h.path("home")).args(args).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: self.named(&String::from_utf8(output.stdout).unwrap()),
            err: self.named(&String::from_utf8(output.stderr).unwrap()),
        }
    }

    fn named(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.names {
            text = text.replace(&id.to_string(), name).replace(&id.short(), name);
        }
        text
    }

    /// The report as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self, args: &[&str]) -> serde_json::Value {
        let said = self.audit(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&said.out).map_err(|_| said.err).unwrap()
    }
}
