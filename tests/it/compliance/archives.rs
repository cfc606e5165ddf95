//! Archives of a ruleset, unpacked on a real Debian.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use tidegate::compliance::record::FixResult;
use tidegate::model::Digest;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::desired::support::Repo;

/// An archive with a folder, a file, a program and a link.
pub(crate) fn site() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |kind, path: &str, mode, link: Option<&str>, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(33);
        header.set_size(content.len() as u64);
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        builder.append_data(&mut header, path, content).unwrap();
    };
    add(tar::EntryType::Directory, "www", 0o750, None, b"");
    add(tar::EntryType::Regular, "www/index.html", 0o640, None, b"<p>hello\n");
    add(tar::EntryType::Regular, "bin/check", 0o755, None, b"#!/bin/sh\ntrue\n");
    add(tar::EntryType::Symlink, "current", 0o777, Some("www/index.html"), b"");
    builder.into_inner().unwrap()
}

/// A Debian whose rules come with this archive, and the parameters that unpack it.
fn host() -> (Host, String) {
    let mut host = debian::host();
    host.files.insert("site.tar".to_owned(), site());
    (
        host,
        format!(
            "path = \"/etc/site\"\nsource = \"site.tar\"\ndigest = \"{}\"",
            Digest::of(&site())
        ),
    )
}

fn refused(path: &str, archive: &[u8], digest: &str) -> String {
    let lines = format!("path = \"{path}\"\nsource = \"a.tar\"\ndigest = \"{digest}\"");
    let repo = Repo::default().web("").with("rulesets/it.files/a.tar", archive);
    repo.with("rulesets/it.toml", rule("archive", &lines)).findings()
}

#[test]
fn archives_do_all_seven_on_a_real_debian() {
    let (host, lines) = host();
    let of_alice = format!("{lines}\nowner = \"www-data\"\ngroup = \"adm\"").leak();
    all_seven(
        &host,
        &[
            Row {
                kind: "archive",
                lines: lines.clone().leak(),
                expected: "site.tar of sha256:",
                actual: "/etc/site: missing; /etc/site/bin: missing; /etc/site/bin/check: missing",
                fix: Fix::Plan(&[
                    "+++ /etc/site/www/index.html",
                    "+++ /etc/site/bin/check",
                    "+++ /etc/site/current",
                    "+true",
                ]),
            },
            Row {
                kind: "archive",
                lines: of_alice,
                expected: "site.tar of sha256:",
                actual: "/etc/site: missing",
                fix: Fix::Plan(&["+++ /etc/site/www"]),
            },
        ],
    );
    // What is there and otherwise comes back as it was.
    host.fix(&rule("archive", &lines)).unwrap();
    fs::write(host.path("/etc/site/www/index.html"), "canary, by hand\n").unwrap();
    fs::remove_file(host.path("/etc/site/current")).unwrap();
    symlink("bin", host.path("/etc/site/current")).unwrap();
    fs::set_permissions(host.path("/etc/site/bin/check"), fs::Permissions::from_mode(0o700))
        .unwrap();
    fs::write(host.path("/etc/site/of-somebody-else"), "stays\n").unwrap();
    all_seven(
        &host,
        &[Row {
            kind: "archive",
            lines: lines.leak(),
            expected: "site.tar of sha256:",
            actual: "/etc/site/bin/check: mode 0700, not mode 0755; /etc/site/current: a symbolic \
                     link to bin; /etc/site/www/index.html: other content",
            fix: Fix::Plan(&[
                "# a symbolic link to bin → a symbolic link to www/index.html",
                "# the content differs; not everybody may read it, so it is not shown",
            ]),
        }],
    );
    assert_eq!(host.text("/etc/site/of-somebody-else"), "stays\n");
}

#[test]
fn members_have_the_archives_modes_and_owners() {
    let (host, lines) = host();
    assert_eq!(host.fix(&rule("archive", &lines)).unwrap().result, FixResult::Fixed);
    let index = fs::metadata(host.path("/etc/site/www/index.html")).unwrap();
    assert_eq!((index.mode() & 0o7777, index.uid(), index.gid()), (0o640, 0, 33));
    assert_eq!(host.mode("/etc/site/bin"), 0o755, "nobody said anything of it");
}

#[test]
fn what_is_in_the_way_of_a_member_is_not_taken_away_or_written_through() {
    let outside = |host: &Host| {
        fs::create_dir_all(host.path("/srv/elsewhere")).unwrap();
        symlink("/srv/elsewhere", host.path("/etc/site/www")).unwrap();
    };
    let pipe = |host: &Host| {
        let made =
            std::process::Command::new("mkfifo").arg(host.path("/etc/site/current")).status();
        assert!(made.unwrap().success());
    };
    let folder = |host: &Host| {
        fs::create_dir_all(host.path("/etc/site/bin/check")).unwrap();
    };
    for (prepare, reason) in [
        (&outside as &dyn Fn(&Host), "/etc/site/www: a symbolic link is in its place"),
        (&pipe, "/etc/site/current: a device, pipe or socket is in its place"),
        (&folder, "/etc/site/bin/check: a directory is in its place"),
    ] {
        let (host, lines) = host();
        fs::create_dir_all(host.path("/etc/site")).unwrap();
        prepare(&host);
        let checked = only(host.check(&rule("archive", &lines)));
        assert_eq!(checked.verdict.reason.as_deref(), Some(reason));
        assert!(!checked.verdict.fixable && checked.changes.is_empty());
        let left = fs::read_dir(host.path("/srv")).unwrap().flatten();
        assert!(left.flat_map(|e| fs::read_dir(e.path()).unwrap()).next().is_none());
    }
}

#[test]
fn an_archive_is_refused_where_it_is_written() {
    let archive = site();
    let digest = Digest::of(&archive).to_string();
    let other = Digest::of(b"").to_string();
    let bad = b"hello".repeat(300);
    for (path, archive, digest, place, message) in [
        ("/srv/a", &archive, &other, "6:10", "the archive's digest is not sha256:e3b0"),
        ("/etc", &archive, &digest, "4:8", "`/etc` is no directory to unpack an archive into"),
        ("/srv/../a", &archive, &digest, "4:8", "is not an absolute path"),
        (
            "/srv/a",
            &bad,
            &Digest::of(&bad).to_string(),
            "5:10",
            "`a.tar`: it is no whole tar archive",
        ),
    ] {
        let found = refused(path, archive, digest);
        let wanted = format!("Error rulesets/it.toml:{place}: ");
        assert!(found.lines().any(|l| l.starts_with(&wanted) && l.contains(message)), "{found}");
    }
    let (_, lines) = host();
    let climbing =
        format!("{}\nsource = \"../a.tar\"", lines.replace("source = \"site.tar\"\n", ""));
    let repo = Repo::default().web("").with("rulesets/it.toml", rule("archive", &climbing));
    assert!(repo.findings().contains("is not a path below"), "{}", repo.findings());
}
