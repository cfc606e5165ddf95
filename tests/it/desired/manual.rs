//! Every TOML example of the manual is accepted.

use std::path::Path;

use crate::desired::support::Repo;

/// The manual's ```` ```toml ```` blocks.
fn examples(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A block that begins with `# <path>` is that file; another one is lines of a container.
fn findings(example: &str) -> String {
    let vars = "[vars]\ngreeting-word = \"hello\"\n";
    let apps = "repository = \"x\"\nenvironments = [\"prd\"]\n[apps.app1]\n";
    let repo = Repo::default()
        .with("tidegate.toml", apps)
        .with("rulesets/words.toml", vars)
        .with("services/files/app.conf", "workers = 2\n")
        .with("rulesets/it/site.files/site.tar", crate::compliance::archives::site());
    let first = example.lines().next().unwrap_or_default();
    let file = first.strip_prefix("# ").filter(|path| path.contains(".toml"));
    let base = "environment = [\"DEBUG=1\"]";
    match file {
        None => repo.web(example).findings(),
        Some(path) => match path.strip_prefix("services/").and_then(|p| p.strip_suffix(".toml")) {
            Some(name) => {
                let app = "app = \"app1\"";
                repo.service(name, &example.replacen(app, "", 1)).findings()
            }
            None => repo.web(base).with(path, example).findings(),
        },
    }
}

#[test]
fn every_example_of_the_manual_is_accepted() {
    let expected = ["fits no node of prd", "no service has a container"];
    for page in ["services.md", "compose.md", "rulesets.md", "compliance.md"] {
        for example in examples(page) {
            let found = findings(&example);
            let bad: Vec<&str> = found
                .lines()
                .filter(|line| !expected.iter().any(|known| line.contains(known)))
                .collect();
            assert!(bad.is_empty(), "{page}\n{example}\n{bad:#?}");
        }
    }
}
