//! Pinning an image of a real hub into a work tree.

use tidegate::clients::registry::Platform;
use tidegate::hub::{PinError, PinRequest, pin};

use crate::registry::hub::plain;
use crate::registry::{client, options, push_image, tag, web};

fn request(version: &str) -> PinRequest {
    PinRequest {
        address: "app1.web".parse().unwrap(),
        repository: web(),
        reference: tag(version),
        version: None,
        ruleset: None,
        platforms: vec![Platform::own()],
    }
}

#[tokio::test]
async fn a_pin_goes_into_the_services_own_ruleset_and_only_there() {
    let hub = plain();
    let client = client(&hub, options());
    let (digest, image_id) = push_image(&client, "{}", Some("1.4.2")).await;
    let tree = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let own = "environments/dev/rulesets/it/applications/app1.toml";
    write("rulesets/it/applications/app1.toml", "[match]\nservice = \"app1\"\n");
    write("rulesets/it/applications/app2.toml", "[match]\nservice = \"app2\"\n");
    write(own, "[match]\nservice = \"app1\"\n");
    let pinned = pin(&client, tree.path(), &request("1.4.2")).await.unwrap();
    assert_eq!(pinned.file, "rulesets/it/applications/app1.toml");
    let text = std::fs::read_to_string(tree.path().join(&pinned.file)).unwrap();
    let wanted = format!(
        "[match]\nservice = \"app1\"\n\n[containers.web]\ndigest = \"{digest}\"\n\
         image_id = \"{image_id}\"\nversion = \"1.4.2\"\n"
    );
    assert_eq!(text, wanted);
    assert!(!pin(&client, tree.path(), &request("1.4.2")).await.unwrap().changed);
    let error = pin(&client, tree.path(), &request("9")).await.unwrap_err();
    assert!(matches!(error, PinError::Registry(_)), "{error}");
}
