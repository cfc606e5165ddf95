//! `tidegate man`.

use std::io::Write;
use std::path::PathBuf;

use clap_mangen::Man;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};

/// Print the manual page, or write one page per command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate man | man -l -\n  \
    tidegate man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write tidegate.1, tidegate-agent.1 … into this directory
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
        None => Man::new(command).render(out)?,
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|error| {
                CommandError::failed(&error)
                    .hint(format!("is {} a directory you own?", dir.display()))
            })?,
    }
    Ok(Outcome::Done)
}
