//! `tidegate demo`.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::signal::ctrl_c;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Paint, Tone};
use crate::demo::{Audience, DemoError, Options, Told, default_dir, run as tell, stop};

/// Tell the whole story on real containers, each step checked
///
/// Three lines dev, tst and prd side by side, each with its branch, its hub and its node's agent:
/// with an engine of its own each for root, else scoped on the engine that is there. What it made
/// keeps running until --stop, which leaves nothing behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo tidegate demo\n  sudo tidegate demo --stop")]
pub struct DemoArgs {
    /// End what an earlier run left, and remove it
    #[arg(long)]
    stop: bool,
    /// Where everything the demo makes lies
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The repository to copy
    #[arg(long, value_name = "DIR", default_value = "example-repo")]
    from: PathBuf,
    /// Use the engine that is there, even as root
    #[arg(long)]
    shared_engine: bool,
}

struct Terminal<'a> {
    out: &'a mut dyn Write,
    paint: Paint,
    /// The first failure of writing; later ones are the same.
    failed: Option<std::io::Error>,
}

impl Audience for Terminal<'_> {
    fn tell(&mut self, told: Told) {
        let paint = self.paint;
        let text = match told {
            Told::Act(text) => format!("\n{}", paint.tone(Tone::Strong, &text)),
            Told::Say(text) => format!("  {text}"),
            Told::Command(text) => paint.tone(Tone::Faint, &format!("  $ {text}")),
            Told::Output(text) => indented(&text),
            Told::Good(text) => format!("  {} {text}", paint.tone(Tone::Good, "✔")),
            Told::Bad(text) => format!("  {} {text}", paint.tone(Tone::Bad, "✗")),
            Told::After(title, lines) => {
                let mut text = format!("\n{}", paint.tone(Tone::Strong, &title));
                for line in lines {
                    text.push_str("\n  ");
                    text.push_str(&line);
                }
                text
            }
        };
        let written = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

/// What a command printed, set apart from what is told about it.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// Tells the story, or ends it.
///
/// # Errors
/// When a check fails, or what the story needs cannot be made.
pub fn run(args: &DemoArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let dir = args.dir.clone().unwrap_or_else(default_dir);
    if args.stop {
        let ended = block_on(async { stop(&dir).await.map_err(|error| explain(&error, &dir)) })?;
        let text = if ended { "the demo is gone" } else { "no demo is there" };
        writeln!(out, "{text}")?;
        return Ok(Outcome::Done);
    }
    if !args.from.is_dir() {
        let missing = format!("there is no directory `{}` to copy", args.from.display());
        return Err(CommandError::usage(missing).hint(
            "run the demo in Tidegate's source folder, or name its example-repo with --from",
        ));
    }
    let options =
        Options { dir: dir.clone(), example: args.from.clone(), shared_engine: args.shared_engine };
    let mut terminal = Terminal { out, paint: ctx.paint, failed: None };
    block_on(async {
        tokio::select! {
            _ = ctrl_c() => Err(interrupted(&dir)),
            told = tell(&options, &mut terminal) => told.map_err(|error| explain(&error, &dir)),
        }
    })?;
    match terminal.failed {
        Some(error) => Err(error.into()),
        None => Ok(Outcome::Done),
    }
}

fn explain(error: &DemoError, dir: &Path) -> CommandError {
    let failed = CommandError::failed(error);
    match error {
        DemoError::Foreign(_) => failed.hint("name another directory with --dir"),
        DemoError::NoEngine(_) | DemoError::Init(_) => failed,
        _ => failed.hint(remains(dir)),
    }
}

fn interrupted(dir: &Path) -> CommandError {
    CommandError::new(ErrorKind::Interrupted, "interrupted").hint(remains(dir))
}

fn remains(dir: &Path) -> String {
    let logs = dir.display();
    format!("what it made still runs: look at {logs}/*/*.log, end it with `tidegate demo --stop`")
}
