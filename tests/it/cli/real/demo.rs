//! The demo is a test, too: it checks each of its steps itself, and leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::support::Said;
use crate::support::program::copy_program;

/// A demo in a network of its own, ended when dropped.
struct Demo {
    dir: PathBuf,
}

/// Names and addresses of the demo's networks are always the same.
const OWN_NETWORK: &str = "ip link set lo up && exec \"$0\" \"$@\"";

impl Demo {
    fn run(&self, args: &[&str]) -> Said {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", OWN_NETWORK, env!("CARGO_BIN_EXE_tidegate")]);
        command.arg("demo").arg("--dir").arg(&self.dir).args(args);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command.output().unwrap().into()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.run(&["--stop"]);
    }
}

/// Processes that name the directory in their arguments.
fn processes(dir: &Path) -> Vec<String> {
    let needle = dir.to_str().unwrap();
    let list = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = list.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    lines.filter(|line| line.contains(needle)).collect()
}

#[test]
fn the_demo_checks_every_step_and_leaves_nothing_behind() {
    // Paths of sockets are short.
    let outer = tempfile::tempdir_in("/var/tmp").unwrap();
    let demo = Demo { dir: outer.path().join("d") };
    let said = demo.run(&[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("every check passed"), "{}", said.out);
    assert!(!said.out.contains('✗'), "{}", said.out);
    for told in [
        "refused ",
        "(signature)",
        "(chain): it is a rewind",
        "(chain): the anchor",
        "(composition)",
        "2 people must agree to a pick on prd",
        "with the approval of carol",
        "too early: rested",
        "soaks on dev",
        "app1.tst says “app1/web 1.5.0”",
        "app1.prd says “app1/web 1.0.0” again",
        "Who changed what in prd",
    ] {
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
    let again = demo.run(&["--stop"]);
    assert_eq!((again.code, again.out.as_str()), (0, "the demo is gone\n"), "{}", again.err);
    assert_eq!(processes(&demo.dir), [] as [&str; 0]);
    assert!(!demo.dir.exists());
    assert_eq!(demo.run(&["--stop"]).out, "no demo is there\n");
}

/// A machine whose engine is open to everybody, and a user of it: `$1` folder, `$2` the program.
const SHARED: &str = r#"set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /etc/docker
mount -t tmpfs tmpfs /etc/docker
ip link set lo up
chown 65534 "$1"
dockerd --data-root "$1/engine" --exec-root /run/engine --pidfile /run/engine.pid \
    -H "unix://$1/e.sock" --cgroup-parent /tidegate-test-shared >"$1/engine.log" 2>&1 &
engine=$!
export DOCKER_HOST="unix://$1/e.sock" HOME="$1"
until docker info >/dev/null 2>&1; do sleep 0.1; done
chmod 666 "$1/e.sock"
tar -c -C /bin busybox | docker import - 127.0.0.1:5000/somebodys/tool:1 >/dev/null
demo() {
    setpriv --reuid=65534 --regid=65534 --clear-groups "$program" demo --dir "$1/d" $2
}
program=$2
demo "$1" ""
web=$(docker inspect --format "{{.Config.Image}}" app1.dev-web)
docker tag "$web" kept:1
demo "$1" --stop
echo "left: $(docker ps -aq) $(docker volume ls -q) $(docker images --format '{{.Repository}}:{{.Tag}}' | sort | tr '\n' ' ')"
ls -d "$1/d" /tmp/tidegate-65534 2>/dev/null || true
kill $engine
wait || true
"#;

#[test]
fn an_ordinary_user_of_the_machines_engine_sees_the_same_and_it_is_left_as_it_was() {
    let outer = tempfile::tempdir_in("/var/tmp").unwrap();
    // Whoever clones into /root keeps the program where no other user reaches it.
    let program = outer.path().join("tidegate");
    copy_program(env!("CARGO_BIN_EXE_tidegate"), &program);
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SHARED, "sh"]);
    command.args([outer.path(), &program]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let said: Said = command.output().unwrap().into();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("every check passed") && !said.out.contains('✗'), "{}", said.out);
    let (_, after) = said.out.split_once("the demo is gone\n").unwrap();
    assert_eq!(after, "left:   127.0.0.1:5000/somebodys/tool:1 kept:1 \n");
}
