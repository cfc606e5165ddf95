//! The engine that this process has for itself.
//!
//! In: a node. Out: whether its engine is ours. Effect: asks the engine for its id, locks it.

use tracing::warn;

use crate::agent::AgentError;
use crate::agent::lock::engine_locks;
use crate::agent::node::Node;
use crate::clients::docker::DockerRead as _;
use crate::clients::host::EngineLock;
use crate::model::EnvironmentName;

/// The engine that answered last, locked.
#[derive(Debug, Default)]
pub(crate) struct OwnEngine {
    held: Option<(String, EngineLock)>,
    /// Why the engine does not answer; said once.
    pub(crate) silence: String,
}

impl OwnEngine {
    /// Whether an engine is locked.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Lets go of it; whether there was one.
    pub(crate) fn let_go(&mut self) -> bool {
        self.held.take().is_some()
    }

    /// Locks the engine that answers at the socket, if one does.
    ///
    /// # Errors
    /// When another agent has it.
    pub(crate) async fn take(
        &mut self,
        node: &mut Node,
        scope: Option<&EnvironmentName>,
    ) -> Result<(), AgentError> {
        let id = match node.docker.info().await {
            Ok(info) => info.id,
            Err(error) => {
                let reason = error.message;
                if self.silence != reason {
                    warn!("the engine does not answer: {reason}");
                    self.silence = reason;
                }
                return Ok(());
            }
        };
        self.silence.clear();
        if self.held.as_ref().is_some_and(|(held, _)| *held == id) {
            return Ok(());
        }
        let scope = scope.or(node.settings.scope.as_ref());
        let folder = engine_locks(&node.settings.engine.socket, scope);
        let lock = EngineLock::acquire(&folder.map_err(AgentError::Lock)?, &id, scope);
        let lock = lock.map_err(AgentError::Taken)?;
        node.locked = Some(id.clone());
        self.held = Some((id, lock));
        Ok(())
    }
}
