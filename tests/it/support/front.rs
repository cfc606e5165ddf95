//! A front before a real registry: counts what is asked, and misbehaves where a test wants it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::park_timeout as park;
use std::time::Duration;

/// A registry's head or an answer longer than this is no part of any test.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What the front does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Passes it on.
    Pass,
    /// Passes it on without this header.
    Without(&'static str),
    /// Passes it on, and adds this line to the answer's head.
    Adding(String),
    /// Answers itself.
    Say(String),
    /// Passes it on, and ends the answer's body after so many bytes.
    Cut(usize),
    /// Passes on so many bytes of the request's body, then breaks off.
    CutRequest(usize),
    /// Answers nothing for a long time.
    Hang,
    /// Breaks off before anything reaches the registry.
    Drop,
}

impl Act {
    /// An answer of a status, further header lines, and a body.
    pub(crate) fn say(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Say(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }
}

type Rule = dyn Fn(usize, &str) -> Act + Send + Sync;

/// The front; its threads end with the test's process.
pub(crate) struct Front {
    pub(crate) authority: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Front {
    /// A front before `upstream`; `rule` gets a request's number and its head.
    pub(crate) fn new(
        upstream: &str,
        rule: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, rule, upstream) = (Arc::clone(&seen), Arc::new(rule), upstream.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, rule, upstream) = (Arc::clone(&log), Arc::clone(&rule), upstream.clone());
                std::thread::spawn(move || {
                    // A side that goes away is what some tests are about.
                    let _gone = serve(client, &upstream, &log, &*rule);
                });
            }
        });
        Self { authority, seen }
    }

    /// Heads of all requests so far that contain `part`; with the body of those answered here.
    pub(crate) fn seen(&self, part: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|head| head.contains(part)).cloned().collect()
    }
}

fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The head with `Connection: close`, and without `without`.
fn rewritten(head: &str, without: &str) -> String {
    let drops = |line: &&str| {
        let key = line.split(':').next().unwrap_or_default();
        key.eq_ignore_ascii_case("connection") || key.eq_ignore_ascii_case(without)
    };
    let lines: Vec<&str> = head.trim_end().lines().filter(|line| !drops(line)).collect();
    format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"))
}

fn serve(
    mut client: TcpStream,
    upstream: &str,
    log: &Mutex<Vec<String>>,
    rule: &Rule,
) -> std::io::Result<()> {
    let head = read_head(&mut client)?;
    if head.is_empty() {
        return Ok(());
    }
    let number = {
        let mut log = log.lock().unwrap();
        log.push(head.clone());
        log.len()
    };
    let act = rule(number, &head);
    let without = if let Act::Without(name) = &act { name } else { "" };
    let n_body: u64 = header(&head, "content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let n_cut = match &act {
        Act::Say(answer) => {
            // The body is read, or the client would see a reset instead of the answer.
            let mut body = String::new();
            (&mut client).take(n_body).read_to_string(&mut body)?;
            log.lock().unwrap()[number - 1].push_str(&body);
            return client.write_all(answer.as_bytes());
        }
        Act::Drop => return Ok(()),
        Act::Hang => {
            park(Duration::from_secs(600));
            return Ok(());
        }
        Act::CutRequest(n) => {
            let mut server = TcpStream::connect(upstream)?;
            server.write_all(rewritten(&head, "").as_bytes())?;
            std::io::copy(&mut (&mut client).take(*n as u64), &mut server)?;
            return Ok(());
        }
        Act::Cut(n) => Some(*n),
        Act::Pass | Act::Without(_) | Act::Adding(_) => None,
    };
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(rewritten(&head, without).as_bytes())?;
    std::io::copy(&mut (&mut client).take(n_body), &mut server)?;
    let answer = read_head(&mut server)?;
    let mut answer = rewritten(&answer, "");
    if let Act::Adding(line) = &act {
        answer.insert_str(answer.len() - 2, &format!("{line}\r\n"));
    }
    client.write_all(answer.as_bytes())?;
    match n_cut {
        Some(n) => std::io::copy(&mut (&mut server).take(n as u64), &mut client)?,
        None => std::io::copy(&mut server, &mut client)?,
    };
    Ok(())
}
