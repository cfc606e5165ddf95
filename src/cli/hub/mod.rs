//! `tidegate hub`.

pub mod copy;
pub mod status;

use std::io::Write;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};

/// Look after the environments' registries
#[derive(Debug, clap::Args)]
pub struct HubArgs {
    #[command(subcommand)]
    command: HubCommand,
}

#[derive(Debug, clap::Subcommand)]
enum HubCommand {
    Copy(copy::CopyArgs),
    Status(status::StatusArgs),
}

/// Runs one of them.
///
/// # Errors
/// When the repository does not verify, or a hub does not do what it should.
pub fn run(args: &HubArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match &args.command {
        HubCommand::Copy(args) => copy::run(args, ctx, out),
        HubCommand::Status(args) => status::run(args, ctx, out),
    }
}
