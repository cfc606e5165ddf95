//! `tidegate hub`.

pub mod copy;
pub mod status;

use std::io::Write;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::clients::registry::{RegistryError, RegistryErrorKind};
use crate::model::Hub;

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

/// A hub's error, with what people can do about it.
fn explain(hub: &Hub, error: &RegistryError) -> CommandError {
    let failed = CommandError::failed(error);
    match error.kind {
        RegistryErrorKind::Unauthorized => {
            let server = hub.authority();
            failed.hint(format!(
                "may you do that there? `docker login {server}`, or `[hub] credentials` on a node"
            ))
        }
        RegistryErrorKind::ForeignRealm => {
            failed.hint("nothing was sent there; ask who keeps the hub whether that is meant")
        }
        RegistryErrorKind::Unreachable => failed.hint(format!(
            "is {hub} up, and does this machine trust its certificate? `curl -v https://{}/v2/`",
            hub.authority()
        )),
        _ => failed,
    }
}
