//! Addresses of the node, from /proc.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Known, Row};
use crate::telemetry::Chain;

const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// IPv4 and IPv6 addresses, loopback aside.
pub(super) fn addresses(host: &HostRoot) -> Known {
    // `self` would be this process, which may live in another root's /proc.
    let [trie, route, v6] = ["fib_trie", "route", "if_inet6"]
        .map(|name| host.text(&format!("/proc/net/{name}"), BYTES_MAX));
    let (trie, route, v6) = match (trie, route, v6) {
        (Ok(Some(trie)), Ok(route), Ok(v6)) => {
            (trie, route.unwrap_or_default(), v6.unwrap_or_default())
        }
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            return Known::Missing(Chain(&error).to_string());
        }
        (Ok(None), ..) => {
            return Known::Missing("/proc/net of the host is not there".to_owned());
        }
    };
    let routes = routes(&route);
    let mut rows: Vec<Row> = ipv4(&trie)
        .into_iter()
        .map(|address| row(&address.to_string(), "ipv4", interface(address, &routes)))
        .collect();
    rows.extend(ipv6(&v6));
    rows.sort_by(|a, b| a.text("address").cmp(b.text("address")));
    rows.dedup();
    Known::Rows(rows)
}

fn row(address: &str, family: &str, interface: &str) -> Row {
    Row(vec![
        ("address", FactValue::text(address)),
        ("family", FactValue::text(family)),
        ("interface", FactValue::text(interface)),
    ])
}

/// Leaves of the routing trie that are this host's own.
fn ipv4(trie: &str) -> Vec<Ipv4Addr> {
    let mut leaf = None;
    let mut found = Vec::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf.filter(|address| !address.is_loopback()));
        }
    }
    found
}

/// Networks with their interface: address and mask in host order.
fn routes(table: &str) -> Vec<(u32, u32, String)> {
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok().map(u32::swap_bytes);
        Some((number(1)?, number(7)?, (*words.first()?).to_owned()))
    };
    table.lines().skip(1).filter_map(route).filter(|(_, mask, _)| *mask != 0).collect()
}

fn interface(address: Ipv4Addr, routes: &[(u32, u32, String)]) -> &str {
    let bits = u32::from(address);
    let fitting = routes.iter().filter(|(net, mask, _)| bits & mask == *net);
    fitting.max_by_key(|(_, mask, _)| *mask).map_or("", |(_, _, name)| name)
}

fn ipv6(table: &str) -> Vec<Row> {
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let bits = u128::from_str_radix(words.first()?, 16).ok()?;
        let address = Ipv6Addr::from(bits);
        let interface = words.get(5)?;
        (!address.is_loopback()).then(|| row(&address.to_string(), "ipv6", interface))
    };
    table.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::compliance::facts::network::{interface, ipv4, routes};

    #[test]
    fn an_address_of_the_host_has_the_interface_of_its_network() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.5\n        /32 host LOCAL\n     \
                    |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\n\
                     eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        let found = ipv4(trie);
        assert_eq!(found.len(), 1);
        assert_eq!(interface(found[0], &routes(table)), "eth1");
    }
}
