//! A commit's message: subject, body, trailers in its last paragraph. Pure.

use crate::model::EnvironmentName;
use crate::reconcile::trust::claim::DECIDING;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::message::{Message, MessageError};

/// A trailer as people give it: `Ticket=OPS-1`, or `Ticket: OPS-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// `Ticket`.
    pub key: String,
    /// `OPS-1`.
    pub value: String,
}

/// A text that cannot be a trailer, or not one of people's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a trailer: {problem}")]
pub struct TrailerError {
    /// As given.
    pub input: String,
    /// What is wrong.
    pub problem: &'static str,
}

impl std::str::FromStr for Trailer {
    type Err = TrailerError;
    fn from_str(input: &str) -> Result<Self, TrailerError> {
        let error = |problem| TrailerError { input: input.to_owned(), problem };
        let (key, value) = input
            .split_once('=')
            .or_else(|| input.split_once(": "))
            .ok_or_else(|| error("write `Key=value`"))?;
        let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if key.is_empty() || !key.bytes().all(sound) {
            return Err(error("its key is made of letters, digits and `-`"));
        }
        if DECIDING.iter().any(|own| own.eq_ignore_ascii_case(key)) {
            return Err(error("this command writes that one itself"));
        }
        let value = one_line(value).ok_or_else(|| error("its value is one line of text"))?;
        Ok(Self { key: key.to_owned(), value })
    }
}

/// A text that can stand as a trailer's value.
pub fn one_line(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The first line.
    pub subject: String,
    /// For people; may be empty.
    pub body: String,
    /// The last paragraph, without the kind.
    pub trailers: Vec<(String, String)>,
}

impl Words {
    /// The whole message of a commit of `kind`.
    ///
    /// # Errors
    /// When subject or body hold a line that nodes would take for a trailer.
    pub fn message(
        &self,
        kind: CommitKind,
        environment: &EnvironmentName,
    ) -> Result<String, MessageError> {
        let body = match self.body.trim() {
            "" => String::new(),
            body => format!("{body}\n\n"),
        };
        let all = self.trailers.iter().map(|(key, value)| format!("{key}: {value}\n"));
        let text = format!(
            "{}\n\n{body}{}Tidegate: {kind} {environment}\n",
            self.subject.trim(),
            all.collect::<String>()
        );
        Message::parse(&text).map(|message| message.text().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::promote::message::{Trailer, Words};
    use crate::reconcile::trust::kind::CommitKind;
    use crate::reconcile::trust::message::Message;

    #[test]
    fn a_trailer_of_peoples_own_is_a_key_and_a_line() {
        for good in ["Ticket=OPS-1", "Ticket: OPS-1", "Ticket= OPS-1 "] {
            let trailer: Trailer = good.parse().unwrap();
            assert_eq!((trailer.key.as_str(), trailer.value.as_str()), ("Ticket", "OPS-1"));
        }
        for bad in ["Ticket", "=x", "A b=x", "Ticket=", "Ticket=a\nTidegate: x", "hotfix=x"] {
            assert!(bad.parse::<Trailer>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_trailers_are_the_last_paragraph() {
        let mut words = Words {
            subject: "Promote tst".to_owned(),
            body: "Why: because".to_owned(),
            trailers: vec![("Ticket".to_owned(), "OPS-1".to_owned())],
        };
        let prd = "prd".parse().unwrap();
        let text = words.message(CommitKind::Promote, &prd).unwrap();
        assert_eq!(text, "Promote tst\n\nWhy: because\n\nTicket: OPS-1\nTidegate: promote prd\n");
        let message = Message::parse(&text).unwrap();
        assert_eq!(message.values("Ticket").collect::<Vec<_>>(), ["OPS-1"]);
        assert_eq!(message.values("Why").count(), 0);
        words.body = "Tidegate: admin prd".to_owned();
        assert!(words.message(CommitKind::Promote, &prd).is_err());
    }
}
