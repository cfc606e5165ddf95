//! Commands about a node, without an engine: what they say when something is missing.

use std::fs;
use std::path::Path;

use crate::cli::support::run;

/// A repository that begins signed, and a node's configuration with an engine that is not there.
pub(crate) fn node(dir: &Path) {
    let made =
        run(dir, ["init", "--keys", "people", "--environments", "dev", "repo", "-o", "json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let document: serde_json::Value = serde_json::from_str(&made.out).unwrap();
    let anchor = document["lines"][0]["anchor"].as_str().unwrap();
    let text = format!(
        "node = \"dev1\"\nenvironment = \"dev\"\nstate_dir = \"{0}/state\"\n\
         [repository]\nurl = \"{0}/repo\"\nid = \"repo\"\nanchor = \"{anchor}\"\n\
         [engine]\nsocket = \"unix://{0}/no.sock\"\n",
        dir.display()
    );
    fs::write(dir.join("agent.toml"), text).unwrap();
}

#[test]
fn without_a_configuration_the_hint_says_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["status", "plan", "history", "agent", "apply"] {
        let said = run(dir.path(), [command, "--config", "missing.toml"]);
        assert_eq!(said.code, 64, "{command}: {}", said.err);
        assert!(said.err.contains("there is no missing.toml"), "{command}: {}", said.err);
    }
}

#[test]
fn mistakes_in_the_configuration_are_shown_with_their_lines_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("agent.toml"), "nod = \"n1\"\nenvironment = \"Prd\"\n").unwrap();
    let said = run(dir.path(), ["status", "--config", "agent.toml"]);
    assert_eq!(said.code, 64);
    for part in ["nod = \"n1\"", "environment = \"Prd\"", "agent.toml:1"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
}

#[test]
fn a_gone_engine_is_named_and_git_is_believed_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let once = run(dir.path(), ["agent", "--once", "--config", "agent.toml"]);
    assert_eq!(once.code, 1, "{}", once.err);
    assert!(once.err.contains("engine"), "{}", once.err);
    let status = run(dir.path(), ["status", "--config", "agent.toml", "-o", "json"]);
    assert_eq!(status.code, 2, "{}", status.err);
    assert!(status.out.starts_with("{\n  \"schema\": \"tidegate.status/1\""), "{}", status.out);
    let document: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert!(document["revision"]["verified"].is_string() && document["engine"].is_object());
    let history = run(dir.path(), ["history", "--verify", "--config", "agent.toml"]);
    assert_eq!(history.code, 0, "{}", history.err);
    assert!(history.out.contains("verify"), "{}", history.out);
    let late = run(dir.path(), ["wait", "--timeout", "10ms", "--config", "agent.toml"]);
    assert_eq!(late.code, 4, "{}", late.err);
}

#[test]
fn a_node_that_the_revision_does_not_know_is_told_so_and_is_not_in_sync() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let known = fs::read_to_string(dir.path().join("agent.toml")).unwrap();
    fs::write(dir.path().join("agent.toml"), known.replace("\"dev1\"", "\"dev9\"")).unwrap();
    run(dir.path(), ["agent", "--once", "--config", "agent.toml"]);
    let status = run(dir.path(), ["status", "--config", "agent.toml"]);
    assert_eq!(status.code, 2, "{}", status.out);
    let why = "environments/dev/nodes/dev9.toml: it is not there, so this node keeps what runs";
    assert!(status.out.contains(why), "{}", status.out);
    let late = run(dir.path(), ["wait", "--timeout", "10ms", "--config", "agent.toml"]);
    assert_eq!(late.code, 4, "{}", late.err);
    assert!(late.err.contains(why), "{}", late.err);
}

#[test]
fn a_suspension_without_an_agent_is_kept_and_journalled() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let config = ["--config", "agent.toml"];
    let suspend = ["suspend", "hello", "--reason", "looking into it"];
    assert_eq!(run(dir.path(), suspend.iter().chain(&config)).code, 0);
    assert_eq!(run(dir.path(), ["resume", "hello"].iter().chain(&config)).code, 0);
    assert_eq!(run(dir.path(), ["resume", "hello"].iter().chain(&config)).code, 64);
    let history = run(dir.path(), ["history", "hello"].iter().chain(&config));
    assert!(history.out.contains("looking into it") && history.out.contains("resume"));
}

#[test]
fn an_unknown_service_is_refused_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let config = ["--config", "agent.toml"];
    for command in [&["apply", "hallo"][..], &["suspend", "hallo", "--reason", "x"]] {
        let said = run(dir.path(), command.iter().chain(&config));
        assert_eq!(said.code, 64, "{}", said.err);
        assert!(said.err.contains("no service `hallo`"), "{}", said.err);
    }
    assert!(!dir.path().join("state/status.json").exists(), "no pass was run");
    let history = run(dir.path(), ["history", "-o", "json"].iter().chain(&config));
    assert!(!history.out.contains("hallo"), "{}", history.out);
}

/// A service `shop` as `hello` is, but for its port, in a commit that alice signs or not.
pub(crate) fn add_shop(dir: &Path, port: &str, signs: bool) {
    let at = |name: &str| dir.join("repo").join(name);
    for (folder, from, to) in
        [("services", "8080:80", port), ("rulesets/it/applications", "hello", "shop")]
    {
        let text = fs::read_to_string(at(&format!("{folder}/hello.toml"))).unwrap();
        fs::write(at(&format!("{folder}/shop.toml")), text.replacen(from, to, 1)).unwrap();
    }
    let key = format!("user.signingkey={}", dir.join("people/alice").display());
    let who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"];
    let how = ["-c", "gpg.format=ssh", "-c", &key];
    let sign = if signs { "-S" } else { "--no-gpg-sign" };
    for args in [&["add", "--all"][..], &["commit", "-q", sign, "-m", "shop"]] {
        let mut git = std::process::Command::new("git");
        git.current_dir(dir.join("repo")).args(who).args(how);
        assert!(git.args(args).status().unwrap().success());
    }
}

#[test]
fn a_service_that_a_revision_has_which_is_not_in_force_is_answered_with_why() {
    for (signs, is_away, code, why) in
        [(false, false, 3, "refused "), (true, true, 1, "git is unreachable: ")]
    {
        let dir = tempfile::tempdir().unwrap();
        node(dir.path());
        let config = ["--config", "agent.toml"];
        let first = run(dir.path(), ["apply"].iter().chain(&config));
        assert_eq!(first.code, 1, "there is no engine: {}", first.err);
        add_shop(dir.path(), "8081:80", signs);
        if is_away {
            fs::rename(dir.path().join("repo"), dir.path().join("away")).unwrap();
        }
        for command in [&["apply", "shop"][..], &["suspend", "shop", "--reason", "x"]] {
            let said = run(dir.path(), command.iter().chain(&config));
            let all = format!("{}{}", said.out, said.err);
            assert_eq!(said.code, code, "{all}");
            assert!(all.contains("no service `shop` runs or should run on this node by "), "{all}");
            assert!(all.contains(why), "{why}: {all}");
        }
    }
}

#[test]
fn a_suspension_that_would_have_ended_by_now_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    for until in ["2020-01-01T00:00:00Z", "0s"] {
        let args = ["suspend", "hello", "--reason", "x", "--until", until];
        let said = run(dir.path(), args.iter().chain(&["--config", "agent.toml"]));
        assert_eq!(said.code, 64, "{until}: {}{}", said.out, said.err);
        assert!(said.err.contains("not in the future"), "{until}: {}", said.err);
    }
}

#[test]
fn what_was_taken_unjudged_is_judged_once_signatures_are_demanded() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(dir.path().join("repo")).args(["-c", "user.name=alice"]);
        command.args(["-c", "user.email=alice@example.org", "-c", "commit.gpgsign=false"]);
        assert!(command.args(args).status().unwrap().success());
    };
    git(&["commit", "--quiet", "--allow-empty", "--message", "nobody signed this"]);
    let signed = fs::read_to_string(dir.path().join("agent.toml")).unwrap();
    fs::write(dir.path().join("loose.toml"), format!("{signed}[trust]\nrequire = \"none\"\n"))
        .unwrap();
    let loose = run(dir.path(), ["apply", "--config", "loose.toml"]);
    assert!(loose.err.contains("UNVERIFIED"), "{}", loose.err);
    let checkpoint = run(dir.path(), ["trust", "checkpoint", "--config", "loose.toml"]);
    assert_eq!(checkpoint.code, 1, "an unjudged commit is no anchor: {}", checkpoint.out);
    let strict = run(dir.path(), ["apply", "--config", "agent.toml"]);
    assert_eq!(strict.code, 3, "{}", strict.err);
}

#[test]
fn a_branch_that_was_set_back_on_purpose_is_followed_after_a_reset_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(dir.path().join("repo")).args(["-c", "user.name=alice"]);
        let key = format!("user.signingkey={}", dir.path().join("people/alice").display());
        command.args(["-c", "user.email=alice@example.org", "-c", "gpg.format=ssh", "-c", &key]);
        assert!(command.args(args).status().unwrap().success());
    };
    let config = ["--config", "agent.toml"];
    let pass = || run(dir.path(), ["agent", "--once"].iter().chain(&config)).err;
    let refused = || {
        let status = run(dir.path(), ["status", "-o", "json"].iter().chain(&config)).out;
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["refused"].clone()
    };
    git(&["commit", "--quiet", "-S", "--allow-empty", "--message", "signed"]);
    pass();
    assert!(refused().is_null(), "{}", refused());
    git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    pass();
    assert!(refused().is_object(), "what was verified must be on the chain");
    assert_eq!(run(dir.path(), ["trust", "reset"].iter().chain(&config)).code, 64, "why?");
    let reset = ["trust", "reset", "--reason", "the release was withdrawn"];
    assert_eq!(run(dir.path(), reset.iter().chain(&config)).code, 0);
    pass();
    assert!(refused().is_null(), "{}", refused());
    let history = run(dir.path(), ["history", "--verify"].iter().chain(&config));
    assert!(history.out.contains("the release was withdrawn"), "{}", history.out);
}

#[test]
fn lint_outside_a_repository_says_what_to_name() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), ["lint"]);
    assert_eq!(said.code, 64, "{}", said.err);
    assert!(said.err.contains("tidegate init"), "{}", said.err);
}

#[test]
fn lint_shows_every_mistake_of_a_broken_tree() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let service = dir.path().join("repo/services/hello.toml");
    let text = fs::read_to_string(&service).unwrap();
    fs::write(&service, format!("imgae = 1\n{text}")).unwrap();
    let said = run(dir.path(), ["lint", "repo"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("services/hello.toml:1:1"), "{}", said.out);
}

#[test]
fn a_work_tree_is_applied_for_a_node_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let apply = |environment: &str, node: &str| {
        let args = ["--worktree", "repo", "--environment", environment, "--node", node];
        let said = run(dir.path(), ["apply", "--config", "none.toml"].iter().chain(&args));
        assert_eq!(said.code, 64, "{}", said.err);
        said.err
    };
    let said = apply("dev", "laptop");
    assert!(said.contains("no node `laptop`") && said.contains("its nodes are: dev1;"), "{said}");
    let said = apply("tst", "dev1");
    assert!(said.contains("no environment `tst`") && said.contains("it has: dev"), "{said}");
}

#[test]
fn a_mistake_in_a_work_tree_is_named_whichever_service_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let apply = |service: &str| {
        let args = ["--worktree", "repo", "--environment", "dev", "--node", "dev1", service];
        run(dir.path(), ["apply", "--config", "agent.toml"].iter().chain(&args))
    };
    let said = apply("hallo");
    assert_eq!(said.code, 64, "{}{}", said.out, said.err);
    assert!(said.err.contains("no service `hallo`"), "{}", said.err);
    let service = dir.path().join("repo/services/hello.toml");
    let text = fs::read_to_string(&service).unwrap();
    fs::write(&service, format!("imgae = 1\n{text}")).unwrap();
    let said = apply("hello");
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.err.contains("services/hello.toml:1:1"), "{}", said.err);
}

#[test]
fn a_repository_is_linted_branch_by_branch_from_a_clone_or_a_linked_work_tree() {
    let dir = tempfile::tempdir().unwrap();
    let made = run(dir.path(), ["init", "--keys", "people", "repo"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        assert!(command.current_dir(dir.path()).args(args).status().unwrap().success());
    };
    git(&["clone", "--quiet", "repo", "clone"]);
    git(&["clone", "--quiet", "--bare", "repo", "bare"]);
    git(&["-C", "repo", "worktree", "add", "--quiet", "../linked", "prd"]);
    for place in ["repo", "clone", "bare", "linked"] {
        let said = run(dir.path(), ["lint", "--repository", place]);
        assert_eq!((said.code, said.out.as_str()), (0, "no mistakes found\n"), "{place}");
        let tree = run(dir.path(), ["ruleset", "tree", "--repository", place]);
        let leaves = ["hello.dev   dev@", "hello.tst   tst@", "hello.prd   prd@"];
        let at = leaves.map(|leaf| tree.out.find(leaf));
        assert!(at[0].is_some() && at.is_sorted(), "{place}: {}{}", tree.out, tree.err);
    }
    let said = run(dir.path(), ["lint", "--repository", "bare", "--revision", "prd~0"]);
    assert!(said.code == 64 && said.err.contains("--environment"), "{}", said.err);
    let args = ["lint", "--repository", "bare", "--revision", "prd~0", "--environment", "prd"];
    assert_eq!(run(dir.path(), args).code, 0);
    let said = run(dir.path(), ["lint", "--repository", "bare", "--revision", "nobody"]);
    assert!(said.err.contains("no branch or commit `nobody`"), "{}", said.err);
}

#[test]
fn a_value_is_explained_with_the_commit_that_brought_its_line() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let repo = dir.path().join("repo");
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(&repo).args([
            "-c",
            "user.name=alice",
            "-c",
            "user.email=a@example.org",
        ]);
        let output = command.args(["-c", "commit.gpgsign=false"]).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let change = |from: &str, to: &str| {
        let path = repo.join("services/hello.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let first = git(&["rev-parse", "HEAD"]);
    change("8080:80", "8081:80");
    git(&["commit", "--quiet", "--all", "--message", "another port"]);
    let second = git(&["rev-parse", "HEAD"]);
    change("60s", "90s");
    let commit = |args: &[&str]| {
        let said = run(dir.path(), ["explain", "hello.dev", "-o", "json"].iter().chain(args));
        assert_eq!(said.code, 0, "{}", said.err);
        let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(document["schema"], "tidegate.explain/1");
        document["nodes"][0]["keys"][0]["candidates"][0]["commit"].clone()
    };
    assert_eq!(commit(&["containers.web.image", "repo"]), first);
    assert_eq!(commit(&["containers.web.ports", "repo"]), second);
    assert!(commit(&["update.health_timeout", "repo"]).is_null(), "it is in no commit yet");
    assert_eq!(commit(&["containers.web.ports", "--repository", "repo"]), second);
    let said = run(dir.path(), ["explain", "hello.dev", "containers.web.port", "repo"]);
    assert!(said.code == 64 && said.err.contains("containers.web.ports"), "{}", said.err);
}

#[test]
fn without_its_revoked_keys_a_node_keeps_what_it_believed_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let config = ["--config", "agent.toml"];
    run(dir.path(), ["agent", "--once"].iter().chain(&config));
    let status = || {
        let said = run(dir.path(), ["status", "-o", "json"].iter().chain(&config));
        (said.code, serde_json::from_str::<serde_json::Value>(&said.out).unwrap())
    };
    let believed = status().1["revision"]["verified"].take();
    assert!(believed.is_string());
    let text = fs::read_to_string(dir.path().join("agent.toml")).unwrap();
    let keys = dir.path().join("revoked");
    let text = format!("{text}[trust]\nrevoked_keys = \"{}\"\n", keys.display());
    fs::write(dir.path().join("agent.toml"), text).unwrap();
    for (content, why) in [(None, "it is not there"), (Some("no key\n"), "revoked")] {
        if let Some(content) = content {
            fs::write(&keys, content).unwrap();
        }
        run(dir.path(), ["agent", "--once"].iter().chain(&config));
        let (code, status) = status();
        assert_eq!((code, &status["revision"]["verified"]), (2, &believed), "{status:#}");
        let mistake = status["configuration"]["mistakes"][0].as_str().unwrap();
        assert!(mistake.contains("nothing newer is believed"), "{mistake}");
        assert!(mistake.contains(why), "{mistake}");
        // What is wanted is known all the same: only the engine is missing.
        assert!(status["services"]["hello"].is_object(), "{status:#}");
    }
    fs::write(&keys, "").unwrap();
    run(dir.path(), ["agent", "--once"].iter().chain(&config));
    assert!(status().1["configuration"].is_null());
}
