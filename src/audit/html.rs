//! A report as one file that can be kept: no scripts, nothing loaded, prints well.
//!
//! In: a [`Sheet`]. Out: HTML. Pure.

use crate::audit::sheet::{Cell, Part, Sheet};

const STYLE: &str = include_str!("report.css");

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta http-equiv=\"Content-Security-Policy\" \
    content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

/// The whole page.
pub fn html(sheet: &Sheet) -> String {
    let mut page = String::from(HEAD);
    element(&mut page, "title", "", &sheet.title);
    page.extend(["\n<style>\n", STYLE, "</style>\n</head>\n<body>\n"]);
    element(&mut page, "h1", "", &sheet.title);
    for alert in &sheet.alerts {
        element(&mut page, "p", " class=\"alert\" role=\"alert\"", alert);
    }
    element(&mut page, "p", " class=\"lead\"", &sheet.lead);
    page.push_str("\n<dl>\n");
    for (name, value) in &sheet.facts {
        element(&mut page, "dt", "", name);
        element(&mut page, "dd", "", value);
        page.push('\n');
    }
    page.push_str("</dl>\n");
    for part in &sheet.parts {
        table(part, &mut page);
    }
    element(&mut page, "h2", "", "Check it yourself");
    element(&mut page, "p", "", "In a clone of the repository, with your own copy of tidegate:");
    for check in &sheet.checks {
        element(&mut page, "pre", "", check);
    }
    page.push_str("\n</body>\n</html>\n");
    page
}

fn element(page: &mut String, name: &str, attributes: &str, text: &str) {
    page.extend(["<", name, attributes, ">", &escape(text), "</", name, ">"]);
}

fn table(part: &Part, page: &mut String) {
    if !part.heading.is_empty() {
        element(page, "h2", "", part.heading);
    }
    if part.rows.is_empty() {
        element(page, "p", "", part.empty);
        return;
    }
    // Reached by keyboard, since it may have to be scrolled.
    page.push_str("\n<div class=\"table\" role=\"region\" tabindex=\"0\"");
    if !part.heading.is_empty() {
        page.extend([" aria-label=\"", &escape(part.heading), "\""]);
    }
    page.push_str(">\n<table>\n<thead><tr>");
    for column in &part.columns {
        element(page, "th", " scope=\"col\"", column);
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &part.rows {
        page.push_str("<tr>");
        for cell in row {
            write_cell(cell, page);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

fn write_cell(cell: &Cell, page: &mut String) {
    let text = if cell.text.is_empty() { "–" } else { &cell.text };
    page.extend(["<td>", &escape(text)]);
    for words in &cell.words {
        element(page, "div", " class=\"words\"", words);
    }
    for id in &cell.ids {
        element(page, "code", "", id);
    }
    page.push_str("</td>");
}

/// Text that is only text: markup is spelled out, control characters are shown as blanks.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || is_bidi(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Characters that change the direction of what stands beside them: a commit's author could make a
/// line read otherwise than it is.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
