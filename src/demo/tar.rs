//! A tape archive in memory (POSIX ustar), always the same for the same content. Pure.

/// Bytes of a block.
const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Directory,
    File { mode: u32, bytes: Vec<u8> },
    Link { to: String },
}

/// An archive of `entries`, in their order. Paths are at most 100 bytes long.
pub(crate) fn archive(entries: &[(String, Entry)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, entry) in entries {
        let (kind, mode, body, link): (u8, u32, &[u8], &str) = match entry {
            Entry::Directory => (b'5', 0o755, &[], ""),
            Entry::File { mode, bytes } => (b'0', *mode, bytes, ""),
            Entry::Link { to } => (b'2', 0o777, &[], to),
        };
        out.extend_from_slice(&header(path, kind, mode, body.len(), link));
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn header(path: &str, kind: u8, mode: u32, size: usize, link: &str) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(157, link);
    put(257, "ustar\x0000");
    block[156] = kind;
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use crate::demo::tar::{Entry, archive};

    #[test]
    fn tar_reads_what_we_write() {
        let bytes = archive(&[
            ("bin".to_owned(), Entry::Directory),
            ("bin/a".to_owned(), Entry::File { mode: 0o755, bytes: b"hello".to_vec() }),
            ("bin/b".to_owned(), Entry::Link { to: "a".to_owned() }),
        ]);
        let mut tar = Command::new("tar")
            .args(["-tvf", "-", "--utc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        let names: Vec<(&str, &str)> = lines.iter().map(|l| (l[0], *l.last().unwrap())).collect();
        let wanted = [("drwxr-xr-x", "bin"), ("-rwxr-xr-x", "bin/a"), ("lrwxrwxrwx", "a")];
        assert_eq!(names, wanted, "{text}");
    }
}
