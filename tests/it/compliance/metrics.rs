//! An agent that is asked for metrics, as Prometheus asks, and as others may.
#![expect(clippy::float_cmp, reason = "whole numbers that were written are read back")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::support::tidegate;
use crate::compliance::cli::{Stage, json};
use crate::compliance::standing::Agent;
use crate::registry::hub::free_port;

/// What whoever asks `port` in these words is answered; nothing if nobody listens.
pub(crate) fn ask(port: u16, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(words.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Who asks too much is answered, and cut off.
    let _cut = stream.read_to_end(&mut answer);
    Some(String::from_utf8(answer).unwrap())
}

/// Every sample of the metrics, by its name and labels; nothing if nobody listens.
pub(crate) fn scrape(port: u16) -> Option<BTreeMap<String, f64>> {
    let answer = ask(port, "GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n")?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').unwrap());
    Some(samples.map(|(series, number)| (series.to_owned(), number.parse().unwrap())).collect())
}

/// Counts of a check's document: by severity and status, images by status, and the score.
pub(crate) fn counted(document: &Value) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for verdict in document["verdicts"].as_array().unwrap() {
        let word = |key: &str| verdict[key].as_str().unwrap().to_owned();
        let (severity, status) = (word("severity"), word("status"));
        let rule = format!("tidegate_rules{{severity=\"{severity}\",status=\"{status}\"}}");
        *counts.entry(rule).or_default() += 1.0;
        if word("kind") == "image" {
            *counts.entry(format!("tidegate_images{{status=\"{status}\"}}")).or_default() += 1.0;
        }
    }
    let score = |key: &str| document["score"][key].as_f64().unwrap();
    let ratio = score("ok") / (score("ok") + score("trouble"));
    counts.insert("tidegate_score_ratio".to_owned(), ratio);
    counts
}

/// The same of what is measured, without the zeros.
pub(crate) fn measured(samples: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let of_rules = |series: &&String| {
        ["tidegate_rules{", "tidegate_images{", "tidegate_score_ratio"]
            .iter()
            .any(|name| series.starts_with(name))
    };
    let of_rules = samples.iter().filter(|(series, number)| of_rules(series) && **number != 0.0);
    of_rules.map(|(series, number)| (series.clone(), *number)).collect()
}

fn listen(port: u16) -> String {
    format!("[listen]\nmetrics = \"127.0.0.1:{port}\"\n")
}

/// An agent without an engine, and its log.
fn start(stage: &Stage) -> Agent {
    let log = fs::File::create(stage.dir.path().join("log")).unwrap();
    let mut agent = tidegate(stage.dir.path());
    agent.args(["agent", "--scope", "dev", "--config", "agent.toml"]).process_group(0);
    Agent(agent.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

fn log(stage: &Stage) -> String {
    fs::read_to_string(stage.dir.path().join("log")).unwrap_or_default()
}

#[track_caller]
fn until<T>(stage: &Stage, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}\n{}", log(stage));
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Sockets of a process at which it listens for TCP.
fn n_listening(agent: &Agent) -> usize {
    let proc = format!("/proc/{}", agent.0.id());
    let fds = fs::read_dir(format!("{proc}/fd")).unwrap();
    let links = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let own: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("{proc}/net/{name}")));
    let tables: String = tables.into_iter().filter_map(Result::ok).collect();
    let rows = tables.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let listening = rows.filter(|row| row.get(3) == Some(&"0A"));
    listening.filter(|row| own.contains(&format!("socket:[{}]", row[9]))).count()
}

#[test]
fn who_asks_is_told_what_the_last_check_found() {
    let port = free_port();
    let stage = Stage::new(&listen(port));
    let agent = start(&stage);
    let samples = until(&stage, "rules are measured", || {
        scrape(port).filter(|samples| samples.contains_key("tidegate_score_ratio"))
    });
    let last = json(&stage.run(&["check", "--last", "-o", "json"]));
    assert_eq!(measured(&samples), counted(&last));
    let of_motd = "tidegate_rules{severity=\"critical\",status=\"not_ok\"}";
    assert_eq!(samples[of_motd], 1.0, "{samples:#?}");
    assert_eq!(samples["tidegate_condition{condition=\"engine_unreachable\"}"], 1.0);
    assert_eq!(samples["tidegate_condition{condition=\"unverified\"}"], 1.0);
    assert_eq!(samples["tidegate_pass_success"], 0.0);
    assert!(samples["tidegate_revision_commit_timestamp_seconds"] > 1e9, "{samples:#?}");
    assert_eq!(n_listening(&agent), 1);
}

#[test]
fn an_agent_that_is_started_twice_is_told_of_the_other_one_and_not_of_its_port() {
    let port = free_port();
    let stage = Stage::new(&listen(port));
    let _agent = start(&stage);
    until(&stage, "an answer", || scrape(port));
    let said = stage.run(&["agent", "--scope", "dev"]);
    assert!(said.code == 1 && said.err.contains("an agent runs already"), "{}", said.err);
}

#[test]
fn nothing_listens_unless_the_configuration_says_where() {
    let stage = Stage::new("");
    let agent = start(&stage);
    until(&stage, "a pass", || stage.dir.path().join("state/status.json").exists().then_some(()));
    assert_eq!(n_listening(&agent), 0);
}

#[test]
fn whoever_asks_otherwise_or_says_nothing_harms_nobody() {
    let port = free_port();
    let stage = Stage::new(&listen(port));
    let _agent = start(&stage);
    until(&stage, "an answer", || scrape(port));
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (words, said) in [
        ("GET / HTTP/1.1\r\nHost: n1\r\n\r\n", "HTTP/1.1 404 "),
        ("GET /metrics/../etc/passwd HTTP/1.1\r\nHost: n1\r\n\r\n", "HTTP/1.1 404 "),
        ("POST /metrics HTTP/1.1\r\nHost: n1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405 "),
        ("HEAD /metrics HTTP/1.1\r\nHost: n1\r\n\r\n", "HTTP/1.1 405 "),
        ("GET /metrics?x=y HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "),
        ("\u{1}\u{2}\u{3}\r\n\r\n", "HTTP/1.1 400 "),
        (&long, "HTTP/1.1 431 "),
    ] {
        let answer = ask(port, words).unwrap();
        assert!(answer.starts_with(said), "{words:?}\n{answer}");
        assert_eq!(answer.contains("\r\nallow: GET\r\n"), said.contains("405"), "{answer}");
    }
    // More than are answered at a time, none of which says a word.
    let silent: Vec<TcpStream> =
        (0..9).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    stage.commit("rulesets/it/linux.toml", "[vars]\na = \"b\"\n");
    let tip = stage.dir.path().join("repo/.git/refs/heads/dev");
    let tip = fs::read_to_string(tip).unwrap().trim().to_owned();
    until(&stage, "the agent works on", || {
        let status = fs::read_to_string(stage.dir.path().join("state/status.json"));
        let status = status.unwrap_or_default();
        status.contains(&tip).then_some(())
    });
    // They are cut off in time.
    let samples = scrape(port).unwrap();
    let verified = format!("tidegate_revision_info{{revision=\"verified\",commit=\"{tip}\"}}");
    assert_eq!(samples.get(&verified), Some(&1.0), "{samples:#?}");
    drop(silent);
}

#[test]
fn an_address_that_is_not_to_be_had_is_an_error_at_the_start_and_keeps_nothing_else_from_being_used()
 {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let stage = Stage::new(&listen(taken_port));
    let said = stage.run(&["agent", "--scope", "dev"]);
    assert_eq!(said.code, 1, "{}", said.err);
    for words in [&format!("cannot listen on 127.0.0.1:{taken_port}"), "in use", "ss -ltnp"] {
        assert!(said.err.contains(words), "{}", said.err);
    }
    let (first, second) = (free_port(), free_port());
    let file = stage.dir.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let configure = |address: &str| {
        let text = text.replace(&format!("127.0.0.1:{taken_port}"), address);
        fs::write(&file, text).unwrap();
    };
    configure(&format!("127.0.0.1:{first}"));
    let agent = start(&stage);
    let hangup = || kill_process(Pid::from_child(&agent.0), Signal::HUP).unwrap();
    until(&stage, "an answer", || scrape(first));
    // The rest of it is used: the node has another name now.
    let other = text.replace("node = \"dev1\"", "node = \"dev2\"");
    assert_ne!(other, text);
    fs::write(&file, other).unwrap();
    hangup();
    let stays = format!("metrics stay at 127.0.0.1:{first}");
    until(&stage, "it is said", || log(&stage).contains(&stays).then_some(()));
    until(&stage, "the rest is used", || {
        let status = fs::read_to_string(stage.dir.path().join("state/status.json"));
        status.unwrap_or_default().contains("\"dev2\"").then_some(())
    });
    let said = || stage.run(&["status"]).out;
    until(&stage, "status says so", || said().contains(&stays).then_some(()));
    assert!(scrape(first).is_some());
    configure(&format!("0.0.0.0:{first}"));
    hangup();
    let wide = format!("metrics are at http://0.0.0.0:{first}/");
    until(&stage, "it is widened", || log(&stage).contains(&wide).then_some(()));
    until(&stage, "status is silent", || (!said().contains("metrics")).then_some(()));
    until(&stage, "an answer", || scrape(first));
    configure(&format!("127.0.0.1:{second}"));
    hangup();
    until(&stage, "another port answers", || scrape(second));
    until(&stage, "the first one is closed", || ask(first, "").is_none().then_some(()));
    assert_eq!(n_listening(&agent), 1);
}
