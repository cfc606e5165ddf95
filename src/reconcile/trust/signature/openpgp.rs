//! OpenPGP signatures and the certificates in `environments/<own>/keys/`.
//!
//! In: armoured or binary bytes. Out: [`Certificates`], and the [`Key`] that signed. Pure.
//!
//! # Guarantees
//! * What counts is the pinned fingerprint of the key or subkey that signed: dates and bindings in
//!   a certificate are ignored (old history would rot otherwise), a revocation counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use pgp::armor::Dearmor;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams};

use crate::reconcile::trust::keys::{Key, KeyError, check_rsa};
use crate::reconcile::trust::signature::SignatureError;

/// Bytes of one file in `keys/`: a certificate with many identities fits.
pub const CERTIFICATE_BYTES_MAX: u64 = 1024 * 1024;
/// Packets of one file or signature.
const PACKETS_MAX: usize = 10_000;

const BEGIN_KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// A primary key or a subkey, as far as signing needs it.
#[derive(Debug, Clone)]
enum PublicPart {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// Every certificate in `keys/`, by fingerprint of each of their keys.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    parts: BTreeMap<String, PublicPart>,
    /// The primary of each subkey and of each primary.
    primaries: BTreeMap<String, String>,
    /// Revoked primaries and subkeys, by fingerprint or, in loose revocations, by key id.
    revoked: BTreeSet<String>,
}

impl Certificates {
    /// Adds the certificates and revocations of one file, armoured (several blocks too) or binary.
    ///
    /// # Errors
    /// When it is not OpenPGP: a revocation must not be overlooked.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), SignatureError> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let begins = [BEGIN_KEY, BEGIN_SIGNATURE];
        let mut starts: Vec<usize> =
            begins.iter().flat_map(|begin| text.match_indices(begin)).map(|(at, _)| at).collect();
        starts.sort_unstable();
        if starts.is_empty() {
            return self.add_packets(&packets(bytes)?);
        }
        for (n, start) in starts.iter().enumerate() {
            let end = starts.get(n + 1).copied().unwrap_or(text.len());
            self.add_packets(&packets(&dearmored(&text[*start..end])?)?)?;
        }
        Ok(())
    }

    fn add_packets(&mut self, packets: &[Packet]) -> Result<(), SignatureError> {
        let mut primary = None;
        let mut part = None;
        for packet in packets {
            match packet {
                Packet::PublicKey(key) => {
                    let fingerprint = hex_upper(key);
                    self.parts.insert(fingerprint.clone(), PublicPart::Primary(key.clone()));
                    self.primaries.insert(fingerprint.clone(), fingerprint.clone());
                    primary = Some(fingerprint.clone());
                    part = Some(fingerprint);
                }
                Packet::PublicSubkey(key) => {
                    let fingerprint = hex_upper(key);
                    let above = primary.clone().ok_or_else(|| malformed("a subkey alone"))?;
                    self.parts.insert(fingerprint.clone(), PublicPart::Subkey(key.clone()));
                    self.primaries.insert(fingerprint.clone(), above);
                    part = Some(fingerprint);
                }
                Packet::Signature(signature) => {
                    self.revoke(signature, primary.as_ref(), part.as_ref());
                }
                Packet::SecretKey(_) | Packet::SecretSubkey(_) => {
                    return Err(malformed("a secret key: export the public one alone"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes a revocation. It is not checked: whoever writes `keys/` is an admin, and a false one
    /// takes trust away and gives none.
    fn revoke(&mut self, signature: &Signature, primary: Option<&String>, part: Option<&String>) {
        let loose = || {
            let ids =
                signature.issuer_key_id().into_iter().map(|id| hex::encode_upper(id.as_ref()));
            let prints = signature.issuer_fingerprint().into_iter();
            ids.chain(prints.map(|print| hex::encode_upper(print.as_bytes()))).collect::<Vec<_>>()
        };
        match signature.typ() {
            Some(SignatureType::KeyRevocation) => match primary {
                Some(primary) => self.revoked.extend([primary.clone()]),
                None => self.revoked.extend(loose()),
            },
            Some(SignatureType::SubkeyRevocation) => self.revoked.extend(part.cloned()),
            _ => {}
        }
    }

    /// Whether one of them holds the key with this fingerprint.
    pub fn contains(&self, fingerprint: &str) -> bool {
        self.parts.contains_key(fingerprint)
    }

    fn is_revoked(&self, fingerprint: &str) -> bool {
        let primary = self.primaries.get(fingerprint).map_or(fingerprint, String::as_str);
        // A loose revocation may name the primary by the last 16 digits alone (v4).
        let id = primary.get(primary.len().saturating_sub(16)..).unwrap_or_default();
        [fingerprint, primary, id].iter().any(|name| self.revoked.contains(*name))
    }

    /// The listed key that signed `bytes`, if the signature is good.
    ///
    /// # Errors
    /// When it is not, not of a kind that counts, or by a revoked key.
    pub fn verify<'a>(
        &self,
        armoured: &str,
        bytes: &[u8],
        listed: impl Iterator<Item = &'a str>,
    ) -> Result<Key, SignatureError> {
        let found = packets(&dearmored(armoured)?)?;
        let [Packet::Signature(signature)] = found.as_slice() else {
            return Err(malformed("it is not exactly one signature"));
        };
        if signature.typ() != Some(SignatureType::Binary) {
            return Err(malformed("it is not over binary data"));
        }
        if let Some(hash) = signature.hash_alg().filter(|hash| is_weak(*hash)) {
            return Err(SignatureError::WeakHash { hash: hash.to_string() });
        }
        for fingerprint in listed {
            let Some(part) = self.parts.get(fingerprint).filter(|p| is_issuer(signature, p)) else {
                continue;
            };
            let key = format!("openpgp:{fingerprint}");
            check_strength(part.params()).map_err(SignatureError::Key)?;
            part.verify(signature, bytes).ok_or(SignatureError::Wrong { key: key.clone() })?;
            if self.is_revoked(fingerprint) {
                return Err(SignatureError::Revoked { key });
            }
            return Ok(Key::OpenPgp(fingerprint.to_owned()));
        }
        let prints = signature.issuer_fingerprint();
        let issuer = prints.first().map(|print| hex::encode_upper(print.as_bytes()));
        Err(SignatureError::UnknownIssuer { issuer: issuer.unwrap_or_else(|| "unnamed".into()) })
    }
}

impl PublicPart {
    fn params(&self) -> &PublicParams {
        match self {
            Self::Primary(key) => key.public_params(),
            Self::Subkey(key) => key.public_params(),
        }
    }

    fn verify(&self, signature: &Signature, bytes: &[u8]) -> Option<()> {
        match self {
            Self::Primary(key) => signature.verify(key, bytes).ok(),
            Self::Subkey(key) => signature.verify(key, bytes).ok(),
        }
    }

    fn fingerprint_and_id(&self) -> (String, String) {
        let id = match self {
            Self::Primary(key) => key.legacy_key_id(),
            Self::Subkey(key) => key.legacy_key_id(),
        };
        let print = match self {
            Self::Primary(key) => hex_upper(key),
            Self::Subkey(key) => hex_upper(key),
        };
        (print, hex::encode_upper(id.as_ref()))
    }
}

/// Whether the signature says that it is by this key, or does not say by which.
fn is_issuer(signature: &Signature, part: &PublicPart) -> bool {
    let (print, id) = part.fingerprint_and_id();
    let prints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    let unsaid = prints.is_empty() && ids.is_empty();
    unsaid
        || prints.iter().any(|p| hex::encode_upper(p.as_bytes()) == print)
        || (prints.is_empty() && ids.iter().any(|i| hex::encode_upper(i.as_ref()) == id))
}

fn is_weak(hash: HashAlgorithm) -> bool {
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    !strong.contains(&hash)
}

fn check_strength(params: &PublicParams) -> Result<(), KeyError> {
    match params {
        PublicParams::RSA(rsa) => {
            let mut bytes = Vec::new();
            // The first number is the modulus, and begins with its length in bits.
            rsa.to_writer(&mut bytes).unwrap_or_default();
            let bits = bytes.first_chunk().map_or(0, |n| usize::from(u16::from_be_bytes(*n)));
            check_rsa(bits)
        }
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => Ok(()),
        _ => Err(KeyError::Algorithm { algorithm: "OpenPGP DSA or unknown".to_owned() }),
    }
}

fn hex_upper(key: &impl KeyDetails) -> String {
    hex::encode_upper(key.fingerprint().as_bytes())
}

fn malformed(reason: &str) -> SignatureError {
    SignatureError::Malformed { reason: reason.to_owned() }
}

fn dearmored(text: &str) -> Result<Vec<u8>, SignatureError> {
    let mut bytes = Vec::new();
    let read = Dearmor::new(text.as_bytes()).take(CERTIFICATE_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| malformed(&error.to_string()))?;
    Ok(bytes)
}

fn packets(bytes: &[u8]) -> Result<Vec<Packet>, SignatureError> {
    let found: Result<Vec<Packet>, _> = PacketParser::new(bytes).take(PACKETS_MAX).collect();
    let found = found.map_err(|error| malformed(&error.to_string()))?;
    if found.is_empty() || found.len() == PACKETS_MAX {
        return Err(malformed("it holds no OpenPGP packets, or too many"));
    }
    Ok(found)
}
