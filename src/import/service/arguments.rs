//! `run_args`: options of `docker run` → keys of ours.

use crate::import::service::container::Reading;

/// Options without a value of their own.
const FLAGS: [&str; 6] = ["--privileged", "--read-only", "--init", "-t", "--tty", "--rm"];

/// Options that add to a list.
const LISTS: [(&str, &str); 14] = [
    ("-p", "ports"),
    ("--publish", "ports"),
    ("--expose", "expose"),
    ("-e", "environment"),
    ("--env", "environment"),
    ("-l", "labels"),
    ("--label", "labels"),
    ("--cap-add", "cap_add"),
    ("--cap-drop", "cap_drop"),
    ("--security-opt", "security_opt"),
    ("--add-host", "extra_hosts"),
    ("--device", "devices"),
    ("--dns", "dns"),
    ("--tmpfs", "tmpfs"),
];

/// Options that say one thing.
const TEXTS: [(&str, &str); 14] = [
    ("-m", "mem_limit"),
    ("--memory", "mem_limit"),
    ("--cpus", "cpus"),
    ("--restart", "restart"),
    ("-u", "user"),
    ("--user", "user"),
    ("-h", "hostname"),
    ("--hostname", "hostname"),
    ("-w", "working_dir"),
    ("--workdir", "working_dir"),
    ("--stop-signal", "stop_signal"),
    ("--shm-size", "shm_size"),
    ("--net", "network_mode"),
    ("--network", "network_mode"),
];

/// Reads them.
pub(crate) fn arguments(reading: &mut Reading<'_>, value: &str) {
    let words = reading.split("run_args", value);
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let (option, joined) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value)),
            _ => (word, None),
        };
        if FLAGS.contains(&option) {
            let key = match option {
                "-t" => "tty".to_owned(),
                other => other.trim_start_matches('-').replace('-', "_"),
            };
            if key != "rm" {
                reading.truth(&key, option, joined.unwrap_or("true"));
            }
            continue;
        }
        let takes_one = |next: &&str| !next.starts_with('-');
        let value = joined.or_else(|| words.next_if(takes_one)).unwrap_or_default();
        let of = |all: &[(&str, &'static str)]| {
            all.iter().find(|(name, _)| *name == option).map(|(_, key)| *key)
        };
        match (option, of(&LISTS), of(&TEXTS)) {
            (_, Some(key), _) => reading.add(key, value),
            ("--net" | "--network", _, _) if !matches!(value, "host" | "none") => {
                reading.lost(option, value, "name networks: `networks`, [networks.…]");
            }
            (_, _, Some(key)) => reading.set(key, value),
            ("-v" | "--volume", ..) => reading.mount(value),
            _ => reading.lost(
                "run_args",
                &format!("{word} {}", joined.map_or(value, |_| "")),
                "there is no free argument: see docs/services.md for its key",
            ),
        }
    }
}
