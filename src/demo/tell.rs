//! What is told while the story runs.

/// One thing told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A new part begins.
    Act(String),
    /// A sentence.
    Say(String),
    /// Something done as a person would do it, at a shell.
    Command(String),
    /// What a command printed.
    Output(String),
    /// Something that was looked at and found so.
    Good(String),
    /// Something that was looked at and found otherwise.
    Bad(String),
    /// At the end: a heading and its lines.
    After(String, Vec<String>),
}

/// Who listens.
pub trait Audience {
    /// Tells one thing, at once.
    fn tell(&mut self, told: Told);
}
