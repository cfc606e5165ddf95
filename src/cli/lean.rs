//! Begins the process again without the system's certificate authorities in its memory.
//!
//! libgit2 reads every authority that OpenSSL would trust when its first object is read: a third of
//! the time of `tidegate plan`, and two megabytes for as long as an agent lives. Commands that speak
//! TLS only in the bounded child, whose environment is its own, need none of them.
//!
//! In: the process's arguments. Out: nothing, if it goes on as it is. Effect: `exec`, once.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Where OpenSSL looks for authorities.
const VARIABLE: &str = "SSL_CERT_FILE";
/// A file without any.
const NONE: &str = "/dev/null";

/// Begins again with the same arguments, unless that was done already.
pub fn without_authorities(args: &[OsString]) {
    if std::env::var_os(VARIABLE).is_some_and(|path| path == NONE) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    if let Some((name, rest)) = args.split_first() {
        command.arg0(name).args(rest);
    }
    // Only comes back when it failed; going on costs nothing but memory.
    drop(command.env(VARIABLE, NONE).exec());
}
