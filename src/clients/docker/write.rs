//! [`DockerWrite`] over the socket.
//!
//! In: changes. Out: whether they happened. Effect: changes the engine.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::docker::client::{Call, DockerClient, refusal};
use crate::clients::docker::read::segment;
use crate::clients::docker::{
    ContainerId, CreateContainer, DockerError, DockerErrorKind, DockerWrite, RegistryAuth,
};
use crate::model::ImageReference;

/// Time a stop may take beyond the container's own grace: the engine kills, unmounts, releases.
const STOP_EXTRA: Duration = Duration::from_secs(30);

impl DockerClient {
    /// A call for which some refusals mean that it is so already.
    async fn settle(
        &self,
        call: &Call<'_>,
        already: impl Fn(u16, &str) -> bool,
    ) -> Result<(), DockerError> {
        let (status, body) = self.send(call).await?;
        if (200..=299).contains(&status) {
            return Ok(());
        }
        let error = refusal(call, status, &body);
        if already(status, &error.message) { Ok(()) } else { Err(error) }
    }

    /// Creates something and returns what the answer calls `name`.
    async fn create(&self, call: &Call<'_>, name: &str) -> Result<String, DockerError> {
        let answer = self.json(call).await?;
        let id = answer.get(name).and_then(Value::as_str).filter(|id| !id.is_empty());
        id.map(str::to_owned)
            .ok_or_else(|| call.error(DockerErrorKind::Malformed, "the answer names no id"))
    }
}

impl DockerWrite for DockerClient {
    async fn pull(
        &self,
        image: &ImageReference,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), DockerError> {
        self.pull_image(image, auth).await
    }

    async fn create_container(
        &self,
        request: &CreateContainer,
    ) -> Result<ContainerId, DockerError> {
        let path = format!("/containers/create?name={}", segment(&request.name));
        let operation = format!("create container {}", request.name);
        self.create(&Call::post(operation, path).body(&request.body), "Id").await.map(ContainerId)
    }

    async fn start(&self, id: &ContainerId) -> Result<(), DockerError> {
        let path = format!("/containers/{}/start", segment(id.as_str()));
        let call = Call::post(format!("start container {}", id.short()), path);
        self.settle(&call, |status, _| status == 304).await
    }

    async fn stop(&self, id: &ContainerId, grace_secs: u64) -> Result<(), DockerError> {
        let path = format!("/containers/{}/stop?t={grace_secs}", segment(id.as_str()));
        let call = Call::post(format!("stop container {}", id.short()), path)
            .deadline(Duration::from_secs(grace_secs) + STOP_EXTRA);
        // It waits as long as the container takes, so it must not occupy one of the few shared
        // connections.
        let request = call.request(&self.version(&call).await?, &[])?;
        let answer = async {
            let response = self.connections.open(request).await?;
            let status = response.status().as_u16();
            let body = crate::clients::docker::connection::read_start(
                response.into_body(),
                call.bytes_max,
            );
            Ok((status, body.await?))
        };
        match tokio::time::timeout(call.deadline, answer).await {
            Ok(Ok((200..=299 | 304, _))) => Ok(()),
            Ok(Ok((status, body))) => Err(refusal(&call, status, &body)),
            Ok(Err(error)) => Err(self.failure(&call, &error)),
            Err(_) => Err(call.timeout()),
        }
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), DockerError> {
        let path = format!("/containers/{}/unpause", segment(id.as_str()));
        let call = Call::post(format!("resume container {}", id.short()), path);
        self.settle(&call, |_, message| message.contains("is not paused")).await
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), DockerError> {
        let path = format!("/containers/{}/rename?name={}", segment(id.as_str()), segment(name));
        let call = Call::post(format!("rename container {} to {name}", id.short()), path);
        self.settle(&call, |_, message| message.contains("same name as its old name")).await
    }

    async fn update(&self, id: &ContainerId, body: &Value) -> Result<(), DockerError> {
        let path = format!("/containers/{}/update", segment(id.as_str()));
        let call = Call::post(format!("update container {}", id.short()), path).body(body);
        self.succeed(&call).await.map(drop)
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), DockerError> {
        // Without `v`: its anonymous volumes hold data, and stay.
        let path = format!("/containers/{}", segment(id.as_str()));
        let call = Call::delete(format!("remove container {}", id.short()), path);
        let already =
            |status, message: &str| status == 404 || message.contains("is already in progress");
        self.settle(&call, already).await
    }

    async fn create_network(&self, body: &Value) -> Result<String, DockerError> {
        let call = Call::post(format!("create network {}", name_in(body)), "/networks/create");
        self.create(&call.body(body), "Id").await
    }

    async fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        let call =
            Call::delete(format!("remove network {id}"), format!("/networks/{}", segment(id)));
        self.settle(&call, |status, _| status == 404).await
    }

    async fn connect(
        &self,
        network: &str,
        id: &ContainerId,
        endpoint: &Value,
    ) -> Result<(), DockerError> {
        let body = json!({ "Container": id.as_str(), "EndpointConfig": endpoint });
        let operation = format!("connect container {} to {network}", id.short());
        let path = format!("/networks/{}/connect", segment(network));
        self.succeed(&Call::post(operation, path).body(&body)).await.map(drop)
    }

    async fn disconnect(&self, network: &str, id: &ContainerId) -> Result<(), DockerError> {
        let body = json!({ "Container": id.as_str(), "Force": false });
        let operation = format!("disconnect container {} from {network}", id.short());
        let path = format!("/networks/{}/disconnect", segment(network));
        let call = Call::post(operation, path).body(&body);
        self.settle(&call, |_, message| message.contains("is not connected")).await
    }

    async fn create_volume(&self, body: &Value) -> Result<(), DockerError> {
        let call = Call::post(format!("create volume {}", name_in(body)), "/volumes/create");
        self.create(&call.body(body), "Name").await.map(drop)
    }

    async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        let path = format!("/images/{}", segment(reference));
        let call = Call::delete(format!("remove image {reference}"), path);
        self.settle(&call, |status, _| status == 404).await
    }
}

fn name_in(body: &Value) -> &str {
    body.get("Name").and_then(Value::as_str).unwrap_or_default()
}
