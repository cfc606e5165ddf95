//! What is looked at and never changed: processes, ports, certificates.

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::x509::X509;

use crate::clients::host::{HostError, HostRoot};
use crate::model::seen::{CertificateSeen, Listener, ProcessSeen};

/// More processes than a host of this kind has.
const PROCESSES_MAX: usize = 100_000;
/// More than the kernel lets a command line have, unless it was told otherwise.
const PROCESS_BYTES_MAX: u64 = 8 << 20;
/// A table of some 100,000 connections.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// The error of a process that ended while it was read.
const GONE: i32 = 3;

impl HostRoot {
    /// Every process.
    ///
    /// # Errors
    /// When they cannot be listed, or those of other users are not shown to this program.
    pub fn processes(&self) -> Result<Vec<ProcessSeen>, HostError> {
        let names = self.names("/proc", PROCESSES_MAX)?;
        let pids: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        if !pids.contains(&1) {
            let reason = if pids.is_empty() {
                "nothing is mounted there"
            } else {
                "processes of other users are not shown to this program (hidepid, ProtectProc=)"
            };
            return Err(HostError::unfit(&self.folder().join("proc"), reason));
        }
        pids.into_iter().filter_map(|pid| self.process(pid).transpose()).collect()
    }

    /// One of them; none if it has ended.
    fn process(&self, pid: u32) -> Result<Option<ProcessSeen>, HostError> {
        let text = |file: &str| -> Result<Option<String>, HostError> {
            match self.text(&format!("/proc/{pid}/{file}"), PROCESS_BYTES_MAX) {
                Err(HostError::Io { source, .. }) if source.raw_os_error() == Some(GONE) => {
                    Ok(None)
                }
                other => other,
            }
        };
        let (Some(status), Some(line)) = (text("status")?, text("cmdline")?) else {
            return Ok(None);
        };
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let uid = field("Uid:").and_then(|ids| ids.split_whitespace().next()?.parse().ok());
        let (Some(name), Some(uid)) = (field("Name:"), uid) else { return Ok(None) };
        let args = line.split('\0').filter(|arg| !arg.is_empty()).map(str::to_owned).collect();
        Ok(Some(ProcessSeen { pid, name: name.to_owned(), args, uid }))
    }

    /// Everything that listens: TCP, or else UDP.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn listeners(&self, tcp: bool) -> Result<Vec<Listener>, HostError> {
        // A folder that stands for a host has the network of that host's first process.
        let of = if self.is_this_machine() { "self" } else { "1" };
        let (names, state) = if tcp { (["tcp", "tcp6"], "0A") } else { (["udp", "udp6"], "07") };
        let mut found = Vec::new();
        let mut read = false;
        for name in names {
            let table = self.text(&format!("/proc/{of}/net/{name}"), TABLE_BYTES_MAX)?;
            read |= table.is_some();
            found.extend(Listener::parse(&table.unwrap_or_default(), state));
        }
        if read {
            return Ok(found);
        }
        Err(HostError::unfit(&self.folder().join("proc"), "nothing is mounted there"))
    }
}

/// The first certificate of a PEM file.
///
/// # Errors
/// When there is none, for people.
pub fn certificate(pem: &[u8]) -> Result<CertificateSeen, String> {
    let bad = |_| "it holds no certificate in PEM".to_owned();
    let read = X509::from_pem(pem).map_err(bad)?;
    let entry = |entry: &openssl::x509::X509NameEntryRef| {
        let key = entry.object().nid().short_name().unwrap_or("?");
        let value = entry.data().to_string().unwrap_or_default();
        format!("{key}={value}")
    };
    let issuer: Vec<String> = read.issuer_name().entries().map(entry).collect();
    let mut names = Vec::new();
    for name in read.subject_alt_names().into_iter().flatten() {
        names.extend(name.dnsname().map(str::to_owned));
        names.extend(name.ipaddress().and_then(address));
    }
    let outside = || "its dates are not dates".to_owned();
    let (from, to) = (time(read.not_before()), time(read.not_after()));
    Ok(CertificateSeen {
        from: from.ok_or_else(outside)?,
        to: to.ok_or_else(outside)?,
        issuer: issuer.join(", "),
        names,
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    let sixteen =
        || <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    four.or_else(|_| sixteen()).ok()
}

fn time(at: &Asn1TimeRef) -> Option<jiff::Timestamp> {
    let passed = Asn1Time::from_unix(0).ok()?.diff(at).ok()?;
    let seconds = i64::from(passed.days) * 24 * 60 * 60 + i64::from(passed.secs);
    jiff::Timestamp::from_second(seconds).ok()
}
