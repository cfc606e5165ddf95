//! Every supported key means what the Compose Specification says.

use tidegate::model::ContainerName;
use tidegate::reconcile::desired::DesiredContainer;

use crate::desired::support::Repo;

fn web(lines: &str) -> DesiredContainer {
    let state = Repo::default().web(lines).state();
    let service = state.services.values().next().unwrap();
    let name: ContainerName = "web".parse().unwrap();
    service.containers[&name].as_ref().clone()
}

#[test]
fn a_plain_service_has_the_engine_names_of_the_design() {
    let state = Repo::default()
        .service(
            "app1",
            "[containers.web]\nimage = \"app1/web\"\nvolumes = [\"data:/data\"]\n[volumes.data]\n",
        )
        .state();
    let service = state.services.values().next().unwrap();
    assert_eq!(service.networks.values().next().unwrap().engine_name, "app1.prd");
    assert_eq!(service.volumes.values().next().unwrap().engine_name, "app1.prd_data");
    assert!(state.node_declared);
}

#[test]
fn commands_are_lists_or_split_as_a_shell_would() {
    assert_eq!(web(r#"command = "sh -c 'a b'""#).spec.command.unwrap(), ["sh", "-c", "a b"]);
    assert_eq!(web("entrypoint = []").spec.entrypoint.unwrap(), [""; 0]);
}
