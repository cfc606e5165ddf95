//! What a node's configuration may say.

use crate::config::{ConfigError, RemoteUrl, Requirement, Settings};

const SMALL: &str = r#"
node = "n1"
environment = "prd"
[repository]
url = "/srv/config.git"
id = "acme-config"
anchor = "0123456789abcdef0123456789abcdef01234567"
"#;

fn read(texts: &[&str]) -> Result<Settings, ConfigError> {
    let named = texts.iter().enumerate().map(|(n, text)| (format!("{n}.toml"), (*text).to_owned()));
    Settings::from_texts(named.collect())
}

fn errors(text: &str) -> String {
    read(&[text]).unwrap_err().to_string()
}

#[test]
fn five_lines_are_enough() {
    let settings = read(&[SMALL]).unwrap();
    assert_eq!(settings.repository.remote.branch.as_str(), "prd");
    assert_eq!(settings.repository.interval.as_secs(), 60);
    assert_eq!(settings.host.package_time_max.as_secs(), 300);
    assert_eq!(settings.keys.node.to_str(), Some("/var/lib/tidegate/node.key"));
    assert_eq!(settings.trust.require, Requirement::Signed);
    assert_eq!(settings.images.keep, 2);
    assert!(settings.policy.bind_mounts.is_empty());
}

#[test]
fn a_drop_in_wins_key_by_key() {
    let drop_in = "[repository]\ninterval = \"5s\"\n[host]\npackage_timeout = \"15m\"\n\
                   [policy]\nprivileged = [\"app1\"]\n";
    let settings = read(&[SMALL, drop_in]).unwrap();
    assert_eq!(settings.repository.interval.as_secs(), 5);
    assert_eq!(settings.host.package_time_max.as_secs(), 900);
    assert_eq!(settings.repository.id.as_str(), "acme-config");
    assert_eq!(settings.policy.privileged.len(), 1);
}

#[test]
fn every_mistake_is_named_with_its_place_at_once() {
    let text = "nod = \"n1\"\nenvironment = \"prd\"\ninterval = 5\n[repository]\nurl = 5\nid = \"acme\"\nanchor = \"12\"\n[images]\nkeep = 0\n";
    insta::assert_snapshot!(errors(text), @r#"
    0.toml: `node` is missing; name this node, as in `node = "n1"`
    0.toml:1:1: unknown key `nod`; did you mean `node`?
    0.toml:3:1: unknown key `interval`; the keys here are collector, engine, environment, host, hub, images, keys, listen, node, policy, repository, scope, sources, state_dir, trust
    0.toml:5:7: `repository.url` is an integer, not a string
    0.toml:7:10: `12` is not a commit id: write all 40 lower-case hex digits
    0.toml:9:8: `images.keep` is not a number from 1 to 100
    "#);
}

#[test]
fn it_refuses_to_start_without_a_root_of_trust() {
    let text = SMALL.replace("anchor", "#");
    assert!(errors(&text).contains("`repository.anchor` is missing; write the id of"));
    let loud = format!("{text}\n[trust]\nrequire = \"none\"\n");
    assert_eq!(read(&[&loud]).unwrap().trust.require, Requirement::None);
}

#[test]
fn what_comes_later_is_refused_by_name() {
    for (more, name) in [
        ("[collector]\nurl = \"https://c\"", "collector"),
        ("[keys]\nsecrets = \"/etc/s\"", "keys.secrets"),
    ] {
        let text = errors(&format!("{SMALL}{more}\n"));
        assert!(text.contains(&format!("`{name}` is not supported in this version")), "{text}");
    }
}

#[test]
fn nothing_listens_unless_an_address_and_a_port_say_where() {
    assert_eq!(read(&[SMALL]).unwrap().metrics, None);
    for good in ["127.0.0.1:9469", "[::1]:9469", "0.0.0.0:9469"] {
        let settings = read(&[&format!("{SMALL}[listen]\nmetrics = \"{good}\"\n")]).unwrap();
        assert_eq!(settings.metrics.unwrap().to_string(), good);
    }
    for bad in ["9469", ":9469", "localhost:9469", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000"] {
        let text = errors(&format!("{SMALL}[listen]\nmetrics = \"{bad}\"\n"));
        assert!(text.contains("is no address and port: write for example"), "{text}");
    }
    let text = errors(&format!("{SMALL}[listen]\nmetric = \"127.0.0.1:9469\"\n"));
    assert!(text.contains("did you mean `listen.metrics`?"), "{text}");
}

#[test]
fn an_environment_below_may_lie_in_a_repository_of_its_own() {
    let text = format!("{SMALL}[sources.tst]\nurl = \"https://c/tst.git\"\nca = \"/etc/ca.pem\"\n");
    let sources = read(&[&text]).unwrap().sources;
    let remote = &sources["tst"];
    assert_eq!(
        (remote.url.to_string(), remote.branch.to_string()),
        ("https://c/tst.git".into(), "tst".into())
    );
    for (more, words) in [
        (
            "[sources.tst]\nurl = \"https://c/x\"\nanchor = \"1\"",
            "unknown key `sources.tst.anchor`",
        ),
        ("[sources.tst]\nbranch = \"x\"", "`sources.tst.url` is missing"),
        ("[sources]\ntst = \"https://c/x\"", "`sources.tst` is a string, not a table"),
        ("[sources.\"A B\"]\nurl = \"https://c/x\"", "A B"),
    ] {
        let text = errors(&format!("{SMALL}{more}\n"));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_text_that_is_not_toml_is_one_error_with_its_place() {
    assert!(errors("node = \n").starts_with("0.toml:1:"));
    assert_eq!(errors("node = 'a'\nnode = 'b'\n").lines().count(), 1);
}

#[test]
fn an_address_never_holds_a_password() {
    for bad in [
        "https://user:canary@host/x",
        "ssh://git:canary@host/x",
        "http://host/x",
        "git@host:x",
        "ftp://h/x",
        "https://host",
        "file://host/x",
        "ssh://-oProxyCommand=x/y",
        "./x",
        "",
    ] {
        let error = bad.parse::<RemoteUrl>().unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn a_host_is_named_as_known_hosts_names_it() {
    for (url, name) in [
        ("ssh://git@host/x", "host"),
        ("ssh://git@host:22/x", "host"),
        ("ssh://host:2222/x", "[host]:2222"),
        ("ssh://git@[::1]:2222/x", "[::1]:2222"),
    ] {
        let Ok(RemoteUrl::Ssh { host, .. }) = url.parse() else { unreachable!("{url}") };
        assert_eq!(host, name, "{url}");
    }
}

#[test]
fn ssh_needs_a_host_key_and_an_identity() {
    let text = SMALL.replace("/srv/config.git", "ssh://git@host/config.git");
    let text = errors(&text);
    assert!(text.contains("`repository.known_hosts` is missing"), "{text}");
    assert!(text.contains("`repository.identity` is missing"), "{text}");
    let text = errors(&format!("{SMALL}identity = \"/k\"\n"));
    assert!(text.contains("`repository.identity` has no meaning for this url"), "{text}");
}

#[test]
fn the_policy_is_closed_until_it_is_opened_by_name() {
    let more = "[policy]\nbind_mounts = [\"/srv/app1/\"]\n[policy.cap_add]\napp1 = [\"CAP_NET_ADMIN\"]\n\"*\" = [\"CHOWN\"]\n";
    let policy = read(&[&format!("{SMALL}{more}")]).unwrap().policy;
    assert_eq!(policy.bind_mounts, ["/srv/app1"]);
    assert!(policy.capabilities["app1"].contains("NET_ADMIN"));
    assert!(policy.capabilities["*"].contains("CHOWN"));
    for bad in ["bind_mounts = [\"/srv/..\"]", "privileged = [\"A B\"]", "privileged = \"app1\""] {
        assert!(read(&[&format!("{SMALL}[policy]\n{bad}\n")]).is_err(), "{bad}");
    }
}

#[test]
fn the_documented_example_parses() {
    let manual = include_str!("../../docs/agent-toml.md");
    let example = manual.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    read(&[example.unwrap()]).unwrap();
    for key in ["scope", "branch", "proxy", "host_namespaces", "cap_add", "docker_socket", "ca"] {
        assert!(manual.contains(&format!("`{key}`")), "{key}");
    }
}
