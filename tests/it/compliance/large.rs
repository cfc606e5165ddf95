//! Files that are too large to be read, and rules that need not read them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::support::{Host, only, rule};

fn host() -> Host {
    let host = Host::default().with("/etc/core", "");
    fs::write(host.path("/etc/core"), vec![b'x'; (4 << 20) + 1]).unwrap();
    fs::set_permissions(host.path("/etc/core"), fs::Permissions::from_mode(0o644)).unwrap();
    host
}

#[test]
fn mode_and_owner_of_a_large_file_are_seen_mended_and_brought_back() {
    let host = host();
    let lines = rule("file", "path = \"/etc/core\"\nmode = \"0600\"");
    assert_eq!(only(host.check(&lines)).verdict.status, VerdictStatus::NotOk);
    let record = host.fix(&lines).unwrap();
    assert_eq!((record.result.clone(), host.mode("/etc/core")), (FixResult::Fixed, 0o600));
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(host.mode("/etc/core"), 0o644);
}

#[test]
fn a_large_file_that_should_not_be_there_is_no_error_and_is_not_removed_without_a_backup() {
    let host = host();
    for (kind, lines) in
        [("file_absent", "path = \"/etc/core\""), ("file", "path = \"/etc/core\"\ncontent = \"x\"")]
    {
        let checked = only(host.check(&rule(kind, lines)));
        assert_eq!(checked.verdict.status, VerdictStatus::NotOk, "{kind}");
        assert!(checked.changes.is_empty() && !checked.verdict.fixable, "{kind}");
        let reason = checked.verdict.reason.unwrap();
        assert!(reason.contains("larger than 4 MiB and could not be brought back"), "{reason}");
    }
    for (kind, lines) in
        [("directory", "path = \"/etc/core\""), ("symlink", "path = \"/etc/core\"\nto = \"x\"")]
    {
        let verdict = only(host.check(&rule(kind, lines))).verdict;
        assert_eq!(verdict.reason.as_deref(), Some("a file is in its place"), "{kind}");
    }
    let line = rule("file_line", "path = \"/etc/core\"\nline = \"x\"");
    let verdict = only(host.check(&line)).verdict;
    assert_eq!(verdict.reason.as_deref(), Some("/etc/core is larger than 4 MiB"));
}
