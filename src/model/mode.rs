//! Whether differences are repaired or only reported.
//!
//! In: text. Out: [`Mode`]. Pure.

use std::fmt;
use std::str::FromStr;

/// What a node does about a difference. Ordered: a later one is tighter.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Make what runs match.
    #[default]
    Apply,
    /// Say what differs; touch nothing.
    Report,
}

impl Mode {
    /// The tighter of the two: environment and node may only tighten a service's mode.
    #[must_use]
    pub fn tightened_by(self, other: Self) -> Self {
        self.max(other)
    }
}

/// A text that is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a mode: write `apply` or `report`")]
pub struct ModeError {
    /// The text as given.
    pub input: String,
}

impl FromStr for Mode {
    type Err = ModeError;
    fn from_str(input: &str) -> Result<Self, ModeError> {
        match input {
            "apply" => Ok(Self::Apply),
            "report" => Ok(Self::Report),
            _ => Err(ModeError { input: input.to_owned() }),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Apply => "apply",
            Self::Report => "report",
        })
    }
}
