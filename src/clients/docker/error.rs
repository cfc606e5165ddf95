//! Why a call to the engine failed.

/// What kind of failure it was, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerErrorKind {
    /// No engine answers at the socket.
    Unreachable,
    /// The socket may not be opened.
    PermissionDenied,
    /// No answer within the deadline; the call may have had its effect.
    Timeout,
    /// The connection broke in the middle; the call may have had its effect.
    Interrupted,
    /// 404.
    NotFound,
    /// 409: a name is taken, or the state does not allow it.
    Conflict,
    /// Another 4xx: the request itself is refused.
    Refused,
    /// 5xx.
    Engine,
    /// The answer cannot be understood, or is over its cap.
    Malformed,
    /// The registry has no such image, or hides it.
    ImageMissing,
    /// The registry refuses the credentials.
    Unauthorized,
    /// The registry fails or is not reachable.
    Registry,
}

/// A failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct DockerError {
    /// What kind of failure it was.
    pub kind: DockerErrorKind,
    /// What was asked, for people: `create container app1.prd-web`.
    pub operation: String,
    /// The engine's own words, or ours; never a secret.
    pub message: String,
}

impl DockerError {
    /// Whether the call may have had its effect although it failed.
    pub fn may_have_happened(&self) -> bool {
        matches!(
            self.kind,
            DockerErrorKind::Timeout
                | DockerErrorKind::Interrupted
                | DockerErrorKind::Engine
                | DockerErrorKind::Malformed
        )
    }
}

/// The container that a failed start says the engine has a task for already: one that was started
/// while the engine was ending is lost to it, and never starts again.
pub fn leftover_task(message: &str) -> Option<&str> {
    const ID_CHARS: usize = 64;
    let (before, _) = message.split_once(": already exists")?;
    let (_, id) = before.rsplit_once("task ")?;
    (id.len() == ID_CHARS && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// Whether the engine's words are about what an earlier run of it left behind, and not about what was
/// asked: it clears that away by itself, sooner or later. (Words of engines 20.10 to 29.)
pub fn is_leftover(message: &str) -> bool {
    leftover_task(message).is_some() || message.contains("id already in use")
}

/// Whether the engine's words are about something that is taken or used up for now, and not about
/// what was asked: a host port, disk, memory, address pools. (Words of engines 20.10 to 29.)
pub fn is_scarcity(message: &str) -> bool {
    const WORDS: [&str; 8] = [
        "port is already allocated",
        "address already in use",
        "no space left on device",
        "cannot allocate memory",
        "too many open files",
        "resource temporarily unavailable",
        "non-overlapping IPv4 address pool",
        "address pools have been fully subnetted",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use crate::clients::docker::{is_leftover, is_scarcity, leftover_task};

    #[test]
    fn what_is_taken_or_used_up_is_known_by_the_engines_words() {
        for words in [
            "driver failed programming external connectivity on endpoint app1.prd-web (3f): Bind \
             for 0.0.0.0:8080 failed: port is already allocated",
            "listen tcp4 0.0.0.0:8080: bind: address already in use",
            "write /var/lib/docker/tmp/x: no space left on device",
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
        ] {
            assert!(is_scarcity(words), "{words}");
        }
        assert!(!is_scarcity("exec: \"serve\": executable file not found in $PATH"));
    }

    #[test]
    fn a_leftover_task_is_known_by_the_engines_words() {
        let id = "ffb183b78b52f31780e4bcb538182cd06ec9fa349b234d3242cfab3ca11f051b";
        let words = format!("start container ffb183b78b52: task {id}: already exists");
        assert!(is_leftover(&words) && is_leftover("id already in use"));
        let name = "Conflict. The container name \"/a\" is already in use by container \"0123\"";
        assert!(!is_leftover(name));
        assert_eq!(leftover_task(&words), Some(id));
        for other in ["network x: already exists", "task 12: already exists", "already exists"] {
            assert_eq!(leftover_task(other), None, "{other}");
        }
    }
}
