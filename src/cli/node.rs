//! What commands about a node share: its settings, read with every mistake shown.
//!
//! In: the configuration file. Out: [`Settings`]. Effect: reads files.

use std::io::ErrorKind as IoKind;

use crate::cli::context::{CONFIG_DEFAULT, Context};
use crate::cli::diagnostics;
use crate::cli::error::CommandError;
use crate::config::{ConfigError, Settings};
use crate::telemetry::Chain;

impl Context {
    /// The node's own configuration.
    ///
    /// # Errors
    /// When it cannot be read, or with every mistake in it.
    pub fn settings(&self) -> Result<Settings, CommandError> {
        Settings::load(&self.config).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &ConfigError) -> CommandError {
        match error {
            ConfigError::Invalid { findings, sources } => {
                CommandError::usage(format!("{} cannot be used", self.config.display()))
                    .detail(diagnostics::render(findings, sources, self.paint_err))
            }
            ConfigError::Unreadable { path, source } if source.kind() == IoKind::NotFound => {
                let hint = if self.config.as_os_str() == CONFIG_DEFAULT {
                    "this command is about a node: write that file (docs/operating.md), or name \
                     another one with --config"
                } else {
                    "is the path right?"
                };
                CommandError::usage(format!("there is no {}", path.display())).hint(hint)
            }
            ConfigError::Unreadable { source, .. } if source.kind() == IoKind::PermissionDenied => {
                CommandError::failed(error)
                    .hint("only root and the agent's user may read it: try sudo")
            }
            _ => CommandError::usage(Chain(error).to_string()),
        }
    }
}
