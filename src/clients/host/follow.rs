//! Where paths of the host lead, without hanging where a file system does.
//!
//! In: paths. Out: where each leads, or why that cannot be seen. Effect: looks, on threads.
//!
//! # Guarantees
//! * A path whose file system hangs costs [`LOOK_MAX`] once; until its look has ended it is not looked
//!   at again, and others are not held up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use crate::clients::host::HostRoot;
use crate::telemetry::Chain;

/// A path takes microseconds to follow, unless its file system hangs: a hard mount whose server is
/// away holds whoever looks for ever.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Where a path leads, or why that cannot be seen.
type Led = Result<String, String>;

type Look = dyn Fn(&str) -> Led + Send + Sync;

/// Follows paths.
pub struct Follower {
    look: Arc<Look>,
    /// Looks that hang, by path.
    hung: RefCell<BTreeMap<String, Receiver<Led>>>,
}

/// A thread that looks at one path after the other.
struct Looker {
    ask: Sender<String>,
    led: Receiver<Led>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("hung", &self.hung).finish_non_exhaustive()
    }
}

impl Follower {
    /// Follows paths of the host whose root is there.
    pub fn below(root: PathBuf) -> Self {
        let chain = |error| Chain(&error).to_string();
        Self::with(Arc::new(move |path: &str| {
            HostRoot::open(&root).and_then(|root| root.leads_to(path)).map_err(chain)
        }))
    }

    fn with(look: Arc<Look>) -> Self {
        Self { look, hung: RefCell::default() }
    }

    /// Where each of `paths` leads, every link followed.
    pub fn follow(&self, paths: &BTreeSet<&str>) -> Vec<(String, Led)> {
        let mut looker = None;
        let led = paths.iter().map(|path| ((*path).to_owned(), self.one(path, &mut looker)));
        led.collect()
    }

    fn one(&self, path: &str, looker: &mut Option<Looker>) -> Led {
        let silence = || Err("its file system does not answer".to_owned());
        let mut hung = self.hung.borrow_mut();
        match hung.get(path).map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return silence(),
            Some(Ok(led)) => {
                hung.remove(path);
                return led;
            }
            // Its thread is gone.
            Some(Err(TryRecvError::Disconnected)) => drop(hung.remove(path)),
            None => {}
        }
        let with = looker.take().unwrap_or_else(|| self.looker());
        // A thread that is not there does not answer, either.
        let _asked = with.ask.send(path.to_owned());
        match with.led.recv_timeout(LOOK_MAX) {
            Ok(led) => {
                *looker = Some(with);
                led
            }
            Err(RecvTimeoutError::Timeout) => {
                hung.insert(path.to_owned(), with.led);
                silence()
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err("there is no thread to look with".to_owned())
            }
        }
    }

    fn looker(&self) -> Looker {
        let (ask, asked) = channel::<String>();
        let (to, led) = channel();
        let look = Arc::clone(&self.look);
        let work = move || {
            for path in asked {
                if to.send(look(&path)).is_err() {
                    return;
                }
            }
        };
        drop(thread::Builder::new().spawn(work));
        Looker { ask, led }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use crate::clients::host::follow::Follower;

    #[test]
    fn a_path_that_hangs_is_asked_once_holds_up_no_other_and_answers_in_the_end() {
        let (go, gone) = channel::<()>();
        let (ended, end) = channel::<()>();
        let (gone, asked) = (Mutex::new(gone), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&asked);
        let follower = Follower::with(Arc::new(move |path: &str| {
            noted.lock().unwrap().push(path.to_owned());
            if path == "/b" {
                gone.lock().unwrap().recv().unwrap();
                ended.send(()).unwrap();
            }
            Ok(format!("/to{path}"))
        }));
        let paths = BTreeSet::from(["/a", "/b", "/c"]);
        for _ in 0..2 {
            let led = follower.follow(&paths);
            let seen: Vec<_> = led.iter().map(|(path, led)| (path.as_str(), led.is_ok())).collect();
            assert_eq!(seen, [("/a", true), ("/b", false), ("/c", true)]);
        }
        assert_eq!(asked.lock().unwrap().iter().filter(|path| *path == "/b").count(), 1);
        go.send(()).unwrap();
        end.recv().unwrap();
        let answers = || follower.follow(&paths).into_iter().all(|(_, led)| led.is_ok());
        // Its thread is about to answer.
        let answered = (0..1000).any(|_| answers() || (std::thread::yield_now(), false).1);
        assert!(answered);
        assert!(follower.hung.borrow().is_empty());
    }
}
