//! How the program is linked.

use std::env;
use std::process::Command;

/// The first glibc whose loader knows packed relative relocations (`DT_RELR`).
const GLIBC_MIN: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // 20,000 relocations packed take 5 KiB of each process's memory instead of 470.
    if is_here() && glibc().is_some_and(|version| version >= GLIBC_MIN) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program is built for a machine like this one.
fn is_here() -> bool {
    env::var("TARGET").is_ok_and(|target| env::var("HOST").is_ok_and(|host| host == target))
}

fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
