//! A new repository's files, to start from. Pure.

use crate::clients::git::TreeFile;
use crate::model::EnvironmentName;
use crate::promote::history::Files;

/// What a new repository is told at the start.
#[derive(Debug, Clone)]
pub struct Beginning<'a> {
    /// The repository's id, which never changes.
    pub repository: &'a str,
    /// The environments, the first one first.
    pub environments: &'a [EnvironmentName],
    /// Who may do everything, until they let others.
    pub person: &'a str,
    /// Their key, as trust.toml lists it.
    pub key: &'a str,
    /// How to reach them.
    pub contact: &'a str,
}

const SERVICE: &str = r#"# A service: containers that belong together, in the Compose Specification's words.
app = "hello"

[containers.web]
image = "hello/web"                # repository path in the environment's hub
ports = ["8080:80"]
healthcheck = { test = ["CMD", "wget", "-qO-", "http://127.0.0.1/"], interval = "5s", retries = 3 }
restart = "unless-stopped"

[update]
health_timeout = "60s"
"#;

const RULESET: &str = r#"# Which image the service runs: its manifest's digest, and its configuration's.
# These name no image yet: push one to the hub and write its digests here.
[match]
service = "hello"

[containers.web]
digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
image_id = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
version = "0.0.0"
"#;

const NODE: &str = r#"# A node: one engine with its agent. Services choose nodes by these labels.
[labels]
role = "web"
"#;

const README: &str = r"# What runs where

`services/` and `rulesets/` flow from environment to environment; each directory of
`environments/` belongs to its environment, and lies on its branch alone. Every commit is signed:
`tidegate verify` says what a node would say.
";

/// The files of a new repository.
pub fn skeleton(beginning: &Beginning<'_>) -> Files {
    let Beginning { repository, environments, person, contact, .. } = beginning;
    let names: Vec<String> = environments.iter().map(|name| format!("\"{name}\"")).collect();
    let mut texts = vec![
        (
            "tidegate.toml".to_owned(),
            format!(
                "repository = \"{repository}\"\nenvironments = [{}]\n\n[apps.hello]\n\
                 title = \"Hello\"\nowner = \"{person}\"\ncontact = \"{contact}\"\n",
                names.join(", ")
            ),
        ),
        ("README.md".to_owned(), README.to_owned()),
        ("services/hello.toml".to_owned(), SERVICE.to_owned()),
        ("rulesets/it/applications/hello.toml".to_owned(), RULESET.to_owned()),
    ];
    for (at, name) in environments.iter().enumerate() {
        let own = format!("environments/{name}");
        let from = at.checked_sub(1).map(|before| &environments[before]);
        texts.push((
            format!("{own}/environment.toml"),
            format!("name = \"{name}\"\nhub = \"dckhub.{name}\"\n"),
        ));
        texts.push((format!("{own}/trust.toml"), trust(beginning, from)));
        texts.push((format!("{own}/nodes/{name}1.toml"), NODE.to_owned()));
    }
    let file = |text: String| TreeFile { executable: false, bytes: text.into_bytes() };
    texts.into_iter().map(|(path, text)| (path, file(text))).collect()
}

fn trust(beginning: &Beginning<'_>, from: Option<&EnvironmentName>) -> String {
    let Beginning { person, key, .. } = beginning;
    let kinds: &[&str] = match from {
        None => &["change", "local", "rollback", "admin"],
        Some(_) => &["promote", "local", "hotfix", "rollback", "admin"],
    };
    let role = |kind: &&str| format!("{kind} = {{ people = [\"{person}\"] }}");
    let roles = kinds.iter().map(role).collect::<Vec<_>>().join("\n");
    // The anchor is filled in when the environment before this one has begun.
    let promotion = from.map_or_else(String::new, |from| {
        format!("\n[promotion]\nfrom = \"{from}\"\nanchor = \"\"\nsoak = \"0s\"\n")
    });
    format!(
        "# Who may do what on this branch. A role that is absent is nobody's.\nversion = 1\n\n\
         [people.{person}]\nkeys = [\"{key}\"]\n\n[roles]\n{roles}\n{promotion}"
    )
}
