//! The node's configuration, read again.
//!
//! In: its file, the node that it is in force for. Out: what is to be in force, and what is kept of
//! that node. Effect: reads it.
//!
//! # Guarantees
//! * One with mistakes, or that turned out to be of no use, changes nothing, and the status says why.

use std::error::Error;
use std::path::Path;
use std::rc::Rc;

use tracing::{error, info};

use crate::agent::effects::HostFiles;
use crate::agent::failures::Failures;
use crate::agent::node::Node;
use crate::agent::wakes::drop_ins;
use crate::config::Settings;
use crate::reconcile::report::Reach;
use crate::telemetry::Chain;

/// What a node hands on to the one that follows it.
#[derive(Debug)]
pub(crate) struct Kept {
    settings: Settings,
    files: Rc<HostFiles>,
    failures: Failures,
}

impl Kept {
    /// What is kept of a node.
    pub(crate) fn of(node: Node) -> Self {
        Self { settings: node.settings, files: node.files, failures: node.failures }
    }

    /// Hands it on. What was told in a journal is known where that goes on.
    pub(crate) fn give(self, node: &mut Node) {
        node.files.take_over(&self.files);
        let (was, is) = (&self.settings, &node.settings);
        let journals = [was, is].map(|one| (&one.state_dir, &one.environment, &one.node));
        if journals[0] == journals[1] {
            node.failures = self.failures;
        }
    }
}

/// What is known of the configuration's files.
#[derive(Debug)]
pub(crate) struct Reload {
    /// Whether there was a folder of drop-ins to watch.
    has_drop_ins: bool,
    /// What they say, if that was tried in vain.
    useless: Option<Settings>,
}

impl Reload {
    /// Before they are watched.
    pub(crate) fn new(config: &Path) -> Self {
        Self { has_drop_ins: drop_ins(config).is_dir(), useless: None }
    }

    /// What the files say is of no use, as it turned out.
    pub(crate) fn tried_in_vain(&mut self, useless: Settings) {
        self.useless = Some(useless);
    }

    /// The configuration as it is now, if it is another one than the node's and has no mistakes. One
    /// that was tried in vain is tried again the next time. The node says what keeps one from use.
    pub(crate) fn changed(&mut self, config: &Path, node: &mut Node) -> Option<Settings> {
        let useless = self.useless.take();
        // Drop-ins that lie where nobody watches make another of the same.
        let is_watched = self.has_drop_ins == drop_ins(config).is_dir();
        match Settings::load(config) {
            Ok(settings) if is_watched && settings == node.settings => {
                node.unused = Reach::Answers;
                None
            }
            Ok(settings) if useless.is_some_and(|useless| settings == useless) => None,
            Ok(settings) => {
                info!("the configuration has changed");
                Some(settings)
            }
            Err(error) => {
                node.unused = Reach::Silent(say_unused(&error));
                None
            }
        }
    }
}

/// Says why a changed configuration is not used.
pub(crate) fn say_unused(error: &dyn Error) -> String {
    let error = Chain(error).to_string();
    error!(error = %error, "the changed configuration is not used: {error}");
    error
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::agent::belief::Origin;
    use crate::agent::failures::Novelty;
    use crate::agent::node::Node;
    use crate::agent::reload::Kept;
    use crate::config::Settings;
    use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult};

    fn node(dir: &Path, name: &str) -> Node {
        let (dir, anchor) = (dir.display(), "a".repeat(40));
        let text = format!(
            "node = \"{name}\"\nenvironment = \"prd\"\nstate_dir = \"{dir}\"\n[repository]\n\
             url = \"{dir}\"\nid = \"acme-config\"\nanchor = \"{anchor}\"\n\
             [keys]\nnode = \"{dir}/node.key\"\n"
        );
        let settings = Settings::from_texts(vec![("agent.toml".to_owned(), text)]).unwrap();
        Node::open(settings, Origin::WorkTree(dir.to_string().into())).unwrap()
    }

    #[test]
    fn a_failure_that_was_told_is_known_after_a_reload_where_the_journal_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let failed = ServiceOutcome {
            service: "app1".parse().unwrap(),
            target: None,
            reasons: Vec::new(),
            steps: Vec::new(),
            result: ServiceResult::Failed {
                class: FailureClass::Transient,
                reason: "no route to host".to_owned(),
            },
            took: Duration::ZERO,
            trigger: "time".to_owned(),
        };
        for (name, novelty) in [("n1", Novelty::Known), ("n2", Novelty::New)] {
            let mut before = node(dir.path(), "n1");
            before.note_outcomes(std::slice::from_ref(&failed)).unwrap();
            let kept = Kept::of(before);
            let mut after = node(dir.path(), name);
            kept.give(&mut after);
            assert_eq!(after.failures.learn(&failed), novelty, "{name}");
        }
    }
}
