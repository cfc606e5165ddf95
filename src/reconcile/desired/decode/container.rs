//! `[containers.<name>]` → [`DesiredContainer`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::ContainerName;
use crate::model::NetworkName;
use crate::model::RepositoryPath;
use crate::model::tag_version;
use crate::reconcile::desired::container::Condition;
use crate::reconcile::desired::container::ContainerSpec;
use crate::reconcile::desired::container::DesiredContainer;
use crate::reconcile::desired::container::Pin;
use crate::reconcile::desired::container::Run;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::decode::limits::logging;
use crate::reconcile::desired::decode::limits::resources;
use crate::reconcile::desired::decode::limits::ulimits;
use crate::reconcile::desired::decode::mounts::Sources;
use crate::reconcile::desired::decode::mounts::mounts;
use crate::reconcile::desired::decode::network::attachment;
use crate::reconcile::desired::decode::network::dns;
use crate::reconcile::desired::decode::network::extra_hosts;
use crate::reconcile::desired::decode::ports::ports;
use crate::reconcile::desired::decode::process::capabilities;
use crate::reconcile::desired::decode::process::checked;
use crate::reconcile::desired::decode::process::healthcheck;
use crate::reconcile::desired::decode::process::is_host_name;
use crate::reconcile::desired::decode::process::is_signal;
use crate::reconcile::desired::decode::process::is_user;
use crate::reconcile::desired::decode::process::restart;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::ruleset::PinEntry;

/// What a container is read with.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// What its mounts may refer to.
    pub(crate) sources: Sources<'a>,
    /// `[networks]` of the service.
    pub(crate) networks: &'a BTreeSet<NetworkName>,
    /// The pin that rulesets show.
    pub(crate) pin: Option<&'a PinEntry>,
}

/// Reads one container, written at `at`.
pub(crate) fn container(
    name: &ContainerName,
    at: Place,
    table: &Table,
    around: &Surroundings<'_>,
    reader: &mut Reader<'_>,
) -> Option<DesiredContainer> {
    let pin = pin(name, at, table, around.pin, reader);
    let run = match reader.text_at(table, "run").as_deref() {
        Some("once") => Run::Once,
        _ => Run::Always,
    };
    let depends_on = dependencies(table, reader);
    let spec = spec(name, table, around, reader);
    Some(DesiredContainer { name: name.clone(), pin: pin?, run, depends_on, spec })
}

fn pin(
    name: &ContainerName,
    at: Place,
    table: &Table,
    shown: Option<&PinEntry>,
    reader: &mut Reader<'_>,
) -> Option<Pin> {
    let own = PinEntry::read(table, reader.findings);
    let broken =
        own.is_none() && (table.get("digest").is_some() || table.get("image_id").is_some());
    let image = table.get("image")?;
    let repository = match image.as_text()?.parse::<RepositoryPath>() {
        Ok(repository) => repository,
        Err(error) => {
            let help = "the tag's place is taken by a pin: the digest in a ruleset";
            reader.findings.error_help(image.at, error.to_string(), help);
            return None;
        }
    };
    let Some(entry) = shown.or(own.as_ref()) else {
        if !broken {
            let message = format!("container `{name}` has no pin");
            let help = format!(
                "write its digest into a ruleset, as `[containers.{name}] digest = \"sha256:…\"`"
            );
            reader.findings.error_help(at, message, help);
        }
        return None;
    };
    versions(table, entry, reader);
    Some(Pin {
        repository,
        digest: entry.digest,
        image_id: entry.image_id.clone(),
        version: entry.version.clone(),
    })
}

/// `versions`: it decides nothing here; `pin --check` offers what it allows.
fn versions(table: &Table, pin: &PinEntry, reader: &mut Reader<'_>) {
    let Some(node) = table.get("versions") else { return };
    let read = |text: &str| text.parse::<semver::VersionReq>();
    let Some(range) = node.as_text().map(read) else { return };
    let pinned = pin.version.as_deref().and_then(tag_version);
    match (range, pinned) {
        (Err(error), _) => {
            let help = "write for example `^1.4` or `>=1.4, <2`; a literal, without `${…}`";
            let message = format!("`versions` is not a semver range: {error}");
            reader.findings.error_help(node.at, message, help);
        }
        (Ok(range), Some(pinned)) if !range.matches(&pinned) => {
            let message = format!("the pinned version {pinned} is outside `{range}`");
            reader.findings.warning(node.at, message, "pin another one, or widen `versions`");
        }
        _ => {}
    }
}

/// `depends_on`: without a condition it is "started"; a run-once dependency is made "completed" when
/// the service is checked as a whole.
fn dependencies(table: &Table, reader: &mut Reader<'_>) -> BTreeMap<ContainerName, Condition> {
    let mut found = BTreeMap::new();
    match table.get("depends_on").map(|node| &node.value) {
        Some(Value::List(items)) => {
            for item in items {
                if let Some(name) = reader.parsed(item) {
                    found.insert(name, Condition::ServiceStarted);
                }
            }
        }
        Some(Value::Table(entries)) => {
            for (key, entry) in &entries.0 {
                let name = match key.parse::<ContainerName>() {
                    Ok(name) => name,
                    Err(error) => {
                        reader.findings.error(entry.key_at, error.to_string());
                        continue;
                    }
                };
                let condition =
                    entry.node.as_table().and_then(|table| reader.text_at(table, "condition"));
                let condition = match condition.as_deref() {
                    Some("service_healthy") => Condition::ServiceHealthy,
                    Some("service_completed_successfully") => {
                        Condition::ServiceCompletedSuccessfully
                    }
                    _ => Condition::ServiceStarted,
                };
                found.insert(name, condition);
            }
        }
        _ => {}
    }
    found
}

fn spec(
    name: &ContainerName,
    table: &Table,
    around: &Surroundings<'_>,
    reader: &mut Reader<'_>,
) -> ContainerSpec {
    let absolute: fn(&str) -> bool = |text| text.starts_with('/');
    ContainerSpec {
        command: command(table, reader),
        entrypoint: reader.words(table, "entrypoint"),
        environment: environment(table, reader),
        ports: ports(table, reader),
        mounts: mounts(table, &around.sources, reader),
        network: attachment(name.as_str(), table, around.networks, reader),
        healthcheck: healthcheck(table, reader),
        restart: restart(table, reader),
        user: checked(table, "user", "`user` or `user:group`", is_user, reader),
        read_only: reader.boolean(table, "read_only"),
        cap_add: capabilities(table, "cap_add", reader),
        cap_drop: capabilities(table, "cap_drop", reader),
        security_opt: reader.texts(table, "security_opt"),
        init: reader.option(table, "init"),
        stop_signal: checked(table, "stop_signal", "a signal such as `SIGTERM`", is_signal, reader),
        stop_grace_period: reader.duration(table, "stop_grace_period"),
        labels: reader.labels(table),
        ulimits: ulimits(table, reader),
        sysctls: reader.map(table, "sysctls"),
        extra_hosts: extra_hosts(table, reader),
        dns: dns(table, reader),
        dns_search: reader.texts(table, "dns_search"),
        dns_opt: reader.texts(table, "dns_opt"),
        logging: logging(table, reader),
        hostname: checked(table, "hostname", "a host name", is_host_name, reader),
        domainname: checked(table, "domainname", "a domain name", is_host_name, reader),
        working_dir: checked(table, "working_dir", "an absolute path", absolute, reader),
        resources: resources(table, reader),
        privileged: reader.boolean(table, "privileged"),
        stdin_open: reader.boolean(table, "stdin_open"),
        tty: reader.boolean(table, "tty"),
        shm_size: reader.size(table, "shm_size"),
    }
}

/// An empty command is refused where the engine would run the image's own instead.
fn command(table: &Table, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let is_empty = |node: &Node| node.as_list().is_some_and(<[Node]>::is_empty);
    let node = table.get("command")?;
    if is_empty(node) && table.get("entrypoint").is_none_or(is_empty) {
        let help = "remove it to run the image's command, or set `entrypoint` to what runs without \
                    arguments";
        let message = "an empty `command` without an `entrypoint` runs nothing";
        reader.findings.error_help(node.at, message, help);
    }
    reader.words(table, "command")
}

fn environment(table: &Table, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    for (name, entry) in table.table("environment").into_iter().flat_map(|t| t.0.iter()) {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{name}` is not a variable's name");
            reader.findings.error(entry.key_at, message);
        }
    }
    reader.map(table, "environment")
}
