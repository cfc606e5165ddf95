//! A real systemd that runs: the first process of a folder's own namespaces, ended on drop.
//!
//! It needs root and says so. What it may do to the kernel it may do in its namespaces alone: what they
//! do not hold (parameters, modules, the clock) is kept from it. If the test process is killed, the kernel
//! ends it with all that it started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A minimal system has booted in a second or two; the machine may be busy.
const BOOT_SECS_MAX: u64 = 90;

/// Gives what follows a group of its own: systemd takes the one that it is in for the whole machine.
/// `$1` is the root, `$2` the group's name; then comes what is run in it.
const IN_GROUP: &str = r#"set -e
mount -t cgroup2 cgroup2 "$1/mnt"
group="$1/mnt$(sed -n 's/^0:://p' /proc/self/cgroup)/$2"
mkdir "$group"
echo $$ >"$group/cgroup.procs"
umount "$1/mnt"
shift 2
exec "$@"
"#;

/// Makes a machine of the root `$1`, in which the folder `$2` is what it is out here.
const BOOT: &str = r#"set -e
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir -p ".$2" old
mount --bind "$2" ".$2"
pivot_root . old
exec chroot . /bin/sh -c 'umount -l /old && exec setpriv \
    --bounding-set=-sys_module,-sys_rawio,-sys_time,-sys_boot,-mknod \
    env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd'
"#;

/// Removes a group once nothing is in it; `$1` is a place to see groups at, `$2` its name.
const LEAVE: &str = r#"set -e
mount -t cgroup2 cgroup2 "$1"
find "$1$(sed -n 's/^0:://p' /proc/self/cgroup)/$2" -depth -type d -exec rmdir {} +
"#;

pub(crate) struct Booted {
    /// It waits for the first process.
    holder: Child,
    first: u32,
    root: PathBuf,
    group: String,
}

impl Booted {
    /// Boots the system in `root`, which sees `shared` under its name out here.
    pub(crate) fn start(root: &Path, shared: &Path) -> Self {
        let name = shared.file_name().unwrap().to_string_lossy();
        let group = format!("tg-booted-{}", name.trim_start_matches('.'));
        // It would empty /tmp, where `shared` may be.
        let masked = root.join("etc/systemd/system/systemd-tmpfiles-setup.service");
        std::os::unix::fs::symlink("/dev/null", masked).unwrap();
        let mut holder = Command::new("setpriv");
        holder.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]);
        holder.args(["sh", "-c", IN_GROUP, "sh"]).arg(root).arg(&group);
        holder.args(["unshare", "--fork", "--kill-child=KILL", "--pid", "--mount", "--uts"]);
        holder.args(["--ipc", "--cgroup", "--net", "--propagation", "private"]);
        holder.args(["sh", "-c", BOOT, "sh"]).arg(root).arg(shared);
        let holder = holder.stdin(Stdio::null()).spawn().unwrap();
        let mut booted = Self { holder, first: 0, root: root.to_owned(), group };
        booted.wait();
        booted
    }

    fn wait(&mut self) {
        let since = Instant::now();
        let id = self.holder.id();
        loop {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            self.first = children.unwrap_or_default().trim().parse().unwrap_or(0);
            if self.first != 0 && self.has_booted() {
                return;
            }
            let late = since.elapsed() > Duration::from_secs(BOOT_SECS_MAX);
            let ended = self.holder.try_wait().unwrap();
            assert!(!late && ended.is_none(), "systemd did not boot, which needs root: {ended:?}");
            park(Duration::from_millis(50));
        }
    }

    fn has_booted(&self) -> bool {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.first));
        if name.unwrap_or_default() != "systemd\n" {
            return false;
        }
        let asked = self.inside("systemctl").arg("is-system-running").output().unwrap();
        ["running\n", "degraded\n"].map(str::as_bytes).contains(&&*asked.stdout)
    }

    /// A program in there.
    pub(crate) fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first.to_string(), "--pid", "--mount", "--net", "--uts"]);
        command.args(["--ipc", "--cgroup", "--root", "--wd", "--"]).arg(program);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // What the first process started ends with it.
        if let Some(first) = i32::try_from(self.first).ok().and_then(Pid::from_raw) {
            let _ = kill_process(first, Signal::KILL);
        } else {
            let _ = self.holder.kill();
        }
        let _ = self.holder.wait();
        let mut leave = Command::new("unshare");
        leave.args(["--mount", "--propagation", "private", "sh", "-c", LEAVE, "sh"]);
        let _ = leave.arg(self.root.join("mnt")).arg(&self.group).status();
    }
}
