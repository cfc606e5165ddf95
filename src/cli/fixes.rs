//! What `fix` shows: plans as diffs, records as a table.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::output::{Cell, Format, Table, Tone, one_line, shown_time, write_json};
use crate::compliance::change::Change;
use crate::compliance::check::Checked;
use crate::compliance::fix::Mender;
use crate::compliance::interchange::message;
use crate::compliance::record::{FixRecord, FixResult};

/// What would be done for each rule.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_plan<'a>(
    ready: impl IntoIterator<Item = &'a Checked>,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for checked in ready {
        let verdict = &checked.verdict;
        let title = format!("{} ({})", verdict.rule, verdict.target);
        let said = one_line(&message(verdict));
        writeln!(out, "{}: {said}", ctx.paint.tone(Tone::Strong, &title))?;
        write_diffs(&checked.changes, ctx, out)?;
    }
    Ok(())
}

/// Changes, as a diff.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_diffs(
    changes: &[Change],
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for line in changes.iter().map(Change::diff).collect::<String>().lines() {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            Some('#' | '@') => Tone::Faint,
            _ => Tone::Plain,
        };
        writeln!(out, "{}", ctx.paint.tone(tone, line))?;
    }
    Ok(())
}

/// A plan, for programs.
#[derive(Serialize)]
pub(super) struct PlanDocument<'a> {
    schema: &'static str,
    fixes: Vec<PlannedFix<'a>>,
}

#[derive(Serialize)]
struct PlannedFix<'a> {
    rule: &'a str,
    target: &'a str,
    expected: &'a str,
    actual: &'a str,
    /// Whether the node's policy lets it be mended.
    allowed: bool,
    diff: String,
}

impl<'a> PlanDocument<'a> {
    /// What would be done for each rule.
    pub(super) fn of(ready: impl IntoIterator<Item = &'a Checked>, mender: &Mender<'_>) -> Self {
        let planned = |checked: &'a Checked| PlannedFix {
            rule: &checked.verdict.rule,
            target: &checked.verdict.target,
            expected: &checked.verdict.expected,
            actual: &checked.verdict.actual,
            allowed: mender.allows(&checked.verdict.kind).is_ok(),
            diff: checked.changes.iter().map(Change::diff).collect(),
        };
        Self { schema: "tidegate.fix-plan/1", fixes: ready.into_iter().map(planned).collect() }
    }
}

#[derive(Serialize)]
struct FixesDocument {
    schema: &'static str,
    fixes: Vec<FixRecord>,
}

/// Records of fixes.
///
/// # Errors
/// When they cannot be written.
pub(super) fn write_records(
    records: &[FixRecord],
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    if ctx.format == Format::Json {
        let fixes = records.iter().map(FixRecord::shown).collect();
        write_json(out, &FixesDocument { schema: "tidegate.fixes/1", fixes })?;
        return Ok(());
    }
    let is_done = |record: &&FixRecord| record.result == FixResult::Fixed;
    let way_back = |record: &'_ FixRecord| record.taken_back().map(str::to_owned);
    let taken_back: BTreeSet<String> =
        records.iter().filter(is_done).filter_map(way_back).collect();
    let mut table = Table::new(&["ID", "AT", "BY", "RULE", "TARGET", "RESULT", "WHY"]);
    for record in records {
        let (result, tone, why) = match &record.result {
            FixResult::Fixed | FixResult::NotFixed { .. } if taken_back.contains(&record.id) => {
                ("taken back", Tone::Faint, "")
            }
            FixResult::Fixed => ("fixed", Tone::Good, record.note.as_deref().unwrap_or_default()),
            FixResult::Begun => ("begun", Tone::Notice, "it did not come to its end"),
            FixResult::NotFixed { reason } => ("not fixed", Tone::Bad, reason.as_str()),
            FixResult::Failed { reason } => ("failed", Tone::Bad, reason.as_str()),
        };
        let by = record.by.as_str();
        let cells = [record.id.as_str().into(), shown_time(record.at).into(), by.into()];
        let cells = cells.into_iter().chain([record.rule.as_str().into()]);
        let rest = [record.target.as_str().into(), Cell::toned(result, tone), why.into()];
        table.row(cells.chain(rest));
    }
    table.write(out, ctx.paint)?;
    Ok(())
}
