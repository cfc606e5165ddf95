//! What operators ask of a running agent: a file in `requests/`, answered by a file beside it.
//!
//! In: [`Request`]s. Out: [`Answer`]s. Effect: reads and writes `<state_dir>/requests`.
//!
//! The state directory is its owner's alone, so who may write there may ask. Without a running
//! agent the command takes the state's lock and does the same itself.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::ServiceName;

/// More than this many at once are left for the next pass.
const REQUESTS_MAX: usize = 64;
/// A longer one is not ours.
const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// Lines of one answer: twice the services that a node is built for.
const LINES_MAX: usize = 2000;
/// Characters of one line: nobody reads more.
const LINE_CHARS_MAX: usize = 1000;
/// More than so many lines of so many characters can be, at six bytes each as JSON writes the longest.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// How often an asker looks for the answer.
const POLL: Duration = Duration::from_millis(20);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Run a pass now.
    Apply {
        /// Only these services; empty means all.
        services: BTreeSet<ServiceName>,
        /// Pass windows and freezes, for this reason.
        now: Option<String>,
        /// Services whose removal is allowed past the brake.
        allow_removal: BTreeSet<ServiceName>,
    },
    /// Set a service aside.
    Suspend {
        /// Which.
        service: ServiceName,
        /// Why.
        reason: String,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Take it back.
    Resume {
        /// Which.
        service: ServiceName,
    },
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether it was done.
    pub result: AnswerResult,
    /// One line each, for people.
    pub lines: Vec<String>,
}

/// Whether it was done, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerResult {
    /// It was.
    Done,
    /// What is wanted may not happen now, or is only reported here.
    Left,
    /// It was tried and failed, or cannot be done.
    Failed,
    /// This node's policy denies it.
    Denied,
    /// The branch's tip is refused; what was verified before was worked on.
    Refused,
    /// It makes no sense.
    Senseless,
}

/// A request that could not be delivered or was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The file system says no.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody would read it.
    #[error("what is said to the agent has more than {bytes_max} bytes")]
    Long {
        /// How many would be read.
        bytes_max: u64,
    },
    /// Somebody answered, and it is none.
    #[error("the agent's answer cannot be read")]
    Answer {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody answered in time; the request was taken back.
    #[error("the agent did not answer within {seconds} s")]
    Silent {
        /// How long.
        seconds: u64,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ControlError {
    move |source| ControlError::File { path: path.to_owned(), source }
}

/// Where requests lie.
pub fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("requests")
}

/// Asks the running agent and waits for its answer.
///
/// # Errors
/// When the request cannot be left there, nobody answers in time, or what answers is no answer.
pub async fn ask(
    state_dir: &Path,
    nonce: &str,
    request: &Request,
    timeout: Duration,
) -> Result<Answer, ControlError> {
    let dir = directory(state_dir);
    fs::create_dir_all(&dir).map_err(at(&dir))?;
    let path = dir.join(format!("{nonce}.request"));
    write_whole(&path, request, REQUEST_BYTES_MAX)?;
    let answer = path.with_extension("answer");
    let taken = path.with_extension("taken");
    let _left = Left([&path, &taken, &answer]);
    let waited = tokio::time::timeout(timeout, async {
        loop {
            match read_whole::<Answer>(&answer, ANSWER_BYTES_MAX) {
                Ok(None) => tokio::time::sleep(POLL).await,
                Ok(Some(found)) => break Ok(found),
                Err(source) => break Err(ControlError::Answer { source }),
            }
        }
    });
    waited.await.unwrap_or(Err(ControlError::Silent { seconds: timeout.as_secs() }))
}

/// What is left of a request that is over, or that nobody waits for, must not be taken up later, nor lie
/// there for ever: in this order nothing slips through, whatever the agent does meanwhile.
struct Left<'a>([&'a Path; 3]);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        for path in self.0 {
            // Usually the agent was quicker.
            drop(fs::remove_file(path));
        }
    }
}

/// A request and how to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    nonce: String,
    /// What is asked.
    pub request: Request,
}

/// Takes what lies in `requests/`, oldest name first; what cannot be read is thrown away.
pub fn take(state_dir: &Path) -> Vec<Asked> {
    let dir = directory(state_dir);
    let mut paths: Vec<PathBuf> = fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "request"))
        .take(REQUESTS_MAX)
        .collect();
    paths.sort();
    let taken = paths.into_iter().filter_map(|path| {
        let request = read_whole(&path, REQUEST_BYTES_MAX);
        let taken = path.with_extension("taken");
        fs::rename(&path, &taken).ok()?;
        let Ok(Some(request)) = request else {
            drop(fs::remove_file(&taken));
            return None;
        };
        Some(Asked { nonce: path.file_stem()?.to_str()?.to_owned(), request })
    });
    taken.collect()
}

/// Answers a request, if somebody still waits; so long that nobody could read it, with its beginning.
///
/// # Errors
/// When the answer cannot be written.
pub fn answer(state_dir: &Path, asked: &Asked, answer: &Answer) -> Result<(), ControlError> {
    let path = directory(state_dir).join(format!("{}.answer", asked.nonce));
    write_whole(&path, &readable(answer), ANSWER_BYTES_MAX)?;
    if fs::remove_file(path.with_extension("taken")).is_err() {
        // Who asked has cleared up, and would not do it again.
        drop(fs::remove_file(&path));
    }
    Ok(())
}

fn readable(answer: &Answer) -> Answer {
    let cut = |line: &String| match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.clone(),
    };
    let mut lines: Vec<String> = answer.lines.iter().take(LINES_MAX).map(cut).collect();
    let n_more = answer.lines.len() - lines.len();
    lines.extend((n_more > 0).then(|| format!("and {n_more} lines more")));
    Answer { result: answer.result, lines }
}

/// Throws away what earlier processes left.
pub fn clear(state_dir: &Path) {
    for entry in fs::read_dir(directory(state_dir)).into_iter().flatten().flatten() {
        // Somebody else may have been quicker.
        drop(fs::remove_file(entry.path()));
    }
}

fn write_whole(path: &Path, value: &impl Serialize, bytes_max: u64) -> Result<(), ControlError> {
    let text = serde_json::to_vec(value).map_err(io::Error::from).map_err(at(path))?;
    if text.len() as u64 > bytes_max {
        return Err(ControlError::Long { bytes_max });
    }
    let part = path.with_extension("part");
    fs::write(&part, text).and_then(|()| fs::rename(&part, path)).map_err(at(path))
}

/// What was written there, whole; none while nothing is there.
fn read_whole<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> io::Result<Option<T>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() || found.len() > bytes_max {
        return Err(io::Error::other(format!("it is no file of up to {bytes_max} bytes")));
    }
    serde_json::from_slice(&fs::read(path)?).map(Some).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::control::{self, Answer, AnswerResult, ControlError, Request};

    #[tokio::test]
    async fn a_request_is_answered_once_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::Resume { service: "app1".parse().unwrap() };
        let asking = control::ask(dir.path(), "00ff", &request, Duration::from_secs(10));
        let answering = async {
            let asked = loop {
                if let Some(asked) = control::take(dir.path()).pop() {
                    break asked;
                }
                tokio::task::yield_now().await;
            };
            assert_eq!(asked.request, request);
            let done = Answer { result: AnswerResult::Done, lines: vec!["resumed".into()] };
            control::answer(dir.path(), &asked, &done).unwrap();
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer.unwrap().result, AnswerResult::Done);
        assert_eq!(std::fs::read_dir(control::directory(dir.path())).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn without_an_agent_the_request_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::Resume { service: "app1".parse().unwrap() };
        let silent = control::ask(dir.path(), "00ff", &request, Duration::ZERO).await;
        assert!(matches!(silent, Err(ControlError::Silent { .. })));
        assert!(control::take(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_any_more_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::Resume { service: "app1".parse().unwrap() };
        let (give_up, waits) = tokio::sync::oneshot::channel();
        let asking = async {
            let asking = control::ask(dir.path(), "00ff", &request, Duration::from_secs(10));
            tokio::select! {
                _ = asking => {}
                _ = waits => {}
            }
        };
        let answering = async {
            while !dir.path().join("requests/00ff.request").exists() {
                tokio::task::yield_now().await;
            }
            let asked = control::take(dir.path()).pop().unwrap();
            give_up.send(()).unwrap();
            asked
        };
        let ((), asked) = tokio::join!(asking, answering);
        let done = Answer { result: AnswerResult::Done, lines: vec!["resumed".into()] };
        control::answer(dir.path(), &asked, &done).unwrap();
        assert_eq!(std::fs::read_dir(control::directory(dir.path())).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_answer_of_any_length_is_read_as_far_as_anybody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::Resume { service: "app1".parse().unwrap() };
        let asking = control::ask(dir.path(), "00ff", &request, Duration::from_secs(10));
        let answering = async {
            while !dir.path().join("requests/00ff.request").exists() {
                tokio::task::yield_now().await;
            }
            let asked = control::take(dir.path()).pop().unwrap();
            let lines = vec!["\u{1}é".repeat(9_000); 3_000];
            control::answer(dir.path(), &asked, &Answer { result: AnswerResult::Left, lines })
        };
        let (answer, written) = tokio::join!(asking, answering);
        written.unwrap();
        let answer = answer.unwrap();
        assert_eq!(answer.result, AnswerResult::Left);
        assert_eq!(answer.lines.len(), 2001);
        assert_eq!(answer.lines[1999], format!("{}…", "\u{1}é".repeat(500)));
        assert_eq!(answer.lines[2000], "and 1000 lines more");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_said_at_once_and_a_request_that_nobody_reads_is_not_left() {
        let dir = tempfile::tempdir().unwrap();
        let requests = control::directory(dir.path());
        std::fs::create_dir_all(&requests).unwrap();
        std::fs::write(requests.join("00ff.answer"), "{}").unwrap();
        let suspend = |reason: String| Request::Suspend {
            service: "app1".parse().unwrap(),
            reason,
            until: None,
        };
        let second = Duration::from_secs(1);
        let none = control::ask(dir.path(), "00ff", &suspend("repair".into()), second).await;
        assert!(!matches!(none, Ok(_) | Err(ControlError::Silent { .. })), "{none:?}");
        let long = control::ask(dir.path(), "00fe", &suspend("x".repeat(1 << 16)), second).await;
        assert!(!matches!(long, Ok(_) | Err(ControlError::Silent { .. })), "{long:?}");
        assert_eq!(std::fs::read_dir(requests).unwrap().count(), 0);
    }
}
