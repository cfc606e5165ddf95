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
use serde::{Deserialize, Serialize};

use crate::model::ServiceName;

/// More than this many at once are left for the next pass.
const REQUESTS_MAX: usize = 64;
/// A longer one is not ours.
const REQUEST_BYTES_MAX: u64 = 64 << 10;
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
/// When the request cannot be left there, or nobody answers in time.
pub async fn ask(
    state_dir: &Path,
    nonce: &str,
    request: &Request,
    timeout: Duration,
) -> Result<Answer, ControlError> {
    let dir = directory(state_dir);
    fs::create_dir_all(&dir).map_err(at(&dir))?;
    let path = dir.join(format!("{nonce}.request"));
    write_whole(&path, request)?;
    let answer = dir.join(format!("{nonce}.answer"));
    let _left = Left([&path, &answer]);
    let waited = tokio::time::timeout(timeout, async {
        loop {
            if let Some(found) = read_whole::<Answer>(&answer) {
                break found;
            }
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
    waited.map_err(|_| ControlError::Silent { seconds: timeout.as_secs() })
}

/// What is left of a request that is over, or that nobody waits for, must not be taken up later.
struct Left<'a>([&'a Path; 2]);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        for path in self.0 {
            // Usually the agent took it.
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
        let request = read_whole(&path);
        fs::remove_file(&path).ok()?;
        Some(Asked { nonce: path.file_stem()?.to_str()?.to_owned(), request: request? })
    });
    taken.collect()
}

/// Answers a request.
///
/// # Errors
/// When the answer cannot be written.
pub fn answer(state_dir: &Path, asked: &Asked, answer: &Answer) -> Result<(), ControlError> {
    write_whole(&directory(state_dir).join(format!("{}.answer", asked.nonce)), answer)
}

/// Throws away what earlier processes left.
pub fn clear(state_dir: &Path) {
    for entry in fs::read_dir(directory(state_dir)).into_iter().flatten().flatten() {
        // Somebody else may have been quicker.
        drop(fs::remove_file(entry.path()));
    }
}

fn write_whole(path: &Path, value: &impl Serialize) -> Result<(), ControlError> {
    let text = serde_json::to_vec(value).map_err(io::Error::from).map_err(at(path))?;
    let part = path.with_extension("part");
    fs::write(&part, text).and_then(|()| fs::rename(&part, path)).map_err(at(path))
}

fn read_whole<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let length = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    let text = (length <= REQUEST_BYTES_MAX).then(|| fs::read(path).ok()).flatten()?;
    serde_json::from_slice(&text).ok()
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
}
