//! The node's configuration, read again.
//!
//! In: its file, what is in force. Out: what is to be in force. Effect: reads it; listens where it
//! says.
//!
//! # Guarantees
//! * One with mistakes, or with an address that is not to be had, changes nothing.

use std::path::Path;

use tracing::{error, info};

use crate::agent::AgentError;
use crate::agent::port::Port;
use crate::config::Settings;
use crate::telemetry::Chain;

/// A configuration, and what listens by it.
pub(crate) type Reloaded = (Settings, Option<Port>);

/// The configuration as it is now, if it is another one than `now`, and can be used.
pub(crate) fn reload(
    config: &Path,
    now: Option<&Settings>,
    port: Option<&Port>,
) -> Option<Reloaded> {
    match read(config, now, port) {
        Ok(None) => None,
        Ok(Some(reloaded)) => {
            info!("the configuration has changed");
            Some(reloaded)
        }
        Err(error) => {
            let error = Chain(&error);
            error!(error = %error, "the changed configuration is not used: {error}");
            None
        }
    }
}

fn read(
    config: &Path,
    now: Option<&Settings>,
    port: Option<&Port>,
) -> Result<Option<Reloaded>, AgentError> {
    let settings = Settings::load(config).map_err(AgentError::Config)?;
    if Some(&settings) == now {
        return Ok(None);
    }
    let port = Port::open(&settings, port)?;
    Ok(Some((settings, port)))
}
