//! `tidegate pin` against a real hub.

use std::path::Path;

use tidegate::clients::registry::{ManifestReference, RegistryOptions, RegistryRead as _};

use crate::cli::support::{Said, run, tidegate};
use crate::registry::hub::{TestHub, free_port, plain};
use crate::registry::{auth, client, guarded, options, push_image, web};
use crate::support::program::write_program;

const RULESET: &str = "rulesets/it/app1.toml";

/// A hub with versions of `app1/web`, and a work tree that pins 1.0.0 of them.
pub(crate) async fn stage(versions: &[&str]) -> (TestHub, tempfile::TempDir) {
    let hub = plain();
    let tree = tree(&hub, options(), versions).await;
    (hub, tree)
}

pub(crate) async fn tree(
    hub: &TestHub,
    options: RegistryOptions,
    versions: &[&str],
) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for version in versions {
        let config = format!("{{\"version\": \"{version}\"}}");
        push_image(&client(hub, options.clone()), &config, Some(version)).await;
    }
    let environment = format!("name = \"dev\"\nhub = \"{}\"\n", hub.authority);
    let service = "app = \"app1\"\n[containers.web]\nimage = \"app1/web\"\nversions = \"^1\"\n";
    for (path, text) in [
        ("tidegate.toml", "repository = \"x\"\nenvironments = [\"dev\"]\n[apps.app1]\n"),
        ("environments/dev/environment.toml", environment.as_str()),
        ("environments/dev/trust.toml", "version = 1\n"),
        ("services/app1.toml", service),
        (RULESET, "# pins\n[match]\nservice = \"app1\"  # alone\n"),
    ] {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    tree
}

pub(crate) fn text(tree: &Path) -> String {
    std::fs::read_to_string(tree.join(RULESET)).unwrap()
}

#[tokio::test]
async fn a_pin_is_written_checked_and_taken_further_within_its_range() {
    let (hub, tree) = stage(&["1.0.0", "v1.2.0", "2.0.0", "latest"]).await;
    let tree = tree.path();
    let said = run(tree, ["pin", "app1.web", "--version", "1.0.0"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(text(tree).starts_with("# pins\n[match]\nservice = \"app1\"  # alone\n"));
    assert!(text(tree).contains("version = \"1.0.0\""), "{}", text(tree));
    let said = run(tree, ["pin", "--check"]);
    assert_eq!(said.code, 2, "{}", said.err);
    let rows: Vec<Vec<&str>> =
        said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["app1.web", "1.0.0", "^1", "v1.2.0", "2.0.0"]);
    let said = run(tree, ["pin", "app1", "--update", "-o", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["schema"], "tidegate.pin/1");
    assert_eq!(json["pins"][0]["version"], "1.2.0");
    assert_eq!(run(tree, ["pin", "--check"]).code, 0);
    // By whole reference, and by digest, which has no version of its own.
    let from = format!("{}/app1/web:2.0.0", hub.authority);
    assert_eq!(run(tree, ["pin", "app1.web", "--from", &from]).code, 0);
    let digest = json["pins"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(run(tree, ["pin", "app1.web", "--digest", &digest]).code, 0);
    assert!(text(tree).contains(&digest) && !text(tree).contains("version"), "{}", text(tree));
}

#[tokio::test]
async fn a_pin_that_cannot_be_made_changes_nothing_and_says_why() {
    let (_hub, tree) = stage(&["1.0.0"]).await;
    let tree = tree.path();
    let before = text(tree);
    for (args, code, words) in [
        (&["app1.web"][..], 64, "which image?"),
        (&[], 64, "which container?"),
        (&["app1", "--version", "1.0.0"], 64, "`app1` names no container"),
        (&["app1.db", "--version", "1.0.0"], 64, "there are app1.web"),
        (&["app1.web", "--version", "9.9.9"], 1, "no such image"),
        (&["app1.web", "--version", "../x"], 64, "is not a tag"),
        (&["app1.web", "--from", "other/web:1.0.0"], 64, "not `other/web`"),
        (&["app1.web", "--from", "1.0.0", "--check"], 64, "cannot be used with"),
        (&["app2", "--check"], 64, "there is no container app2"),
        (&["app1.web", "--version", "1.0.0", "-C", "services"], 64, "no tidegate.toml"),
    ] {
        let said = run(tree, [&["pin"], args].concat());
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    }
    assert_eq!(text(tree), before);
}

/// Pins with a helper of this text, which `config.json` names as it names `lab`.
fn pin_with_helper(tree: &Path, script: &str, config: &serde_json::Value) -> Said {
    let program = tree.join("bin/docker-credential-lab");
    std::fs::create_dir_all(tree.join(".docker")).unwrap();
    write_program(&program, &format!("#!/bin/sh\n{script}\n"));
    std::fs::write(tree.join(".docker/config.json"), config.to_string()).unwrap();
    let path = format!("{}/bin:{}", tree.display(), std::env::var("PATH").unwrap());
    let mut command = tidegate(tree);
    command.args(["pin", "app1.web", "--version", "1.0.0", "-vv"]).env("PATH", path);
    command.output().unwrap().into()
}

#[tokio::test]
async fn credentials_come_from_the_helper_that_docker_is_told_of_and_are_never_shown() {
    let hub = guarded();
    let authority = hub.authority.as_str();
    let alice = RegistryOptions { auth: Some(auth(authority, "secret")), ..options() };
    let tree = tree(&hub, alice, &["1.0.0"]).await;
    let tree = tree.path();
    // What `docker login` leaves beside a helper is an empty entry.
    let all = serde_json::json!({ "auths": { authority: {} }, "credsStore": "lab" });
    let own = serde_json::json!({ "credHelpers": { authority: "lab" }, "credsStore": "gone" });
    let gone = serde_json::json!({ "credsStore": "gone" });
    let knows = format!(
        "read server; [ \"$1 $server\" = \"get {authority}\" ] || exit 3\n\
         echo '{{\"ServerURL\": \"\", \"Username\": \"alice\", \"Secret\": \"secret\"}}'"
    );
    let unknown = "echo 'credentials not found in native keychain'; exit 1";
    let token = "echo '{\"Username\": \"<token>\", \"Secret\": \"secret\"}'";
    for (case, script, config, code, words) in [
        ("for all", knows.as_str(), &all, 0, ""),
        ("its own", &knows, &own, 0, ""),
        ("not known", unknown, &all, 1, "docker login"),
        ("absent", &knows, &gone, 1, "docker-credential-gone"),
        (
            "fails",
            "echo secret; exit 2",
            &all,
            1,
            "`docker-credential-lab` failed (exit status: 2)",
        ),
        ("no answer", "echo secret", &all, 1, "gave no credentials"),
        ("no end", "yes secret", &all, 1, "`docker-credential-lab` failed"),
        ("a token", token, &all, 1, "an identity token"),
    ] {
        let said = pin_with_helper(tree, script, config);
        assert_eq!(said.code, code, "{case}: {}", said.err);
        assert!(said.err.contains(words), "{case}: {}", said.err);
        assert!(!(said.out + &said.err).contains("secret"), "{case}");
    }
}

#[tokio::test]
async fn an_image_of_another_registry_is_pushed_with_its_digest_and_pinned() {
    let (hub, tree) = stage(&[]).await;
    let tree = tree.path();
    let elsewhere = plain();
    let source = client(&elsewhere, options());
    let first = push_image(&source, "{\"n\": 1}", Some("1.4.2")).await;
    let second = push_image(&source, "{\"n\": 2}", Some("latest")).await;
    let image = |tag: &str| format!("{}/app1/web:{tag}", elsewhere.authority);
    let said = run(tree, ["pin", "app1.web", "--push", &image("1.4.2")]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains(&format!("1.4.2 ({})", first.0)), "{}", said.out);
    assert!(text(tree).contains(&first.1.to_string()), "{}", text(tree));
    let target = client(&hub, options());
    let tagged = async |tag: &str| {
        let tag = ManifestReference::Tag(tag.to_owned());
        target.manifest_digest(&web(), &tag).await.unwrap()
    };
    assert_eq!(tagged("1.4.2").await, Some(first.0));
    // Again: nothing is missing, nothing changes.
    let again = run(tree, ["pin", "app1.web", "--push", &image("1.4.2")]);
    assert!(again.out.contains("pinned to") && again.code == 0, "{}{}", again.out, again.err);
    // A tag that is no version names nothing here, and a version names one image for good.
    let latest = image("latest");
    let taken = run(tree, ["pin", "app1.web", "--push", &latest, "--version", "1.4.2"]);
    assert_eq!(taken.code, 1, "{}", taken.err);
    assert!(taken.err.contains("is another image already"), "{}", taken.err);
    assert_eq!(tagged("1.4.2").await, Some(first.0));
    let moving = run(tree, ["pin", "app1.web", "--push", &latest]);
    assert_eq!(moving.code, 0, "{}", moving.err);
    assert!(text(tree).contains(&second.0.to_string()) && !text(tree).contains("version"));
    assert_eq!(tagged("latest").await, None);
    for (image, code, words) in [
        (image("9.9.9"), 1, "has no app1/web:9.9.9"),
        ("docker://web".to_owned(), 64, "names no registry"),
        (format!("127.0.0.1:{}/app1/web:1", free_port()), 1, "Connection refused"),
        ("web:dev".to_owned(), 1, "no Docker engine answers"),
    ] {
        let mut command = tidegate(tree);
        command.env("DOCKER_HOST", "unix:///nowhere.sock");
        command.args(["pin", "app1.web", "--push", &image]);
        let said = Said::from(command.output().unwrap());
        assert_eq!(said.code, code, "{image}: {}", said.err);
        assert!(said.err.contains(words), "{image}: {}", said.err);
    }
}
