//! Where a path leads.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use crate::clients::host::root::resolve::{HOLD, LINKS_MAX};
use crate::clients::host::{HostError, HostRoot};

/// Where a path was found to lead.
pub(in crate::clients::host) enum Led {
    /// To this path.
    To(String),
    /// Into this folder, which was not to be touched.
    Into(String),
}

impl HostRoot {
    /// Where `path` leads on this host, every link followed, the last one too, whoever made it. What
    /// is not there leads where its text says.
    ///
    /// # Errors
    /// When a step cannot be looked at, or links go round.
    pub fn leads_to(&self, path: &str) -> Result<String, HostError> {
        match self.leads_past(path, &[])? {
            Led::To(path) | Led::Into(path) => Ok(path),
        }
    }

    /// The same, but none of the `silent` folders is touched: where one is on the way, that is all.
    ///
    /// # Errors
    /// When a step cannot be looked at, or links go round.
    pub(in crate::clients::host) fn leads_past(
        &self,
        path: &str,
        silent: &[String],
    ) -> Result<Led, HostError> {
        let failed = |error| HostError::io("look at", Path::new(path), error);
        let mut steps: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        // Folders on the way; none holds what is not there, or is no folder.
        let mut below: Vec<(String, Option<OwnedFd>)> = Vec::new();
        let mut n_links = 0;
        while let Some(step) = steps.pop_front() {
            match step.as_str() {
                "" | "." => continue,
                ".." => {
                    below.pop();
                    continue;
                }
                _ => {}
            }
            let steps_here = below.iter().map(|(step, _)| step.as_str()).chain([step.as_str()]);
            let here = steps_here.fold(String::new(), |here, step| here + "/" + step);
            if silent.contains(&here) {
                return Ok(Led::Into(here));
            }
            let at = match below.last() {
                None => Some(self.root.as_fd()),
                Some((_, held)) => held.as_ref().map(AsFd::as_fd),
            };
            let held = match at.map(|at| rustix::fs::openat(at, &step, HOLD, Mode::empty())) {
                None | Some(Err(Errno::NOENT | Errno::NOTDIR)) => None,
                Some(Err(error)) => return Err(failed(error)),
                Some(Ok(held)) => Some(held),
            };
            if let Some(link) = &held
                && let stat = rustix::fs::fstat(link).map_err(failed)?
                && FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
            {
                n_links += 1;
                if n_links > LINKS_MAX {
                    return Err(failed(Errno::LOOP));
                }
                let says = rustix::fs::readlinkat(link, "", Vec::new()).map_err(failed)?;
                let says = says.into_string().map_err(|_| failed(Errno::ILSEQ))?;
                if says.starts_with('/') {
                    below.clear();
                }
                for step in says.split('/').rev() {
                    steps.push_front(step.to_owned());
                }
                continue;
            }
            below.push((step, held));
        }
        let steps = below.iter().map(|(step, _)| format!("/{step}"));
        Ok(Led::To(if below.is_empty() { "/".to_owned() } else { steps.collect() }))
    }
}
