//! When, and how often, the agent may mend by itself.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::inotify;
use tidegate::compliance::auto::{FIXES_MAX, NODE_FIXES_MAX, may_mend};
use tidegate::compliance::record::{FixRecord, FixResult, FixedBy};
use tidegate::reconcile::desired::DesiredState;
use tidegate::reconcile::desired::rule::Target;

use crate::compliance::support::{Host, only, rule, rules_of};

fn auto() -> String {
    rule("file", "path = \"/etc/motd\"\ncontent = \"y\"\nfix = \"auto\"")
}

fn may(state: &DesiredState, records: &[FixRecord], now: Timestamp) -> Result<(), String> {
    may_mend(&state.rules[0], "node", state, records, now)
}

/// Fixes that the agent made at such times.
fn mended(host: &Host, times: &[Timestamp]) -> Vec<FixRecord> {
    let changes = only(host.check(&auto())).changes;
    let records = host.records();
    let made = times.iter().map(|at| {
        let begun = records.begin(FixedBy::Agent, "it/a", "node", "prd@x", &changes, *at);
        let mut fixed = begun.unwrap();
        fixed.result = FixResult::Fixed;
        records.save(&fixed).unwrap();
        fixed
    });
    made.collect()
}

#[test]
fn a_rule_about_a_service_is_mended_in_that_services_windows_too() {
    let now: Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
    let mut state = rules_of(&auto());
    let name = state.services.keys().next().unwrap().clone();
    let window = |text: &str| vec![text.parse().unwrap()];
    state.services.get_mut(&name).unwrap().update.windows = window("05:00-06:00 UTC");
    state.windows = window("04:00-05:30 UTC");
    assert!(may(&state, &[], now).unwrap_err().contains("opens 2026-03-01T04:00:00Z"));
    state.rules[0].target = Target::Service(name.clone());
    // All of them have to be open.
    assert!(may(&state, &[], now).unwrap_err().contains("opens 2026-03-01T05:00:00Z"));
    state.windows = Vec::new();
    assert!(may(&state, &[], now).unwrap_err().contains("opens 2026-03-01T05:00:00Z"));
    state.services.get_mut(&name).unwrap().update.windows = window("02:00-06:00 UTC");
    assert_eq!(may(&state, &[], now), Ok(()));
}

#[test]
fn a_clock_that_jumps_neither_blocks_for_long_nor_gives_the_budget_again_and_again() {
    let host = Host::default();
    let state = rules_of(&auto());
    let now: Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
    let ago = |hours| now - SignedDuration::from_hours(hours);
    for (case, ages, allowed) in [
        ("just now", [3, 2, 1], false),
        ("long ago", [75, 50, 24], true),
        ("the clock was an hour ahead", [0, -1, -1], false),
        ("the clock was a year ahead", [-9000, -9000, -9000], true),
        ("before and after a small jump", [2, -2, 0], false),
    ] {
        let records = mended(&host, &ages.map(ago));
        assert_eq!(may(&state, &records, now).is_ok(), allowed, "{case}");
    }
    // A clock that goes there and back gives one budget for each, however often it does.
    let year = SignedDuration::from_hours(9000);
    let there = mended(&host, &[now + year; FIXES_MAX]);
    let both = [there, mended(&host, &[now; FIXES_MAX])].concat();
    assert!(may(&state, &both, now).is_err() && may(&state, &both, now + year).is_err());
}

#[test]
fn an_operators_fixes_of_hundreds_of_rules_give_the_agent_no_new_budget() {
    let host = Host::default().with("/etc/motd", "x");
    let state = rules_of(&auto());
    let now: Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
    let old = mended(&host, &[now - SignedDuration::from_hours(30)]).remove(0);
    let mended = mended(&host, &[now - SignedDuration::from_hours(1); FIXES_MAX]);
    let records = host.records();
    let begin = || records.begin(FixedBy::Operator, "it/b", "node", "prd@x", &[], now).unwrap();
    let folder = host.dir.path().join("state/fixes");
    let one = fs::read_to_string(folder.join(begin().id).join("record.json")).unwrap();
    for n in 0..500 {
        let id = format!("20260301T0300000{n:02}Z-x");
        fs::create_dir(folder.join(&id)).unwrap();
        fs::write(folder.join(id).join("record.json"), &one).unwrap();
    }
    begin();
    begin();
    let all = records.all();
    assert!(may(&state, &all, now).is_err());
    assert!(!all.contains(&old), "what counts no more is not kept for ever");
    assert!(all.len() <= 500 + FIXES_MAX, "{}", all.len());
    // What they replaced is not kept: that is what takes room.
    let gone = records.changes(&mended[0]).unwrap_err().to_string();
    assert!(gone.contains("gone or damaged"), "{gone}");
}

#[test]
fn a_record_that_is_only_counted_is_not_opened_for_each_fix_that_comes_after_it() {
    let host = Host::default().with("/etc/motd", "x");
    let now: Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
    let one = mended(&host, &[now]).remove(0);
    let (records, folder) = (host.records(), host.dir.path().join("state/fixes"));
    let text = fs::read_to_string(folder.join(&one.id).join("record.json")).unwrap();
    for n in 0..600 {
        let id = format!("20260301T030000{n:06}Z-x");
        fs::create_dir(folder.join(&id)).unwrap();
        fs::write(folder.join(&id).join("record.json"), text.replace(&one.id, &id)).unwrap();
    }
    let begin = || records.begin(FixedBy::Agent, "it/b", "node", "prd@x", &[], now).unwrap();
    begin();
    assert_eq!(records.all().len(), 602, "all of them count");
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        inotify::add_watch(&watch, &folder, inotify::WatchFlags::OPEN).unwrap();
        let inner = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(inner.filter(|path| path.is_dir()));
    }
    begin();
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 20];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut n_opened = 0;
    while let Ok(event) = events.next() {
        n_opened += usize::from(event.file_name().is_some_and(|name| name == c"record.json"));
    }
    assert!(n_opened <= 3, "{n_opened}");
}

#[test]
fn a_node_has_a_budget_for_all_its_rules() {
    let host = Host::default();
    let state = rules_of(&auto());
    let now = Timestamp::now();
    let mut other = mended(&host, &[now]).remove(0);
    other.rule = "it/b".to_owned();
    let mut records = vec![other; NODE_FIXES_MAX - 1];
    assert_eq!(may(&state, &records, now), Ok(()));
    records.push(records[0].clone());
    assert!(may(&state, &records, now).unwrap_err().contains("5000 times"));
}
