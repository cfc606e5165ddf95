//! What a rule can never do, whatever is written into it. What planted links can do, and secrets in
//! diffs, are in `hostile`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::PathState;
use tidegate::model::host_path::kept_paths;
use tidegate::reconcile::desired::rule::RuleKind;
use tidegate::telemetry::Chain;

use crate::compliance::support::{Host, only, rule, rules_of};
use crate::desired::support::Repo;

fn findings(rule: &str) -> String {
    Repo::default().web("").with("rulesets/it.toml", rule).findings()
}

#[test]
fn a_path_that_climbs_is_a_mistake_of_the_revision() {
    for (kind, key, more) in [
        ("file", "path", ""),
        ("file_line", "path", "line = \"x\""),
        ("file_absent", "path", ""),
        ("directory", "path", ""),
        ("symlink", "path", "to = \"x\""),
        ("key_value", "path", "format = \"json\"\nkey = \"a\"\nvalue = 1"),
        ("daemon_config", "path", "key = \"a\"\nvalue = 1"),
    ] {
        for path in ["/etc/../root/x", "/srv/./x", "//etc/x", "etc/x", "/etc/x\\u0000", ""] {
            let found = findings(&rule(kind, &format!("{key} = \"{path}\"\n{more}")));
            assert!(found.contains("rulesets/it.toml:4:"), "{kind} {path}\n{found}");
            assert!(found.contains("is not an absolute path"), "{kind} {path}\n{found}");
        }
    }
    for key in ["source", "template"] {
        for path in ["../secrets/x", "/etc/shadow", "a/../../x", "./x", ""] {
            let found = findings(&rule("file", &format!("path = \"/x\"\n{key} = \"{path}\"")));
            assert!(found.contains("is not a path below"), "{key} {path}\n{found}");
        }
    }
    let found = findings(&rule("sysctl", "key = \"vm.../../x\"\nvalue = 1"));
    assert!(found.contains("is no kernel parameter"), "{found}");
}

#[test]
fn a_folder_that_is_swapped_for_a_link_leads_nowhere_out_of_the_root() {
    let host = Host::default().with("/srv/app1/data/x", "old").with("/srv/app1/y", "");
    for folder in ["/srv", "/srv/app1", "/srv/app1/data"] {
        fs::set_permissions(host.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let outside = host.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "theirs").unwrap();
    let (data, link) = (host.path("/srv/app1/data"), host.path("/srv/app1/link"));
    symlink("../../../outside", &link).unwrap();
    let over = AtomicBool::new(false);
    let swap = || {
        while !over.load(Ordering::Relaxed) {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            let here = rustix::fs::CWD;
            rustix::fs::renameat_with(here, &data, here, &link, flags).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(swap);
        for round in 0..200 {
            let lines = format!("path = \"/srv/app1/data/x\"\ncontent = \"{round}\"");
            let checked = only(host.check(&rule("file", &lines)));
            if checked.verdict.fixable {
                let _fixed_or_refused = host.fix(&rule("file", &lines));
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["x"]);
    assert_eq!(fs::read_to_string(outside.join("x")).unwrap(), "theirs");
}

#[test]
fn a_pattern_never_removes() {
    for path in ["/etc/*.conf", "/etc/?.conf", "/etc/[ab].conf", "/*"] {
        let found = findings(&rule("file_absent", &format!("path = \"{path}\"")));
        assert!(found.contains("patterns never remove"), "{path}\n{found}");
    }
    // What is no pattern here is a name, whatever a shell would make of it.
    let host = Host::default().with("/etc/a.conf", "a").with("/etc/b.conf", "b");
    let braces = rule("file_absent", "path = \"/etc/{a,b}.conf\"");
    assert_eq!(only(host.check(&braces)).verdict.status, VerdictStatus::Ok);
    let host = host.with("/etc/{a,b}.conf", "its own name");
    assert!(host.fix(&braces).is_ok() && !host.path("/etc/{a,b}.conf").exists());
    assert_eq!(host.text("/etc/a.conf") + &host.text("/etc/b.conf"), "ab");
}

#[test]
fn what_a_host_cannot_do_without_is_never_removed_or_replaced() {
    for path in kept_paths() {
        let found = findings(&rule("file_absent", &format!("path = \"{path}\"")));
        assert!(found.contains("is never removed"), "{path}\n{found}");
    }
    let host = Host::default();
    for path in ["/etc", "/usr", "/var/lib"] {
        fs::create_dir_all(host.path(path)).unwrap();
        for (kind, more) in [("file", "content = \"x\""), ("symlink", "to = \"x\"")] {
            let lines = format!("path = \"{path}\"\n{more}");
            // Refused by the revision, or found and left.
            if findings(&rule(kind, &lines)).contains("Error") {
                continue;
            }
            let checked = only(host.check(&rule(kind, &lines)));
            assert!(!checked.verdict.fixable && checked.changes.is_empty(), "{kind} {path}");
        }
        assert!(host.path(path).is_dir());
    }
    // On a host whose /bin is a link, and where neither kind of rule would be wanted any other way.
    symlink("usr/bin", host.path("/bin")).unwrap();
    let before = PathState::Symlink { to: "usr/bin".to_owned() };
    for after in [PathState::Symlink { to: "opt".to_owned() }, PathState::Absent] {
        let bin = "/bin".parse().unwrap();
        let refused = host.root().put(&bin, &before, &after, None).unwrap_err();
        assert!(Chain(&refused).to_string().contains("never removed or replaced"), "{refused:?}");
    }
    for (kind, more) in [("file", "content = \"x\""), ("symlink", "to = \"x\"")] {
        let found = findings(&rule(kind, &format!("path = \"/bin\"\n{more}")));
        assert!(found.contains("`/bin` is never replaced"), "{found}");
    }
}

#[test]
fn a_template_does_nothing_but_substitute_and_only_once() {
    let text = "$$(touch /tmp/x) `id` {{ 1 + 1 }} <% x %> %h ${vars.nested} $${vars.nested}\n";
    let rules = rule("file", "path = \"/x\"\ntemplate = \"t\"");
    let repo = Repo::default()
        .web("")
        .with("rulesets/it.toml", format!("[vars]\nnested = \"$${{node.name}}\"\n{rules}"))
        .with("rulesets/it.files/t", text);
    let state = repo.state();
    let RuleKind::File(file) = &state.rules[0].kind else { panic!("{state:?}") };
    let content = file.content.as_ref().map(|content| String::from_utf8_lossy(&content.0));
    let wanted = "$(touch /tmp/x) `id` {{ 1 + 1 }} <% x %> %h ${node.name} ${vars.nested}\n";
    assert_eq!(content.as_deref(), Some(wanted));
    for unknown in ["${env.HOME}", "${file:/etc/passwd}", "${vars.nothing}", "${secrets.x}"] {
        let bad = repo.clone().with("rulesets/it.files/t", unknown);
        assert!(bad.findings().contains("Error"), "{unknown}\n{}", bad.findings());
    }
}

#[test]
fn a_rule_is_about_its_own_parameters_alone() {
    let (host, state) =
        (Host::default(), rules_of(&rule("file", "path = \"/etc/x\"\ncontent = \"x\"")));
    let checked = only(host.check_state(&state));
    let said = format!("{:?}", checked.changes);
    assert_eq!(said.matches("path: HostPath").count(), 1, "{said}");
}

#[test]
fn lint_reads_rules_that_no_node_is_shown() {
    let rules = "[match]\nlabels = { zone = \"dmz\" }\n\
                 [[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"x\"\n\
                 [[rules]]\nname = \"b\"\nkind = \"cron\"\nfile = \"a.b\"\nstate = \"absent\"\n\
                 [[rules]]\nname = \"c\"\nkind = \"sysctl\"\nkey = \"${vars.key}\"\nvalue = \"1\"\n";
    let repo = Repo::default().web("").with("rulesets/it.toml", rules);
    assert_eq!(repo.findings(), "", "a node that is not shown them goes by the rest");
    let said = repo.lint();
    for place in ["rulesets/it.toml:6:8: `x`", "rulesets/it.toml:10:8: `a.b`"] {
        assert!(said.contains(place), "{said}");
    }
    assert!(!said.contains("vars.key"), "{said}");
}
