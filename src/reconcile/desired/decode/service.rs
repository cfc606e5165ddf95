//! `[networks]`, `[volumes]` and `[configs]` of a service.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use crate::model::ConfigName;
use crate::model::EnvironmentName;
use crate::model::NetworkName;
use crate::model::ServiceName;
use crate::model::VolumeName;
use crate::reconcile::desired::container::ConfigContent;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::decode::network::DEFAULT_NETWORK;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::repository::Contents;
use crate::reconcile::desired::service::DesiredNetwork;
use crate::reconcile::desired::service::DesiredVolume;
use crate::reconcile::desired::service::Subnet;

/// How a file begins that Git LFS put in a file's place.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The largest config: it is held in memory and hashed on every pass.
const CONFIG_BYTES_MAX: usize = 1024 * 1024;

/// Reads `[networks]`; `instance` is `app1.prd`.
pub(crate) fn networks(
    instance: &str,
    table: &Table,
    reader: &mut Reader<'_>,
) -> BTreeMap<NetworkName, DesiredNetwork> {
    let mut found = BTreeMap::new();
    for (key, at, network) in table.tables("networks") {
        let Some(name) = parsed_name::<NetworkName>(key, at, reader) else { continue };
        let own = match key {
            DEFAULT_NETWORK => instance.to_owned(),
            _ => format!("{instance}_{key}"),
        };
        let external = external(network, reader);
        let subnets = network.table("ipam").and_then(|ipam| ipam.get("config"));
        let subnets = subnets.and_then(Node::as_list).unwrap_or_default();
        let desired = DesiredNetwork {
            engine_name: engine_name(key, network, own, external, reader),
            external,
            driver: reader.text_at(network, "driver"),
            driver_opts: reader.map(network, "driver_opts"),
            internal: reader.boolean(network, "internal"),
            attachable: reader.boolean(network, "attachable"),
            enable_ipv6: reader.boolean(network, "enable_ipv6"),
            subnets: subnets.iter().filter_map(|node| subnet(node, reader)).collect(),
            labels: reader.labels(network),
        };
        found.insert(name, desired);
    }
    found
}

/// The network that a service has without saying so.
pub(crate) fn default_network(instance: &str) -> DesiredNetwork {
    DesiredNetwork {
        engine_name: instance.to_owned(),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        enable_ipv6: false,
        subnets: Vec::new(),
        labels: BTreeMap::new(),
    }
}

fn parsed_name<N: FromStr<Err: Display>>(
    key: &str,
    at: Place,
    reader: &mut Reader<'_>,
) -> Option<N> {
    match key.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            reader.findings.error(at, format!("{error}"));
            None
        }
    }
}

/// Whether something is made by others; then nothing but its name may be said about it.
fn external(table: &Table, reader: &mut Reader<'_>) -> bool {
    let external = reader.boolean(table, "external");
    let others = table.0.iter().filter(|(key, _)| !["external", "name"].contains(&key.as_str()));
    for (key, entry) in others.filter(|_| external) {
        let message = format!("`{key}` does not go with `external`");
        reader.findings.error_help(entry.key_at, message, "who makes it decides that");
    }
    external
}

fn engine_name(
    key: &str,
    table: &Table,
    own: String,
    external: bool,
    reader: &mut Reader<'_>,
) -> String {
    let Some(node) = table.get("name") else {
        return if external { key.to_owned() } else { own };
    };
    let name = reader.with(node, |text| {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if first && rest && text.len() <= 200 {
            Ok(text.to_owned())
        } else {
            Err(format!("`{text}` is not a name that an engine takes"))
        }
    });
    name.unwrap_or(own)
}

fn subnet(node: &Node, reader: &mut Reader<'_>) -> Option<Subnet> {
    let table = node.as_table()?;
    let cidr = |text: &str| {
        let (address, length) = text.split_once('/')?;
        let address: std::net::IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        length.parse::<u8>().ok().filter(|bits| *bits <= bits_max)?;
        Some(text.to_owned())
    };
    let range = |text: &str| cidr(text).ok_or_else(|| format!("`{text}` is not an address range"));
    let address = |text: &str| match text.parse::<std::net::IpAddr>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{text}` is not an address")),
    };
    Some(Subnet {
        gateway: table.get("gateway").and_then(|node| reader.with(node, address)),
        ip_range: table.get("ip_range").and_then(|node| reader.with(node, range)),
        subnet: reader.with(table.get("subnet")?, range)?,
    })
}

/// Reads `[volumes]`.
pub(crate) fn volumes(
    instance: &str,
    table: &Table,
    reader: &mut Reader<'_>,
) -> BTreeMap<VolumeName, DesiredVolume> {
    let mut found = BTreeMap::new();
    for (key, at, volume) in table.tables("volumes") {
        let Some(name) = parsed_name::<VolumeName>(key, at, reader) else { continue };
        let external = external(volume, reader);
        let desired = DesiredVolume {
            engine_name: engine_name(key, volume, format!("{instance}_{key}"), external, reader),
            external,
            driver: reader.text_at(volume, "driver"),
            driver_opts: reader.map(volume, "driver_opts"),
            labels: reader.labels(volume),
        };
        found.insert(name, desired);
    }
    found
}

/// Where configs' files are looked for.
#[derive(Debug)]
pub(crate) struct ConfigFiles<'a> {
    /// The snapshot.
    pub(crate) contents: &'a Contents,
    /// The environment: its own file of the same path wins.
    pub(crate) environment: &'a EnvironmentName,
    /// The service.
    pub(crate) service: &'a ServiceName,
}

/// Reads `[configs]`; none stands for a config whose content could not be had.
pub(crate) fn configs(
    files: &ConfigFiles<'_>,
    table: &Table,
    reader: &mut Reader<'_>,
) -> BTreeMap<ConfigName, Option<ConfigContent>> {
    let mut found = BTreeMap::new();
    for (key, at, config) in table.tables("configs") {
        let Some(name) = parsed_name::<ConfigName>(key, at, reader) else { continue };
        let content = match (config.get("file"), config.get("content")) {
            (Some(file), None) => file_content(files, file, reader),
            (None, Some(content)) => reader.text(content).map(|text| text.into_bytes().into()),
            (Some(_), Some(_)) | (None, None) => {
                let message = format!("config `{key}` needs `file` or `content`");
                reader.findings.error_help(at, message, "write exactly one of them");
                None
            }
        };
        found.insert(name, content.map(ConfigContent));
    }
    found
}

fn file_content(
    files: &ConfigFiles<'_>,
    node: &Node,
    reader: &mut Reader<'_>,
) -> Option<Arc<[u8]>> {
    let path = reader.text(node)?;
    let service = files.service;
    let step = |part: &str| part.is_empty() || part == "." || part == "..";
    if path.split('/').any(step) || path.contains(['\0', '\\']) {
        let message = format!("`{path}` is not a path below services/{service}/");
        let help = "write a plain relative path such as `nginx.conf`, without `.` or `..`";
        reader.findings.error_help(node.at, message, help);
        return None;
    }
    let own = format!("environments/{}/services/{service}/{path}", files.environment);
    let flowing = format!("services/{service}/{path}");
    let Some(bytes) = files.contents.get(&own).or_else(|| files.contents.get(&flowing)) else {
        let message = format!("there is no file `{flowing}`");
        reader.findings.error_help(node.at, message, "add it, or correct the path");
        return None;
    };
    if bytes.starts_with(LFS_POINTER) {
        let message = format!("`{flowing}` is a pointer of Git LFS, not the file");
        let help = "commit the file itself: `git lfs untrack` it and add it again; what LFS keeps \
                    elsewhere is signed by nobody";
        reader.findings.error_help(node.at, message, help);
        return None;
    }
    if bytes.len() > CONFIG_BYTES_MAX {
        let message =
            format!("`{flowing}` has {} bytes; the limit is {CONFIG_BYTES_MAX}", bytes.len());
        reader.findings.error_help(
            node.at,
            message,
            "put large content into the image or a volume",
        );
        return None;
    }
    Some(Arc::clone(bytes))
}
