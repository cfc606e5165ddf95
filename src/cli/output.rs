//! Tables as kubectl prints them, JSON that starts with its schema, colours only for people.
//!
//! In: rows or a serialisable value. Out: text on a writer.

use std::io::{self, IsTerminal as _, Write};

use jiff::Timestamp;
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs; begins with "schema".
    Json,
}

/// What a user may ask for; reports for auditors have two formats more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// For programs; begins with "schema"
    Json,
    /// For spreadsheets (`audit`)
    #[value(hide = true)]
    Csv,
    /// One file to keep and to print (`audit`)
    #[value(hide = true)]
    Html,
}

impl Output {
    /// The format, if it is one of those that every command has.
    pub fn common(self) -> Option<Format> {
        match self {
            Self::Table => Some(Format::Table),
            Self::Json => Some(Format::Json),
            Self::Csv | Self::Html => None,
        }
    }
}

/// `1 image`, `2 images`.
pub fn counted(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// A time in a table: to the second, in UTC.
pub fn shown_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Even into a pipe
    Always,
    /// Not at all
    Never,
}

/// Whether one stream is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// With ANSI colours.
    Ansi,
    /// As it is.
    Plain,
}

impl ColorChoice {
    /// Decides for a stream. `NO_COLOR` (any value but an empty one) and `TERM=dumb` say no.
    pub fn resolve(self, stream: &impl io::IsTerminal) -> Paint {
        let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let wanted = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                stream.is_terminal()
                    && env("NO_COLOR").is_none()
                    && env("TERM").is_none_or(|term| term != "dumb")
            }
        };
        if wanted { Paint::Ansi } else { Paint::Plain }
    }
}

/// What a cell means; decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Notice,
    /// Wrong.
    Bad,
    /// Less important.
    Faint,
    /// More important.
    Strong,
}

impl Paint {
    /// `text` in the colour of `tone`.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => 32,
            Tone::Notice => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
            Tone::Strong => 1,
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: one_line(&text.into()), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Control characters would break the table, or the reader's terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Digits of a digest that people compare.
const DIGEST_DIGITS: usize = 12;

/// The text with every digest shortened, for people: `sha256:0123456789ab…`.
pub fn brief(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let (digest, rest) = part.split_at(digits);
        short.push_str("sha256:");
        match digest.get(..DIGEST_DIGITS).filter(|_| digits == 64) {
            Some(digest) => short.extend([digest, "…", rest]),
            None => short.push_str(part),
        }
    }
    short
}

/// Rows under an upper-case header, without borders.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// Spaces between columns, as kubectl has them.
const GAP: usize = 3;

impl Table {
    /// An empty table.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let shown = |cell: &Cell| if cell.text.is_empty() { 1 } else { cell.text.chars().count() };
        let mut widths: Vec<usize> = self.header.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(shown(cell));
            }
        }
        let last = self.header.len().saturating_sub(1);
        for (at, (name, width)) in self.header.iter().zip(&widths).enumerate() {
            let pad = if at == last { 0 } else { width + GAP - name.chars().count() };
            write!(out, "{name}{:pad$}", "")?;
        }
        writeln!(out)?;
        for row in &self.rows {
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let text = if cell.text.is_empty() { "-" } else { &cell.text };
                let pad = if at == last { 0 } else { width + GAP - shown(cell) };
                write!(out, "{}{:pad$}", paint.tone(cell.tone, text), "")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// Prints a value as JSON on one stream, ended by a newline.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)
}

/// Columns that a table may take where nothing says how wide the terminal is.
const COLUMNS_DEFAULT: usize = 100;

/// How wide standard output is: as `COLUMNS` says, else as the terminal does.
pub fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let size = || rustix::termios::tcgetwinsize(io::stdout()).ok();
    let wide = told.or_else(|| size().map(|size| usize::from(size.ws_col)));
    wide.filter(|columns| *columns > 0).unwrap_or(COLUMNS_DEFAULT)
}

/// Whether progress may be shown: somebody is watching.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use crate::cli::output::{Cell, Paint, Table, Tone, brief};

    fn text(table: &Table, paint: Paint) -> String {
        let mut out = Vec::new();
        table.write(&mut out, paint).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_has_an_upper_case_header_and_no_borders() {
        let mut table = Table::new(&["NAME", "SYNC", "MESSAGE"]);
        table.row(["app1".into(), Cell::toned("Synced", Tone::Good), "".into()]);
        table.row(["a-long-name".into(), "Held".into(), "two\nlines\x1b[31m".into()]);
        insta::assert_snapshot!(text(&table, Paint::Plain), @r"
        NAME          SYNC     MESSAGE
        app1          Synced   -
        a-long-name   Held     two lines [31m
        ");
    }

    #[test]
    fn digests_are_shortened_and_nothing_else() {
        let long = format!("hub/web@sha256:{} → sha256:1234", "0123456789abcdef".repeat(4));
        assert_eq!(brief(&long), "hub/web@sha256:0123456789ab… → sha256:1234");
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row([Cell::toned("x", Tone::Bad), "y".into()]);
        assert_eq!(text(&table, Paint::Ansi), "A   B\n\x1b[31mx\x1b[0m   y\n");
    }
}
