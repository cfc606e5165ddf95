//! Mistakes in files as rustc shows them: the line itself, what is wrong, what to do.
//!
//! In: [`Diagnostic`]s and the texts they are about. Out: text, or rows for JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::cli::output::{Paint, counted};
use crate::model::diagnostic::line_and_column;
use crate::model::{Diagnostic, Severity};

/// A mistake as programs want it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    severity: Severity,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
}

/// Rows for JSON.
pub fn findings(all: &[Diagnostic], texts: &BTreeMap<String, String>) -> Vec<Finding> {
    let finding = |d: &Diagnostic| {
        let place = place(d, texts);
        Finding {
            severity: d.severity,
            file: d.file.clone(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            message: d.message.clone(),
            help: d.help.clone(),
        }
    };
    all.iter().map(finding).collect()
}

fn place(diagnostic: &Diagnostic, texts: &BTreeMap<String, String>) -> Option<(usize, usize)> {
    let span = diagnostic.span.as_ref()?;
    Some(line_and_column(texts.get(&diagnostic.file)?, span.start))
}

/// Every mistake with its line.
pub fn render(all: &[Diagnostic], texts: &BTreeMap<String, String>, paint: Paint) -> String {
    let renderer = match paint {
        Paint::Ansi => Renderer::styled(),
        Paint::Plain => Renderer::plain(),
    };
    let mut text = String::new();
    for diagnostic in all {
        let group = group(diagnostic, texts);
        // Writing to a string cannot fail.
        let _always = writeln!(text, "{}\n", renderer.render(&[group]));
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, texts: &'a BTreeMap<String, String>) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let source = texts.get(&diagnostic.file);
    let mut group = match (source, &diagnostic.span) {
        (Some(text), Some(span)) if text.get(span.clone()).is_some() => title.element(
            Snippet::source(text.as_str())
                .path(diagnostic.file.as_str())
                .annotation(AnnotationKind::Primary.span(span.clone())),
        ),
        _ => title.element(annotate_snippets::Origin::path(diagnostic.file.as_str())),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// `2 errors, 1 warning`.
pub fn count(all: &[Diagnostic]) -> String {
    let n_errors = all.iter().filter(|d| d.severity == Severity::Error).count();
    let n_warnings = all.len() - n_errors;
    match (n_errors, n_warnings) {
        (0, 0) => "no mistakes found".to_owned(),
        (0, n) => counted(n, "warning"),
        (n, 0) => counted(n, "error"),
        (errors, warnings) => {
            format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::cli::diagnostics::render;
    use crate::cli::output::Paint;
    use crate::model::Diagnostic;

    #[test]
    fn a_mistake_shows_its_line_and_what_to_do() {
        let text = "app = \"app1\"\nimgae = \"app1/web\"\n".to_owned();
        let texts = BTreeMap::from([("services/app1.toml".to_owned(), text)]);
        let all = [
            Diagnostic::error("services/app1.toml", Some(13..18), "unknown key `imgae`")
                .help("did you mean `image`?"),
            Diagnostic::warning("tidegate.toml", None, "no app is declared"),
        ];
        insta::assert_snapshot!(render(&all, &texts, Paint::Plain), @r#"
        error: unknown key `imgae`
         --> services/app1.toml:2:1
          |
        2 | imgae = "app1/web"
          | ^^^^^
          |
          = help: did you mean `image`?

        warning: no app is declared
        --> tidegate.toml

        "#);
    }
}
