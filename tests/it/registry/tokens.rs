//! Token servers on another host than the hub, as Docker Hub's and GitLab's are; identity tokens.

use tidegate::clients::docker::{Login, RegistryAuth};
use tidegate::clients::registry::{
    PlainHttp, RegistryClient, RegistryError, RegistryErrorKind, RegistryOptions, RegistryRead as _,
};
use tidegate::config::Settings;
use tidegate::hub::open_hub;
use tidegate::model::{Digest, Hub};

use crate::cli::pin::{text, tree};
use crate::cli::support::run;
use crate::registry::hub::{TestHub, plain};
use crate::registry::{auth, options, tag, web};
use crate::support::front::{Act, Front};

/// A hub that wants tokens of a server on another name, `localhost`.
struct Lab {
    storage: TestHub,
    server: Front,
    hub: Front,
}

fn authorization(head: &str) -> Option<&str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case("authorization")).map(|(_, v)| v)
}

/// The server grants where its request holds `wanted`.
fn lab(wanted: &'static str) -> Lab {
    let server = Front::new("127.0.0.1:1", move |_, head| {
        // What a POST says is in its body, which comes after this was decided: a real one would ask.
        let is_known = head.starts_with("POST") || authorization(head) == Some(wanted);
        let granted = r#"{"access_token":"granted","expires_in":300}"#;
        let status = if is_known { "200 OK" } else { "401 Unauthorized" };
        Act::say(status, "", if is_known { granted } else { "{}" })
    });
    let storage = plain();
    let port = server.authority.rsplit_once(':').unwrap().1.to_owned();
    let hub = Front::new(&storage.authority, move |_, head| {
        if authorization(head) == Some("Bearer granted") {
            return Act::Pass;
        }
        let realm = format!("http://localhost:{port}/jwt/auth");
        let challenge =
            format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"registry\"\r\n");
        Act::say("401 Unauthorized", &challenge, "")
    });
    Lab { storage, server, hub }
}

impl Lab {
    async fn ask(
        &self,
        auth: Option<RegistryAuth>,
        token_server: Option<String>,
    ) -> Result<Option<Digest>, RegistryError> {
        let hub: Hub = self.hub.authority.parse().unwrap();
        let client = RegistryClient::new(&hub, RegistryOptions { auth, ..options() }).unwrap();
        let client = client.with_token_server(token_server);
        client.manifest_digest(&web(), &tag("1")).await
    }

    fn token_server(&self) -> String {
        self.server.authority.replace("127.0.0.1", "localhost")
    }
}

#[tokio::test]
async fn a_token_server_elsewhere_gets_credentials_only_if_it_was_named_with_them() {
    let lab = lab("Basic YWxpY2U6c2VjcmV0");
    let own = auth(&lab.hub.authority, "secret");
    let error = lab.ask(Some(own.clone()), None).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::ForeignRealm, "{error}");
    let other = Some("localhost:1".to_owned());
    let error = lab.ask(Some(own.clone()), other).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::ForeignRealm, "{error}");
    assert!(lab.server.seen("").iter().all(|head| authorization(head).is_none()));
    assert_eq!(lab.ask(Some(own), Some(lab.token_server())).await.unwrap(), None);
    assert_eq!(lab.server.seen("service=registry").len(), 3);
}

#[tokio::test]
async fn an_identity_token_is_a_refresh_token_for_the_token_server_alone() {
    let lab = lab("nobody");
    let login = Login::IdentityToken("s3cr3t+/=".to_owned());
    let own = RegistryAuth { server: lab.hub.authority.clone(), login };
    assert_eq!(lab.ask(Some(own), Some(lab.token_server())).await.unwrap(), None);
    let asked = lab.server.seen("").pop().unwrap();
    for part in [
        "POST /jwt/auth ",
        "content-type: application/x-www-form-urlencoded",
        "grant_type=refresh_token",
        "refresh_token=s3cr3t%2B%2F%3D",
        "service=registry",
        "scope=repository%3Aapp1%2Fweb%3Apull",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(lab.hub.seen("s3cr3t").is_empty());
}

#[tokio::test]
async fn what_everybody_may_read_needs_no_credentials_anywhere() {
    let lab = lab("nobody");
    let error = lab.ask(None, None).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Unauthorized, "{error}");
    assert!(authorization(&lab.server.seen("GET")[0]).is_none());
}

/// What lets alice into the lab's hub, as docker's `config.json` has it.
fn login(lab: &Lab) -> String {
    let own = serde_json::json!({ "username": "alice", "password": "secret" });
    serde_json::json!({ "auths": { &lab.hub.authority: own } }).to_string()
}

#[tokio::test]
async fn a_node_names_the_token_server_in_its_configuration() {
    let lab = lab("Basic YWxpY2U6c2VjcmV0");
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("hub.json");
    std::fs::write(&credentials, login(&lab)).unwrap();
    let ask = async |more: &str| {
        let config = format!(
            "node = \"n1\"\nenvironment = \"prd\"\n[repository]\nurl = \"/srv/config\"\n\
             id = \"acme-config\"\nanchor = \"{}\"\n[hub]\ncredentials = \"{}\"\n{more}",
            "a".repeat(40),
            credentials.display()
        );
        let settings = Settings::from_texts(vec![("agent.toml".to_owned(), config)]).unwrap();
        let hub: Hub = lab.hub.authority.parse().unwrap();
        let client = open_hub(&hub, PlainHttp::Loopback, &settings.hub).unwrap();
        client.manifest_digest(&web(), &tag("1")).await.map_err(|error| error.kind)
    };
    assert_eq!(ask("").await, Err(RegistryErrorKind::ForeignRealm));
    assert!(lab.server.seen("").iter().all(|head| authorization(head).is_none()));
    let named = format!("token_server = \"{}\"\n", lab.token_server());
    assert_eq!(ask(&named).await, Ok(None));
}

#[tokio::test]
async fn a_person_names_the_token_server_in_gits_configuration() {
    let lab = lab("Basic YWxpY2U6c2VjcmV0");
    let tree = tree(&lab.storage, options(), &["1.0.0"]).await;
    let tree = tree.path();
    let environment = tree.join("environments/dev/environment.toml");
    let own = std::fs::read_to_string(&environment).unwrap();
    let own = own.replace(&lab.storage.authority, &lab.hub.authority);
    std::fs::write(&environment, own).unwrap();
    std::fs::create_dir(tree.join(".docker")).unwrap();
    std::fs::write(tree.join(".docker/config.json"), login(&lab)).unwrap();
    let pin = ["pin", "app1.web", "--version", "1.0.0"];
    let refused = run(tree, pin);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("nothing was sent there"), "{}", refused.err);
    let key = format!("tidegate.{}.tokenServer", lab.hub.authority);
    let mut git = std::process::Command::new("git");
    git.args(["config", "--global", &key, &lab.token_server()]).env("HOME", tree);
    assert!(git.env_remove("GIT_CONFIG_GLOBAL").status().unwrap().success());
    let pinned = run(tree, pin);
    assert_eq!(pinned.code, 0, "{}", pinned.err);
    assert!(text(tree).contains("version = \"1.0.0\""), "{}", text(tree));
}
