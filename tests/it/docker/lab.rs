//! An engine, a hub with two images, and a service to make containers of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tidegate::clients::docker::{
    ContainerId, ContainerInspect, CreateContainer, DockerClient, DockerRead, DockerWrite,
    EngineInfo, ImageInspect,
};
use tidegate::model::{ContainerName, Digest, EnvironmentName, Hub};
use tidegate::reconcile::desired::container::{ContainerSpec, DesiredContainer, Pin, Run};
use tidegate::reconcile::desired::service::UpdatePolicy;
use tidegate::reconcile::desired::{DesiredNetwork, DesiredService, DesiredVolume};
use tidegate::reconcile::observed::{ObjectKind, Owned, OwnershipKey};
use tidegate::reconcile::plan::body::{
    BodyContext, ContainerBody, container_body, network_body, volume_body,
};
use tidegate::reconcile::plan::fields::{Expected, FieldDifference, differences};

use crate::registry::hub::{TestHub, plain};
use crate::support::engine::PrivateEngine;
use crate::support::images::{PushedImage, open, push};

pub(crate) struct Lab {
    pub(crate) engine: PrivateEngine,
    pub(crate) client: DockerClient,
    pub(crate) info: EngineInfo,
    pub(crate) key: OwnershipKey,
    pub(crate) environment: EnvironmentName,
    pub(crate) bare: PushedImage,
    pub(crate) rich: PushedImage,
    pub(crate) hub: Hub,
    pub(crate) service: DesiredService,
    _process: TestHub,
    count: AtomicU32,
}

impl Lab {
    /// An engine that has pulled both images and made the service's networks and volume.
    pub(crate) async fn start() -> Self {
        let process = plain();
        let hub: Hub = process.authority.parse().unwrap();
        let bare = push(&hub, "app1/bare", json!({ "Cmd": ["sleep", "600"] }), open()).await;
        let rich = push(&hub, "app1/rich", rich(), open()).await;
        let engine = PrivateEngine::start();
        let client = engine.client();
        let info = client.info().await.unwrap();
        for image in [&bare, &rich] {
            client.pull(&image.reference, None).await.unwrap();
        }
        let lab = Self {
            engine,
            client,
            info,
            key: OwnershipKey::derive(b"lab"),
            environment: "prd".parse().unwrap(),
            bare,
            rich,
            hub,
            service: service(),
            _process: process,
            count: AtomicU32::new(0),
        };
        for network in lab.service.networks.values() {
            lab.client.create_network(&network_body(network, &BTreeMap::new())).await.unwrap();
        }
        for volume in lab.service.volumes.values() {
            lab.client.create_volume(&volume_body(volume, &BTreeMap::new())).await.unwrap();
        }
        lab
    }

    /// A container of the service with this image and spec.
    pub(crate) fn desired(&self, image: &PushedImage, spec: ContainerSpec) -> DesiredContainer {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        DesiredContainer {
            name: format!("c{number}").parse::<ContainerName>().unwrap(),
            pin: Pin {
                repository: image.reference.repository.clone(),
                digest: Some(image.reference.digest),
                image_id: None,
                version: None,
            },
            run: Run::Always,
            depends_on: BTreeMap::new(),
            spec,
        }
    }

    /// Everything the engine is told about it, with our labels and their proof.
    pub(crate) fn body(&self, container: &DesiredContainer) -> ContainerBody {
        let labels = self.key.labels(&Owned {
            kind: ObjectKind::Container,
            environment: self.environment.clone(),
            node: "n1".parse().unwrap(),
            service: self.service.name.clone(),
            key: container.name.clone(),
            revision: "worktree".into(),
            spec: Digest::of(b"spec"),
            nonce: container.name.to_string(),
        });
        let files_dir = self.engine.dir().join("files").display().to_string();
        let context =
            BodyContext { environment: &self.environment, hub: &self.hub, files_dir: &files_dir };
        container_body(&self.service, container, &labels, context)
    }

    /// Makes a container and connects it as apply does.
    pub(crate) async fn create(&self, body: &ContainerBody) -> ContainerId {
        let request = CreateContainer { name: body.name.clone(), body: body.body.clone() };
        let id = self.client.create_container(&request).await.unwrap();
        for (network, endpoint) in &body.connect {
            self.client.connect(network, &id, endpoint).await.unwrap();
        }
        id
    }

    pub(crate) async fn inspect(&self, id: &ContainerId) -> ContainerInspect {
        self.client.container(id.as_str()).await.unwrap().unwrap()
    }

    pub(crate) async fn image(&self, image: &PushedImage) -> ImageInspect {
        self.client.image(&image.reference.to_string()).await.unwrap().unwrap()
    }

    /// What differs between what a container should be and what it is.
    pub(crate) async fn compare(
        &self,
        body: &ContainerBody,
        image: &PushedImage,
        id: &ContainerId,
    ) -> Vec<FieldDifference> {
        let image = self.image(image).await;
        let expected = Expected { body, image: &image, engine: &self.info };
        differences(expected, &self.inspect(id).await)
    }

    pub(crate) async fn remove(&self, id: &ContainerId) {
        self.client.stop(id, 0).await.unwrap();
        self.client.remove_container(id).await.unwrap();
    }
}

/// What an image can say that a container inherits.
pub(crate) fn rich() -> serde_json::Value {
    json!({
        "Env": ["PATH=/bin", "LANG=C"], "Entrypoint": ["/bin/sleep"], "Cmd": ["600"],
        "User": "1000", "WorkingDir": "/data/", "ExposedPorts": { "8080/tcp": {} },
        "Volumes": { "/cache": {} }, "Labels": { "maker": "bob" }, "StopSignal": "SIGKILL",
        "Shell": ["/bin/sh", "-c"], "OnBuild": [],
        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 60_000_000_000_u64, "Retries": 2 },
    })
}

fn network(name: &str, subnet: Option<&str>) -> DesiredNetwork {
    let subnets = subnet.map(|subnet| tidegate::reconcile::desired::service::Subnet {
        subnet: subnet.to_owned(),
        gateway: None,
        ip_range: None,
    });
    DesiredNetwork {
        engine_name: name.to_owned(),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        enable_ipv6: false,
        subnets: subnets.into_iter().collect(),
        labels: BTreeMap::new(),
    }
}

/// The subnet of the network whose addresses are chosen.
pub(crate) const SUBNET: &str = "10.200.0.0/24";

fn service() -> DesiredService {
    let data = DesiredVolume {
        engine_name: "app1.prd_data".into(),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    DesiredService {
        name: "app1".parse().unwrap(),
        app: "app1".parse().unwrap(),
        mode: tidegate::model::Mode::Apply,
        suspend: None,
        update: UpdatePolicy::default(),
        containers: BTreeMap::new(),
        networks: BTreeMap::from([
            ("back".parse().unwrap(), network("app1.prd_back", Some(SUBNET))),
            ("default".parse().unwrap(), network("app1.prd", None)),
        ]),
        volumes: BTreeMap::from([("data".parse().unwrap(), data)]),
    }
}
