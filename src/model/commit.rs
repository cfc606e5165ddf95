//! Git object ids (SHA-1; SHA-256 repositories are refused by name in this version).
//!
//! In: text or bytes. Out: [`CommitId`], [`ObjectId`]. Pure.

use std::fmt;
use std::str::FromStr;

/// A text that is not an object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a commit id: write all 40 lower-case hex digits")]
pub struct ObjectIdError {
    /// The text as given.
    pub input: String,
}

macro_rules! object_id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type([u8; 20]);

        impl $type {
            /// An id from its raw bytes.
            pub fn from_bytes(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }

            /// The first seven hex digits, as people quote them.
            pub fn short(&self) -> String {
                let mut text = hex::encode(self.0);
                text.truncate(7);
                text
            }
        }

        impl FromStr for $type {
            type Err = ObjectIdError;
            fn from_str(input: &str) -> Result<Self, ObjectIdError> {
                let error = || ObjectIdError { input: input.to_owned() };
                if input.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(error());
                }
                let mut bytes = [0; 20];
                hex::decode_to_slice(input, &mut bytes).map_err(|_| error())?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $type {
            type Error = ObjectIdError;
            fn try_from(input: String) -> Result<Self, ObjectIdError> {
                input.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

object_id!(
    /// A commit.
    CommitId
);
object_id!(
    /// A tree or a blob.
    ObjectId
);

#[cfg(test)]
mod tests {
    use crate::model::commit::CommitId;

    #[test]
    fn an_id_is_forty_lower_case_hex_digits() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(text.parse::<CommitId>().unwrap().to_string(), text);
        assert_eq!(text.parse::<CommitId>().unwrap().short(), "0123456");
        for bad in ["", "0123456", &text.to_uppercase(), &text[1..]] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }
}
