//! `[container#…]` → `[containers.…]`, in the Compose Specification's words.

use std::collections::BTreeSet;

use toml_edit::{Array, InlineTable, Item, Table, Value};

use crate::import::draft::{Draft, texts};
use crate::import::service::arguments::arguments;
use crate::import::service::ini::Section;
use crate::import::words::{braces, name};
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::schema::CONTAINER;

/// Stands for an image that is not known yet, as in a new repository.
const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A container that is being read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) place: &'a str,
    pub(crate) table: Table,
    /// Volumes with a name that it mounts.
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) draft: &'a mut Draft,
}

/// A section's container, and the volumes that it mounts by name.
pub(crate) fn container(section: &Section, draft: &mut Draft) -> (Table, BTreeSet<String>) {
    let mut reading =
        Reading { place: &section.name, table: Table::new(), volumes: BTreeSet::new(), draft };
    let image = section.get("image").or_else(|| section.get("run_image"));
    reading.image(image.unwrap_or_default());
    for (key, value) in &section.keys {
        let known = key.split('@').next() == Some(key);
        match braces(value) {
            _ if !known => reading.lost(key, value, "write it into environments/<name>/services/"),
            Ok(text) => reading.key(key, &text),
            Err(why) => reading.lost(key, value, &why),
        }
    }
    (reading.table, reading.volumes)
}

/// What a word says that means yes or no; none if it is neither.
pub(crate) fn truth(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "t" | "on" => Some(true),
        "false" | "0" | "no" | "n" | "f" | "off" => Some(false),
        _ => None,
    }
}

impl Reading<'_> {
    pub(crate) fn lost(&mut self, key: &str, value: &str, why: &str) {
        self.draft.lost(self.place, format!("{key} = {value}"), why);
    }

    /// Whether this version has the key; if not, that is remarked.
    fn knows(&mut self, key: &str, value: &str) -> bool {
        let known = CONTAINER.get(key).is_some_and(Key::is_usable);
        if !known {
            self.lost(key, value, &format!("this version has no `{key}` for containers"));
        }
        known
    }

    /// Sets a key that is true or not; what `said` it is named as it stands if it is neither.
    pub(crate) fn truth(&mut self, key: &str, said: &str, value: &str) {
        match truth(value) {
            Some(is) => self.set(key, is),
            None => self.lost(said, value, "it says neither yes nor no"),
        }
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        if self.knows(key, value.to_string().trim()) {
            self.draft.n_carried += 1;
            self.table.insert(key, Item::Value(value));
        }
    }

    /// Adds to a list.
    pub(crate) fn add(&mut self, key: &str, value: &str) {
        if !self.knows(key, value) {
            return;
        }
        let list = self.table.entry(key).or_insert_with(|| Item::Value(Array::new().into()));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
            self.draft.n_carried += 1;
        }
    }

    /// `hub:5000/app1/web:1.2`, or an id: the repository path in our hub, and what is pinned.
    fn image(&mut self, image: &str) {
        let hex = image.strip_prefix("sha256:").unwrap_or(image);
        if hex.len() >= 10 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            self.set("image", "unnamed");
            self.set("image_id", image);
            let why = "an id has no name: write the image's repository path in the hub";
            return self.draft.changed(self.place, format!("image = {image}"), why);
        }
        let (path, digest) = match image.split_once('@') {
            Some((path, digest)) => (path, Some(digest)),
            None => (image, None),
        };
        let named = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest,
            _ => path,
        };
        let (repository, tag) = named.split_once(':').unwrap_or((named, ""));
        let repository = if repository.is_empty() { "unnamed" } else { repository };
        self.set("image", repository.to_lowercase());
        self.set("digest", digest.unwrap_or(NO_DIGEST));
        if digest.is_none() {
            let tag = if tag.is_empty() { "latest" } else { tag };
            let why =
                format!("a tag pins nothing: `tidegate pin`, which writes the digest of {tag}");
            self.draft.changed(self.place, format!("image = {image}"), why);
        }
    }

    fn key(&mut self, key: &str, value: &str) {
        match key {
            "type" | "image" | "run_image" | "rm" => {}
            "disable" if truth(value) == Some(false) => {}
            "disable" => self.lost(key, value, "it says neither yes nor no: it runs"),
            "command" | "run_command" => self.words("command", value),
            "entrypoint" => self.words("entrypoint", value),
            "hostname" | "user" => self.set(key, value),
            "cwd" => self.set("working_dir", value),
            "name" => self.lost(key, value, "a container is called by its service and environment"),
            "privileged" | "read_only" | "init" | "tty" => self.truth(key, key, value),
            "interactive" => self.truth("stdin_open", key, value),
            "netns" | "pidns" | "ipcns" | "utsns" | "userns" => self.namespace(key, value),
            "environment" => {
                for word in self.split(key, value) {
                    // The agent wrote their names in capitals.
                    match word.split_once('=') {
                        Some((var, text)) => {
                            self.add("environment", &format!("{}={text}", var.to_uppercase()));
                        }
                        None => self.lost(key, &word, "it is no `NAME=value`"),
                    }
                }
            }
            "volume_mounts" => {
                for word in self.split(key, value) {
                    self.mount(&word);
                }
            }
            "devices" => {
                for word in self.split(key, value) {
                    self.add("devices", &word);
                }
            }
            "dns_search" => {
                for word in self.split(key, value) {
                    self.add("dns_search", &word);
                }
            }
            "sysctl" => self.sysctls(value),
            "detach" => match truth(value) {
                Some(true) => {}
                Some(false) => self.set("run", "once"),
                None => self.lost(key, value, "it says neither yes nor no"),
            },
            "restart" => match value.parse::<u32>() {
                Ok(0) => {}
                Ok(times) => self.set("restart", format!("on-failure:{times}")),
                Err(_) => self.lost(key, value, "it is no number"),
            },
            "stop_timeout" => self.duration("stop_grace_period", key, value),
            "start_requires" => self.requires(value),
            "run_args" => arguments(self, value),
            _ => self.lost(key, value, why(key)),
        }
    }

    /// A command, as a list of words.
    fn words(&mut self, key: &str, value: &str) {
        let words = self.split(key, value);
        self.set(key, texts(words));
    }

    /// Splits as a shell does.
    pub(crate) fn split(&mut self, key: &str, value: &str) -> Vec<String> {
        shell_words::split(value).unwrap_or_else(|_| {
            self.lost(key, value, "it has an open quote");
            Vec::new()
        })
    }

    fn namespace(&mut self, key: &str, value: &str) {
        let ours = match key {
            "netns" => "network_mode",
            "pidns" => "pid",
            "ipcns" => "ipc",
            "utsns" => "uts",
            _ => "userns_mode",
        };
        match (key, value) {
            (_, "host") => self.set(ours, "host"),
            ("netns", "none") => self.set(ours, "none"),
            ("netns", _) if value.starts_with("container#") => {
                let why = "containers of a service share a network, where each has its own name: \
                    what was on localhost is there now";
                self.lost(key, value, why);
            }
            _ => self.lost(key, value, "it is not shared so here"),
        }
    }

    /// `name:/path:ro`, `/here:/path`.
    pub(crate) fn mount(&mut self, word: &str) {
        let source = word.split(':').next().unwrap_or_default();
        if source.starts_with('/') {
            let why = "a path of the host: allow it in each node's [policy] bind_mounts";
            self.draft.changed(self.place, format!("mount {word}"), why);
            return self.add("volumes", word);
        }
        let volume = name(source);
        self.add("volumes", &word.replacen(source, &volume, 1));
        self.volumes.insert(volume);
    }

    fn sysctls(&mut self, value: &str) {
        let mut table = InlineTable::new();
        for word in self.split("sysctl", value) {
            match word.split_once('=') {
                Some((key, value)) => drop(table.insert(key, value.into())),
                None => self.lost("sysctl", &word, "it is no `key=value`"),
            }
        }
        if !table.is_empty() {
            self.set("sysctls", table);
        }
    }

    fn duration(&mut self, ours: &str, key: &str, value: &str) {
        let seconds = value.bytes().all(|b| b.is_ascii_digit());
        let text = if seconds { format!("{value}s") } else { value.to_owned() };
        if crate::model::duration::parse_duration(&text).is_ok() {
            self.set(ours, text);
        } else {
            self.lost(key, value, "it is no duration");
        }
    }

    /// `container#0(up)` → `depends_on`.
    fn requires(&mut self, value: &str) {
        let mut all = InlineTable::new();
        for word in value.split_whitespace() {
            let (other, states) = word.split_once('(').unwrap_or((word, "up)"));
            match (other.strip_prefix("container#"), states.trim_end_matches(')')) {
                (Some(other), "up" | "up,stdby up") => {
                    let up = std::iter::once(("condition", Value::from("service_started")));
                    all.insert(name(other), Value::InlineTable(up.collect()));
                }
                _ => self.lost("start_requires", word, "only containers that run are waited for"),
            }
        }
        if !all.is_empty() {
            self.set("depends_on", all);
        }
    }
}

/// Why a key has no counterpart.
fn why(key: &str) -> &'static str {
    match key {
        "image_pull_policy" | "pull_timeout" => "an image is pulled by its digest, once",
        "registry_creds" => "the node's own credentials count: [hub] credentials in agent.toml",
        "standby" => "a container runs on every node of its service, or on none: see `nodes`",
        "monitor" => "a container that ends or is ill is started again; no service moves for it",
        "start_timeout" => "say `health_timeout` in the service's [update]",
        "secrets_environment" | "configs_environment" => {
            "mount configs as files; secrets do not stand in the environment"
        }
        "tags" | "subset" | "optional" => "say what it depends on: `depends_on`",
        "restart_delay" => "the engine decides how long it waits",
        "log_outputs" => "say `logging`",
        key if key.starts_with("pg_") => "say `mem_limit`, `cpus`, `pids_limit`",
        key if key.contains("pre_") || key.contains("post_") || key.contains("blocking_") => {
            "nothing of the host runs before or after a container"
        }
        _ => "there is nothing like it here",
    }
}
