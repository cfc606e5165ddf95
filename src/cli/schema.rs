//! `tidegate schema`.

use std::io::Write;

use crate::cli::error::{CommandError, Outcome};
use crate::reconcile::desired::schema::{DOCUMENTS, schema_text};

/// Print the JSON Schema of a document, for editors and CI
///
/// Without a name the documents are listed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidegate schema\n  tidegate schema service > service.schema.json"
)]
pub struct SchemaArgs {
    /// Which document
    #[arg(value_name = "DOCUMENT")]
    document: Option<String>,
}

/// Prints a schema, or the documents that have one.
///
/// # Errors
/// When there is no such document.
pub fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let names = || DOCUMENTS.iter().map(|(name, ..)| *name).chain(reports().map(|(name, _)| name));
    let Some(document) = &args.document else {
        for name in names() {
            writeln!(out, "{name}")?;
        }
        return Ok(Outcome::Done);
    };
    let report = reports().find(|(name, _)| name == document);
    let report = report.map(|(_, text)| text.to_owned());
    let text = schema_text(document).or(report).ok_or_else(|| {
        CommandError::usage(format!("there is no document `{document}`"))
            .hint(format!("one of {}", names().collect::<Vec<_>>().join(", ")))
    })?;
    write!(out, "{text}")?;
    Ok(Outcome::Done)
}

/// What commands print, by name, with its schema.
fn reports() -> impl Iterator<Item = (&'static str, &'static str)> {
    let audit = crate::audit::SCHEMAS.into_iter();
    audit.chain(crate::compliance::SCHEMAS).chain([crate::import::SCHEMA])
}
