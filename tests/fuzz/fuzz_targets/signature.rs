//! Bytes as a signature, an approval, a certificate: never a panic, never a key for nothing.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::signature(bytes));
