//! A Debian that `.ci/setup test` bootstrapped, once for all runs, below `target`.

use std::path::{Path, PathBuf};

/// The root; whoever changes it works on a copy.
pub(crate) fn debian() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/debian");
    let made = root.with_extension("made").is_file();
    assert!(made, "{} is missing: run `sh .ci/setup test` as root", root.display());
    root
}
