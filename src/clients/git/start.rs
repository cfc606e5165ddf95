//! libgit2 without this machine's authorities.
//!
//! Effect: initialises libgit2; for that moment the process can open no file.
//!
//! libgit2 reads all authorities as soon as it is initialised, which takes longer than most commands
//! and stays in memory. It speaks TLS in the fetching child alone, which does not call this.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Makes libgit2 ready to read objects. To be called before there is a second thread, and before
/// anything else of git2.
pub fn start() {
    // OpenSSL reads the system's own rules, which must count, with the first digest it makes.
    // `openssl::init` would do so too, and keep the texts of all its errors in memory.
    openssl::sha::sha256(&[]);
    let limit = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(0), maximum: limit.maximum };
    // Where the limit cannot be set, starting only takes longer.
    let is_set = setrlimit(Resource::Nofile, none).is_ok();
    libgit2_sys::init();
    if is_set {
        // It was allowed a moment ago: the hard limit is as it was.
        let _as_before = setrlimit(Resource::Nofile, limit);
    }
}
