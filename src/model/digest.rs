//! Content digests of images: what is pulled, and what runs.
//!
//! In: text or bytes. Out: [`Digest`], [`ImageId`]. Pure.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not {wanted}")]
pub struct DigestError {
    /// The text as given.
    pub input: String,
    /// What it should have been.
    pub wanted: &'static str,
}

/// A SHA-256 content digest, `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest from the raw hash.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 64 hex digits, without the algorithm.
    pub fn hex(&self) -> String {
        // `hex::encode` pushes one character after the other: 7 % of a pass with nothing to do.
        let mut digits = vec![0; 64];
        let _fits = hex::encode_to_slice(self.0, &mut digits);
        String::from_utf8(digits).unwrap_or_default()
    }

    /// The first 12 hex digits, as people quote them.
    pub fn short(&self) -> String {
        let mut text = self.hex();
        text.truncate(12);
        text
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(input: &str) -> Result<Self, DigestError> {
        let error = || DigestError {
            input: input.to_owned(),
            wanted: "a digest: write `sha256:` and 64 lower-case hex digits",
        };
        let text = input.strip_prefix("sha256:").filter(|t| is_hex(t)).ok_or_else(error)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| error())?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(input: String) -> Result<Self, DigestError> {
        input.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The fewest hex digits of a short image id.
pub const SHORT_ID_DIGITS_MIN: usize = 10;

/// An image id as a pin writes it: whole, or the first hex digits as the reference document does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ImageId {
    /// The whole config digest.
    Full(Digest),
    /// At least [`SHORT_ID_DIGITS_MIN`] leading hex digits.
    Short(String),
}

impl ImageId {
    /// Whether `digest` is this id.
    pub fn matches(&self, digest: &Digest) -> bool {
        match self {
            Self::Full(full) => full == digest,
            Self::Short(prefix) => digest.hex().starts_with(prefix.as_str()),
        }
    }
}

impl FromStr for ImageId {
    type Err = DigestError;
    fn from_str(input: &str) -> Result<Self, DigestError> {
        if let Ok(digest) = input.parse() {
            return Ok(Self::Full(digest));
        }
        if is_hex(input) && (SHORT_ID_DIGITS_MIN..=64).contains(&input.len()) {
            return match format!("sha256:{input}").parse() {
                Ok(digest) => Ok(Self::Full(digest)),
                Err(_) => Ok(Self::Short(input.to_owned())),
            };
        }
        Err(DigestError {
            input: input.to_owned(),
            wanted: "an image id: write `sha256:` and 64 lower-case hex digits, or at least 10 of them",
        })
    }
}

impl TryFrom<String> for ImageId {
    type Error = DigestError;
    fn try_from(input: String) -> Result<Self, DigestError> {
        input.parse()
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(digest) => digest.fmt(f),
            Self::Short(prefix) => f.pad(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::digest::{Digest, ImageId};

    #[test]
    fn a_digest_is_sha256_and_64_lower_case_hex_digits() {
        let digest = Digest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        for bad in ["", "sha256:", &text[..70], &text.to_uppercase(), &text[7..], "latest"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_short_id_matches_by_prefix_and_needs_ten_digits() {
        let digest = Digest::of(b"");
        assert!("e3b0c44298".parse::<ImageId>().unwrap().matches(&digest));
        assert!(!"1111122222".parse::<ImageId>().unwrap().matches(&digest));
        assert!("e3b0c4429".parse::<ImageId>().is_err());
        assert!(digest.hex().parse::<ImageId>().unwrap().matches(&digest));
    }
}
