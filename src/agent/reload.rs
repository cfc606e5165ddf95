//! The node's configuration, read again.
//!
//! In: its file, what is in force. Out: what is to be in force. Effect: reads it.
//!
//! # Guarantees
//! * One with mistakes changes nothing.

use std::path::Path;

use tracing::{error, info};

use crate::config::Settings;
use crate::telemetry::Chain;

/// The configuration as it is now, if it is another one than `now`, and can be used.
pub(crate) fn reload(config: &Path, now: Option<&Settings>) -> Option<Settings> {
    match Settings::load(config) {
        Ok(settings) if Some(&settings) == now => None,
        Ok(settings) => {
            info!("the configuration has changed");
            Some(settings)
        }
        Err(error) => {
            let error = Chain(&error);
            error!(error = %error, "the changed configuration is not used: {error}");
            None
        }
    }
}
