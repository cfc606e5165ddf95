//! Units of a real Debian's systemd.

use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{only, rule};

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
