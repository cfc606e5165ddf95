//! Permission bits: octal however they are written, never a decimal number taken for some.

use crate::desired::support::Repo;

/// A repository with this mode in each place that has one, and where it stands.
fn places(mode: &str) -> [(String, Repo); 4] {
    let rule = |kind: &str| {
        let text =
            format!("[[rules]]\nname = \"a\"\nkind = \"{kind}\"\npath = \"/x\"\nmode = {mode}\n");
        Repo::default().web("").with("rulesets/it.toml", text)
    };
    let tmpfs = format!(
        "volumes = [{{ type = \"tmpfs\", target = \"/x\", tmpfs = {{ size = \"1m\", mode = {mode} }} }}]"
    );
    let config = format!(
        "configs = [{{ source = \"m\", target = \"/x\", mode = {mode} }}]\n[configs.m]\ncontent = \"\""
    );
    [
        ("rulesets/it.toml:5:8".to_owned(), rule("file")),
        ("rulesets/it.toml:5:8".to_owned(), rule("directory")),
        ("services/app1.toml:5:75".to_owned(), Repo::default().web(&tmpfs)),
        ("services/app1.toml:5:50".to_owned(), Repo::default().web(&config)),
    ]
}

#[test]
fn a_mode_that_is_not_written_in_octal_is_refused_with_what_to_write() {
    for (mode, help) in [
        ("644", "write `0o644` or `\"0644\"`"),
        ("1777", "write `0o1777` or `\"1777\"`"),
        ("0", "write `0o0` or `\"0000\"`"),
        ("420", "write `0o420` or `\"0420\"`"),
        ("0x1a4", "not permission bits in octal"),
        ("0b110", "not permission bits in octal"),
        ("999", "write `0o444` or `\"0444\"`"),
        ("-1", "write `0o444` or `\"0444\"`"),
        ("0o17777", "write `0o444` or `\"0444\"`"),
        ("\"rw\"", "write `0o444` or `\"0444\"`"),
        ("\"0o0o644\"", "write `0o444` or `\"0444\"`"),
        ("\"+644\"", "write `0o444` or `\"0444\"`"),
    ] {
        for (at, repo) in places(mode) {
            let found = repo.findings();
            let wanted = format!("Error {at}: ");
            let hit = found.lines().any(|l| l.starts_with(&wanted) && l.contains(help));
            assert!(hit, "{mode} at {at}: wanted {help}, found:\n{found}");
        }
    }
}

#[test]
fn octal_modes_are_taken_as_they_are() {
    for mode in ["0o644", "0o1777", "\"0644\"", "\"644\"", "\"0o644\""] {
        for (at, repo) in places(mode) {
            assert_eq!(repo.findings(), "", "{mode} at {at}");
        }
    }
}

#[test]
fn an_octal_number_is_never_told_as_a_decimal_one() {
    let rule = "[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/x\"\nmode = \"${vars.bits}\"\n";
    let with = |bits: &str| {
        let text = format!("{rule}[vars]\nbits = {bits}\n");
        Repo::default().web("").with("rulesets/it.toml", text).findings()
    };
    assert_eq!(with("\"0640\""), "");
    let found = with("0o640");
    assert!(found.contains("it.toml:7:8: `0o640` would be read as 416"), "{found}");
    let found = Repo::default().web("environment = { UMASK = 0o27 }").findings();
    assert!(found.contains("app1.toml:5:25: `0o27` would be read as 23"), "{found}");
}
