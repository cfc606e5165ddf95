//! Who changed a path last, as the kernel's audit log tells.
//!
//! In: lines of auditd's log, a path. Out: [`Culprit`]. Pure.
//!
//! The log tells of a path only while somebody watches it: `auditctl -w /etc/motd -p wa`.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Where auditd keeps its log.
pub const AUDIT_LOG: &str = "/var/log/audit/audit.log";
/// So much of its end is read: some ten thousand events.
pub const AUDIT_BYTES_MAX: u64 = 4 << 20;

/// The number that stands for nobody having logged in.
const NOBODY: &str = "4294967295";

/// A program that changed a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// When.
    pub at: Timestamp,
    /// Its file.
    pub program: String,
    /// The process's number then.
    pub pid: String,
    /// Number of the user who had logged in, if anybody had.
    pub login: Option<String>,
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {}", self.program, self.pid)?;
        if let Some(login) = &self.login {
            write!(f, ", of user {login}'s login")?;
        }
        write!(f, ") at {}", self.at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Who changed `path` last, this program aside.
pub fn culprit(log: &str, path: &str) -> Option<Culprit> {
    let mut calls: BTreeMap<&str, &str> = BTreeMap::new();
    let mut last = None;
    for line in log.lines() {
        let Some(event) = event(line) else { continue };
        if line.starts_with("type=SYSCALL ") {
            calls.insert(event, line);
        } else if line.starts_with("type=PATH ") && names(line, path) {
            // A folder is named as the parent of what changes in it.
            let is_parent = field(line, "nametype") == Some("PARENT");
            last =
                calls.get(event).filter(|_| !is_parent).and_then(|call| of(event, call)).or(last);
        }
    }
    last
}

/// `1700000000.123:456` of `msg=audit(1700000000.123:456):`.
fn event(line: &str) -> Option<&str> {
    line.split_once("msg=audit(")?.1.split_once("):").map(|(event, _)| event)
}

/// The value of a field as written.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut words = line.split([' ', '\u{1d}']);
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// A field's text: quoted, or in hexadecimal digits where it is strange.
fn text(line: &str, name: &str) -> Option<String> {
    let value = field(line, name)?;
    match value.strip_prefix('"') {
        Some(quoted) => Some(quoted.trim_end_matches('"').to_owned()),
        None => hex::decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
    }
}

fn names(line: &str, path: &str) -> bool {
    text(line, "name").is_some_and(|name| name == path)
}

fn of(event: &str, call: &str) -> Option<Culprit> {
    if field(call, "success") == Some("no") {
        return None;
    }
    let program: String = text(call, "exe")?.chars().filter(|c| !c.is_control()).collect();
    if program.rsplit('/').next() == Some("tidegate") {
        return None;
    }
    let seconds = event.split(['.', ':']).next()?.parse().ok()?;
    let at = Timestamp::from_second(seconds).ok()?;
    let login = field(call, "auid").filter(|auid| *auid != NOBODY && *auid != "unset");
    let pid = field(call, "pid").unwrap_or("unknown").to_owned();
    Some(Culprit { at, program, pid, login: login.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use crate::compliance::culprit::culprit;

    /// As auditd 3 writes it, enriched and not.
    fn log(exe: &str, name: &str, nametype: &str, serial: u32) -> String {
        let id = format!("msg=audit(17636736{serial:02}.101:{serial}):");
        format!(
            "type=SYSCALL {id} arch=c000003e syscall=257 success=yes exit=3 ppid=1 pid=77 auid=1000 \
             uid=0 comm=\"x\" exe={exe} key=(null)\u{1d}ARCH=x86_64 AUID=\"alice\"\n\
             type=CWD {id} cwd=\"/\"\n\
             type=PATH {id} item=0 name=\"/etc/\" nametype=PARENT\n\
             type=PATH {id} item=1 name={name} inode=1 nametype={nametype}\u{1d}OUID=\"root\"\n"
        )
    }

    #[test]
    fn the_last_program_that_changed_the_path_is_named_and_we_are_not() {
        let vim = log("\"/usr/bin/vim\"", "\"/etc/motd\"", "NORMAL", 1);
        let puppet = log("\"/opt/puppet\"", "2F6574632F6D6F7464", "CREATE", 2);
        let other = log("\"/usr/bin/other\"", "\"/etc/hosts\"", "NORMAL", 3);
        let ours = log("\"/usr/bin/tidegate\"", "\"/etc/motd\"", "NORMAL", 4);
        let all = [vim.as_str(), &puppet, &other, &ours].concat();
        let said = culprit(&all, "/etc/motd").unwrap().to_string();
        assert_eq!(said, "/opt/puppet (process 77, of user 1000's login) at 2025-11-20T21:20:02Z");
        assert_eq!(culprit(&vim, "/etc"), None, "a parent did not change");
        assert_eq!(culprit(&all, "/etc/shadow"), None);
    }

    #[test]
    fn garbage_names_nobody() {
        for log in
            ["", "type=PATH", "type=PATH msg=audit(x): name=\"/a\"", "type=SYSCALL msg=audit("]
        {
            assert_eq!(culprit(log, "/a"), None);
        }
    }
}
