//! What every command is told: configuration file, output format, colours, verbosity.
//!
//! In: global arguments, the terminal. Out: [`Context`]. Effect: asks whether streams are terminals.

use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::cli::error::CommandError;
use crate::cli::output::{ColorChoice, Format, Output, Paint};
use crate::telemetry::{self, LogFormat};

/// Where the node's own configuration lies unless told otherwise.
pub const CONFIG_DEFAULT: &str = "/etc/tidegate/agent.toml";

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The node's own configuration
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_CONFIG", hide_env = true)]
    #[arg(default_value = CONFIG_DEFAULT)]
    config: PathBuf,
    /// How results are printed
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    output: Output,
    /// Whether output is coloured
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    color: ColorChoice,
    /// Say more (twice: even more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl GlobalArgs {
    /// Decides what depends on the terminal.
    pub fn resolve(&self) -> Context {
        Context {
            config: self.config.clone(),
            format: self.output.common().unwrap_or_default(),
            output: self.output,
            paint: self.color.resolve(&std::io::stdout()),
            paint_err: self.color.resolve(&std::io::stderr()),
            verbosity: match (self.quiet, self.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, 0) => Verbosity::Normal,
                (false, 1) => Verbosity::Verbose,
                (false, _) => Verbosity::Trace,
            },
        }
    }
}

/// How much is said besides the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// Each step.
    Verbose,
    /// Everything.
    Trace,
}

/// What every command is told.
#[derive(Debug, Clone)]
pub struct Context {
    /// The node's own configuration file.
    pub config: PathBuf,
    /// How results are printed.
    pub format: Format,
    /// The same, for reports that have more formats.
    pub output: Output,
    /// Colours on standard output.
    pub paint: Paint,
    /// Colours on standard error.
    pub paint_err: Paint,
    /// How much is said.
    pub verbosity: Verbosity,
}

impl Context {
    /// A line for people on standard error, unless they asked for quiet.
    pub fn notice(&self, line: &str) {
        if self.verbosity > Verbosity::Quiet {
            // Nobody reads standard error: nothing is lost.
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }

    /// Starts writing events to standard error; one-shot commands say less than the agent.
    pub fn start_log(&self, usual: LevelFilter) {
        let level = match self.verbosity {
            Verbosity::Quiet => LevelFilter::ERROR,
            Verbosity::Normal => usual,
            Verbosity::Verbose => LevelFilter::DEBUG.max(usual),
            Verbosity::Trace => LevelFilter::TRACE,
        };
        let format = match self.format {
            Format::Json => LogFormat::Json,
            Format::Table => LogFormat::Text { ansi: self.paint_err == Paint::Ansi },
        };
        telemetry::start(level, format);
    }
}

/// Runs `work` on this thread: one is enough, and fewer threads are less memory.
///
/// # Errors
/// When the kernel refuses what a runtime needs, or `work` fails.
pub fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed(&error))?
        .block_on(work)
}
