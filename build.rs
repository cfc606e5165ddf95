//! How the program is linked.

use std::env;
use std::process::Command;

/// The first glibc whose loader knows packed relative relocations (`DT_RELR`).
const GLIBC_MIN: (u32, u32) = (2, 36);

/// Which code an idle agent does not run.
const SELDOM: &str = ".cargo/seldom.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SELDOM}");
    if !is_here() {
        return;
    }
    let Some(glibc) = glibc() else { return };
    // 20,000 relocations packed take 5 KiB of each process's memory instead of 470.
    if glibc >= GLIBC_MIN {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    // More than a MiB of an idle agent's memory (docs/benchmarks.md).
    if var("PROFILE") == "release" && knows_sections() {
        let here = var("CARGO_MANIFEST_DIR");
        // As one word of the compiler driver: a comma in a path would part what follows `-Wl`.
        println!("cargo::rustc-link-arg-bins=-T{here}/{SELDOM}");
    }
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Whether the program is built for a machine like this one.
fn is_here() -> bool {
    !var("TARGET").is_empty() && var("TARGET") == var("HOST")
}

/// Whether the linker knows `SECTIONS … INSERT`, as GNU ld and lld do and others do not: one that
/// somebody chose may be any.
fn knows_sections() -> bool {
    let chosen = [var("CARGO_ENCODED_RUSTFLAGS"), var("RUSTC_LINKER")].join(" ");
    ["mold", "gold", "wild"].iter().all(|other| !chosen.contains(other))
}

fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
