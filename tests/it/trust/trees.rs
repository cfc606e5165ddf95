//! Attacks on trees: entries that are refused, and the caps.

use tidegate::reconcile::trust::Rule;

use crate::trust::history::{By, History};

/// A signed change whose tree also has these entries, as `git mktree` takes them.
fn with_entries(entries: &str) -> History {
    let mut h = History::dev();
    let listing = h.git(&["ls-tree", &h.anchor.to_string()]);
    let tree = h.run("git", &["mktree", "--missing"], format!("{listing}\n{entries}").as_bytes());
    h.tip = h.make(&tree, &[h.anchor], By::Ssh("alice"), "Change");
    h
}

fn blob(h: &History, bytes: &[u8]) -> String {
    h.run("git", &["hash-object", "-w", "--stdin"], bytes)
}

/// A signed change whose tree is these raw bytes in a directory `x`.
fn with_raw_directory(mode: &str, name: &[u8]) -> History {
    let mut h = History::dev();
    let file = blob(&h, b"x");
    let id = hex::decode(&file).unwrap();
    let raw = [mode.as_bytes(), b" ", name, b"\0", &id].concat();
    let args = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
    let directory = h.run("git", &args, &raw);
    let listing = h.git(&["ls-tree", &h.anchor.to_string()]);
    let input = format!("{listing}\n040000 tree {directory}\tx\n");
    let tree = h.run("git", &["mktree"], input.as_bytes());
    h.tip = h.make(&tree, &[h.anchor], By::Ssh("alice"), "Change");
    h
}

#[test]
fn symlink() {
    let mut h = History::dev();
    std::os::unix::fs::symlink("/etc/passwd", h.path("services/link")).unwrap();
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "neither a plain file nor a directory", h.anchor);
}

#[test]
fn submodule() {
    let id = "0123456789abcdef0123456789abcdef01234567";
    let h = with_entries(&format!("160000 commit {id}\tsub\n"));
    h.assert_refused(Rule::Tree, "`sub` is neither", h.anchor);
}

#[test]
fn paths_that_point_elsewhere_or_into_git() {
    for name in ["..", ".", ".git", ".GIT", "a/b", "a\nb", "a\u{7f}b"] {
        let h = with_raw_directory("100644", name.as_bytes());
        h.assert_refused(Rule::Tree, "x/", h.anchor);
    }
}

#[test]
fn paths_that_are_not_utf8() {
    let h = with_raw_directory("100644", b"a\xff");
    h.assert_refused(Rule::Tree, "not UTF-8", h.anchor);
}

#[test]
fn modes_that_git_does_not_write() {
    for mode in ["100664", "0100644", "100600"] {
        let h = with_raw_directory(mode, b"a");
        h.assert_refused(Rule::Tree, "neither a plain file", h.anchor);
    }
}

#[test]
fn case_colliding_paths() {
    let mut h = History::dev();
    h.write("services/APP1.toml", "app = \"app1\"\n");
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "upper and lower case", h.anchor);
    h.go_to(h.anchor);
    h.write("Environments/dev/trust.toml", "");
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "upper and lower case", h.anchor);
}

#[test]
fn a_file_larger_than_its_cap() {
    let mut h = History::dev();
    let file = std::fs::File::create(h.path("services/large")).unwrap();
    file.set_len(16 * 1024 * 1024 + 1).unwrap();
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "16777217 bytes", h.anchor);
}

#[test]
fn a_path_longer_or_deeper_than_its_cap() {
    let mut h = History::dev();
    h.write(&format!("{}/x", vec!["d".repeat(200); 6].join("/")), "");
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "bytes", h.anchor);
    h.go_to(h.anchor);
    h.write(&format!("{}x", "d/".repeat(40)), "");
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "levels", h.anchor);
}

#[test]
fn more_entries_than_the_cap() {
    let h = History::dev();
    let file = blob(&h, b"x");
    // Few objects, many entries: each directory holds the same one below it 400 times.
    let many = |kind: &str, id: &str| {
        let lines: Vec<String> = (0..400).map(|n| format!("{kind} {id}\tn{n:03}\n")).collect();
        h.run("git", &["mktree"], lines.concat().as_bytes())
    };
    let inner = many("100644 blob", &file);
    let outer = many("040000 tree", &inner);
    let mut h = h;
    let listing = h.git(&["ls-tree", &h.anchor.to_string()]);
    let input = format!("{listing}\n040000 tree {outer}\tbomb\n");
    let tree = h.run("git", &["mktree"], input.as_bytes());
    h.tip = h.make(&tree, &[h.anchor], By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Tree, "entries", h.anchor);
}

#[test]
fn a_commit_larger_than_its_cap() {
    let mut h = History::dev();
    let message = format!("Change\n\n{}", "long ".repeat(60_000));
    h.commit(By::Ssh("alice"), &message);
    h.assert_refused(Rule::Headers, "the limit is 262144", h.anchor);
}
