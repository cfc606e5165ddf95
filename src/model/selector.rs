//! Kubernetes' label-selector grammar over a node's labels and its `name`.
//!
//! In: `role=web,zone!=lab,tier in (a, b),!old`. Out: [`Selector`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// A text that is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{part}` is not a selector term: write `key=value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`, `key` or `!key`"
)]
pub struct SelectorError {
    /// The term that cannot be read.
    pub part: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Absent(String),
}

/// A conjunction of terms; the empty selector fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    terms: Vec<Term>,
    text: String,
}

impl Selector {
    /// Whether a thing called `name` with `labels` fits.
    pub fn fits(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let value = |key: &str| {
            if key == "name" { Some(name) } else { labels.get(key).map(String::as_str) }
        };
        self.terms.iter().all(|term| match term {
            Term::In(key, values) => value(key).is_some_and(|v| values.contains(v)),
            Term::NotIn(key, values) => value(key).is_none_or(|v| !values.contains(v)),
            Term::Exists(key) => value(key).is_some(),
            Term::Absent(key) => value(key).is_none(),
        })
    }

    /// The label keys it asks for, so that lint can say which no node has.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|term| match term {
            Term::In(key, _) | Term::NotIn(key, _) | Term::Exists(key) | Term::Absent(key) => {
                key.as_str()
            }
        })
    }
}

/// Splits at commas outside parentheses.
fn parts(input: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    input.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

fn term(part: &str) -> Option<Term> {
    let word = |text: &str| {
        let text = text.trim();
        is_word(text).then(|| text.to_owned())
    };
    let one = |text: &str| Some(BTreeSet::from([word(text)?]));
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Term::NotIn(word(key)?, one(value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Term::In(word(key)?, one(value)?));
    }
    if let Some((head, list)) = part.split_once('(') {
        let values: Option<BTreeSet<_>> =
            list.trim().strip_suffix(')')?.split(',').map(word).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => Some(Term::In(word(key)?, values?)),
            "notin" => Some(Term::NotIn(word(key)?, values?)),
            _ => None,
        };
    }
    match part.strip_prefix('!') {
        Some(key) => Some(Term::Absent(word(key)?)),
        None => Some(Term::Exists(word(part)?)),
    }
}

impl FromStr for Selector {
    type Err = SelectorError;
    fn from_str(input: &str) -> Result<Self, SelectorError> {
        if input.trim().is_empty() {
            return Ok(Self::default());
        }
        let terms = parts(input)
            .map(|part| {
                term(part.trim()).ok_or_else(|| SelectorError { part: part.trim().to_owned() })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { terms, text: input.trim().to_owned() })
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;
    fn try_from(input: String) -> Result<Self, SelectorError> {
        input.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.text
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::model::selector::Selector;

    #[test]
    fn terms_mean_what_they_mean_in_kubernetes() {
        let labels: BTreeMap<_, _> =
            [("role", "web"), ("zone", "a")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (selector, fits) in [
            ("", true),
            ("role=web", true),
            ("role==web,zone!=lab", true),
            ("role=db", false),
            ("name=n1", true),
            ("name!=n1", false),
            ("zone in (a, b)", true),
            ("zone notin (a,b),role=web", false),
            ("missing!=x", true),
            ("role", true),
            ("!role", false),
            ("missing in (x)", false),
        ] {
            assert_eq!(
                selector.parse::<Selector>().unwrap().fits("n1", &labels),
                fits,
                "{selector}"
            );
        }
        for bad in ["=", "a=", "a in b", "a in (b", "a b", ",", "a,,b"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
