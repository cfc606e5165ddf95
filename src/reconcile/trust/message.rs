//! A commit's message and the trailers in its last paragraph.
//!
//! In: the message as text. Out: [`Message`]. Pure.
//!
//! # Guarantees
//! * A line that begins `Tidegate:` is the message's one `Tidegate` trailer, or refuses the commit.

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The kind is said twice.
    #[error("its message has two `Tidegate:` trailers")]
    TwoKinds,
    /// The kind is said where it does not count.
    #[error("a line of its message begins with `Tidegate:` outside the trailers")]
    StrayKind,
}

/// A message. Trailers are its last paragraph if each line of it is `Key: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    trailers: Vec<(String, String)>,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// When `Tidegate:` stands twice, or begins a line outside the trailers.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let trailers = trailers(text);
        let said = trailers.iter().filter(|(key, _)| key == "Tidegate").count();
        // A line may also end with CR, form feed and the like where somebody's editor splits lines.
        let begun = text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']);
        let begun = begun.filter(|line| line.starts_with("Tidegate:")).count();
        match (said, begun) {
            (0, 0) | (1, 1) => Ok(Self { text: text.to_owned(), trailers }),
            (2.., _) => Err(MessageError::TwoKinds),
            _ => Err(MessageError::StrayKind),
        }
    }

    /// The whole message, as it stands.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values of every trailer `key`, in order.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.trailers.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Every trailer, in order.
    pub fn trailers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.trailers.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The trailer that says the kind.
    pub fn kind(&self) -> Option<&str> {
        self.values("Tidegate").next()
    }
}

fn trailers(text: &str) -> Vec<(String, String)> {
    let mut last: Vec<&str> = Vec::new();
    let mut ended = false;
    for line in text.split('\n') {
        match (line.trim().is_empty(), ended) {
            (true, _) => ended = true,
            (false, true) => {
                last = vec![line];
                ended = false;
            }
            (false, false) => last.push(line),
        }
    }
    last.iter().map(|line| trailer(line)).collect::<Option<_>>().unwrap_or_default()
}

fn trailer(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once(": ")?;
    let good = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let value = value.trim_matches(' ');
    let good = good && !value.is_empty() && !value.contains(char::is_control);
    good.then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::reconcile::trust::message::{Message, MessageError};

    #[test]
    fn trailers_are_the_last_paragraph_if_every_line_is_one() {
        for (text, kind) in [
            ("fix\n\nTidegate: local prd\n", Some("local prd")),
            ("fix\n\nSigned-off-by: alice\nTidegate: local prd", Some("local prd")),
            ("Tidegate: local prd", Some("local prd")),
            ("fix\n\nTidegate: local prd\n\n \n\n", Some("local prd")),
            ("fix\n\ntidegate: local prd\n", None),
            ("fix\n", None),
            ("", None),
        ] {
            assert_eq!(Message::parse(text).unwrap().kind(), kind, "{text:?}");
        }
    }

    #[test]
    fn a_kind_said_twice_or_elsewhere_is_refused() {
        for (text, error) in [
            ("a\n\nTidegate: local prd\nTidegate: admin prd\n", MessageError::TwoKinds),
            ("a\n\nTidegate: local prd\nTidegate: local prd\n", MessageError::TwoKinds),
            ("a\n\nTidegate: local prd\n\nbut more text\n", MessageError::StrayKind),
            ("a\n\nTidegate: local prd\n(cherry picked from commit 1)\n", MessageError::StrayKind),
            ("a\n\nTidegate: local prd\n folded\n", MessageError::StrayKind),
            ("a\n\nTidegate:local prd\n", MessageError::StrayKind),
            ("a\n\nKey: x\rTidegate: local prd\n", MessageError::StrayKind),
        ] {
            assert_eq!(Message::parse(text), Err(error), "{text:?}");
        }
    }
}
