//! `tidegate man`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap_mangen::Man;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::page::RULES;

/// Print the manual page, or write one page per command
///
/// The page tidegate-rules is about rules: what they are, and every kind with an example.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidegate man | man -l -\n  tidegate man --rules | man -l -\n  \
    tidegate man --dir /usr/local/share/man/man1"
)]
pub struct ManArgs {
    /// Print the page about rules instead
    #[arg(long, conflicts_with = "dir")]
    rules: bool,

    /// Write tidegate.1, tidegate-agent.1 … into this directory, and tidegate-rules.7 there, or into
    /// the man7 beside it if it is called man1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes the pages.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &ManArgs, _ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let command = crate::cli::command();
    match &args.dir {
        None if args.rules => out.write_all(RULES.roff().as_bytes())?,
        None => Man::new(command).render(out)?,
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .and_then(|()| write_rules(dir))
            .map_err(|error| {
                CommandError::failed(&error)
                    .hint(format!("is {} a directory you own?", dir.display()))
            })?,
    }
    Ok(Outcome::Done)
}

/// `man` looks for each section in a folder of its own.
fn write_rules(dir: &Path) -> std::io::Result<()> {
    let section = RULES.section;
    let is_first = dir.file_name().is_some_and(|name| name == "man1");
    let dir = if is_first { dir.with_file_name(format!("man{section}")) } else { dir.to_owned() };
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join(format!("{}.{section}", RULES.name)), RULES.roff())
}
