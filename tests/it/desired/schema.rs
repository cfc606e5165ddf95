//! The JSON Schemas in docs/schema are those that `tidegate schema` prints.

use std::path::Path;

use tidegate::reconcile::desired::document::kind::Status;
use tidegate::reconcile::desired::schema::CONTAINER;
use tidegate::reconcile::desired::schema::DOCUMENTS;
use tidegate::reconcile::desired::schema::schema_text;

/// Every service key of the Compose Specification.
const COMPOSE: &str = "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent \
    command configs container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period \
    cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy develop \
    device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment \
    expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc \
    isolation label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness \
    memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit \
    platform ports post_start pre_stop privileged profiles provider pull_policy read_only restart \
    runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal \
    storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes \
    volumes_from working_dir";

#[test]
fn every_documents_schema_is_in_the_manual() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    for (name, _, _) in DOCUMENTS {
        let text = schema_text(name).unwrap();
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("TIDEGATE_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "{name}: run this test with TIDEGATE_WRITE_SCHEMAS=1");
    }
    assert!(schema_text("nothing").is_none());
}

#[test]
fn every_service_key_of_compose_is_supported_or_refused_by_name() {
    for name in COMPOSE.split_whitespace() {
        assert!(CONTAINER.get(name).is_some(), "{name} is unknown");
    }
}

#[test]
fn every_supported_key_is_in_the_manual() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/services.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    for key in CONTAINER.keys {
        let documented = manual.contains(key.name);
        assert!(documented || matches!(key.status, Status::NotYet), "{} is missing", key.name);
    }
}

#[test]
fn the_page_about_compose_lists_every_key_as_it_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in COMPOSE.split_whitespace() {
        let list = match CONTAINER.get(name).unwrap().status {
            Status::Supported | Status::Required => "* Taken:",
            Status::NotYet => "* Not in this version:",
            Status::Refused(_) => "* Never:",
        };
        let line = page.lines().find(|line| line.starts_with(list)).unwrap();
        assert!(line.contains(&format!("`{name}`")), "{name} is missing after {list}");
    }
}
