//! What an archive may hold, and what it may not.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::model::archive::{Member, contents, members};
use crate::model::{Digest, Permissions};

/// One member: type, path, what a link says, content.
type One<'a> = (EntryType, &'a str, &'a str, &'a [u8]);

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const FOLDER: EntryType = EntryType::Directory;

/// An archive with these members, whatever they are called: no library would write some of them.
fn tar(all: &[One<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, link, content) in all {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_uid(1000);
        header.set_gid(4);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
    packing.write_all(plain).unwrap();
    packing.finish().unwrap()
}

fn said(packed: &[u8]) -> String {
    members(packed).map_or_else(|error| error.to_string(), |all| format!("{all:?}"))
}

#[test]
fn an_archive_is_its_members_and_the_folders_on_the_way_packed_or_not() {
    let plain = tar(&[
        (EntryType::XGlobalHeader, "pax_global_header", "", b"52 comment=x\n"),
        (FOLDER, "./", "", b""),
        (FILE, "./a/b/c", "", b"hello\n"),
        (LINK, "./a/up", "../a/b", b""),
        (FOLDER, "d/", "", b""),
    ]);
    for packed in [&plain, &gzip(&plain)] {
        let all = members(packed).unwrap();
        let paths: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(paths, ["", "a", "a/b", "a/b/c", "a/up", "d"]);
        let owned = Permissions { mode: 0o640, uid: 1000, gid: 4 };
        assert_eq!(all[""], Member::Directory { owned: Some(owned) });
        assert_eq!(all["a/b"], Member::Directory { owned: None });
        assert_eq!(all["a/b/c"], Member::File { digest: Digest::of(b"hello\n"), owned });
        assert_eq!(all["a/up"], Member::Symlink { to: "../a/b".to_owned() });
        let found = contents(packed, |path| path == "a/b/c").unwrap();
        assert_eq!(
            found.into_iter().map(|(p, c)| (p, c.to_vec())).collect::<Vec<_>>(),
            [("a/b/c".to_owned(), b"hello\n".to_vec())]
        );
    }
}

#[test]
fn a_member_that_leaves_its_folder_is_refused() {
    for (all, reason) in [
        (
            &[(FILE, "/etc/passwd", "", &b"x"[..])][..],
            "`/etc/passwd` is refused: its path is absolute",
        ),
        (&[(FILE, ".//etc/passwd", "", b"x")], "its path is absolute"),
        (&[(FILE, "../x", "", b"x")], "its path has a `..`"),
        (&[(FILE, "a/../../x", "", b"x")], "its path has a `..`"),
        (&[(FILE, "a//x", "", b"x")], "its path has a `..`, `.` or `//`"),
        (&[(FOLDER, "..", "", b"")], "its path has a `..`"),
        (&[(FILE, ".", "", b"x")], "it would replace the folder itself"),
        (&[(LINK, "./", "x", b"")], "it would replace the folder itself"),
        (&[(FILE, "a\nb", "", b"x")], "control characters"),
        (&[(LINK, "a", "/etc", b"")], "its link leads out of the archive"),
        (&[(LINK, "a", "..", b"")], "its link leads out of the archive"),
        (&[(LINK, "a/b", "../../x", b"")], "its link leads out of the archive"),
        // Through a link that leads up, another would come out.
        (&[(LINK, "a/b", "x/..", b"")], "its link leads out of the archive"),
        (&[(LINK, "a", "b", b""), (FILE, "a/x", "", b"x")], "what it lies in is no directory"),
        (&[(FILE, "a/x", "", b"x"), (LINK, "a", "b", b"")], "what it lies in is no directory"),
        (&[(FILE, "a", "", b"x"), (LINK, "./a", "b", b"")], "`a` is refused: it stands twice"),
    ] {
        let found = said(&tar(all));
        assert!(found.contains(reason), "{all:?}\n{found}");
    }
}

#[test]
fn devices_pipes_and_hard_links_are_refused() {
    for (kind, reason) in [
        (EntryType::Link, "it is a hard link"),
        (EntryType::Char, "neither file, directory nor symbolic link"),
        (EntryType::Block, "neither file, directory nor symbolic link"),
        (EntryType::Fifo, "neither file, directory nor symbolic link"),
        (EntryType::new(b'V'), "neither file, directory nor symbolic link"),
    ] {
        let found = said(&tar(&[(kind, "a", "b", b"")]));
        assert!(found.contains(reason), "{kind:?}\n{found}");
    }
}

#[test]
fn a_bomb_ends_at_the_limits() {
    let zeroes = vec![0; 17 << 20];
    assert!(said(&gzip(&zeroes)).contains("more than 16777216 bytes"));
    let large = tar(&[(FILE, "a", "", &zeroes[..5 << 20])]);
    assert!(said(&large).contains("more than 4194304 bytes in `a`"));
    let names: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let many: Vec<One<'_>> = names.iter().map(|name| (FILE, name.as_str(), "", &b""[..])).collect();
    assert!(said(&gzip(&tar(&many))).contains("more than 1000 members"));
    let deep: Vec<String> = (0..40).map(|n| format!("{n}/{}x", "d/".repeat(40))).collect();
    let deep: Vec<One<'_>> = deep.iter().map(|name| (FILE, name.as_str(), "", &b""[..])).collect();
    assert!(said(&gzip(&tar(&deep))).contains("more than 1000 members"), "folders count, too");
    let long = "d/".repeat(45) + "x";
    let nested = said(&tar(&[(FILE, &long, "", b"")]));
    assert!(nested.contains("File"), "{nested}");
}

#[test]
fn what_is_no_archive_says_what_to_do() {
    let whole = tar(&[(FILE, "a", "", &[7; 2_000])]);
    for (packed, reason) in [
        (&b"\xfd7zXZ\0"[..], "it is packed with xz: pack it with gzip"),
        (b"PK\x03\x04", "it is packed with zip"),
        (b"hello", "it is no whole tar archive"),
        (b"", "it is empty"),
        (&whole[..1_500], "it is no whole tar archive"),
        (&gzip(&whole)[..40], "it is no whole tar archive"),
    ] {
        let found = said(packed);
        assert!(found.contains(reason), "{found}");
    }
}
