//! Bytes → a table with places, refusing what no person would write.
//!
//! In: a file's bytes. Out: [`Table`]; syntax errors and duplicate keys as findings. Pure.

use toml::Spanned;
use toml::de::DeInteger;
use toml::de::DeTable;
use toml::de::DeValue;
use toml_parser::lexer::TokenKind;

use crate::reconcile::desired::document::node::Entry;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;

/// The largest document: hundreds of containers fit; parsing a hostile one stays in milliseconds.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// The deepest nesting: real documents need 7; recursion stays far from any stack's end.
pub(crate) const DEPTH_MAX: usize = 24;

/// Reads a document. What can be read is returned even when something is wrong, so that later
/// checks can find more.
pub(crate) fn read(bytes: &[u8], file: Place, findings: &mut Findings) -> Option<Table> {
    let text = text(bytes, file, findings)?;
    if let Some(at) = too_deep(text) {
        let place = at_bytes(file, at..at + 1);
        findings.error(place, format!("nested deeper than {DEPTH_MAX} levels"));
        return None;
    }
    let (parsed, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = error.span().map_or(file, |span| at_bytes(file, span));
        findings.error(place, error.message().to_lowercase().replace('\n', ", "));
    }
    Some(table(parsed.get_ref(), file, findings))
}

fn text<'a>(bytes: &'a [u8], file: Place, findings: &mut Findings) -> Option<&'a str> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let message =
            format!("the file has {} bytes; the limit is {DOCUMENT_BYTES_MAX}", bytes.len());
        findings.error_help(file, message, "put large content into files that configs mount");
        return None;
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let message = "the file begins with a byte order mark";
        findings.error_help(at_bytes(file, 0..3), message, "save it as UTF-8 without BOM");
        return None;
    }
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.iter().position(|b| *b == 0) {
            None => return Some(text),
            Some(at) => (at, "the file contains a NUL byte"),
        },
        Err(error) => (error.valid_up_to(), "the file is not UTF-8 from here on"),
    };
    findings.error_help(at_bytes(file, bad.0..bad.0 + 1), bad.1, "save it as UTF-8 text");
    None
}

/// Where a key path or a value is nested too deeply to be parsed recursively, dotted keys included.
fn too_deep(text: &str) -> Option<usize> {
    let (mut brackets, mut dots) = (0_usize, 0_usize);
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                brackets += 1;
                dots = 0;
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                brackets = brackets.saturating_sub(1);
            }
            TokenKind::Dot => dots += 1,
            TokenKind::Newline | TokenKind::Equals | TokenKind::Comma => dots = 0,
            _ => {}
        }
        if brackets + dots > DEPTH_MAX {
            return Some(token.span().start());
        }
    }
    None
}

fn at_bytes(file: Place, span: std::ops::Range<usize>) -> Place {
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Place { file: file.file, start: byte(span.start), end: byte(span.end.max(span.start + 1)) }
}

fn table(parsed: &DeTable<'_>, file: Place, findings: &mut Findings) -> Table {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let entry = Entry { key_at: at_bytes(file, key.span()), node: node(value, file, findings) };
        (key.get_ref().clone().into_owned(), entry)
    };
    Table(parsed.iter().map(entry).collect())
}

fn node(parsed: &Spanned<DeValue<'_>>, file: Place, findings: &mut Findings) -> Node {
    let at = at_bytes(file, parsed.span());
    let value = match parsed.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            let number = whole(integer).unwrap_or_else(|| {
                findings.error(at, "the number does not fit 64 bits");
                0
            });
            if integer.radix() == 8 { Value::Octal(number) } else { Value::Integer(number) }
        }
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Array(list) => {
            Value::List(list.iter().map(|item| node(item, file, findings)).collect())
        }
        DeValue::Table(inner) => Value::Table(table(inner, file, findings)),
    };
    Node { at, value }
}

fn whole(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
