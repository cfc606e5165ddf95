//! Files that no person wrote (FAULTS 42).

use crate::desired::support::Repo;

fn found(bytes: impl AsRef<[u8]>) -> String {
    Repo::default().with("services/x.toml", bytes).findings()
}

#[test]
fn a_byte_order_mark_is_refused() {
    assert!(found("\u{feff}app = \"app1\"").contains("x.toml:1:1: the file begins with a byte"));
}

#[test]
fn a_nul_byte_is_refused() {
    assert!(found("app = \"a\0\"").contains("x.toml:1:9: the file contains a NUL byte"));
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    assert!(found(b"app = \"\xff\"").contains("x.toml:1:8: the file is not UTF-8"));
}

#[test]
fn a_huge_file_is_refused() {
    let text = "#".repeat(300 * 1024);
    assert!(found(&text).contains("x.toml: the file has 307200 bytes; the limit is 262144"));
}

#[test]
fn a_deep_file_is_refused_before_it_is_parsed() {
    for deep in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(60_000)),
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("[a{}]", ".a".repeat(100_000)),
    ] {
        let found = found(&deep);
        assert!(found.contains("nested deeper than 24 levels"), "{found}");
    }
}

#[test]
fn variables_cannot_grow_without_bound() {
    let var = |n: usize| {
        let ten = format!("${{vars.a{}}}", n - 1).repeat(10);
        format!("a{n} = \"{ten}\"\n")
    };
    let vars = format!("[vars]\na0 = \"xxxxxxxxxx\"\n{}", (1..8).map(var).collect::<String>());
    let repo = Repo::default().web("user = \"${vars.a7}\"").with("rulesets/a.toml", vars);
    assert!(repo.findings().contains("longer than 262144 bytes"), "{}", repo.findings());
}

#[test]
fn variables_that_stay_empty_cannot_multiply_either() {
    let many = |name: &str| format!("${{vars.{name}}}").repeat(2000);
    let vars = format!(
        "[vars]\na = \"\"\nb = \"{}\"\nc = \"{}\"\nd = \"{}\"\n",
        many("a"),
        many("b"),
        many("c")
    );
    let lines = "user = \"${vars.d}\"\nhostname = \"${vars.d}\"";
    let repo = Repo::default().web(lines).with("rulesets/a.toml", vars);
    let found = repo.findings();
    assert!(found.contains("rulesets/a.toml:3:"), "{found}");
    assert_eq!(found.matches("more than 100000 substitutions").count(), 1, "{found}");
}

#[test]
fn a_long_variable_cannot_be_named_without_end() {
    let long = format!("[vars]\na = \"{}\"\n", "x".repeat(100_000));
    let names: Vec<String> = (0..200).map(|n| format!("A{n} = \"${{vars.a}}\"")).collect();
    let names = names.join("\n");
    let lines = format!("[containers.web.environment]\n{names}");
    let found = Repo::default().web(&lines).with("rulesets/a.toml", long).findings();
    assert_eq!(found.matches("16777216 bytes").count(), 1, "{found}");
}

#[test]
fn other_environments_are_never_read() {
    let repo = Repo::default().web("").with("environments/tst/environment.toml", "broken");
    assert_eq!(repo.findings(), "");
}
