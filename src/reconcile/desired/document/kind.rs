//! What a document may hold: one description that checks, the JSON Schemas and the manual share.
//!
//! In: nothing; the descriptions are static. Out: [`Keys`], [`Kind`]. Pure.

/// A table's keys.
#[derive(Debug)]
pub struct Keys {
    /// A name for it within the schema, `container`.
    pub name: &'static str,
    /// One sentence on what it is.
    pub doc: &'static str,
    /// The keys, in the order in which a person would write them.
    pub keys: &'static [Key],
}

/// A table whose keys depend on what one of them says.
#[derive(Debug)]
pub struct Tagged {
    /// A name for it within the schema, `rule`.
    pub name: &'static str,
    /// One sentence on what it is.
    pub doc: &'static str,
    /// The key that decides.
    pub tag: &'static str,
    /// Keys that all have.
    pub common: &'static [Key],
    /// Keys by what the tag says, which is their name.
    pub variants: &'static [&'static Keys],
    /// What the tag may say in a later version.
    pub later: &'static [&'static str],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// One sentence on what it does.
    pub doc: &'static str,
    /// Whether it may be used.
    pub status: Status,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    Supported,
    /// Yes, and it must be there.
    Required,
    /// Not in this version.
    NotYet,
    /// Never, and why.
    Refused(&'static str),
}

/// What a value looks like. Where a boolean or a number is wanted, a string with a `${…}` will do.
#[derive(Debug)]
pub enum Kind {
    /// Any string.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A date and time with its zone, as TOML has it.
    Time,
    /// A list.
    List(&'static Kind),
    /// A list that is not empty: of what is asked for, where none would ask for nothing.
    NonEmpty(&'static Kind),
    /// A table from any key to this.
    Map(&'static Kind),
    /// A table with these keys.
    Table(&'static Keys),
    /// A table whose keys depend on one of them.
    Tagged(&'static Tagged),
    /// The first that fits by type.
    OneOf(&'static [Kind]),
    /// Anything: the key is refused anyway.
    Anything,
}

/// A string, number or boolean that is taken as text.
pub const SCALAR: Kind = Kind::OneOf(&[Kind::Text, Kind::Number, Kind::Boolean]);
/// A string or a whole number: sizes, users.
pub const TEXT_OR_INTEGER: Kind = Kind::OneOf(&[Kind::Text, Kind::Integer]);
/// A number or the same as a string.
pub const TEXT_OR_NUMBER: Kind = Kind::OneOf(&[Kind::Text, Kind::Number]);
/// `["a", "b"]`.
pub const TEXTS: Kind = Kind::List(&Kind::Text);
/// `"a"` or `["a", "b"]`.
pub const TEXT_OR_TEXTS: Kind = Kind::OneOf(&[Kind::Text, TEXTS]);
/// `"a"` or `["a", "b"]`, but not `[]`.
pub const SOME_TEXTS: Kind = Kind::OneOf(&[Kind::Text, Kind::NonEmpty(&Kind::Text)]);
/// `{ a = "x" }`, values as text.
pub const TEXT_MAP: Kind = Kind::Map(&SCALAR);
/// `["A=x"]` or `{ A = "x" }`.
pub const TEXTS_OR_MAP: Kind = Kind::OneOf(&[TEXTS, TEXT_MAP]);
/// RFC 3339, quoted or not.
pub const TIME: Kind = Kind::OneOf(&[Kind::Time, Kind::Text]);

impl Keys {
    /// The key called `name`.
    pub fn get(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Keys that may be used.
    pub fn usable(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.is_usable())
    }
}

impl Tagged {
    /// The keys for what the tag says.
    pub fn variant(&self, name: &str) -> Option<&'static Keys> {
        self.variants.iter().find(|keys| keys.name == name).copied()
    }
}

impl Key {
    /// A key that may be used.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, status: Status::Supported }
    }

    /// A key that must be there.
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, status: Status::Required }
    }

    /// Whether it may be used.
    pub fn is_usable(&self) -> bool {
        matches!(self.status, Status::Supported | Status::Required)
    }

    /// A key that comes later.
    pub const fn not_yet(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: Kind::Anything, doc, status: Status::NotYet }
    }

    /// A key that never comes.
    pub const fn refused(name: &'static str, doc: &'static str, because: &'static str) -> Self {
        Self { name, kind: Kind::Anything, doc, status: Status::Refused(because) }
    }
}

impl Kind {
    /// Whether words are among what may stand there.
    pub(crate) fn has_choice(&self) -> bool {
        match self {
            Self::Choice(_) => true,
            Self::OneOf(kinds) => kinds.iter().any(Self::has_choice),
            _ => false,
        }
    }

    /// What a person would call it, for "expected …".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::Boolean => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Time => "a date and time such as 2026-12-24T00:00:00Z".to_owned(),
            Self::List(_) | Self::NonEmpty(_) => "a list".to_owned(),
            Self::Map(_) | Self::Table(_) | Self::Tagged(_) => "a table".to_owned(),
            Self::OneOf(kinds) => {
                let each: Vec<String> = kinds.iter().map(Self::expected).collect();
                each.join(" or ")
            }
            Self::Anything => "anything".to_owned(),
        }
    }
}
