//! SSHSIG signatures, as `ssh-keygen -Y sign` makes them.
//!
//! In: an armoured signature, a namespace, the bytes it is over. Out: [`Key`]. Pure.
//!
//! # Guarantees
//! * The library checks the signature; this module what it leaves open: the namespace, SHA-1 RSA,
//!   the size of keys, and the touch flag of security keys.

use ssh_key::public::KeyData;
use ssh_key::{PublicKey, SshSig};

use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::signature::SignatureError;

/// The namespace of commits, which Git sets.
pub const NAMESPACE_COMMIT: &str = "git";
/// The namespace of approvals.
pub const NAMESPACE_APPROVAL: &str = "promote@tidegate";

/// Set in a security key's flags when its user touched it (FIDO, "user presence").
const FLAG_USER_PRESENT: u8 = 1;
/// Flags (1 byte) and counter (4 bytes) follow a security key's signature.
const TRAILER_BYTES: usize = 5;

/// The key that signed `bytes`, if the signature is good.
///
/// # Errors
/// When it is not, or not of a kind that counts.
pub fn verify(
    armoured: &str,
    namespace: &'static str,
    bytes: &[u8],
) -> Result<Key, SignatureError> {
    let signature = SshSig::from_pem(armoured).map_err(|error| unreadable(armoured, &error))?;
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return Err(malformed("its version or reserved field is unknown"));
    }
    if signature.namespace() != namespace {
        let found = signature.namespace().escape_debug().take(64).collect();
        return Err(SignatureError::Namespace { found, wanted: namespace });
    }
    let key = Key::ssh(signature.public_key().clone()).map_err(SignatureError::Key)?;
    let security_key =
        matches!(signature.public_key(), KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_));
    if security_key && !touched(signature.signature_bytes()) {
        return Err(SignatureError::Untouched);
    }
    PublicKey::new(signature.public_key().clone(), "")
        .verify(namespace, bytes, &signature)
        .map_err(|_| SignatureError::Wrong { key: key.fingerprint() })?;
    Ok(key)
}

fn touched(signature: &[u8]) -> bool {
    let flags = signature.len().checked_sub(TRAILER_BYTES).and_then(|at| signature.get(at));
    flags.is_some_and(|flags| flags & FLAG_USER_PRESENT != 0)
}

fn malformed(reason: &str) -> SignatureError {
    SignatureError::Malformed { reason: reason.to_owned() }
}

/// Names SHA-1 where that is what the library stumbled over.
fn unreadable(armoured: &str, error: &ssh_key::Error) -> SignatureError {
    use base64::Engine as _;
    let body: String = armoured.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(body).unwrap_or_default();
    // A signature blob begins with its algorithm; the key's blob before it says `ssh-rsa` too.
    let algorithm = b"\0\0\0\x07ssh-rsa";
    if bytes.windows(algorithm.len()).filter(|window| window == algorithm).count() > 1 {
        return SignatureError::WeakHash { hash: "SHA-1".to_owned() };
    }
    malformed(&error.to_string())
}

#[cfg(test)]
mod tests {
    use ssh_key::private::{Ed25519Keypair, KeypairData};
    use ssh_key::{HashAlg, LineEnding, PrivateKey};

    use crate::reconcile::trust::keys::Key;
    use crate::reconcile::trust::signature::SignatureError;
    use crate::reconcile::trust::signature::ssh::{touched, verify};

    #[test]
    fn a_signature_counts_for_its_bytes_and_namespace_alone() {
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[7; 32]));
        let key = PrivateKey::new(pair, "").unwrap();
        let signed = key.sign("git", HashAlg::Sha512, b"bytes").unwrap();
        let armoured = signed.to_pem(LineEnding::LF).unwrap();
        assert!(verify(&armoured, "git", b"bytes").is_ok());
        assert!(matches!(verify(&armoured, "git", b"other"), Err(SignatureError::Wrong { .. })));
        assert!(matches!(
            verify(&armoured, "promote@tidegate", b"bytes"),
            Err(SignatureError::Namespace { .. })
        ));
    }

    /// Signatures that OpenSSH made over `bytes` with security keys (its own stand-in for a token).
    #[test]
    fn a_security_keys_signature_counts_if_it_was_touched() {
        for (signature, key) in [
            (include_str!("recorded/ed25519-sk.sig"), include_str!("recorded/ed25519-sk.pub")),
            (include_str!("recorded/ecdsa-sk.sig"), include_str!("recorded/ecdsa-sk.pub")),
        ] {
            let signed = verify(signature, "git", b"bytes").unwrap();
            assert_eq!(signed, key.trim().parse::<Key>().unwrap());
            let other = verify(signature, "git", b"other");
            assert!(matches!(other, Err(SignatureError::Wrong { .. })), "{other:?}");
        }
        let untouched = include_str!("recorded/ed25519-sk-untouched.sig");
        let refused = verify(untouched, "git", b"bytes");
        assert!(matches!(refused, Err(SignatureError::Untouched)), "{refused:?}");
    }

    #[test]
    fn a_security_key_must_have_been_touched() {
        assert!(touched(&[0, 0, 0, 1, 0, 0, 0, 9]));
        assert!(!touched(&[0, 0, 0, 4, 0, 0, 0, 9]));
        assert!(!touched(&[1, 1]));
    }
}
