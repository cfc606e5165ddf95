//! Verdicts in the formats that other tools read: `JUnit` for CI, SARIF for code scanning.
//!
//! In: [`Verdict`]s. Out: text. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::compliance::verdict::{Verdict, VerdictStatus};
use crate::reconcile::desired::rule::RuleSeverity;

/// One test case a verdict, as CI systems read it.
pub fn junit(node: &str, verdicts: &[&Verdict]) -> String {
    let count =
        |wanted: &[VerdictStatus]| verdicts.iter().filter(|v| wanted.contains(&v.status)).count();
    let failures = count(&[VerdictStatus::NotOk]);
    let errors = count(&[VerdictStatus::Error, VerdictStatus::Unknown]);
    let skipped = count(&[VerdictStatus::NotApplicable]);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _fits = writeln!(
        text,
        "<testsuite name=\"tidegate check {}\" tests=\"{}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\">",
        escaped(node),
        verdicts.len()
    );
    for verdict in verdicts {
        let (class, name) = (escaped(&verdict.target), escaped(&verdict.rule));
        let _fits = write!(text, "  <testcase classname=\"{class}\" name=\"{name}\"");
        let message = escaped(&message(verdict));
        let element = match verdict.status {
            VerdictStatus::Ok => {
                text.push_str("/>\n");
                continue;
            }
            VerdictStatus::NotOk => "failure",
            VerdictStatus::Error | VerdictStatus::Unknown => "error",
            VerdictStatus::NotApplicable => "skipped",
        };
        let _fits = writeln!(text, "><{element} message=\"{message}\"/></testcase>");
    }
    text.push_str("</testsuite>\n");
    text
}

/// What is wrong with each rule that does not hold, with the place where it is written.
pub fn sarif(verdicts: &[&Verdict]) -> Value {
    let results: Vec<Value> =
        verdicts.iter().filter(|v| v.status.is_trouble()).map(|v| result(v)).collect();
    let mut ids: Vec<&str> = verdicts.iter().map(|v| v.rule.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let rules: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

fn result(verdict: &Verdict) -> Value {
    // One that could not be judged is as grave: a gate must not pass for want of an answer.
    let level = match verdict.severity {
        RuleSeverity::Info => "note",
        RuleSeverity::Warning => "warning",
        RuleSeverity::Critical => "error",
    };
    let mut result = json!({
        "ruleId": verdict.rule,
        "level": level,
        "message": { "text": format!("{}: {}", verdict.target, message(verdict)) },
    });
    if let (Some(source), Value::Object(entries)) = (&verdict.source, &mut result) {
        let location = json!({ "physicalLocation": {
            "artifactLocation": { "uri": source.file },
            "region": { "startLine": source.line },
        } });
        entries.insert("locations".to_owned(), json!([location]));
    }
    result
}

/// What is said about a verdict, in one line.
pub fn message(verdict: &Verdict) -> String {
    let broken =
        verdict.broken.map(|link| format!("[{} link] ", link.as_str())).unwrap_or_default();
    let compared = match (verdict.expected.as_str(), verdict.actual.as_str()) {
        ("", _) => String::new(),
        (expected, "") => format!("expected {expected}"),
        (expected, actual) => format!("expected {expected}; {actual}"),
    };
    let reason = verdict.reason.clone().unwrap_or_default();
    let between = if compared.is_empty() || reason.is_empty() { "" } else { "; " };
    format!("{broken}{compared}{between}{reason}")
}

/// XML's own characters, and those it cannot hold at all.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
