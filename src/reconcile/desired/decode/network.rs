//! `networks`, `network_mode`, `extra_hosts` and name servers of a container.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::NetworkName;
use crate::reconcile::desired::container::Endpoint;
use crate::reconcile::desired::container::NetworkAttachment;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Place;

/// The network that containers join without saying so.
pub(crate) const DEFAULT_NETWORK: &str = "default";

/// Reads how container `name` is connected.
pub(crate) fn attachment(
    name: &str,
    table: &Table,
    defined: &BTreeSet<NetworkName>,
    reader: &mut Reader<'_>,
) -> NetworkAttachment {
    let mode = reader.text_at(table, "network_mode");
    if let (Some(_), Some(entry)) = (&mode, table.0.get("networks")) {
        let message = "`networks` does not go with `network_mode`";
        reader.findings.error_help(entry.key_at, message, "remove one of them");
    }
    match mode.as_deref() {
        Some("none") => NetworkAttachment::None,
        Some("host") => NetworkAttachment::Host,
        _ => NetworkAttachment::Networks { networks: networks(name, table, defined, reader) },
    }
}

fn networks(
    name: &str,
    table: &Table,
    defined: &BTreeSet<NetworkName>,
    reader: &mut Reader<'_>,
) -> BTreeMap<NetworkName, Endpoint> {
    let written: Vec<(String, Place, Option<&Table>)> =
        match table.get("networks").map(|n| &n.value) {
            Some(Value::List(items)) => items
                .iter()
                .filter_map(|item| reader.text(item).map(|text| (text, item.at, None)))
                .collect(),
            Some(Value::Table(entries)) => entries
                .0
                .iter()
                .map(|(key, entry)| (key.clone(), entry.key_at, entry.node.as_table()))
                .collect(),
            _ => Vec::new(),
        };
    let mut found = BTreeMap::new();
    for (key, at, options) in &written {
        match key.parse::<NetworkName>() {
            Ok(network) if key == DEFAULT_NETWORK || defined.contains(&network) => {
                found.insert(network, endpoint(name, *options, reader));
            }
            Ok(network) => {
                let message = format!("network `{network}` is not defined");
                reader.findings.error_help(*at, message, format!("add `[networks.{network}]`"));
            }
            Err(error) => reader.findings.error(*at, error.to_string()),
        }
    }
    if written.is_empty()
        && let Ok(network) = DEFAULT_NETWORK.parse()
    {
        found.insert(network, endpoint(name, None, reader));
    }
    found
}

fn endpoint(name: &str, options: Option<&Table>, reader: &mut Reader<'_>) -> Endpoint {
    let mut aliases = vec![name.to_owned()];
    let Some(options) = options else {
        return Endpoint { aliases, ..Endpoint::default() };
    };
    for alias in reader.texts(options, "aliases") {
        if !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    Endpoint {
        aliases,
        ipv4_address: address(options, "ipv4_address", reader),
        ipv6_address: address(options, "ipv6_address", reader),
    }
}

fn address<T: std::str::FromStr>(table: &Table, key: &str, reader: &mut Reader<'_>) -> Option<T> {
    let node = table.get(key)?;
    reader.with(node, |text| {
        text.parse().map_err(|_| format!("`{text}` is not an address for `{key}`"))
    })
}

/// Reads name servers.
pub(crate) fn dns(table: &Table, reader: &mut Reader<'_>) -> Vec<std::net::IpAddr> {
    let nodes = table.get("dns").map(Node::one_or_many).unwrap_or_default();
    let address = |text: &str| text.parse().map_err(|_| format!("`{text}` is not an address"));
    nodes.iter().filter_map(|node| reader.with(node, address)).collect()
}

/// Reads `extra_hosts`: `["host=address"]`, `["host:address"]`, `{ host = "address" }`.
pub(crate) fn extra_hosts(table: &Table, reader: &mut Reader<'_>) -> BTreeMap<String, Vec<String>> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |host: &str, address: &str, at: Place, reader: &mut Reader<'_>| {
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if bare == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok() {
            hosts.entry(host.to_owned()).or_default().push(bare.to_owned());
        } else {
            let message = format!("`{address}` is not an address for host `{host}`");
            reader.findings.error_help(at, message, "write an address or `host-gateway`");
        }
    };
    match table.get("extra_hosts").map(|node| &node.value) {
        Some(Value::List(items)) => {
            for item in items {
                let Some(text) = reader.text(item) else { continue };
                if let Some((host, address)) = text.split_once('=').or_else(|| text.split_once(':'))
                {
                    add(host, address, item.at, reader);
                } else {
                    let message = format!("`{text}` names no address");
                    reader.findings.error_help(item.at, message, "write `host=address`");
                }
            }
        }
        Some(Value::Table(entries)) => {
            for (host, entry) in &entries.0 {
                for node in entry.node.one_or_many() {
                    if let Some(address) = reader.text(node) {
                        add(host, &address, node.at, reader);
                    }
                }
            }
        }
        _ => {}
    }
    hosts
}
