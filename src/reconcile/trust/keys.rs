//! Signing keys as `trust.toml` and `revoked_keys` name them.
//!
//! In: text. Out: [`Key`]. Pure.
//!
//! # Guarantees
//! * No weak key can be named: RSA has 3072 bits at least, DSA and certificates are refused.
//! * Two spellings of one key are equal: comments do not count.

use std::fmt;
use std::str::FromStr;

use ssh_key::{Algorithm, HashAlg, PublicKey, public::KeyData};

/// The fewest bits of an RSA modulus.
pub const RSA_BITS_MIN: usize = 3072;

/// The most bits of an RSA modulus: the library verifies none beyond, and each costs time.
pub const RSA_BITS_MAX: usize = 4096;

/// Why a text is not a key that may sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a key at all.
    #[error(
        "`{text}` is not a key: write an OpenSSH public key line, or `openpgp:` and the fingerprint of the signing (sub)key"
    )]
    Unreadable {
        /// As given, shortened.
        text: String,
    },
    /// RSA below [`RSA_BITS_MIN`].
    #[error("an RSA key of {bits} bits is too weak: {RSA_BITS_MIN} is the least")]
    WeakRsa {
        /// Its size.
        bits: usize,
    },
    /// RSA above [`RSA_BITS_MAX`].
    #[error("an RSA key of {bits} bits is too large: {RSA_BITS_MAX} is the most")]
    LargeRsa {
        /// Its size.
        bits: usize,
    },
    /// DSA, certificates and the unknown.
    #[error("keys of type `{algorithm}` are refused")]
    Algorithm {
        /// Its name.
        algorithm: String,
    },
}

/// A key that may sign.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An SSH key.
    Ssh(KeyData),
    /// The fingerprint of an OpenPGP signing key or subkey, upper-case hex.
    OpenPgp(String),
}

impl Key {
    /// An SSH key, unless it is too weak.
    ///
    /// # Errors
    /// When its algorithm or size is refused.
    pub fn ssh(data: KeyData) -> Result<Self, KeyError> {
        match &data {
            KeyData::Rsa(rsa) => {
                check_rsa(rsa.n.as_positive_bytes().map_or(0, bits))?;
            }
            KeyData::Ed25519(_)
            | KeyData::Ecdsa(_)
            | KeyData::SkEd25519(_)
            | KeyData::SkEcdsaSha2NistP256(_) => {}
            other => return Err(KeyError::Algorithm { algorithm: name(&other.algorithm()) }),
        }
        Ok(Self::Ssh(data))
    }

    /// How people name it: `SHA256:…` as `ssh-keygen -l` prints, or `openpgp:<fingerprint>`.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Ssh(data) => data.fingerprint(HashAlg::Sha256).to_string(),
            Self::OpenPgp(fingerprint) => format!("openpgp:{fingerprint}"),
        }
    }
}

fn name(algorithm: &Algorithm) -> String {
    algorithm.as_str().to_owned()
}

/// Whether an RSA modulus of so many bits may sign.
///
/// # Errors
/// When it is too small or too large.
pub fn check_rsa(bits: usize) -> Result<(), KeyError> {
    match bits {
        ..RSA_BITS_MIN => Err(KeyError::WeakRsa { bits }),
        RSA_BITS_MIN..=RSA_BITS_MAX => Ok(()),
        _ => Err(KeyError::LargeRsa { bits }),
    }
}

/// Bits of a big-endian number.
pub(in crate::reconcile::trust) fn bits(bytes: &[u8]) -> usize {
    match bytes.iter().position(|b| *b != 0) {
        Some(at) => (bytes.len() - at) * 8 - bytes[at].leading_zeros() as usize,
        None => 0,
    }
}

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = || KeyError::Unreadable { text: text.chars().take(60).collect() };
        if let Some(fingerprint) = text.strip_prefix("openpgp:") {
            let hex = fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
            return match fingerprint.len() {
                40 | 64 if hex => Ok(Self::OpenPgp(fingerprint.to_ascii_uppercase())),
                _ => Err(error()),
            };
        }
        if text.contains(char::is_control) {
            return Err(error());
        }
        let key = PublicKey::from_openssh(text).map_err(|_| error())?;
        Self::ssh(key.key_data().clone())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.fingerprint())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use crate::reconcile::trust::keys::{Key, bits};

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_comment_does_not_make_another_key() {
        let key: Key = ED25519.parse().unwrap();
        assert_eq!(key, format!("{ED25519} alice@laptop").parse().unwrap());
        assert!(key.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "ssh-ed25519", "openpgp:", "openpgp:zz", &ED25519[..40], "ssh-dss AAAA"] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
        assert!(format!("openpgp:{}", "a".repeat(40)).parse::<Key>().is_ok());
    }

    #[test]
    fn bits_count_from_the_first_one() {
        for (bytes, n) in [(&[][..], 0), (&[0, 1][..], 1), (&[0, 0x80, 0][..], 16)] {
            assert_eq!(bits(bytes), n);
        }
    }
}
