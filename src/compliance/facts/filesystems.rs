//! File systems on disks and in memory.

use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Known, Row};
use crate::model::mounts::{is_remote, unescaped};
use crate::telemetry::Chain;

const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Asking these how full they are cannot hang; a network's file system that is gone would.
const ASKED: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "tmpfs", "overlay", "erofs"];

/// One row a mount.
pub(super) fn rows(host: &HostRoot) -> Known {
    // Those of the first process are root's to read.
    let first = host.text("/proc/1/mounts", BYTES_MAX).ok().flatten();
    let table = match first {
        None => host.text("/proc/self/mounts", BYTES_MAX),
        first => Ok(first),
    };
    match table {
        Ok(Some(table)) => Known::Rows(table.lines().filter_map(|line| row(host, line)).collect()),
        Ok(None) => Known::Missing("/proc of the host is not there".to_owned()),
        Err(error) => Known::Missing(Chain(&error).to_string()),
    }
}

fn row(host: &HostRoot, line: &str) -> Option<Row> {
    let mut words = line.split(' ');
    let (device, mount, kind, options) =
        (words.next()?, unescaped(words.next()?), words.next()?, words.next()?);
    let asked = ASKED.contains(&kind);
    // Those of servers are shown without asking.
    if !asked && !is_remote(kind) {
        return None;
    }
    let mut values = vec![
        ("mount", FactValue::text(&mount)),
        ("device", FactValue::text(device)),
        ("type", FactValue::text(kind)),
        ("options", FactValue::text(options)),
    ];
    let at = host.folder().join(mount.trim_start_matches('/'));
    if let Some(stat) = asked.then(|| rustix::fs::statvfs(&at).ok()).flatten() {
        let bytes = |blocks: u64| FactValue::count(blocks.saturating_mul(stat.f_frsize));
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let whole = used.saturating_add(stat.f_bavail);
        values.extend([("size", bytes(stat.f_blocks)), ("free", bytes(stat.f_bavail))]);
        let percent = used.saturating_mul(100).div_ceil(whole.max(1));
        values.push(("used_percent", FactValue::count(percent)));
    }
    Some(Row(values))
}
