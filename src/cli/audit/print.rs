//! A report in the format that was asked for.
//!
//! In: a report in each of its shapes. Out: text on a writer.

use std::io::Write;

use serde::Serialize;

use crate::audit::csv::CsvError;
use crate::audit::html::html;
use crate::audit::sheet::{Part, Sheet};
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::output::{Cell, Output, Table, Tone, write_json};

/// A report in each of its shapes.
pub(super) struct Printed<'r, J> {
    /// As a document.
    pub(super) json: &'r J,
    /// As rows.
    pub(super) csv: &'r dyn Fn() -> Result<String, CsvError>,
    /// As people read it.
    pub(super) sheet: Sheet,
}

impl<J: Serialize> Printed<'_, J> {
    /// Prints it as was asked for.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub(super) fn write(&self, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
        match ctx.output {
            Output::Table => text(&self.sheet, ctx, out)?,
            Output::Json => write_json(out, self.json)?,
            Output::Csv => {
                let text = (self.csv)().map_err(|error| CommandError::failed(&error))?;
                out.write_all(text.as_bytes())?;
            }
            Output::Html => out.write_all(html(&self.sheet).as_bytes())?,
        }
        out.flush()?;
        Ok(())
    }
}

fn text(sheet: &Sheet, ctx: &Context, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", ctx.paint.tone(Tone::Strong, &sheet.title))?;
    for alert in &sheet.alerts {
        writeln!(out, "{}", ctx.paint.tone(Tone::Bad, &line(alert)))?;
    }
    for (name, value) in sheet.facts.iter().filter(|(name, _)| name.starts_with("Verified")) {
        writeln!(out, "{name} {}", line(value))?;
    }
    for part in &sheet.parts {
        writeln!(out)?;
        if !part.heading.is_empty() {
            writeln!(out, "{}", ctx.paint.tone(Tone::Strong, part.heading))?;
        }
        table(part, ctx, out)?;
    }
    Ok(())
}

fn table(part: &Part, ctx: &Context, out: &mut dyn Write) -> std::io::Result<()> {
    if part.rows.is_empty() {
        return writeln!(out, "{}", part.empty);
    }
    let mut table = Table::new(&part.columns);
    for row in &part.rows {
        table.row(row.iter().map(|cell| Cell::from(cell.text.as_str())));
    }
    table.write(out, ctx.paint)
}

/// What somebody else wrote does not break the terminal.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
