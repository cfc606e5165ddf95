//! One pass without a running agent.
//!
//! In: a node. Out: a report. Effect: the pass's; holds the engine's lock meanwhile.

use crate::agent::AgentError;
use crate::agent::lock::engine_locks;
use crate::agent::node::{Ask, Node, Report};
use crate::agent::run::STOP_GRACE;
use crate::clients::docker::DockerRead as _;
use crate::clients::host::EngineLock;
use crate::model::EnvironmentName;

/// One pass by hand, in a process of its own, with everything that it begins; none when `stop` came
/// first.
///
/// # Errors
/// When this machine's own files do not work, or another agent has the engine.
pub async fn once(
    node: &mut Node,
    scope: Option<&EnvironmentName>,
    ask: &Ask,
    stop: impl Future<Output = ()>,
) -> Result<Option<Report>, AgentError> {
    let id = match node.docker.info().await {
        Ok(info) => info.id,
        Err(error) => {
            return node.pass_blind(ask, &error.message).await.map(Some);
        }
    };
    let scope = scope.or(node.settings.scope.as_ref());
    let folder = engine_locks(&node.settings.engine.socket, scope).map_err(AgentError::Lock)?;
    let _lock = EngineLock::acquire(&folder, &id, scope).map_err(AgentError::Taken)?;
    node.locked = Some(id);
    let report = tokio::select! {
        biased;
        report = node.pass(ask, std::future::pending()) => return report.map(Some),
        () = stop => None,
    };
    node.finish(STOP_GRACE).await?;
    Ok(report)
}
