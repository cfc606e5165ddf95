//! `container`: how the containers of services run.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SOME_TEXTS;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::kind::TEXT_OR_NUMBER;
use crate::reconcile::desired::document::kind::TEXTS;
use crate::reconcile::desired::document::node::Table;

/// Namespaces that a container can share with the host.
const NAMESPACES: &[&str] = &["network", "pid", "ipc", "uts", "userns"];
const STATE: Kind = Kind::Choice(&["created", "running", "paused", "restarting", "exited", "dead"]);
const HEALTH: Kind = Kind::Choice(&["healthy", "starting", "unhealthy", "none"]);

/// Keys of `kind = "container"`.
pub(crate) static KEYS: Keys = Keys {
    name: "container",
    doc: "How containers of services run.",
    keys: &[
        Key::new("container", SOME_TEXTS, "names within the service, with `*`; default all"),
        Key::new(
            "state",
            Kind::OneOf(&[STATE, Kind::NonEmpty(&STATE)]),
            "one of these; of what keeps running",
        ),
        Key::new(
            "health",
            Kind::OneOf(&[HEALTH, Kind::NonEmpty(&HEALTH)]),
            "one of these; of what keeps running",
        ),
        Key::new("restarts_max", Kind::Integer, "restarts by the engine, at most"),
        Key::new("privileged", Kind::Boolean, "whether it may do everything"),
        Key::new(
            "host_namespaces",
            Kind::List(&Kind::Choice(NAMESPACES)),
            "those that it may share with the host; `[]` is none",
        ),
        Key::new("root", Kind::Boolean, "whether it runs as root"),
        Key::new("user", SOME_TEXTS, "one of these users, as `1000:1000`, with `*`"),
        Key::new("read_only", Kind::Boolean, "whether its root file system is read-only"),
        Key::new("memory_max", TEXT_OR_INTEGER, "it has a limit, and at most this: `512m`"),
        Key::new("cpus_max", TEXT_OR_NUMBER, "it has a limit, and at most this: `1.5`"),
        Key::new("pids_max", Kind::Integer, "it has a limit, and at most this"),
        Key::new("cap_add", TEXTS, "capabilities that it may have been given; `[]` is none"),
        Key::new("cap_drop", TEXTS, "capabilities that it must have lost; `ALL` is all"),
        Key::new("no_new_privileges", Kind::Boolean, "whether programs in it can gain none"),
    ],
};

/// How containers run; what is absent does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerRule {
    /// Names within the service, with `*`; empty is all.
    pub containers: Vec<String>,
    /// One of these states.
    pub states: Vec<String>,
    /// One of these.
    pub healths: Vec<String>,
    /// Restarts by the engine, at most.
    pub restarts_max: Option<i64>,
    /// Whether it may do everything.
    pub privileged: Option<bool>,
    /// Namespaces that it may share with the host.
    pub host_namespaces: Option<Vec<String>>,
    /// Whether it runs as root.
    pub root: Option<bool>,
    /// One of these users, with `*`.
    pub users: Vec<String>,
    /// Whether its root file system is read-only.
    pub read_only: Option<bool>,
    /// Bytes.
    pub memory_max: Option<i64>,
    /// Thousandths of a processor.
    pub cpu_millis_max: Option<i64>,
    /// Processes and threads.
    pub pids_max: Option<i64>,
    /// Capabilities that it may have been given, upper case, without `CAP_`.
    pub cap_add: Option<Vec<String>>,
    /// Capabilities that it must have lost.
    pub cap_drop: Vec<String>,
    /// Whether programs in it can gain no privileges.
    pub no_new_privileges: Option<bool>,
}

/// A capability's name as the engine writes it.
pub fn capability(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<ContainerRule> {
    let memory_max = reader.size(table, "memory_max").map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let capabilities = |texts: Vec<String>| texts.iter().map(|name| capability(name)).collect();
    let if_there = |key: &str, reader: &mut Reader<'_>| {
        table.get(key).is_some().then(|| reader.texts(table, key))
    };
    let namespaces = if_there("host_namespaces", reader);
    let cap_add = if_there("cap_add", reader);
    let rule = ContainerRule {
        containers: reader.texts(table, "container"),
        states: reader.texts(table, "state"),
        healths: reader.texts(table, "health"),
        restarts_max: reader.integer(table, "restarts_max"),
        privileged: reader.option(table, "privileged"),
        host_namespaces: namespaces,
        root: reader.option(table, "root"),
        users: reader.texts(table, "user"),
        read_only: reader.option(table, "read_only"),
        memory_max,
        cpu_millis_max: table.get("cpus_max").and_then(|node| reader.with(node, millis)),
        pids_max: reader.integer(table, "pids_max"),
        cap_add: cap_add.map(capabilities),
        cap_drop: capabilities(reader.texts(table, "cap_drop")),
        no_new_privileges: reader.option(table, "no_new_privileges"),
    };
    let says = KEYS.keys.iter().any(|key| key.name != "container" && table.get(key.name).is_some());
    if !says {
        let message = "this rule asks for nothing";
        let help = "write for example `privileged = false` or `health = [\"healthy\"]`";
        reader.findings.error_help(table.get("kind")?.at, message, help);
        return None;
    }
    Some(rule)
}

/// `1.5` processors in thousandths.
fn millis(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is no number of processors such as `1.5`");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.is_empty() {
        return Err(error());
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    format!("{whole}{part}").parse().map_err(|_| error())
}
