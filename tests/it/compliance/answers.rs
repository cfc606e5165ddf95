//! What `check` and `fix` answer to who asks for something else than everything.

use crate::compliance::cli::{RULES, Stage, json};
use crate::compliance::standing::believed;

#[test]
fn who_may_mend_nothing_is_told_of_every_kind_that_it_takes() {
    let stage = Stage::new("[policy]\nfixes = [\"cron\"]\n");
    let rules = "[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/etc/motd\"\ncontent = \"x\"\n\
                 [[rules]]\nname = \"b\"\nkind = \"symlink\"\npath = \"/etc/mail\"\nto = \"x\"\n";
    stage.commit("rulesets/it/linux.toml", rules);
    let said = stage.run(&["fix", "--yes"]);
    assert_eq!((said.code, stage.motd()), (3, None), "{}", said.err);
    assert!(said.err.contains("[policy] fixes = [\"file\", \"symlink\"]"), "{}", said.err);
}

#[test]
fn a_name_that_nothing_here_has_is_no_good_news() {
    let stage = believed("", &(RULES.to_owned() + "# more\n"));
    assert_eq!(stage.run(&["check", "--keep", "commit"]).code, 2);
    for args in [
        &["check", "--last", "--service", "nope"][..],
        &["check", "--last", "--rule", "nope"],
        &["check", "--history", "--service", "nope"],
        &["check", "--history", "--rule", "nope"],
        &["check", "--rule", "nope"],
        &["fix", "--rule", "nope", "--dry-run"],
    ] {
        let said = stage.run(args);
        assert_eq!(said.code, 64, "{args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains("`nope`"), "{args:?}: {}", said.err);
    }
    for args in [&["check", "--history", "--rule", "it.linux/motd"][..], &["check", "--last"]] {
        let said = stage.run(args);
        assert!(said.out.contains("it.linux/motd"), "{args:?}: {}{}", said.out, said.err);
    }
}

#[test]
fn who_asks_for_a_rule_about_a_file_misses_no_engine() {
    let stage = Stage::new("");
    let said = stage.run(&["check", "--rule", "it.linux/hosts"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let image = stage.run(&["check", "--rule", "*.image"]);
    assert_eq!(image.code, 1, "{}{}", image.out, image.err);
    assert!(image.err.contains("no image was checked"), "{}", image.err);
}

#[test]
fn a_table_of_what_was_found_last_says_since_when() {
    let stage = believed("", &(RULES.to_owned() + "# more\n"));
    assert_eq!(stage.run(&["check", "--keep", "commit"]).code, 2);
    let last = stage.run(&["check", "--last", "--rule", "it.linux/motd"]).out;
    let cells: Vec<&str> = last.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(last.split_whitespace().nth(1), Some("SINCE"), "{last}");
    let since: jiff::Timestamp = cells[2].parse().unwrap();
    assert!(since <= jiff::Timestamp::now(), "{last}");
    assert!(!stage.run(&["check", "--node"]).out.contains("SINCE"));
}

#[test]
fn the_list_of_fixes_says_when_who_and_what_was_taken_back() {
    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    let done = json(&stage.run(&["fix", "--yes", "-o", "json"]));
    let id = done["fixes"][0]["id"].as_str().unwrap().to_owned();
    let row = |stage: &Stage| {
        let list = stage.run(&["fix", "list"]).out;
        list.lines().find(|line| line.starts_with(&id)).unwrap().to_owned()
    };
    let before = row(&stage);
    let cells: Vec<&str> = before.split_whitespace().collect();
    assert!(cells[1].parse::<jiff::Timestamp>().is_ok(), "{before}");
    assert_eq!(cells[2..], ["operator", "it.linux/motd", "node", "fixed", "-"], "{before}");
    assert_eq!(stage.run(&["fix", "restore", &id, "--yes"]).code, 0);
    assert!(row(&stage).contains("  taken back  "), "{}", row(&stage));
}
