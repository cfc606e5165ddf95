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
