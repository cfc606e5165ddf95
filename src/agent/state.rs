//! Takes the state directory: one process writes it.
//!
//! In: settings. Out: a lock. Effect: makes the directory, locks it, clears old requests.

use std::time::Duration;

use tokio::time::Instant;

use crate::agent::lock::{LockError, StateLock};
use crate::agent::{AgentError, control};
use crate::clients::host::create_private_dir;
use crate::config::Settings;

/// Time that a command which has the state directory for a moment, as `status` and `apply` do, is
/// given to let go of it before the agent does not start.
const STATE_PATIENCE: Duration = Duration::from_secs(3);
/// How often is looked whether it has.
const STATE_LOOK: Duration = Duration::from_millis(50);

/// As [`open_state`], with patience.
///
/// # Errors
/// When another process keeps it.
pub async fn take_state(settings: &Settings) -> Result<StateLock, AgentError> {
    let since = Instant::now();
    loop {
        match open_state(settings) {
            Err(AgentError::Lock(LockError::Taken { .. })) if since.elapsed() < STATE_PATIENCE => {
                tokio::time::sleep(STATE_LOOK).await;
            }
            taken => return taken,
        }
    }
}

/// Takes the state directory, and throws away what earlier processes left in it.
///
/// # Errors
/// When another process has it.
pub fn open_state(settings: &Settings) -> Result<StateLock, AgentError> {
    create_private_dir(&settings.state_dir).map_err(AgentError::Host)?;
    let lock = StateLock::take(&settings.state_dir).map_err(AgentError::Lock)?;
    control::clear(&settings.state_dir);
    create_private_dir(&control::directory(&settings.state_dir)).map_err(AgentError::Host)?;
    Ok(lock)
}
