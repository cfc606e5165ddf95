//! Lets an engine in its own network namespace reach what listens on the tests' loopback.
//!
//! Hubs are named by `127.0.0.1`, which engines trust without TLS. Inside the namespace every
//! connection to it is redirected to a listener of ours, which asks the kernel where it was meant to
//! go and goes there on this side.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::SockRef;

/// Where the relay listens in the namespace: nothing of ours has it.
pub(crate) const PORT: u16 = 1;

/// Starts the relay for the namespace of process `pid`; it ends with the test's process.
pub(crate) fn start(pid: u32) {
    let inside = std::thread::spawn(move || {
        let space = File::open(format!("/proc/{pid}/ns/net")).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).unwrap()
    });
    let listener = inside.join().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(carry(&stream)));
        }
    });
}

fn carry(from: &TcpStream) -> io::Result<()> {
    let meant = SockRef::from(from).original_dst_v4()?.as_socket_ipv4();
    // Strange addresses are in there alone.
    let meant = meant.map(|meant| (Ipv4Addr::LOCALHOST, meant.port()));
    // Nothing there: the connection is reset, as near to refused as one that was taken can come.
    SockRef::from(from).set_linger(Some(std::time::Duration::ZERO))?;
    let to = TcpStream::connect(meant.ok_or(io::ErrorKind::AddrNotAvailable)?)?;
    SockRef::from(from).set_linger(None)?;
    let (mut back_from, mut back_to) = (to.try_clone()?, from.try_clone()?);
    let back = std::thread::spawn(move || {
        let _ = io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &*from, &mut &to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}
