//! The node's configuration, read again.
//!
//! In: its file, the node that it is in force for. Out: what is to be in force. Effect: reads it.
//!
//! # Guarantees
//! * One with mistakes, or that turned out to be of no use, changes nothing, and the status says why.

use std::error::Error;
use std::path::Path;

use tracing::{error, info};

use crate::agent::node::Node;
use crate::agent::wakes::drop_ins;
use crate::config::Settings;
use crate::reconcile::report::Reach;
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
    pub(crate) fn new(config: &Path) -> Self {
        Self { has_drop_ins: drop_ins(config).is_dir(), useless: None }
    }

    /// What the files say is of no use, as it turned out.
    pub(crate) fn tried_in_vain(&mut self, useless: Settings) {
        self.useless = Some(useless);
    }

    /// The configuration as it is now, if it is another one than the node's and has no mistakes. One
    /// that was tried in vain is tried again the next time. The node says what keeps one from use.
    pub(crate) fn changed(&mut self, config: &Path, node: &mut Node) -> Option<Settings> {
        let useless = self.useless.take();
        // Drop-ins that lie where nobody watches make another of the same.
        let is_watched = self.has_drop_ins == drop_ins(config).is_dir();
        match Settings::load(config) {
            Ok(settings) if is_watched && settings == node.settings => {
                node.unused = Reach::Answers;
                None
            }
            Ok(settings) if useless.is_some_and(|useless| settings == useless) => None,
            Ok(settings) => {
                info!("the configuration has changed");
                Some(settings)
            }
            Err(error) => {
                node.unused = Reach::Silent(say_unused(&error));
                None
            }
        }
    }
}

/// Says why a changed configuration is not used.
pub(crate) fn say_unused(error: &dyn Error) -> String {
    let error = Chain(error).to_string();
    error!(error = %error, "the changed configuration is not used: {error}");
    error
}
