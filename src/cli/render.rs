//! `tidegate render`.

use std::collections::BTreeMap;
use std::io::Write;

use crate::cli::context::Context;
use crate::cli::diagnostics::render as render_diagnostics;
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::Format;
use crate::cli::place::Place;
use crate::lint::{render_json, render_text};
use crate::model::{EnvironmentName, NodeName};
use crate::reconcile::desired::{ResolveError, resolve};

/// Show what one node should run, every value resolved
///
/// Reads the files alone: neither Docker nor a signature is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate render --environment prd --node n1\n  \
    tidegate render --environment prd --node n1 --repository . --revision prd -o json")]
pub struct RenderArgs {
    /// For which environment
    #[arg(long, value_name = "NAME")]
    environment: EnvironmentName,
    /// For which node
    #[arg(long, value_name = "NAME")]
    node: NodeName,
    #[command(flatten)]
    place: Place,
}

/// Renders.
///
/// # Errors
/// With every mistake that keeps it from being resolved.
pub fn run(args: &RenderArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let snapshot = args.place.environment(&args.environment)?;
    let resolution = resolve(&snapshot, &args.environment, &args.node);
    let resolution = resolution.map_err(|error| match error {
        ResolveError::Invalid(found) => {
            let files = &snapshot.get().files;
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
            let texts: BTreeMap<String, String> =
                files.iter().filter_map(|(path, b)| Some((path.clone(), text(b)?))).collect();
            CommandError::new(ErrorKind::Failed, "it cannot be rendered")
                .detail(render_diagnostics(&found.into_sorted(), &texts, ctx.paint_err))
        }
        error @ ResolveError::TooOld { .. } => CommandError::failed(&error),
    })?;
    if !resolution.state.node_declared {
        ctx.notice(&format!(
            "environments/{}/nodes/{}.toml is not there: such a node keeps what runs",
            args.environment, args.node
        ));
    }
    let text = match ctx.format {
        Format::Json => render_json(&resolution.state),
        Format::Table => render_text(&resolution.state),
    };
    write!(out, "{text}")?;
    Ok(Outcome::Done)
}
