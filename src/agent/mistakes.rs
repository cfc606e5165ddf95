//! What makes a believed revision unusable here, for people.
//!
//! In: a resolved state, or what was found wrong. Out: lines. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::diagnostic::line_and_column;
use crate::model::{Diagnostics, Severity};
use crate::reconcile::desired::DesiredState;

/// What to say where the revision does not know the node: a wrong name looks like a node in sync.
pub fn undeclared(state: &DesiredState) -> Option<String> {
    let (environment, node) = (state.revision.environment(), &state.node);
    (!state.node_declared).then(|| {
        format!(
            "environments/{environment}/nodes/{node}.toml: it is not there, so this node keeps what \
             runs; add it, or correct `node` in agent.toml"
        )
    })
}

/// Errors as `file:line:column: what`, in their order.
pub fn mistakes(found: Diagnostics, files: &BTreeMap<String, Arc<[u8]>>) -> Vec<String> {
    let errors = found.into_sorted().into_iter().filter(|d| d.severity == Severity::Error);
    let lines = errors.map(|diagnostic| {
        let text = files.get(&diagnostic.file).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let place = match (&diagnostic.span, text) {
            (Some(span), Some(text)) => {
                let (line, column) = line_and_column(text, span.start);
                format!(":{line}:{column}")
            }
            _ => String::new(),
        };
        let help = diagnostic.help.map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}{place}: {}{help}", diagnostic.file, diagnostic.message)
    });
    lines.collect()
}
