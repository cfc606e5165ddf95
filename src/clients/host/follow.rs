//! Where paths of the host lead, without hanging where a file system does.
//!
//! In: paths. Out: where each leads, or why that cannot be seen. Effect: looks, on threads.
//!
//! # Guarantees
//! * A path whose file system hangs costs [`LOOK_MAX`] once, and so do several that are first asked
//!   for together; until its look has ended it is not looked at again, and others are not held up.
//! * No more than [`HUNG_MAX`] looks, each a thread, hang at a time: nothing is looked at then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::host::HostRoot;
use crate::telemetry::Chain;

/// A path takes microseconds to follow, unless its file system hangs: a hard mount whose server is
/// away holds whoever looks for ever.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A path is given so long although others have used up the time: nothing is known against it.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// A quarter of the tasks that the agent's unit may have.
const HUNG_MAX: usize = 16;

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

    /// Goes on knowing the looks that hang of the one before it, so that there are no more of them.
    pub fn take_over(&self, before: &Self) {
        self.hung.swap(&before.hung);
    }

    /// Asks `look`, which may hang.
    pub(crate) fn with(look: Arc<Look>) -> Self {
        Self { look, hung: RefCell::default() }
    }

    /// Where each of `paths` leads, every link followed.
    pub fn follow(&self, paths: &BTreeSet<&str>) -> Vec<(String, Led)> {
        let until = Instant::now() + LOOK_MAX;
        let mut looker = None;
        let led = paths.iter().map(|path| ((*path).to_owned(), self.one(path, until, &mut looker)));
        led.collect()
    }

    fn one(&self, path: &str, until: Instant, looker: &mut Option<Looker>) -> Led {
        let silence = || Err("its file system does not answer".to_owned());
        let mut hung = self.hung.borrow_mut();
        if let Some(Err(TryRecvError::Empty)) = hung.get(path).map(Receiver::try_recv) {
            return silence();
        }
        // What it answered in the end may be long ago.
        hung.remove(path);
        if hung.len() >= HUNG_MAX {
            hung.retain(|_, led| matches!(led.try_recv(), Err(TryRecvError::Empty)));
        }
        if hung.len() >= HUNG_MAX {
            return Err(format!("{HUNG_MAX} paths are on file systems that do not answer"));
        }
        let with = looker.take().unwrap_or_else(|| self.looker());
        // A thread that is not there does not answer, either.
        let _asked = with.ask.send(path.to_owned());
        match with.led.recv_timeout(until.saturating_duration_since(Instant::now()).max(LOOK_MIN)) {
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

    use crate::clients::host::follow::{Follower, HUNG_MAX};

    #[test]
    fn a_path_that_hangs_is_asked_once_holds_up_no_other_and_answers_in_the_end() {
        let (go, gone) = channel::<()>();
        let (ended, end) = channel::<()>();
        let (gone, asked) = (Mutex::new(gone), Arc::new(Mutex::new(Vec::new())));
        let noted = Arc::clone(&asked);
        let follower = Follower::with(Arc::new(move |path: &str| {
            noted.lock().unwrap().push(path.to_owned());
            if path == "/b" {
                // Until the other end is gone.
                let _gone = gone.lock().unwrap().recv();
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
        drop(go);
        end.recv().unwrap();
        let answers = || follower.follow(&paths).into_iter().all(|(_, led)| led.is_ok());
        // Its thread is about to answer.
        let answered = (0..1000).any(|_| answers() || (std::thread::yield_now(), false).1);
        assert!(answered);
        assert!(follower.hung.borrow().is_empty());
    }

    #[test]
    fn no_more_threads_hang_than_a_few_however_many_paths_do() {
        let (go, gone) = channel::<()>();
        let (gone, asked) = (Mutex::new(gone), Arc::new(Mutex::new(0)));
        let noted = Arc::clone(&asked);
        let follower = Follower::with(Arc::new(move |path: &str| {
            *noted.lock().unwrap() += 1;
            // Until the other end is gone.
            let _gone = gone.lock().unwrap().recv();
            Ok(path.to_owned())
        }));
        let paths: Vec<String> = (0..3 * HUNG_MAX).map(|n| format!("/{n}")).collect();
        let paths: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        for _ in 0..3 {
            assert!(follower.follow(&paths).iter().all(|(_, led)| led.is_err()));
        }
        assert_eq!(*asked.lock().unwrap(), HUNG_MAX);
        let before = follower;
        let follower = Follower::with(Arc::clone(&before.look));
        follower.take_over(&before);
        assert!(follower.follow(&paths).iter().all(|(_, led)| led.is_err()));
        assert_eq!(*asked.lock().unwrap(), HUNG_MAX, "who takes over asks no others");
        drop(go);
        let all = || follower.follow(&paths).iter().all(|(_, led)| led.is_ok());
        assert!((0..1000).any(|_| all() || (std::thread::yield_now(), false).1));
    }
}
