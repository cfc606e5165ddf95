//! The child's limits, which it sets itself before it does anything.

use rustix::process::{
    Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit,
};

use crate::clients::git::child::failure::Failure;
use crate::clients::git::protocol::Order;

/// Descriptors: pack, index, socket, `known_hosts` and some to spare.
const FILES_MAX: u64 = 64;

/// Sets every limit, and dies with the parent.
pub(crate) fn apply(order: &Order) -> Result<(), Failure> {
    let failed = |error: rustix::io::Errno| Failure::other(format!("cannot limit myself: {error}"));
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    // The parent may have died before that call.
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != order.parent) {
        return Err(Failure::other("the agent is gone".to_owned()));
    }
    let limits = &order.limits;
    for (resource, most) in [
        (Resource::As, limits.memory_bytes_max),
        // The index beside a pack is smaller than the pack's cap.
        (Resource::Fsize, limits.pack_bytes_max),
        (Resource::Nofile, FILES_MAX),
        (Resource::Cpu, limits.cpu_secs_max),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(failed)?;
    }
    Ok(())
}
