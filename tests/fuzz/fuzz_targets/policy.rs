//! Bytes as trust.toml, revoked_keys, a tree: never a panic.
#![no_main]
include!("../parsers.rs");
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policy(bytes));
