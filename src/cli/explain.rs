//! `tidegate explain`.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Format, Paint, Tone, one_line, write_json};
use crate::cli::place::Place;
use crate::clients::git::line_commits;
use crate::model::diagnostic::line_and_column;
use crate::model::{CommitId, Instance, NodeName};
use crate::reconcile::desired::explain::{
    Candidate, ExplainError, Explanation, Standing, explain, nodes,
};
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// Show who says what a value is: file, line and commit of every candidate, and the winner
///
/// Candidates stand from general to specific, the last one that counts wins. KEY is dotted, as in the
/// service's file: `containers.web.digest`, `networks.default.driver`, `vars.greeting`; a table stands
/// for every key below it. The commit is the one that brought the line to this branch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate explain app1.prd containers.web.digest\n  \
    tidegate explain app1.prd containers.web.environment --node n1\n  \
    tidegate explain app1.tst vars --repository . -o json")]
pub struct ExplainArgs {
    /// A service in an environment, as `app1.prd`
    #[arg(value_name = "SERVICE.ENVIRONMENT")]
    instance: Instance,
    /// A key of the service; without one every key
    #[arg(value_name = "KEY", default_value = "", hide_default_value = true)]
    key: String,
    /// For which node (default: each, where they differ)
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    #[command(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct ExplainDocument {
    schema: &'static str,
    service: String,
    revision: String,
    nodes: Vec<ForNodes>,
}

/// What some nodes have in common.
#[derive(Serialize)]
struct ForNodes {
    nodes: Vec<String>,
    keys: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    key: String,
    value: Option<String>,
    candidates: Vec<ToldCandidate>,
}

#[derive(Serialize)]
struct ToldCandidate {
    standing: Standing,
    file: String,
    line: usize,
    column: usize,
    commit: Option<String>,
    written: String,
}

/// Explains.
///
/// # Errors
/// When there is no such service or nothing sets the key.
pub fn run(
    args: &ExplainArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let environment = &args.instance.environment;
    let snapshot = args.place.environment(environment)?;
    let known = nodes(&snapshot, environment);
    let asked = match &args.node {
        Some(node) if !known.contains(node) => {
            let names: Vec<&str> = known.iter().map(NodeName::as_str).collect();
            return Err(CommandError::usage(format!("{environment} has no node `{node}`"))
                .hint(format!("its nodes are: {}", names.join(", "))));
        }
        Some(node) => vec![node.clone()],
        None if known.is_empty() => {
            return Err(CommandError::usage(format!(
                "there is no environments/{environment}/nodes/"
            ))
            .hint("an environment's files lie on its branch: read that with --repository ."));
        }
        None => known,
    };
    let mut groups: Vec<(Vec<String>, Vec<Explanation>)> = Vec::new();
    for node in &asked {
        let told = explain(&snapshot, environment, node, &args.instance.service, &args.key);
        let told = told.map_err(|error| unexplained(&error))?;
        match groups.iter_mut().find(|(_, known)| *known == told) {
            Some((nodes, _)) => nodes.push(node.to_string()),
            None => groups.push((vec![node.to_string()], told)),
        }
    }
    let mut lines = Lines { place: &args.place, snapshot: &snapshot, known: BTreeMap::new() };
    let nodes = groups.into_iter().map(|(nodes, told)| ForNodes {
        nodes,
        keys: told.into_iter().map(|explanation| lines.told(explanation)).collect(),
    });
    let document = ExplainDocument {
        schema: "tidegate.explain/1",
        service: args.instance.to_string(),
        nodes: nodes.collect(),
        revision: snapshot.get().revision.to_string(),
    };
    match ctx.format {
        Format::Json => write_json(out, &document)?,
        Format::Table => write_text(&document, ctx.paint, out)?,
    }
    Ok(Outcome::Done)
}

fn unexplained(error: &ExplainError) -> CommandError {
    let list = |names: Vec<String>| names.join(", ");
    let hint = match error {
        ExplainError::NoService { known, .. } if known.is_empty() => {
            "there is no service; `tidegate lint` says whether one cannot be read".to_owned()
        }
        ExplainError::NoService { known, .. } => {
            format!("there are: {}", list(known.iter().map(ToString::to_string).collect()))
        }
        ExplainError::Unset { near, .. } => format!("what is set is like: {}", list(near.clone())),
        ExplainError::TooMany { .. } => "name a narrower key".to_owned(),
    };
    CommandError::usage(error.to_string()).hint(hint)
}

/// Finds lines and their commits, each file's once.
struct Lines<'a> {
    place: &'a Place,
    snapshot: &'a Verified<Snapshot>,
    known: BTreeMap<(String, usize), Option<CommitId>>,
}

impl Lines<'_> {
    fn told(&mut self, explanation: Explanation) -> Told {
        let Explanation { key, value, candidates } = explanation;
        let candidates = candidates.into_iter().map(|candidate| self.candidate(candidate));
        Told { key, value, candidates: candidates.collect() }
    }

    fn candidate(&mut self, candidate: Candidate) -> ToldCandidate {
        let Candidate { file, span, written, standing } = candidate;
        let bytes = self.snapshot.get().files.get(&file).cloned().unwrap_or_else(|| [].into());
        let text = String::from_utf8_lossy(&bytes);
        let (line, column) = line_and_column(&text, span.start);
        let commit = self.commit(&file, line, &bytes).map(|commit| commit.to_string());
        ToldCandidate { standing, file, line, column, commit, written }
    }

    fn commit(&mut self, file: &str, line: usize, content: &[u8]) -> Option<CommitId> {
        if let Some(known) = self.known.get(&(file.to_owned(), line)) {
            return *known;
        }
        let tip = self.snapshot.get().revision.commit();
        let all: Vec<usize> = (1..=content.split(|byte| *byte == b'\n').count()).collect();
        let found = match self.place.repository() {
            Some(repository) => line_commits(repository, tip, file, None, &all),
            None => line_commits(self.place.dir(), None, file, Some(content), &all),
        };
        for line in all {
            self.known.insert((file.to_owned(), line), found.get(&line).copied());
        }
        found.get(&line).copied()
    }
}

fn write_text(
    document: &ExplainDocument,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for (at, group) in document.nodes.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        let who = group.nodes.join(", ");
        let title = format!("{} at {} on {who}", document.service, document.revision);
        writeln!(out, "{gap}{}", paint.tone(Tone::Faint, &title))?;
        for told in &group.keys {
            write_key(told, paint, out)?;
        }
    }
    Ok(())
}

fn write_key(told: &Told, paint: Paint, out: &mut dyn Write) -> Result<(), CommandError> {
    let key = paint.tone(Tone::Strong, &told.key);
    match &told.value {
        Some(value) => writeln!(out, "{key} = {}", one_line(value))?,
        None => writeln!(out, "{key} is not set")?,
    }
    let place = |c: &ToldCandidate| format!("{}:{}", c.file, c.line);
    let wide = told.candidates.iter().map(|c| place(c).chars().count()).max().unwrap_or(0);
    for candidate in &told.candidates {
        let (word, tone) = match candidate.standing {
            Standing::Wins => ("wins", Tone::Good),
            Standing::Overridden => ("overridden", Tone::Faint),
            Standing::Removed => ("removed", Tone::Faint),
            Standing::Disputed => ("disputed", Tone::Bad),
        };
        let commit = candidate.commit.as_deref().map_or("-", |id| id.get(..7).unwrap_or(id));
        let (place, written) = (place(candidate), one_line(&candidate.written));
        let word = paint.tone(tone, &format!("{word:10}"));
        writeln!(out, "  {word}  {place:wide$}  {commit:7}  {written}")?;
    }
    Ok(())
}
