//! Why a call to a registry failed.

/// What kind of failure it was, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryErrorKind {
    /// Nothing answers, or the connection broke, or TLS failed.
    Unreachable,
    /// No whole answer within the deadline.
    Timeout,
    /// 401 or 403 after what authentication was possible.
    Unauthorized,
    /// The hub asks that credentials be sent where they must not go.
    ForeignRealm,
    /// 404 where something was expected, or no image for the platform.
    NotFound,
    /// 429.
    Busy,
    /// Another 4xx.
    Refused,
    /// 5xx.
    Registry,
    /// The answer cannot be understood, is over its cap, or is not what its digest says.
    Malformed,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct RegistryError {
    /// What kind of failure it was.
    pub kind: RegistryErrorKind,
    /// What was asked, for people: `manifest of app1/web:1.4.2 in 127.0.0.1:5000`.
    pub operation: String,
    /// The registry's words, or ours; never a secret.
    pub message: String,
}

impl RegistryError {
    /// An error of `kind`.
    pub fn new(kind: RegistryErrorKind, operation: &str, message: impl Into<String>) -> Self {
        Self { kind, operation: operation.to_owned(), message: message.into() }
    }
}
