//! `tidegate facts`, as an operator types it.

use std::fs;

use crate::cli::support::{Said, run};
use crate::compliance::cli::{Stage, json};

#[test]
fn facts_of_a_folder_need_no_configuration() {
    let stage = Stage::new("");
    let said = run(stage.dir.path(), ["facts", "--root", "root", "-o", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let document = json(&said);
    assert_eq!(document["schema"], "tidegate.facts/1");
    assert_eq!(document["facts"]["os"], "debian");
    assert!(
        document["facts"]["missing"]["package"].as_str().unwrap().contains("neither dpkg nor rpm")
    );
    let one = run(stage.dir.path(), ["facts", "os", "--root", "root"]);
    assert_eq!(one.out, "FACT   VALUE\nos     debian\n");
    assert_eq!(run(stage.dir.path(), ["facts", "oss", "--root", "root"]).code, 64);
}

fn facts(stage: &Stage, args: &[&str]) -> Said {
    run(stage.dir.path(), ["facts", "--root", "root"].iter().chain(args))
}

#[test]
fn kernel_parameters_are_shown_by_name_and_none_is_told_as_none() {
    let stage = Stage::new("");
    let root = stage.dir.path().join("root");
    for (path, text) in [("vm/swappiness", "60\n"), ("kernel/ostype", "Linux\n")] {
        let at = root.join("proc/sys").join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }
    let asked = facts(&stage, &["sysctl=vm.swappiness", "sysctl=kernel.ostype"]);
    assert_eq!(asked.out, "SYSCTL          VALUE\nkernel.ostype   Linux\nvm.swappiness   60\n");
    let unasked = facts(&stage, &["sysctl"]);
    let says = "(not known: ask for one by its name, `sysctl=vm.swappiness`)";
    assert!(unasked.out.contains(says), "{}", unasked.out);
    assert!(facts(&stage, &[]).out.contains(says));
    let missing = json(&facts(&stage, &["sysctl", "-o", "json"]))["facts"]["missing"].clone();
    assert!(missing["sysctl"].is_string(), "{missing}");
    // The kernel has none such.
    assert_eq!(facts(&stage, &["sysctl=vm.nothing"]).out, "FACT     VALUE\nsysctl   none\n");
    for wrong in ["sysctl=", "sysctl=vm.*", "sysctl=../x", "os=debian"] {
        assert_eq!(facts(&stage, &[wrong]).code, 64, "{wrong}");
    }
}

#[test]
fn a_long_value_is_cut_in_a_table_and_whole_in_json() {
    let stage = Stage::new("");
    let root = stage.dir.path().join("root");
    let long = format!("value-{}", "x".repeat(300));
    fs::create_dir_all(root.join("etc/docker")).unwrap();
    fs::write(root.join("etc/docker/daemon.json"), format!("{{\"a\": \"{long}\"}}")).unwrap();
    let table = facts(&stage, &["engine_setting"]).out;
    assert!(table.lines().all(|line| line.chars().count() < 120), "{table}");
    assert!(table.contains("value-xxx") && table.contains('…'), "{table}");
    let document = facts(&stage, &["engine_setting", "-o", "json"]).out;
    assert!(document.contains(&long), "{document}");
}
