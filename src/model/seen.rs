//! What is looked at on a host and never changed: processes, ports, certificates.
//!
//! In and out: values. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSeen {
    /// Its number.
    pub pid: u32,
    /// What the kernel calls it: at most 15 characters.
    pub name: String,
    /// Its program and arguments.
    pub args: Vec<String>,
    /// Whose it is.
    pub uid: u32,
}

impl ProcessSeen {
    /// Whether it is a process of this program.
    pub fn is_of(&self, program: &str) -> bool {
        let own = self.args.first().and_then(|path| path.rsplit('/').next());
        // The kernel keeps fifteen characters, which may be another program's as well.
        let is_cut =
            self.args.is_empty() && self.name.len() == 15 && program.starts_with(&self.name);
        own == Some(program) || self.name == program || is_cut
    }
}

/// Something that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// Where.
    pub address: IpAddr,
    /// On which port.
    pub port: u16,
}

impl Listener {
    /// Those of a table of /proc/net, by the state that listens in it: `0A` of TCP, `07` of UDP.
    pub fn parse(table: &str, state: &str) -> Vec<Self> {
        let one = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, is, ..] = words[..] else { return None };
            let (address, port) = local.split_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            (is == state).then_some(Self { address: parse_address(address)?, port })
        };
        table.lines().skip(1).filter_map(one).collect()
    }
}

/// Words of four bytes in the machine's order, as the kernel writes them.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSeen {
    /// When it begins to be valid.
    pub from: Timestamp,
    /// When it ends.
    pub to: Timestamp,
    /// Who issued it: `CN=…, O=…`.
    pub issuer: String,
    /// Host names that it is for.
    pub names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use crate::model::seen::{Listener, ProcessSeen};

    #[test]
    fn a_process_is_its_programs_and_no_other_of_fifteen_letters_alike() {
        let process = |name: &str, args: &[&str]| ProcessSeen {
            pid: 1,
            uid: 0,
            name: name.to_owned(),
            args: args.iter().map(ToString::to_string).collect(),
        };
        let networkd = process("systemd-network", &["/lib/systemd/systemd-networkd"]);
        assert!(networkd.is_of("systemd-networkd"));
        assert!(!networkd.is_of("systemd-network-generator"));
        assert!(process("fail2ban-server", &["/usr/bin/python3"]).is_of("fail2ban-server"));
        assert!(
            process("systemd-network", &[]).is_of("systemd-networkd"),
            "it ended its arguments"
        );
        assert!(!process("ssh", &[]).is_of("sshd"));
    }

    #[test]
    fn what_listens_is_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
            1: 0100007F:1F91 0100007F:0016 01 00000000:00000000\n   \
            2: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0\n   \
            3: 0000000000000000FFFF00000100007F:0017 00000000000000000000000000000000:0000 0A 0\n";
        let found = Listener::parse(table, "0A");
        let shown: Vec<String> =
            found.iter().map(|l| format!("{} {}", l.address, l.port)).collect();
        assert_eq!(shown, ["127.0.0.1 8080", "::1 22", "127.0.0.1 23"]);
    }
}
