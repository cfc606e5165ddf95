//! The table against hand-made answers; real engines prove it in `tests/it/docker`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::clients::docker::{
    ContainerId, ContainerInspect, ContainerState, EngineInfo, ImageInspect, is_blank,
};
use crate::reconcile::desired::container::Pin;
use crate::reconcile::plan::body::ContainerBody;
use crate::reconcile::plan::fields::table::{Expect, TABLE};
use crate::reconcile::plan::fields::{
    Expected, FieldDifference, Repair, differences, image_matches, table, update_body,
};

const ID: &str = "dda889da7a32596fadf4aca39bc73c85168fbf767ed6b7ce3c6fe157ecc960ba";
const A: &str = "sha256:390c4da6556a25c0d40a551c7ae97dc08810ca7a9a9f67708e5d6e0f9da29805";
const B: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn engine() -> EngineInfo {
    EngineInfo {
        default_runtime: "runc".into(),
        logging_driver: "json-file".into(),
        swap_limit: true,
        ..EngineInfo::default()
    }
}

fn image(config: Value) -> ImageInspect {
    ImageInspect {
        id: A.into(),
        repo_digests: vec![format!("hub/app1/web@{B}")],
        repo_tags: Vec::new(),
        descriptor_digest: None,
        config,
        architecture: "amd64".into(),
        os: "linux".into(),
        size: 1,
    }
}

fn compare(body: Value, image_config: Value, config: Value, host: Value) -> Vec<FieldDifference> {
    let mut shown = json!({ "Hostname": &ID[..12] });
    merge(&mut shown, config);
    let mut host_config = json!({
        "NetworkMode": "none", "LogConfig": { "Type": "json-file", "Config": {} },
        "CgroupnsMode": "host", "IpcMode": "private", "ShmSize": 67_108_864, "Runtime": "runc",
        "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"],
    });
    merge(&mut host_config, host);
    let actual = ContainerInspect {
        id: ContainerId(ID.into()),
        name: "app1.prd-web".into(),
        image_id: A.into(),
        state: ContainerState::Running,
        exit_code: 0,
        health: None,
        health_log: None,
        created_at: String::new(),
        started_at: String::new(),
        restart_count: 0,
        error: String::new(),
        labels: std::collections::BTreeMap::new(),
        raw: json!({
            "Config": shown, "HostConfig": host_config,
            "NetworkSettings": { "Networks": { "none": {} } },
        }),
    };
    let mut told = json!({ "HostConfig": { "NetworkMode": "none" } });
    merge(&mut told, body);
    let body =
        ContainerBody { name: "app1.prd-web".into(), body: told.into(), connect: Vec::new() };
    let (image, engine) = (image(image_config), engine());
    differences(Expected { body: &body, image: &image, engine: &engine }, &actual)
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn names(found: &[FieldDifference]) -> Vec<&str> {
    found.iter().map(|difference| difference.field.as_str()).collect()
}

#[test]
fn values_that_mean_the_same_are_no_difference() {
    let nothing = json!({});
    for (case, body, image, config, host) in [
        ("defaults", json!({}), json!({}), json!({}), json!({})),
        (
            "empty lists and null",
            json!({}),
            json!({ "Env": null, "Cmd": ["a"] }),
            json!({ "Cmd": ["a"], "Env": [], "Labels": {}, "Volumes": null }),
            json!({ "Binds": null, "PortBindings": {}, "RestartPolicy": { "Name": "no" } }),
        ),
        (
            "environment over the image's",
            json!({ "Env": ["B=2", "A=1"] }),
            json!({ "Env": ["A=0", "PATH=/bin"] }),
            json!({ "Env": ["A=1", "B=2", "PATH=/bin"] }),
            nothing.clone(),
        ),
        (
            "an entrypoint clears the image's command",
            json!({ "Entrypoint": ["/x"] }),
            json!({ "Cmd": ["a"], "Entrypoint": ["/y"] }),
            json!({ "Cmd": null, "Entrypoint": ["/x"] }),
            nothing.clone(),
        ),
        (
            "a health check is completed by the image's",
            json!({ "Healthcheck": { "Retries": 3 } }),
            json!({ "Healthcheck": { "Test": ["CMD", "true"], "Interval": 5 } }),
            json!({ "Healthcheck": { "Test": ["CMD", "true"], "Interval": 5, "Retries": 3 } }),
            nothing.clone(),
        ),
        (
            "capabilities by either name",
            json!({ "HostConfig": { "CapDrop": ["ALL", "NET_RAW"] } }),
            nothing.clone(),
            nothing.clone(),
            json!({ "CapDrop": ["CAP_NET_RAW", "ALL"] }),
        ),
        (
            "a memory limit brings a swap limit",
            json!({ "HostConfig": { "Memory": 1024 } }),
            nothing.clone(),
            nothing.clone(),
            json!({ "Memory": 1024, "MemorySwap": 2048 }),
        ),
        (
            "a field of a newer engine",
            json!({}),
            nothing.clone(),
            json!({ "Dreams": ["sheep"] }),
            json!({ "Electric": true }),
        ),
    ] {
        let found = compare(body, image, config, host);
        assert!(found.is_empty(), "{case}: {found:#?}");
    }
}

#[test]
fn a_difference_names_field_values_and_repair() {
    let told = json!({ "HostConfig": { "Memory": 1024, "RestartPolicy": { "Name": "always" } } });
    let host = json!({ "Memory": 4096, "MemorySwap": 8192, "CpuShares": 2, "PidsLimit": 5 });
    let found = compare(told, json!({}), json!({ "Env": ["TOKEN=canary"] }), host);
    assert_eq!(
        names(&found),
        [
            "Config.Env.TOKEN",
            "HostConfig.RestartPolicy.Name",
            "HostConfig.CpuShares",
            "HostConfig.Memory",
            "HostConfig.MemorySwap",
            "HostConfig.PidsLimit",
        ]
    );
    assert_eq!((found[3].expected.as_str(), found[3].actual.as_str()), ("1024", "4096"));
    let repairs: Vec<bool> = found.iter().map(|d| d.repair == Repair::Update).collect();
    assert_eq!(repairs, [false, true, false, true, true, true], "a limit cannot be taken away");
    assert!(!format!("{found:?}").contains("canary"));
}

#[test]
fn an_update_sets_memory_and_swap_together() {
    let told = json!({ "HostConfig": { "NetworkMode": "none", "Memory": 1024 } });
    let host = json!({ "Memory": 4096, "MemorySwap": 2048, "PidsLimit": 5 });
    let found = compare(told.clone(), json!({}), json!({}), host);
    let body = ContainerBody { name: String::new(), body: told.into(), connect: Vec::new() };
    let (image, engine) = (image(json!({})), engine());
    let expected = Expected { body: &body, image: &image, engine: &engine };
    let update = update_body(expected, &found);
    assert_eq!(update, json!({ "Memory": 1024, "MemorySwap": 2048, "PidsLimit": -1 }));
}

#[test]
fn an_image_is_the_pinned_one_only_if_the_engine_proves_it() {
    let pin = |digest: Option<&str>, id: Option<&str>| Pin {
        repository: "app1/web".parse().unwrap(),
        digest: digest.map(|text| text.parse().unwrap()),
        image_id: id.map(|text| text.parse().unwrap()),
        version: None,
    };
    let image = image(json!({}));
    for (case, pin, inspect, wanted) in [
        ("config digest", pin(None, Some(A)), None, true),
        ("short id", pin(None, Some("390c4da655")), None, true),
        ("manifest digest as id", pin(Some(A), None), None, true),
        ("a record of the digest", pin(Some(B), None), Some(&image), true),
        ("no record at hand", pin(Some(B), None), None, false),
        ("another id", pin(None, Some(B)), Some(&image), false),
        ("another short id", pin(None, Some("e3b0c44298")), Some(&image), false),
        ("neither", pin(None, None), Some(&image), false),
    ] {
        assert_eq!(image_matches(&pin, A, inspect), wanted, "{case}");
    }
    let other = ImageInspect { id: B.into(), ..image };
    assert!(!image_matches(&pin(Some(B), None), A, Some(&other)), "another image's record");
}

#[test]
fn no_path_stands_twice_in_the_table() {
    let paths: Vec<&str> = table().into_iter().map(|(path, _)| path).collect();
    let unique: BTreeSet<&str> = paths.iter().copied().collect();
    assert_eq!(paths.len(), unique.len());
}

/// What is kept of an inspect relies on it.
#[test]
fn nothing_said_and_nothing_shown_are_the_same_to_every_row_but_one() {
    let blanks = [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})];
    for row in TABLE.iter().filter(|row| !matches!(row.expect, Expect::State(_))) {
        for blank in &blanks {
            let is_told_apart = row.path == "Config.StopTimeout" && !blank.is_null();
            let same = (row.normal)(blank) == (row.normal)(&json!(null));
            assert!(is_blank(blank) && same != is_told_apart, "{} and {blank}", row.path);
        }
    }
}
