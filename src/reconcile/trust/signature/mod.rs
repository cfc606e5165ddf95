//! Signatures: armoured text and bytes → the key that signed them.
//!
//! In: a signature, what it is over, certificates. Out: [`Key`](crate::reconcile::trust::keys::Key),
//! or [`SignatureError`]. Pure.
//!
//! # Guarantees
//! * A key comes out only when its signature over exactly these bytes verifies.
//! * SHA-1, MD5, RSA below 3072 bits, other namespaces and untouched security keys are refused.

pub mod openpgp;
pub mod ssh;

use crate::reconcile::trust::keys::KeyError;

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// X.509 and the unknown.
    #[error("its signature is of a kind that this version does not know: SSH and OpenPGP count")]
    Format,
    /// It cannot be read.
    #[error("its signature is malformed: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// It was made for something else.
    #[error("its signature is in the namespace `{found}`; `{wanted}` is needed")]
    Namespace {
        /// As signed.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A broken hash.
    #[error("its signature uses {hash}, which is broken")]
    WeakHash {
        /// Its name.
        hash: String,
    },
    /// A weak key, or one of a refused type.
    #[error("its signature is by a refused key: {0}")]
    Key(KeyError),
    /// A security key signed without being touched.
    #[error("its signature was made by a security key that nobody touched")]
    Untouched,
    /// The signature does not fit the bytes.
    #[error("its signature by {key} does not fit the bytes it is on")]
    Wrong {
        /// The key it claims.
        key: String,
    },
    /// No certificate for the key it claims.
    #[error("its signature is by an OpenPGP key that trust.toml does not list: {issuer}")]
    UnknownIssuer {
        /// What it claims.
        issuer: String,
    },
    /// The key was revoked by its owner.
    #[error("its signature is by {key}, whose certificate in keys/ is revoked")]
    Revoked {
        /// The key.
        key: String,
    },
}

/// The format of an armoured signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `-----BEGIN SSH SIGNATURE-----`
    Ssh,
    /// `-----BEGIN PGP SIGNATURE-----`
    OpenPgp,
}

impl Format {
    /// The format that the armour says.
    ///
    /// # Errors
    /// When it is neither, or something stands around the armour.
    pub fn of(armoured: &str) -> Result<Self, SignatureError> {
        let text = armoured.trim_end_matches('\n');
        let (format, end) = match text.split('\n').next() {
            Some("-----BEGIN SSH SIGNATURE-----") => (Self::Ssh, "-----END SSH SIGNATURE-----"),
            Some("-----BEGIN PGP SIGNATURE-----") => (Self::OpenPgp, "-----END PGP SIGNATURE-----"),
            _ => return Err(SignatureError::Format),
        };
        if text.matches("-----BEGIN ").count() == 1 && text.ends_with(end) {
            return Ok(format);
        }
        Err(SignatureError::Malformed { reason: "something stands around its armour".to_owned() })
    }
}
