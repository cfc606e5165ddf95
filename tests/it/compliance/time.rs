//! Time zone and time services of a real Debian.

use std::fs;

use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{only, rule};

const SERVICE: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";

#[test]
fn time_does_all_seven_on_a_real_debian() {
    let host = debian::host().with("/lib/systemd/system/chrony.service", SERVICE);
    all_seven(
        &host,
        &[
            Row {
                kind: "time",
                lines: "zone = \"Europe/Paris\"",
                expected: "time zone Europe/Paris",
                actual: "time zone Etc/UTC",
                fix: Fix::Plan(&["+++ /etc/localtime"]),
            },
            Row {
                kind: "time",
                lines: "zone = \"Europe/Paris\"\nntp = true",
                expected: "time zone Europe/Paris, a time service",
                actual: "time zone Etc/UTC",
                fix: Fix::Plan(&[
                    "+++ /etc/localtime",
                    "--- unit chrony.service",
                    "+enabled = enabled",
                ]),
            },
        ],
    );
    host.fix(&rule("time", "ntp = true")).unwrap();
    all_seven(
        &host,
        &[Row {
            kind: "time",
            lines: "ntp = false",
            expected: "no time service",
            actual: "chrony.service is enabled",
            fix: Fix::Plan(&["-enabled = enabled", "+enabled = disabled"]),
        }],
    );
}

#[test]
fn a_time_service_with_an_alias_is_turned_off_once() {
    let service = format!("{SERVICE}Alias=chronyd.service\n");
    let host = debian::host().with("/lib/systemd/system/chrony.service", &service);
    assert_eq!(host.fix(&rule("time", "ntp = true")).unwrap().result, FixResult::Fixed);
    let off = rule("time", "ntp = false");
    assert_eq!(only(host.check(&off)).verdict.actual, "chrony.service is enabled");
    let record = host.fix(&off).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(only(host.check(&off)).verdict.actual, "chrony.service is enabled");
}

#[test]
fn a_zone_that_the_host_lacks_and_a_clock_that_nothing_keeps_say_what_to_install() {
    let host = debian::host();
    let verdict = only(host.check(&rule("time", "ntp = true"))).verdict;
    assert_eq!(verdict.actual, "no time service is enabled");
    assert!(verdict.reason.unwrap().contains("install chrony or systemd-timesyncd"));
    let _gone = fs::remove_dir_all(host.path("/usr/share/zoneinfo/Europe"));
    let verdict = only(host.check(&rule("time", "zone = \"Europe/Paris\""))).verdict;
    assert_eq!(verdict.status, VerdictStatus::NotOk);
    assert!(verdict.reason.unwrap().contains("package tzdata brings it"));
}
