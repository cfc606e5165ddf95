//! `ports`, short and long.

use std::net::IpAddr;

use crate::reconcile::desired::container::PortMapping;
use crate::reconcile::desired::container::Protocol;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;

/// The most ports one entry may publish: an engine takes a process for each.
const RANGE_PORTS_MAX: u16 = 256;

/// First and last port.
type Range = (u16, u16);

/// Reads `ports`.
pub(crate) fn ports(table: &Table, reader: &mut Reader<'_>) -> Vec<PortMapping> {
    let nodes = table.get("ports").and_then(Node::as_list).unwrap_or_default();
    let mut ports = Vec::new();
    for node in nodes {
        let found = match node.as_table() {
            Some(table) => long(table, node, reader),
            None => reader.with(node, short),
        };
        ports.extend(found.unwrap_or_default());
    }
    ports
}

/// `[[IP:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL]`.
fn short(text: &str) -> Result<Vec<PortMapping>, String> {
    let bad = |why: &str| {
        format!(
            "`{text}` is not a port: {why}; write `8080:80`, `127.0.0.1:8080:80/udp` or `8000-8003:80-83`"
        )
    };
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, word)) => {
            (rest, protocol(word).ok_or_else(|| bad("the protocol is not tcp, udp or sctp"))?)
        }
        None => (text, Protocol::Tcp),
    };
    let (host, inside) = match rest.rsplit_once(':') {
        Some((host, inside)) => (Some(host), inside),
        None => (None, rest),
    };
    let inside = range(inside).ok_or_else(|| bad("the port inside is not 1 to 65535"))?;
    let (ip, host) = match host.map(|host| host.rsplit_once(':').unwrap_or(("", host))) {
        None => (None, None),
        Some((ip, host)) => {
            let address = ip.trim_start_matches('[').trim_end_matches(']');
            let parsed = match address {
                "" => None,
                _ => Some(address.parse::<IpAddr>().map_err(|_| bad("the address is none"))?),
            };
            let published = match host {
                "" => None,
                _ => Some(range(host).ok_or_else(|| bad("the host port is not 1 to 65535"))?),
            };
            (parsed, published)
        }
    };
    spread(ip, host, inside, protocol).map_err(bad)
}

fn long(table: &Table, node: &Node, reader: &mut Reader<'_>) -> Option<Vec<PortMapping>> {
    let target: u16 = reader.integer(table, "target")?;
    let host_ip = match table.get("host_ip") {
        Some(node) => Some(reader.with(node, |text| {
            text.parse::<IpAddr>().map_err(|_| format!("`{text}` is not an address"))
        })?),
        None => None,
    };
    let published = match table.get("published") {
        Some(node) => Some(reader.with(node, |text| {
            range(text).ok_or_else(|| format!("`{text}` is not a port from 1 to 65535"))
        })?),
        None => None,
    };
    let protocol = match table.get("protocol") {
        Some(node) => reader.with(node, |text| {
            protocol(text).ok_or_else(|| format!("`{text}` is not tcp, udp or sctp"))
        })?,
        None => Protocol::Tcp,
    };
    if target == 0 {
        reader.findings.error(node.at, "`target` is not 1 to 65535");
        return None;
    }
    match spread(host_ip, published, (target, target), protocol) {
        Ok(ports) => Some(ports),
        Err(why) => {
            reader.findings.error(node.at, why);
            None
        }
    }
}

fn spread(
    host_ip: Option<IpAddr>,
    host: Option<Range>,
    inside: Range,
    protocol: Protocol,
) -> Result<Vec<PortMapping>, &'static str> {
    let length = inside.1 - inside.0;
    if length >= RANGE_PORTS_MAX {
        return Err("a range has at most 256 ports");
    }
    if host.is_some_and(|host| host.1 - host.0 != length) {
        return Err("the two ranges differ in length");
    }
    let mapping = |n: u16| PortMapping {
        host_ip,
        host_port: host.map(|(first, _)| first + n),
        container_port: inside.0 + n,
        protocol,
    };
    Ok((0..=length).map(mapping).collect())
}

fn range(text: &str) -> Option<Range> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some((first, last))
}

fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}
