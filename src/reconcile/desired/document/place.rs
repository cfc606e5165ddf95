//! Where a value was written, and what was found there.
//!
//! In: findings by place. Out: [`Diagnostics`]. Pure.

use std::collections::BTreeSet;

use crate::model::Diagnostic;
use crate::model::Diagnostics;
use crate::model::Severity;

/// A byte range in one of the files that were read; cheap to copy onto every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index into [`FileNames`].
    pub(crate) file: u32,
    /// First byte.
    pub(crate) start: u32,
    /// First byte after it.
    pub(crate) end: u32,
}

/// Paths of the files read so far.
#[derive(Debug, Default)]
pub(crate) struct FileNames(Vec<String>);

impl FileNames {
    /// Remembers a path and gives the place of the file as a whole.
    pub(crate) fn add(&mut self, path: &str) -> Place {
        let file = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(path.to_owned());
        Place { file, start: 0, end: 0 }
    }

    /// The path that a place lies in.
    pub(crate) fn path(&self, at: Place) -> &str {
        self.0.get(at.file as usize).map_or("", String::as_str)
    }
}

/// What was found so far, with places instead of paths.
#[derive(Debug, Default, Clone)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    /// Values of a wrong type: they read as absent, so that each mistake is told once.
    mistyped: BTreeSet<Place>,
}

#[derive(Debug, Clone)]
struct Finding {
    severity: Severity,
    at: Place,
    message: String,
    help: Option<String>,
}

impl Findings {
    fn add(&mut self, severity: Severity, at: Place, message: String, help: Option<String>) {
        self.found.push(Finding { severity, at, message, help });
    }

    /// An error.
    pub(crate) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), None);
    }

    /// An error, with what to do about it.
    pub(crate) fn error_help(
        &mut self,
        at: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, at, message.into(), Some(help.into()));
    }

    /// A value of a wrong type.
    pub(crate) fn mistyped(&mut self, at: Place, message: impl Into<String>) {
        self.mistyped.insert(at);
        self.error(at, message);
    }

    /// Whether a value was found to be of a wrong type.
    pub(crate) fn is_mistyped(&self, at: Place) -> bool {
        self.mistyped.contains(&at)
    }

    /// A warning, with what to do about it.
    pub(crate) fn warning(
        &mut self,
        at: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Warning, at, message.into(), Some(help.into()));
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.found.iter().filter(|f| f.severity == Severity::Error).count()
    }

    /// With paths.
    pub(crate) fn into_diagnostics(self, files: &FileNames) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for finding in self.found {
            let Place { start, end, .. } = finding.at;
            let span = (end > 0).then_some(start as usize..end as usize);
            let file = files.path(finding.at);
            let diagnostic = match finding.severity {
                Severity::Error => Diagnostic::error(file, span, finding.message),
                Severity::Warning => Diagnostic::warning(file, span, finding.message),
            };
            diagnostics.push(Diagnostic { help: finding.help, ..diagnostic });
        }
        diagnostics
    }
}
