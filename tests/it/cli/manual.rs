//! What the manual tells people to type is understood, and what it shows them is accepted.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use tidegate::config::Settings;

const ID: &str = "906ed2866a37b7b1c6029959fe1532970584f6ab";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDyqn3NieJIQDnfs9/L8jX2goy6LOkkE5vXsA1TUedmY";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    pages
        .extend(["README.md", "CONTRIBUTING.md", "example-repo/README.md"].map(|p| root().join(p)));
    pages.sort();
    pages
}

/// Fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = text.split(fence.as_str()).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Lines of a shell that call us, with what belongs to them.
fn calls(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    let lines = joined.lines().flat_map(|line| line.split(" && ")).map(str::trim);
    lines
        .map(|l| l.trim_start_matches("sudo "))
        .filter(|l| l.starts_with("tidegate "))
        .map(str::to_owned)
        .collect()
}

/// Code within sentences; a line's end within it is a space.
fn spans(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
    // A list of alternatives is none to type.
    spans.filter(|span| span.starts_with("tidegate ") && !span.contains(['…', '|'])).collect()
}

/// The words of a call, with placeholders filled in.
fn words(call: &str) -> Option<Vec<String>> {
    let call = ["  #", " > ", " | "].iter().fold(call, |call, end| call.split(end).next().unwrap());
    let key = format!("'{KEY}'");
    let filled = call
        .replace("\"$(git config tidegate.dev.anchor)\"", ID)
        .replace("\"$(cat stolen.pub)\"", &key)
        .replace("$(git rev-parse HEAD)", ID)
        .replace(['[', ']'], "");
    let fill = |word: &str| match word {
        "ID" => ID.to_owned(),
        "KEY" => key.clone(),
        "SERVICE" => "app1".to_owned(),
        "REV" | "ENV" => "prd".to_owned(),
        other => other.to_owned(),
    };
    shell_words::split(&filled.split(' ').map(fill).collect::<Vec<_>>().join(" ")).ok()
}

/// Why a call is not understood, if so.
fn fault(call: &str) -> Option<String> {
    let Some(words) = words(call) else { return Some(format!("{call}\nan open quote")) };
    let error = tidegate::cli::command().try_get_matches_from(&words).err()?;
    let asked = matches!(
        error.kind(),
        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
    );
    (!asked).then(|| format!("{call}\n{error}"))
}

#[test]
fn every_command_of_the_manual_is_understood() {
    let (mut n_calls, mut faults) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut found = spans(&text);
        found.extend(blocks(&text, "sh").iter().flat_map(|block| calls(block)));
        n_calls += found.len();
        let said = found.iter().filter_map(|call| fault(call));
        faults.extend(said.map(|fault| format!("{}: {fault}", page.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(n_calls > 20, "they are found: {n_calls}");
}

#[test]
fn every_example_of_every_help_is_understood() {
    fn collect(command: &Command, faults: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        faults.extend(calls(&help).iter().filter_map(|call| fault(call)));
        command.get_subcommands().for_each(|sub| collect(sub, faults));
    }
    let mut faults = Vec::new();
    collect(&tidegate::cli::command(), &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_agent_toml_of_the_manual_is_accepted() {
    let mut n_files = 0;
    for page in ["README.md", "docs/agent-toml.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for block in blocks(&text, "toml").iter().filter(|block| block.starts_with("node = ")) {
            let block = block.replace("<the id of prd's anchor commit>", ID);
            let read = Settings::from_texts(vec![("agent.toml".to_owned(), block.clone())]);
            assert!(read.is_ok(), "{page}\n{block}\n{read:?}");
            n_files += 1;
        }
    }
    assert!(n_files >= 2);
}
