//! Units of a real Debian's systemd.

use tidegate::clients::host::Program;
use tidegate::compliance::change::Change;
use tidegate::compliance::facts::Wanted;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::program::write_program;

const UNIT: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";

/// Whether a unit is enabled, as systemctl says it.
fn is(host: &Host, name: &str) -> String {
    let root = host.root();
    root.unit_of(&root.units().unwrap().unwrap(), name).unwrap().unwrap()["enabled"].clone()
}

#[test]
fn units_do_all_seven_on_a_real_debian() {
    let host = debian::host();
    all_seven(
        &host,
        &[
            Row {
                kind: "systemd_unit",
                lines: "unit = \"cron.service\"\nenabled = false",
                expected: "cron.service not enabled",
                actual: "cron.service is enabled",
                fix: Fix::Plan(&[
                    "--- unit cron.service",
                    "-enabled = enabled",
                    "+enabled = disabled",
                ]),
            },
            Row {
                kind: "systemd_unit",
                lines: "unit = \"cron.service\"\nmasked = true",
                expected: "cron.service masked",
                actual: "cron.service is not masked",
                fix: Fix::Plan(&["-enabled = enabled", "+enabled = masked"]),
            },
            Row {
                kind: "systemd_unit",
                lines: "unit = \"getty@tty7.service\"\nenabled = true",
                expected: "getty@tty7.service enabled",
                actual: "getty@tty7.service is not enabled",
                fix: Fix::Plan(&["-enabled = disabled", "+enabled = enabled"]),
            },
        ],
    );
}

/// A Debian with services that have a script alone: one starts at boot, the other does not.
pub(super) fn with_scripts() -> Host {
    let host = debian::host();
    for (name, how) in [("tg-old", "defaults"), ("tg-off", "defaults-disabled")] {
        let text = format!(
            "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: {name}\n# Required-Start:\n\
             # Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n"
        );
        write_program(host.path(&format!("/etc/init.d/{name}")), &text);
        let argv = ["update-rc.d", name, how];
        host.root().run_well(Program::changing(&argv)).unwrap();
    }
    host
}

#[test]
fn what_only_has_a_script_of_init_does_all_seven() {
    let host = with_scripts();
    all_seven(
        &host,
        &[
            Row {
                kind: "systemd_unit",
                lines: "unit = \"tg-old.service\"\nenabled = false",
                expected: "tg-old.service not enabled",
                actual: "tg-old.service is enabled",
                fix: Fix::Plan(&["-enabled = enabled", "+enabled = disabled"]),
            },
            Row {
                kind: "systemd_unit",
                lines: "unit = \"tg-off.service\"\nenabled = true",
                expected: "tg-off.service enabled",
                actual: "tg-off.service is not enabled",
                fix: Fix::Plan(&["-enabled = disabled", "+enabled = enabled"]),
            },
        ],
    );
    let facts = host.facts(&Wanted::everything());
    for (name, enabled) in [("tg-old.service", "enabled"), ("tg-off.service", "disabled")] {
        let found = facts.rows("unit").iter().find(|row| row.text("name") == name).unwrap();
        assert_eq!(found.text("enabled"), enabled, "{name}");
    }
}

#[test]
fn what_was_masked_by_hand_is_enabled_and_goes_back_to_masked() {
    let host = debian::host();
    let masked = rule("systemd_unit", "unit = \"cron.service\"\nmasked = true");
    host.fix(&masked).unwrap();
    let wanted = rule("systemd_unit", "unit = \"cron.service\"\nmasked = false\nenabled = true");
    let record = host.fix(&wanted).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(only(host.check(&wanted)).verdict.status, VerdictStatus::Ok);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(only(host.check(&masked)).verdict.status, VerdictStatus::Ok);
}

#[test]
fn a_unit_that_takes_another_along_is_left_alone_and_so_is_the_other() {
    let host = debian::host()
        .with("/lib/systemd/system/a.service", &format!("{UNIT}Also=b.service\n"))
        .with("/lib/systemd/system/b.service", UNIT);
    let is = |name: &str| is(&host, &format!("{name}.service"));
    let wanted = |name: &str, enabled: bool| {
        rule("systemd_unit", &format!("unit = \"{name}.service\"\nenabled = {enabled}"))
    };
    let FixResult::Failed { reason } = host.fix(&wanted("a", true)).unwrap().result else {
        panic!("took the other along")
    };
    assert!(reason.contains("b.service enabled as well, which a.service names"), "{reason}");
    assert_eq!((is("a"), is("b")), ("disabled".into(), "disabled".into()));
    // With the other one as it should be, only what was shown changes; and the way back, which would
    // take the other along, changes neither.
    assert_eq!(host.fix(&wanted("b", true)).unwrap().result, FixResult::Fixed);
    let record = host.fix(&wanted("a", true)).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert!(matches!(host.restore(&record), FixResult::Failed { .. }));
    assert_eq!((is("a"), is("b")), ("enabled".into(), "enabled".into()));
}

#[test]
fn the_first_instance_of_a_template_is_enabled_and_goes_back_and_the_last_one_is_disabled() {
    let host = debian::host().with("/lib/systemd/system/a@.service", UNIT);
    let wanted = |enabled: bool| {
        rule("systemd_unit", &format!("unit = \"a@1.service\"\nenabled = {enabled}"))
    };
    let record = host.fix(&wanted(true)).unwrap();
    assert_eq!(
        (record.result.clone(), is(&host, "a@1.service")),
        (FixResult::Fixed, "enabled".into())
    );
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(is(&host, "a@1.service"), "disabled");
    host.fix(&wanted(true)).unwrap();
    let record = host.fix(&wanted(false)).unwrap();
    assert_eq!(
        (record.result.clone(), is(&host, "a@1.service")),
        (FixResult::Fixed, "disabled".into())
    );
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(is(&host, "a@1.service"), "enabled");
}

#[test]
fn units_that_name_each_other_change_together_as_shown_and_go_back_together() {
    let also = |other: &str| format!("{UNIT}Also={other}.service\n");
    let host = debian::host()
        .with("/lib/systemd/system/a.service", &also("b"))
        .with("/lib/systemd/system/b.service", &also("c"))
        .with("/lib/systemd/system/c.service", &also("a"));
    let all = || ["a", "b", "c"].map(|name| is(&host, &format!("{name}.service")));
    let wanted =
        |enabled: bool| rule("systemd_unit", &format!("unit = \"a.service\"\nenabled = {enabled}"));
    let [on, off] = ["enabled", "disabled"].map(|state| [(); 3].map(|()| state.to_owned()));
    for (enabled, before, after) in [(true, &off, &on), (false, &on, &off)] {
        let changes = only(host.check(&wanted(enabled))).changes;
        let diff: String = changes.iter().map(Change::diff).collect();
        for name in ["a", "b", "c"] {
            assert!(diff.contains(&format!("+++ unit {name}.service\n")), "{diff}");
        }
        let record = host.fix(&wanted(enabled)).unwrap();
        assert_eq!((record.result.clone(), &all()), (FixResult::Fixed, after));
        assert_eq!((host.restore(&record), &all()), (FixResult::Fixed, before));
        host.fix(&wanted(enabled)).unwrap();
    }
}

#[test]
fn unmasking_keeps_what_is_below_the_mask() {
    let host = debian::host();
    host.fix(&rule("systemd_unit", "unit = \"cron.service\"\nmasked = true")).unwrap();
    let record =
        host.fix(&rule("systemd_unit", "unit = \"cron.service\"\nmasked = false")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    let enabled = rule("systemd_unit", "unit = \"cron.service\"\nenabled = true");
    assert_eq!(only(host.check(&enabled)).verdict.status, VerdictStatus::Ok);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    let masked = rule("systemd_unit", "unit = \"cron.service\"\nmasked = true");
    assert_eq!(only(host.check(&masked)).verdict.status, VerdictStatus::Ok);
}

#[test]
fn a_unit_that_cannot_be_enabled_is_masked_again() {
    let unit = "[Service]\nExecStart=/bin/true\n[Install]\nAlias=b.service\n";
    let host = debian::host()
        .with("/lib/systemd/system/a.service", unit)
        .with("/etc/systemd/system/b.service", unit);
    let masked = rule("systemd_unit", "unit = \"a.service\"\nmasked = true");
    host.fix(&masked).unwrap();
    let wanted = rule("systemd_unit", "unit = \"a.service\"\nmasked = false\nenabled = true");
    let record = host.fix(&wanted).unwrap();
    assert!(matches!(record.result, FixResult::Failed { .. }), "{:?}", record.result);
    assert_eq!(only(host.check(&masked)).verdict.status, VerdictStatus::Ok);
}

#[test]
fn what_was_enabled_until_the_next_boot_or_linked_goes_back_to_that_and_nothing_else() {
    let host = debian::host()
        .with("/lib/systemd/system/a.service", UNIT)
        .with("/opt/b.service", UNIT)
        .with("/opt/c.service", UNIT);
    for argv in [
        &["enable", "--runtime", "a.service"][..],
        &["link", "/opt/b.service"],
        &["link", "--runtime", "/opt/c.service"],
    ] {
        let argv = [&["systemctl"], argv].concat();
        host.root().run_well(Program::changing(&argv)).unwrap();
    }
    for (name, was) in [("a", "enabled-runtime"), ("b", "linked"), ("c", "linked-runtime")] {
        let is = || is(&host, &format!("{name}.service"));
        assert_eq!(is(), was);
        let lines = format!("unit = \"{name}.service\"\nenabled = true");
        let record = host.fix(&rule("systemd_unit", &lines)).unwrap();
        assert_eq!((record.result.clone(), is().as_str()), (FixResult::Fixed, "enabled"), "{name}");
        let result = host.restore(&record);
        if name == "c" {
            // No word makes that of it; nor is it said that it was done.
            let FixResult::Failed { reason } = result else { panic!("{}", is()) };
            assert!(reason.contains("unit c.service did not become what"), "{reason}");
            assert_eq!(is(), "enabled");
        } else {
            assert_eq!((result, is().as_str()), (FixResult::Fixed, was), "{name}");
        }
    }
}

#[test]
fn a_unit_whose_file_lies_elsewhere_is_known_also_once_it_is_disabled() {
    let named = format!("{UNIT}Alias=web.service\n");
    let also = format!("{UNIT}Also=b.socket\n");
    let socket = "[Socket]\nListenStream=/run/b\n[Install]\nWantedBy=sockets.target\n";
    let host = debian::host()
        .with("/opt/app/app.service", &named)
        .with("/opt/app/b.service", &also)
        .with("/opt/app/b.socket", socket)
        .with("/opt/app/job@.service", UNIT);
    let systemctl = |words: &[&str]| {
        let argv = [&["systemctl"], words].concat();
        host.root().run(Program::changing(&argv)).unwrap().out().trim().to_owned()
    };
    systemctl(&["enable", "/opt/app/app.service"]);
    systemctl(&["enable", "/opt/app/b.socket", "/opt/app/b.service"]);
    systemctl(&["link", "/opt/app/job@.service"]);
    systemctl(&["enable", "job@1.service"]);
    let is_linked = |link: &str| {
        let to = std::fs::read_link(host.path("/etc/systemd/system").join(link)).unwrap();
        assert_eq!(to, std::path::Path::new("/opt/app").join(link));
    };
    for (name, link) in [("app.service", "app.service"), ("job@1.service", "job@.service")] {
        let wanted = rule("systemd_unit", &format!("unit = \"{name}\"\nenabled = false"));
        let record = host.fix(&wanted).unwrap();
        assert_eq!(record.result, FixResult::Fixed, "{name}");
        assert_ne!(systemctl(&["is-enabled", name]), "enabled");
        is_linked(link);
        assert_eq!(host.restore(&record), FixResult::Fixed, "{name}");
        assert_eq!(systemctl(&["is-enabled", name]), "enabled");
    }
    // What would go along stays, and is known as well.
    let wanted = rule("systemd_unit", "unit = \"b.service\"\nenabled = false");
    let FixResult::Failed { reason } = host.fix(&wanted).unwrap().result else {
        panic!("b.socket changed along")
    };
    assert!(reason.contains("names in `Also=`"), "{reason}");
    for link in ["b.service", "b.socket"] {
        is_linked(link);
        assert_eq!(systemctl(&["is-enabled", link]), "enabled");
    }
    // Its other name was a link that enabling made.
    systemctl(&["disable", "app.service"]);
    assert!(std::fs::symlink_metadata(host.path("/etc/systemd/system/web.service")).is_err());
}

#[test]
fn what_runs_is_not_guessed_where_systemd_does_not_run() {
    let host = debian::host();
    let verdict = only(host.check(&rule("systemd_unit", "unit = \"cron.service\"\nactive = true")));
    assert_eq!(verdict.verdict.status, VerdictStatus::Error);
    assert!(verdict.verdict.reason.unwrap().contains("systemd does not run here"));
    let absent = rule("systemd_unit", "unit = \"nothing.service\"\nenabled = true");
    let verdict = only(host.check(&absent)).verdict;
    assert_eq!(verdict.actual, "there is no nothing.service");
    assert!(!verdict.fixable && verdict.reason.unwrap().contains("install what brings it"));
    let absent = rule("systemd_unit", "unit = \"nothing.service\"\nenabled = false");
    assert_eq!(only(host.check(&absent)).verdict.status, VerdictStatus::Ok);
}

#[test]
fn without_systemd_a_unit_does_not_apply() {
    let host = debian::host();
    std::fs::remove_file(host.path("/bin/systemctl")).unwrap();
    let verdict = only(host.check(&rule("systemd_unit", "unit = \"a.service\"\nenabled = true")));
    assert_eq!(verdict.verdict.status, VerdictStatus::NotApplicable, "{verdict:#?}");
}
