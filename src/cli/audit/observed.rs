//! The nodes' journals that an auditor brings.
//!
//! In: paths. Out: text. Effect: reads them.

use std::path::PathBuf;

use crate::audit::images::ImagesReport;
use crate::audit::journals::JournalFile;
use crate::cli::error::CommandError;
use crate::clients::host::read_bounded;

/// A node keeps at most 20 MiB; years of it, put together by somebody, are still less.
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// Reads journals.
///
/// # Errors
/// When one is not there, or cannot be read.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<JournalFile>, CommandError> {
    let one = |path: &PathBuf| {
        let read = read_bounded(path, JOURNAL_BYTES_MAX);
        let bytes = read.map_err(|error| CommandError::failed(&error))?;
        let missing = || CommandError::usage(format!("there is no {}", path.display()));
        let text = String::from_utf8_lossy(&bytes.ok_or_else(missing)?).into_owned();
        Ok(JournalFile { name: path.display().to_string(), text })
    };
    paths.iter().map(one).collect()
}

/// Refuses a report that had to leave a journal out.
///
/// # Errors
/// When it had to.
pub(super) fn complete(report: &ImagesReport) -> Result<(), CommandError> {
    let journals = report.observed.iter().flat_map(|observed| &observed.journals);
    let left_out = journals.filter_map(|journal| {
        let why = journal.not_counted.as_ref()?;
        let files: Vec<&str> = journal.files.iter().map(String::as_str).collect();
        Some(format!("{}: {why}", files.join(", ")))
    });
    let left_out: Vec<String> = left_out.collect();
    if left_out.is_empty() {
        return Ok(());
    }
    let message = format!("a journal does not count: {}", left_out.join("; "));
    Err(CommandError::refused(message).hint(
        "ask the node's operator for `tidegate history --signed`; compare with the file you have",
    ))
}
