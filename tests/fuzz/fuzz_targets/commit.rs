//! Bytes as a commit: never a panic, and what parses serialises to its bytes.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::commit(bytes));
