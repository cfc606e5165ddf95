//! The node's configuration, read again.
//!
//! In: its file, what is in force. Out: what is to be in force. Effect: reads it.
//!
//! # Guarantees
//! * One with mistakes, or that turned out to be of no use, changes nothing.

use std::error::Error;
use std::path::Path;

use tracing::{error, info};

use crate::agent::wakes::drop_ins;
use crate::config::Settings;
use crate::telemetry::Chain;

/// What is known of the configuration's files.
#[derive(Debug)]
pub(crate) struct Reload {
    /// Whether there was a folder of drop-ins to watch.
    has_drop_ins: bool,
    /// What they say, if that was tried in vain.
    useless: Option<Settings>,
}

impl Reload {
    /// Before they are watched.
    pub(crate) fn new(config: &Path, useless: Option<Settings>) -> Self {
        Self { has_drop_ins: drop_ins(config).is_dir(), useless }
    }

    /// The configuration as it is now, if it is another one than is in force and has no mistakes. One
    /// that was tried in vain is tried again the next time.
    pub(crate) fn changed(&mut self, config: &Path, in_force: &Settings) -> Option<Settings> {
        let useless = self.useless.take();
        // Drop-ins that lie where nobody watches make another of the same.
        let is_watched = self.has_drop_ins == drop_ins(config).is_dir();
        match Settings::load(config) {
            Ok(settings) if is_watched && settings == *in_force => None,
            Ok(settings) if useless.is_some_and(|useless| settings == useless) => None,
            Ok(settings) => {
                info!("the configuration has changed");
                Some(settings)
            }
            Err(error) => {
                say_unused(&error);
                None
            }
        }
    }
}

/// Says why a changed configuration is not used.
pub(crate) fn say_unused(error: &dyn Error) {
    let error = Chain(error);
    error!(error = %error, "the changed configuration is not used: {error}");
}
