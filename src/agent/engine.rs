//! What this process has for itself: its state directory and its engine.
//!
//! In: a node. Out: whether its engine is ours. Effect: asks the engine for its id, locks it.
//!
//! # Guarantees
//! * What is held goes on being held until what is to be held instead is.

use std::path::PathBuf;

use tracing::warn;

use crate::agent::AgentError;
use crate::agent::lock::{StateLock, engine_locks};
use crate::agent::node::Node;
use crate::clients::docker::DockerRead as _;
use crate::clients::host::EngineLock;
use crate::model::EnvironmentName;

/// Everything that an agent has for itself, from its first configuration to its last.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) state: Option<StateLock>,
    pub(crate) engine: OwnEngine,
}

/// The engine that answered last, locked.
#[derive(Debug, Default)]
pub(crate) struct OwnEngine {
    held: Option<(Place, EngineLock)>,
    /// Why the engine does not answer; said once.
    pub(crate) silence: String,
}

/// What is locked, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Where the engine answered.
    socket: PathBuf,
    id: String,
    scope: Option<EnvironmentName>,
    /// Where the lock lies.
    folder: PathBuf,
}

impl Place {
    fn lock(&self) -> Result<EngineLock, AgentError> {
        let lock = EngineLock::acquire(&self.folder, &self.id, self.scope.as_ref());
        lock.map_err(AgentError::Taken)
    }
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

    /// Locks the engine that answers at the node's socket, if one does, in the place of what is held.
    ///
    /// # Errors
    /// When another agent has it; then what was held still is.
    pub(crate) async fn take(
        &mut self,
        node: &mut Node,
        scope: Option<&EnvironmentName>,
    ) -> Result<(), AgentError> {
        let scope = scope.or(node.settings.scope.as_ref()).cloned();
        let socket = node.settings.engine.socket.clone();
        match node.docker.info().await {
            Ok(info) => {
                self.silence.clear();
                let folder = engine_locks(&socket, scope.as_ref()).map_err(AgentError::Lock)?;
                self.hold(Place { socket, id: info.id, scope, folder })?;
            }
            Err(error) => {
                let reason = error.message;
                if self.silence != reason {
                    warn!("the engine does not answer: {reason}");
                    self.silence = reason;
                }
                self.held.take_if(|(held, _)| held.socket != socket || held.scope != scope);
            }
        }
        node.locked = self.held.as_ref().map(|(held, _)| held.id.clone());
        Ok(())
    }

    fn hold(&mut self, place: Place) -> Result<(), AgentError> {
        let same = |held: &Place| {
            (&held.id, &held.scope, &held.folder) == (&place.id, &place.scope, &place.folder)
        };
        if let Some((held, _)) = self.held.as_mut().filter(|(held, _)| same(held)) {
            *held = place;
            return Ok(());
        }
        // Two locks of one engine exclude each other, whoever has them.
        let before = self.held.take_if(|(held, _)| held.id == place.id).map(|(held, _)| held);
        match place.lock() {
            Ok(lock) => self.held = Some((place, lock)),
            Err(error) => {
                let again = before.and_then(|held| held.lock().ok().map(|lock| (held, lock)));
                self.held = self.held.take().or(again);
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::agent::engine::{OwnEngine, Place};

    fn place(folder: &Path, id: &str, scope: Option<&str>) -> Place {
        let scope = scope.map(|scope| scope.parse().unwrap());
        Place { socket: "/s".into(), id: id.to_owned(), scope, folder: folder.to_owned() }
    }

    #[test]
    fn what_is_held_is_held_until_another_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = |id, scope| place(dir.path(), id, scope);
        let (mut own, mut other) = (OwnEngine::default(), OwnEngine::default());
        other.hold(place("b", Some("dev"))).unwrap();
        own.hold(place("a", None)).unwrap();
        own.hold(place("a", None)).unwrap();
        for taken in [place("b", None), place("b", Some("dev"))] {
            own.hold(taken).unwrap_err();
            other.hold(place("a", Some("dev"))).unwrap_err();
        }
        // Of one engine, another scope and back; and one that somebody else has.
        own.hold(place("a", Some("tst"))).unwrap();
        own.hold(place("a", None)).unwrap();
        own.hold(place("b", Some("tst"))).unwrap();
        own.hold(place("b", Some("dev"))).unwrap_err();
        own.hold(place("b", None)).unwrap_err();
        assert_eq!(own.held.as_ref().unwrap().0, place("b", Some("tst")));
        own.hold(place("a", None)).unwrap();
        other.hold(place("b", None)).unwrap();
        assert!(own.let_go() && !own.is_held() && other.is_held());
    }
}
