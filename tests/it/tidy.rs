//! The structure's rules: flow order, purity, file size.

use std::path::{Path, PathBuf};

/// Modules that decide: no effects, no clients.
const PURE: [&str; 8] = [
    "model",
    "reconcile/trust",
    "reconcile/desired",
    "reconcile/plan",
    "compliance/kind",
    "lint",
    "audit",
    "import",
];

/// What a pure module may not name.
const EFFECTS: [&str; 9] = [
    "async fn",
    "std::fs",
    "std::net::Tcp",
    "std::env",
    "std::process",
    "tokio::",
    "Timestamp::now",
    "SystemTime",
    "Instant::now",
];

const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The modules that `file` declares, in order.
fn declared(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .filter_map(|rest| rest.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// Places in `file` outside its tests that name `needle`.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// Checks that below `dir` each module uses only `prefix` modules declared above it.
fn order_faults(dir: &Path, listing: &Path, prefix: &str) -> Vec<String> {
    let order = declared(listing);
    let mut faults = Vec::new();
    for (at, module) in order.iter().enumerate() {
        let folder = dir.join(module);
        let files =
            if folder.is_dir() { sources(&folder) } else { vec![dir.join(format!("{module}.rs"))] };
        for file in files.iter().filter(|f| !is_test(f)) {
            let text = code(file);
            for later in &order[at + 1..] {
                let path = format!("{prefix}{later}");
                let used = text.match_indices(&path).any(|(i, _)| {
                    !text[i + path.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
                });
                if used {
                    faults.push(format!(
                        "{} uses {path}, which is declared below it",
                        file.display()
                    ));
                }
            }
        }
    }
    faults
}

#[test]
fn a_module_uses_only_those_declared_above_it() {
    let src = root();
    let mut faults = order_faults(&src, &src.join("lib.rs"), "crate::");
    faults.extend(order_faults(
        &src.join("reconcile"),
        &src.join("reconcile/mod.rs"),
        "crate::reconcile::",
    ));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn pure_modules_have_no_effects() {
    let mut faults = Vec::new();
    for module in PURE {
        let dir = root().join(module);
        for file in if dir.is_dir() { sources(&dir) } else { Vec::new() } {
            if is_test(&file) {
                continue;
            }
            let text = code(&file);
            faults.extend(
                EFFECTS
                    .iter()
                    .filter(|e| text.contains(**e))
                    .map(|e| format!("{} names {e}", file.display())),
            );
            let clients = text.lines().filter(|line| line.contains("crate::clients"));
            // The plan speaks of what the engine said, in the client's plain types; it never calls it.
            let calls = clients.filter(|l| {
                ["DockerRead", "DockerWrite", "clients::git", "clients::host", "clients::registry"]
                    .iter()
                    .any(|c| l.contains(c))
            });
            faults.extend(calls.map(|line| format!("{} has `{line}`", file.display())));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn imports_are_absolute_and_one_by_one() {
    let faults: Vec<String> = sources(&root())
        .iter()
        .filter(|file| {
            let text = code(file);
            text.contains("super::") || text.contains("use crate::{")
        })
        .map(|file| file.display().to_string())
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn files_stay_short_and_say_what_they_are() {
    let mut faults = Vec::new();
    for file in sources(&root()) {
        let text = std::fs::read_to_string(&file).unwrap();
        if text.lines().count() > LINES_MAX {
            faults.push(format!("{} has more than {LINES_MAX} lines", file.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{} has no `//!`", file.display()));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn outside_systems_are_named_only_by_their_client() {
    let mut faults = Vec::new();
    for file in sources(&root()) {
        let inside = |dir: &str| file.starts_with(root().join(dir));
        let text = code(&file);
        for (system, home) in
            [("git2::", "clients/git"), ("hyper::", "clients"), ("hyper_tls::", "clients/registry")]
        {
            if text.contains(system) && !inside(home) {
                faults.push(format!("{} names {system}", file.display()));
            }
        }
        let may = ["reconcile/trust", "lint", "cli", "agent", "demo"].iter().any(|dir| inside(dir));
        if text.contains("unverified_own_work_tree") && !may {
            faults.push(format!("{} builds a Verified without a verdict", file.display()));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_test_that_the_faults_page_names_exists() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(manifest.join("docs/faults.md")).unwrap();
    let files = sources(&root()).into_iter().chain(sources(&manifest.join("tests")));
    let code: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 40, "{}", named.len());
    let missing: Vec<&&str> =
        named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names in a mangled path, each after its length: `8tidegate3cli` is `tidegate::cli`.
fn mangled(mut text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some(letters) = text.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0) {
        let length: usize = text[..letters].parse().unwrap();
        let Some(name) = text.get(letters..letters + length) else { break };
        names.push(name);
        text = &text[letters + length..];
    }
    names
}

#[test]
fn every_module_that_the_order_of_the_program_names_exists() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/seldom.ld");
    let script = std::fs::read_to_string(script).unwrap();
    let (_, seldom) = script.split_once(".text_seldom").unwrap();
    let paths = seldom.match_indices("8tidegate").map(|(at, _)| mangled(&seldom[at..]));
    let modules: Vec<PathBuf> = paths.map(|names| names[1..].iter().collect()).collect();
    assert!(modules.len() > 10, "{modules:?}");
    let missing = modules.iter().filter(|module| {
        let at = root().join(module);
        !at.is_dir() && !at.with_extension("rs").is_file()
    });
    let missing: Vec<&PathBuf> = missing.collect();
    assert!(missing.is_empty(), "{missing:?}");
}
