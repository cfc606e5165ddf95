//! Bytes as trust.toml, revoked_keys, a tree: never a panic.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::policy(bytes));
