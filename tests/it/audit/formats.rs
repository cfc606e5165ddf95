//! JSON as its schemas say, CSV that a spreadsheet reads, HTML that is whole and inert.

use std::path::Path;

use serde_json::Value;

use crate::audit::{PINS, World, digest, pins};

const HOSTILE: &str = "=cmd|'/c calc'!A1 <script>alert(1)</script> \"x\" & \u{202e}txt";

/// A history with words in it that somebody else would take for code.
fn hostile() -> World {
    let mut w = World::new();
    w.at("2026-02-01T10:00:00Z");
    w.h.promote_to_tst();
    w.h.promote_to_prd();
    w.h.write(PINS, &pins(2));
    w.h.commit_as("carol", "hotfix", &format!("\nHotfix: {HOSTILE}"));
    w
}

fn schema(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Where `value` is not as `schema` says: the keywords that the audit's schemas use.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return faults(root, target, value, at, found);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let fits = |option: &Value| {
            let mut own = Vec::new();
            faults(root, option, value, at, &mut own);
            own.is_empty()
        };
        if !options.iter().any(fits) {
            found.push(format!("{at} fits nothing: {value}"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"].as_str().is_some_and(|wanted| wanted != kind) {
        found.push(format!("{at} is {kind}"));
    }
    if schema.get("const").is_some_and(|wanted| wanted != value) {
        found.push(format!("{at} is {value}"));
    }
    if schema["enum"].as_array().is_some_and(|options| !options.contains(value)) {
        found.push(format!("{at} is {value}"));
    }
    for item in value.as_array().into_iter().flatten() {
        faults(root, &schema["items"], item, &format!("{at}[]"), found);
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            found.push(format!("{at} lacks {name}"));
        }
    }
    for (name, field) in fields {
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(own), _) => faults(root, own, field, &format!("{at}.{name}"), found),
            (None, Some(Value::Bool(false))) => found.push(format!("{at}.{name} is unknown")),
            (None, Some(other)) => faults(root, other, field, &format!("{at}.{name}"), found),
            (None, None) => {}
        }
    }
}

#[track_caller]
pub(crate) fn assert_fits(name: &str, value: &Value) {
    let schema = schema(name);
    let mut found = Vec::new();
    faults(&schema, &schema, value, "", &mut found);
    assert!(found.is_empty(), "{name}: {found:#?}");
}

#[test]
fn json_is_as_its_schema_says() {
    let mut w = hostile();
    w.h.write("home/n1.jsonl", "nothing\n");
    assert_fits("audit-log", &w.json(&["log"]));
    assert_fits("audit-images", &w.json(&["images"]));
    let span = ["images", "--from", "2026-01-01", "--observed", "home/n1.jsonl"];
    assert_fits("audit-images", &w.json(&span));
    assert_fits("audit-provenance", &w.json(&["provenance", &digest(1)]));
    w.h.write(PINS, &pins(3));
    w.h.commit(crate::trust::history::By::Nobody, "Unsigned");
    assert_fits("audit-log", &w.json(&["log"]));
}

#[test]
fn csv_has_a_row_for_each_change_and_no_formulas() {
    let mut w = hostile();
    let text = w.audit(&["log", "-o", "csv"]).out;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|found| found == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for row in &rows {
        assert_eq!(row[column("commit")].len(), 40);
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{row:?}");
    }
    let fixed = rows.iter().find(|row| &row[column("kind")] == "hotfix").unwrap();
    assert_eq!(fixed[column("reason")], format!("'{HOSTILE}"));
    assert_eq!(fixed[column("from_digest")], digest(1));
    assert_eq!(fixed[column("to_digest")], digest(2));
    for report in [&["images"][..], &["provenance", &digest(1)]] {
        let text = w.audit(&[report, &["-o", "csv"]].concat()).out;
        let rows =
            csv::Reader::from_reader(text.as_bytes()).into_records().map(Result::unwrap).count();
        assert!(rows > 0, "{text}");
    }
}

#[test]
fn csv_without_rows_still_has_its_header() {
    let mut w = World::new();
    let text = w.audit(&["provenance", &digest(9), "-o", "csv"]).out;
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with("basis,environment,service,"), "{text}");
}

/// Every element is closed by its own end, in order.
fn assert_whole(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap();
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if name != "meta" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn html_is_whole_runs_nothing_and_loads_nothing() {
    let mut w = hostile();
    for report in [&["log"][..], &["images"], &["provenance", &digest(1)]] {
        let page = w.audit(&[report, &["-o", "html"]].concat()).out;
        assert_whole(&page);
        for forbidden in ["<script", "<link", "<img", "url(", "src=", "href=", "\u{202e}"] {
            assert!(!page.contains(forbidden), "{report:?} {forbidden}");
        }
        assert!(page.contains("default-src 'none'"));
    }
    let page = w.audit(&["log", "-o", "html"]).out;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains(&digest(2)), "{page}");
}

#[test]
fn other_commands_refuse_the_auditors_formats() {
    let w = World::new();
    for format in ["csv", "html"] {
        let said = w.run(&["schema", "-o", format]);
        assert_eq!(said.code, 64);
        assert!(said.err.contains("tidegate audit"), "{}", said.err);
    }
}
