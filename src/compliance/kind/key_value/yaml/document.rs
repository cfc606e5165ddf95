//! A YAML document as its parts in their order, each with its place in the text.
//!
//! In: text. Out: parts, or the line that is no YAML. Pure.
//!
//! # Guarantees
//! * Two texts whose parts have equal pieces say the same, anchors and tags included.
//! * No error quotes the text: it may be secret.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, options};

/// One thing that a document says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text {
        text: String,
        /// Without quotes, in lines of its key: it may be a number, a truth or nothing.
        is_plain: bool,
    },
    /// What was said elsewhere, under an anchor.
    Alias(usize),
    List,
    Mapping,
    /// The end of a list or a mapping.
    End,
}

/// A piece, how it is marked, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) piece: Piece,
    /// Its anchor and its tag; empty if it has none.
    pub(super) marks: String,
    /// In bytes. Of a collection: what opens or closes it, which in block style is nothing.
    pub(super) place: Range<usize>,
    /// So many characters stand before it in its line.
    pub(super) column: usize,
    /// Whether it is a collection in braces or brackets.
    pub(super) is_flow: bool,
    /// Whether it is a text in lines below its key's, after `|` or `>`.
    pub(super) is_block: bool,
}

/// Reads the one document of a text; no part at all if it says nothing.
pub(super) fn read(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut n_documents = 0;
    // As libyaml does, and most readers with it: otherwise a line feed at the end might change a value
    // unseen.
    let options = options! { block_scalar_eof_without_line_feed: true };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) =
            event.map_err(|error| format!("line {}: it is no YAML", error.marker().line()))?;
        let (piece, marks, is_flow, is_block) = match event {
            Event::DocumentStart(..) => {
                n_documents += 1;
                continue;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_plain = style == ScalarStyle::Plain;
                let marks = marks(anchor, tag.as_deref());
                (Piece::Text { text: text.into_owned(), is_plain }, marks, false, is_block)
            }
            Event::Alias(anchor) => (Piece::Alias(anchor), String::new(), false, false),
            Event::SequenceStart(style, anchor, tag) => {
                let is_flow = style == StructureStyle::Flow;
                (Piece::List, marks(anchor, tag.as_deref()), is_flow, false)
            }
            Event::MappingStart(style, anchor, tag) => {
                let is_flow = style == StructureStyle::Flow;
                (Piece::Mapping, marks(anchor, tag.as_deref()), is_flow, false)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                (Piece::End, String::new(), !span.is_empty(), false)
            }
            _ => continue,
        };
        let (start, end) = (span.start.byte_offset(), span.end.byte_offset());
        let place = start.zip(end).map(|(start, end)| start..end);
        let mut place = place.ok_or("it cannot be told where what it says stands")?;
        let end = text[..place.end].trim_end_matches(' ').len();
        if is_block && text[..end].ends_with('\n') {
            // The blanks before what comes next are not its own.
            place.end = end;
        }
        parts.push(Part { piece, marks, place, column: span.start.col(), is_flow, is_block });
    }
    if n_documents > 1 {
        return Err("a file of several documents is not edited here".to_owned());
    }
    // `---` and nothing behind it.
    if let [only] = &parts[..]
        && only.place.is_empty()
        && only.marks.is_empty()
    {
        parts.clear();
    }
    Ok(parts)
}

fn marks(anchor: usize, tag: Option<&granit_parser::Tag>) -> String {
    let anchor = if anchor == 0 { String::new() } else { format!("&{anchor}") };
    let tag = tag.map(|tag| format!("!{}!{}", tag.handle(), tag.suffix())).unwrap_or_default();
    anchor + &tag
}

/// The index behind the node that begins at `at`.
pub(super) fn behind(parts: &[Part], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, part) in parts.iter().enumerate().skip(at) {
        match part.piece {
            Piece::List | Piece::Mapping => depth += 1,
            Piece::End => depth = depth.saturating_sub(1),
            Piece::Text { .. } | Piece::Alias(_) => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    parts.len()
}

/// The indices of key and value of each entry of the mapping that begins at `at`.
pub(super) fn entries(parts: &[Part], at: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut key = at + 1;
    while parts.get(key).is_some_and(|part| part.piece != Piece::End) {
        let value = behind(parts, key);
        found.push((key, value));
        key = behind(parts, value);
    }
    found
}
