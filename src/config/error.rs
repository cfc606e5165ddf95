//! Why the node's configuration cannot be used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::model::Diagnostic;
use crate::model::diagnostic::line_and_column;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is over the limit.
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// There are too many drop-ins.
    #[error("{} holds more than {files_max} drop-ins", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        files_max: usize,
    },
    /// The files say something they may not: every mistake at once.
    #[error("{}", Lines(findings, sources))]
    Invalid {
        /// Every mistake.
        findings: Vec<Diagnostic>,
        /// The texts of the files, so that the lines can be shown.
        sources: BTreeMap<String, String>,
    },
}

/// One line each: `file:line:column: message; help`.
struct Lines<'a>(&'a [Diagnostic], &'a BTreeMap<String, String>);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&finding.file)?;
            if let (Some(span), Some(text)) = (&finding.span, self.1.get(&finding.file)) {
                let (line, column) = line_and_column(text, span.start);
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", finding.message)?;
            if let Some(help) = &finding.help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}
