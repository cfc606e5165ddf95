//! What resolves and will not go well.

use crate::desired::support::Repo;

/// A volume that the container of these lines mounts, and what follows.
fn with_data(mount: &str, rest: &str) -> String {
    let lines = format!("volumes = [{mount}]\n[volumes.data]\n{rest}");
    Repo::default().web(&lines).findings()
}

#[test]
fn a_version_whose_check_says_nothing_before_its_time_is_over_is_warned_of() {
    for (check, update, said) in [
        ("interval = \"90s\"", "", "`interval` of `web` is 1m30s"),
        ("interval = \"60s\"", "", ""),
        ("interval = \"2m\"", "[update]\nhealth_timeout = \"3m\"", ""),
        ("interval = \"2m\"", "[update]\nstable = \"3m\"", ""),
        ("interval = \"2m\", disable = true", "", ""),
        // A check that succeeds makes it healthy in that time, too.
        ("start_period = \"2m\"", "", ""),
    ] {
        let lines = format!("healthcheck = {{ test = \"true\", {check} }}\n{update}");
        let found = Repo::default().web(&lines).findings();
        assert_eq!(found.is_empty(), said.is_empty(), "{lines}: {found}");
        assert!(found.contains(said), "{lines}: {found}");
    }
}

#[test]
fn what_start_first_has_two_containers_write_is_named() {
    let first = "[update]\nstrategy = \"start-first\"";
    let found = with_data("\"data:/x\"", first);
    assert!(found.contains("Warning services/app1.toml:5:1: start-first has the old"), "{found}");
    assert!(found.contains("write to volume `data` at once"), "{found}");
    assert!(with_data("\"data:/x\", \"/srv/a:/y\"", first).contains("write to `/srv/a`"));
    assert_eq!(with_data("\"data:/x:ro\", \"/srv/a:/y:ro\"", first), "");
    assert_eq!(with_data("\"data:/x\"", ""), "");
}

#[test]
fn more_networks_than_dockers_address_pools_hold_are_counted() {
    let with = |n: usize, subnet: &str| {
        let text = "[containers.web]\nimage = \"web\"\n[networks.default]\n".to_owned() + subnet;
        (0..n).fold(Repo::default(), |repo, n| repo.service(&format!("s{n:02}"), &text)).findings()
    };
    assert_eq!(with(30, ""), "");
    let found = with(32, "");
    assert_eq!(found.matches("more than 30 networks").count(), 1, "{found}");
    assert!(found.contains("services/s30.toml"), "{found}");
    assert_eq!(with(32, "ipam.config = [{ subnet = \"10.0.0.0/24\" }]"), "");
}
