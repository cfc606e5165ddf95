//! Mounts, as the kernel's table and fstab(5) write them.
//!
//! In: text. Out: [`MountSeen`]. Pure.

/// Options that the kernel keeps for every mount: the first of each pair is kept, the second takes
/// it away.
pub const FLAGS: [(&str, &str); 6] = [
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("noatime", "atime"),
    ("nodiratime", "diratime"),
];
/// Types of file systems that a server has, which may be away.
const REMOTE: [&str; 9] = ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre", "beegfs"];
/// What a security module adds to the table and no mount takes.
const SHOWN_ONLY: [&str; 1] = ["seclabel"];

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSeen {
    /// Where.
    pub path: String,
    /// The number of its device.
    pub device: (u32, u32),
    /// What of the file system is shown there: `/` is all of it.
    pub root: String,
    /// What is mounted.
    pub source: String,
    /// The type.
    pub kind: String,
    /// The mount's own options.
    options: Vec<String>,
    /// Those of the file system.
    inner: Vec<String>,
}

impl MountSeen {
    /// A line of /proc/self/mountinfo (proc(5)).
    pub fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let [_, _, device, root, path, options, ..] = left[..] else { return None };
        let mut right = right.split(' ');
        let (kind, source) = (right.next()?, right.next()?);
        let (major, minor) = device.split_once(':')?;
        let words = |text: &str| text.split(',').map(unescaped).collect();
        Some(Self {
            path: unescaped(path),
            device: (major.parse().ok()?, minor.parse().ok()?),
            root: unescaped(root),
            source: unescaped(source),
            kind: unescaped(kind),
            options: words(options),
            inner: right.next().map(words).unwrap_or_default(),
        })
    }

    /// Whether an option holds; none of what the kernel does not keep for every mount.
    pub fn holds(&self, option: &str) -> Option<bool> {
        let has = |name: &str| {
            let is = |word: &String| word == name;
            // What may not write at all is read-only wherever it is shown.
            self.options.iter().any(is) || name == "ro" && self.inner.iter().any(is)
        };
        match option {
            "relatime" => return Some(has("relatime")),
            "strictatime" => return Some(!has("relatime") && !has("noatime")),
            _ => {}
        }
        let (yes, _) = FLAGS.iter().find(|(yes, no)| option == *yes || option == *no)?;
        Some(has(yes) == (option == *yes))
    }

    /// Whether every one of these options holds that can be told.
    pub fn fits<'a>(&self, options: impl IntoIterator<Item = &'a str>) -> bool {
        options.into_iter().all(|option| self.holds(option) != Some(false))
    }

    /// Whether it is of this type: the kernel tells versions of NFS apart, mount(8) does not.
    pub fn is_type(&self, wanted: &str) -> bool {
        self.kind == wanted || wanted == "nfs" && self.kind == "nfs4"
    }

    /// What of [`FLAGS`] is so, each said.
    pub fn flags(&self) -> String {
        self.flags_beside(&[]).join(",")
    }

    /// What of [`FLAGS`] is so and `named` says nothing about: mounting again replaces them all.
    pub fn flags_beside(&self, named: &[String]) -> Vec<&'static str> {
        const ATIMES: [&str; 3] = ["noatime", "relatime", "strictatime"];
        let says = |option: &str| named.iter().any(|name| name == option);
        let pairs = FLAGS.iter().filter(|(yes, _)| *yes != "noatime");
        let pairs = pairs.filter(|(yes, no)| !says(yes) && !says(no));
        let is = |&(yes, no): &(&'static str, &'static str)| {
            if self.holds(yes) == Some(true) { yes } else { no }
        };
        let mut all: Vec<&str> = pairs.map(is).collect();
        if !says("atime") && !ATIMES.iter().any(|option| says(option)) {
            all.extend(ATIMES.iter().find(|option| self.holds(option) == Some(true)));
        }
        all
    }

    /// Options that make it again.
    pub fn all_options(&self) -> String {
        let mut all: Vec<&str> = Vec::new();
        for option in self.options.iter().chain(&self.inner).map(String::as_str) {
            let other = option == "rw" && all.contains(&"ro");
            if !all.contains(&option) && !other && !SHOWN_ONLY.contains(&option) {
                all.push(option);
            }
        }
        all.join(",")
    }

    /// The folder that a bind mount shows, by another mount of the same file system; none where
    /// there is none.
    pub fn shown_folder(&self, all: &[Self]) -> Option<String> {
        let of = |other: &Self| {
            if other.device != self.device || other.path == self.path {
                return None;
            }
            let rest = below(&self.root, &other.root)?;
            Some(format!("{}/{rest}", other.path.trim_end_matches('/')))
        };
        let found = all.iter().find_map(of)?;
        Some(found.trim_end_matches('/').to_owned()).filter(|path| !path.is_empty())
    }
}

/// Whether a file system of this type comes from a server.
pub fn is_remote(kind: &str) -> bool {
    REMOTE.contains(&kind)
}

/// What of a path lies below a folder, without a slash before it.
pub fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// The characters that part fields stand as octal digits.
pub fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let digits = after.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = byte.filter(u8::is_ascii) {
            plain.push(char::from(byte));
            rest = &after[3..];
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain + rest
}

/// The other way round.
pub fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        ' ' | '\t' | '\n' | '\\' | '#' => format!("\\{:03o}", u32::from(c)),
        other => other.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::mounts::{MountSeen, escaped, unescaped};

    fn seen(line: &str) -> MountSeen {
        MountSeen::parse(line).unwrap()
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read_whole() {
        let line = "36 35 8:1 /a\\040b /srv/c\\134d rw,nodev,relatime shared:5 master:1 - ext4 /dev/sda1 ro,errors=continue";
        let seen = seen(line);
        assert_eq!((seen.path.as_str(), seen.root.as_str()), ("/srv/c\\d", "/a b"));
        assert_eq!(
            (seen.device, seen.kind.as_str(), seen.source.as_str()),
            ((8, 1), "ext4", "/dev/sda1")
        );
        for (option, holds) in [
            ("nodev", Some(true)),
            ("dev", Some(false)),
            ("ro", Some(true)),
            ("rw", Some(false)),
            ("exec", Some(true)),
            ("relatime", Some(true)),
            ("strictatime", Some(false)),
            ("atime", Some(true)),
            ("errors=remount-ro", None),
            ("nofail", None),
            ("defaults", None),
        ] {
            assert_eq!(seen.holds(option), holds, "{option}");
        }
        assert_eq!(seen.flags(), "ro,suid,nodev,exec,diratime,relatime");
        assert!(seen.fits(seen.flags().split(',')));
        assert_eq!(seen.all_options(), "rw,nodev,relatime,ro,errors=continue");
        assert!(MountSeen::parse("36 35 8:1 / /srv").is_none());
    }

    #[test]
    fn the_folder_that_a_bind_mount_shows_is_found_by_another_mount() {
        let all = [
            seen("1 0 8:1 / / rw - ext4 /dev/sda1 rw"),
            seen("2 1 8:2 /x /data rw - ext4 /dev/sdb1 rw"),
            seen("3 1 8:1 /srv/a /b rw - ext4 /dev/sda1 rw"),
            seen("4 1 8:2 /x/y /c rw - ext4 /dev/sdb1 rw"),
            seen("5 1 8:2 /xy /d rw - ext4 /dev/sdb1 rw"),
        ];
        let folders: Vec<_> = all.iter().map(|seen| seen.shown_folder(&all)).collect();
        assert_eq!(folders[2].as_deref(), Some("/srv/a"));
        assert_eq!(folders[3].as_deref(), Some("/data/y"));
        assert_eq!(folders[4], None);
    }

    #[test]
    fn what_parts_fields_is_written_as_digits_and_read_back() {
        for (plain, written) in
            [("/a b", "/a\\040b"), ("/a\\040", "/a\\134040"), ("/a#", "/a\\043")]
        {
            assert_eq!(escaped(plain), written);
            assert_eq!(unescaped(written), plain);
        }
        assert_eq!(unescaped("\\9é\\"), "\\9é\\");
    }
}
