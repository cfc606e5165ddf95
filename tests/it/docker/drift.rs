//! Each field changed on a real engine is seen and named: by hand where that is possible, otherwise
//! in a container made anew with our labels, their proof, and one field changed.

use serde_json::{Value, json};
use tidegate::clients::docker::{ContainerId, CreateContainer, DockerWrite};
use tidegate::reconcile::desired::container::{
    ContainerSpec, Endpoint, NetworkAttachment, RestartPolicy,
};
use tidegate::reconcile::plan::body::ContainerBody;
use tidegate::reconcile::plan::fields::{
    Expected, FieldDifference, Repair, differences, update_body,
};

use crate::docker::lab::Lab;

/// Field as it is named, where it stands in the body, what somebody makes of it.
const IMMUTABLE: &[(&str, &str, &str)] = &[
    ("Config.Hostname", "/Hostname", r#""other""#),
    ("Config.Domainname", "/Domainname", r#""other""#),
    ("Config.User", "/User", r#""0:0""#),
    ("Config.AttachStdin", "/AttachStdin", "true"),
    ("Config.AttachStdout", "/AttachStdout", "true"),
    ("Config.AttachStderr", "/AttachStderr", "true"),
    ("Config.ExposedPorts", "/ExposedPorts", r#"{"9/tcp": {}}"#),
    ("Config.Tty", "/Tty", "true"),
    ("Config.OpenStdin", "/OpenStdin", "true"),
    ("Config.StdinOnce", "/StdinOnce", "true"),
    ("Config.Env.DEBUG", "/Env", r#"["DEBUG=1"]"#),
    ("Config.Env.LANG", "/Env", r#"["LANG=tlh"]"#),
    ("Config.Cmd", "/Cmd", r#"["7"]"#),
    ("Config.Healthcheck.Retries", "/Healthcheck", r#"{"Retries": 7}"#),
    ("Config.Healthcheck.Test", "/Healthcheck", r#"{"Test": ["NONE"]}"#),
    ("Config.Volumes", "/Volumes", r#"{"/more": {}}"#),
    ("Mounts", "/Volumes", r#"{"/more": {}}"#),
    ("Config.WorkingDir", "/WorkingDir", r#""/bin""#),
    ("Config.Entrypoint", "/Entrypoint", r#"["/bin/sh"]"#),
    ("Config.NetworkDisabled", "/NetworkDisabled", "true"),
    ("Config.Labels.maker", "/Labels/maker", r#""carol""#),
    ("Config.StopSignal", "/StopSignal", r#""SIGHUP""#),
    ("Config.StopTimeout", "/StopTimeout", "77"),
    ("HostConfig.Binds", "/HostConfig/Binds", r#"["/etc:/x"]"#),
    ("HostConfig.ContainerIDFile", "/HostConfig/ContainerIDFile", r#""/x""#),
    ("HostConfig.LogConfig.Type", "/HostConfig/LogConfig", r#"{"Type": "none"}"#),
    ("HostConfig.NetworkMode", "/HostConfig/NetworkMode", r#""host""#),
    (
        "HostConfig.PortBindings.9/tcp",
        "/HostConfig/PortBindings",
        r#"{"9/tcp": [{"HostPort": "9"}]}"#,
    ),
    ("HostConfig.AutoRemove", "/HostConfig/AutoRemove", "true"),
    ("HostConfig.VolumeDriver", "/HostConfig/VolumeDriver", r#""local""#),
    ("HostConfig.CapAdd", "/HostConfig/CapAdd", r#"["SYS_ADMIN"]"#),
    ("HostConfig.CapDrop", "/HostConfig/CapDrop", r#"["KILL"]"#),
    ("HostConfig.Dns", "/HostConfig/Dns", r#"["10.0.0.9"]"#),
    ("HostConfig.DnsOptions", "/HostConfig/DnsOptions", r#"["ndots:9"]"#),
    ("HostConfig.DnsSearch", "/HostConfig/DnsSearch", r#"["evil.example"]"#),
    ("HostConfig.ExtraHosts", "/HostConfig/ExtraHosts", r#"["hub:10.0.0.9"]"#),
    ("HostConfig.GroupAdd", "/HostConfig/GroupAdd", r#"["0"]"#),
    ("HostConfig.IpcMode", "/HostConfig/IpcMode", r#""host""#),
    ("HostConfig.OomScoreAdj", "/HostConfig/OomScoreAdj", "500"),
    ("HostConfig.PidMode", "/HostConfig/PidMode", r#""host""#),
    ("HostConfig.Privileged", "/HostConfig/Privileged", "true"),
    ("HostConfig.PublishAllPorts", "/HostConfig/PublishAllPorts", "true"),
    ("HostConfig.ReadonlyRootfs", "/HostConfig/ReadonlyRootfs", "true"),
    ("HostConfig.SecurityOpt", "/HostConfig/SecurityOpt", r#"["seccomp=unconfined"]"#),
    ("HostConfig.Tmpfs./x", "/HostConfig/Tmpfs", r#"{"/x": ""}"#),
    ("HostConfig.UTSMode", "/HostConfig/UTSMode", r#""host""#),
    ("HostConfig.UsernsMode", "/HostConfig/UsernsMode", r#""host""#),
    ("HostConfig.ShmSize", "/HostConfig/ShmSize", "1048576"),
    (
        "HostConfig.Sysctls.net.core.somaxconn",
        "/HostConfig/Sysctls",
        r#"{"net.core.somaxconn": "9"}"#,
    ),
    ("HostConfig.Runtime", "/HostConfig/Runtime", r#""io.containerd.runc.v2""#),
    ("HostConfig.CgroupParent", "/HostConfig/CgroupParent", r#""/other""#),
    (
        "HostConfig.Devices",
        "/HostConfig/Devices",
        r#"[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]"#,
    ),
    ("HostConfig.DeviceCgroupRules", "/HostConfig/DeviceCgroupRules", r#"["c 1:3 r"]"#),
    ("HostConfig.OomKillDisable", "/HostConfig/OomKillDisable", "true"),
    ("HostConfig.MemorySwappiness", "/HostConfig/MemorySwappiness", "7"),
    (
        "HostConfig.Mounts./x",
        "/HostConfig/Mounts",
        r#"[{"Type": "bind", "Source": "/etc", "Target": "/x"}]"#,
    ),
    ("HostConfig.MaskedPaths", "/HostConfig/MaskedPaths", "[]"),
    ("HostConfig.ReadonlyPaths", "/HostConfig/ReadonlyPaths", "[]"),
    ("HostConfig.Init", "/HostConfig/Init", "true"),
];

fn set(body: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[key] = value;
}

fn names(found: &[FieldDifference]) -> Vec<&str> {
    found.iter().map(|difference| difference.field.as_str()).collect()
}

fn spec() -> ContainerSpec {
    ContainerSpec { network: NetworkAttachment::None, ..ContainerSpec::default() }
}

#[tokio::test]
async fn each_field_changed_on_the_engine_is_named() {
    let lab = Lab::start().await;
    let mut faults = Vec::new();
    for (field, pointer, value) in IMMUTABLE {
        let body = lab.body(&lab.desired(&lab.rich, spec()));
        let mut changed = serde_json::Value::clone(&body.body);
        set(&mut changed, pointer, serde_json::from_str(value).unwrap());
        let request = CreateContainer { name: body.name.clone(), body: changed.into() };
        let id = match lab.client.create_container(&request).await {
            Ok(id) => id,
            Err(error) => {
                faults.push(format!("{field}: {error}"));
                continue;
            }
        };
        let found = lab.compare(&body, &lab.rich, &id).await;
        let difference = found.iter().find(|difference| difference.field == *field);
        match difference {
            Some(difference) if difference.repair == Repair::Recreate => {}
            other => faults.push(format!("{field}: {other:?} in {:?}", names(&found))),
        }
        lab.client.remove_container(&id).await.unwrap();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    what_an_update_by_hand_changes_is_updated_back(&lab).await;
    a_limit_that_nobody_asked_for_needs_a_new_container(&lab).await;
    a_rename_by_hand_is_named(&lab).await;
    networks_by_hand_are_named_and_connected_back(&lab).await;
}

async fn repair(lab: &Lab, body: &ContainerBody, id: &ContainerId) {
    let image = lab.image(&lab.bare).await;
    let expected = Expected { body, image: &image, engine: &lab.info };
    let found = differences(expected, &lab.inspect(id).await);
    assert!(found.iter().all(|d| d.repair == Repair::Update), "{found:#?}");
    lab.client.update(id, &update_body(expected, &found)).await.unwrap();
    assert_eq!(lab.compare(body, &lab.bare, id).await, []);
}

async fn what_an_update_by_hand_changes_is_updated_back(lab: &Lab) {
    let mut spec = spec();
    spec.resources.memory = Some(64 << 20);
    spec.resources.memory_reservation = Some(32 << 20);
    spec.resources.nano_cpus = Some(500_000_000);
    spec.restart = RestartPolicy::UnlessStopped;
    let body = lab.body(&lab.desired(&lab.bare, spec));
    let id = lab.create(&body).await;
    lab.client.start(&id).await.unwrap();
    for (by_hand, wanted) in [
        (
            json!({ "Memory": 128 << 20, "MemorySwap": 512 << 20 }),
            &["HostConfig.Memory", "HostConfig.MemorySwap"][..],
        ),
        (json!({ "MemorySwap": -1 }), &["HostConfig.MemorySwap"]),
        (json!({ "MemoryReservation": 16 << 20 }), &["HostConfig.MemoryReservation"]),
        (json!({ "NanoCpus": 1_000_000_000_u64 }), &["HostConfig.NanoCpus"]),
        (json!({ "PidsLimit": 9 }), &["HostConfig.PidsLimit"]),
        (json!({ "RestartPolicy": { "Name": "always" } }), &["HostConfig.RestartPolicy.Name"]),
        (json!({ "RestartPolicy": { "Name": "no" } }), &["HostConfig.RestartPolicy.Name"]),
    ] {
        lab.client.update(&id, &by_hand).await.unwrap();
        let found = lab.compare(&body, &lab.bare, &id).await;
        assert_eq!(names(&found), wanted, "{by_hand}");
        repair(lab, &body, &id).await;
    }
    lab.remove(&id).await;
}

async fn a_limit_that_nobody_asked_for_needs_a_new_container(lab: &Lab) {
    for (by_hand, field) in [
        (json!({ "CpuShares": 512 }), "HostConfig.CpuShares"),
        (json!({ "CpusetCpus": "0" }), "HostConfig.CpusetCpus"),
        (json!({ "CpusetMems": "0" }), "HostConfig.CpusetMems"),
        (json!({ "CpuPeriod": 50_000 }), "HostConfig.CpuPeriod"),
        (json!({ "CpuQuota": 20_000 }), "HostConfig.CpuQuota"),
        (json!({ "NanoCpus": 100_000_000 }), "HostConfig.NanoCpus"),
        (json!({ "Memory": 128 << 20, "MemorySwap": -1 }), "HostConfig.Memory"),
    ] {
        let body = lab.body(&lab.desired(&lab.bare, spec()));
        let id = lab.create(&body).await;
        lab.client.start(&id).await.unwrap();
        lab.client.update(&id, &by_hand).await.unwrap();
        let found = lab.compare(&body, &lab.bare, &id).await;
        assert!(names(&found).contains(&field), "{by_hand}: {found:#?}");
        assert!(found.iter().all(|d| d.repair == Repair::Recreate), "{found:#?}");
        lab.remove(&id).await;
    }
}

async fn a_rename_by_hand_is_named(lab: &Lab) {
    let body = lab.body(&lab.desired(&lab.bare, spec()));
    let id = lab.create(&body).await;
    lab.client.rename(&id, "mine").await.unwrap();
    let found = lab.compare(&body, &lab.bare, &id).await;
    assert_eq!(names(&found), ["Name"]);
    assert_eq!(found[0].repair, Repair::Rename);
    lab.client.rename(&id, &body.name).await.unwrap();
    assert_eq!(lab.compare(&body, &lab.bare, &id).await, []);
    lab.remove(&id).await;
}

async fn networks_by_hand_are_named_and_connected_back(lab: &Lab) {
    let end = Endpoint { aliases: vec!["web".into()], ..Endpoint::default() };
    let networks = [("default".parse().unwrap(), end)].into();
    let network = NetworkAttachment::Networks { networks };
    let body = lab.body(&lab.desired(&lab.bare, ContainerSpec { network, ..spec() }));
    let id = lab.create(&body).await;
    lab.client.start(&id).await.unwrap();

    lab.client.disconnect("app1.prd", &id).await.unwrap();
    lab.client.disconnect("app1.prd", &id).await.unwrap();
    mend(lab, &body, &id, "NetworkSettings.Networks.app1.prd").await;

    lab.client.connect("app1.prd_back", &id, &json!({})).await.unwrap();
    mend(lab, &body, &id, "NetworkSettings.Networks.app1.prd_back").await;

    lab.client.disconnect("app1.prd", &id).await.unwrap();
    lab.client.connect("app1.prd", &id, &json!({ "Aliases": ["db"] })).await.unwrap();
    mend(lab, &body, &id, "NetworkSettings.Networks.app1.prd.Aliases").await;
    lab.remove(&id).await;
}

/// Expects one difference, named so, and repairs it as it says.
async fn mend(lab: &Lab, body: &ContainerBody, id: &ContainerId, field: &str) {
    let found = lab.compare(body, &lab.bare, id).await;
    assert_eq!(names(&found), [field]);
    match &found[0].repair {
        Repair::Connect { network, endpoint } => {
            lab.client.connect(network, id, endpoint).await.unwrap();
        }
        Repair::Reconnect { network, endpoint } => {
            lab.client.disconnect(network, id).await.unwrap();
            lab.client.connect(network, id, endpoint).await.unwrap();
        }
        Repair::Disconnect { network } => lab.client.disconnect(network, id).await.unwrap(),
        other => unreachable!("{other:?}"),
    }
    assert_eq!(lab.compare(body, &lab.bare, id).await, [], "{field}");
}
