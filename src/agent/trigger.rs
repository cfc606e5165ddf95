//! What wakes the agent. Events only wake; listing is the truth.

use std::collections::BTreeSet;
use std::fmt;

use crate::clients::docker::EngineEvent;
use crate::reconcile::observed::{Look, ObservedCache};

/// Something that may have changed what should run or what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// The agent has just started.
    Start,
    /// It is time to ask the remote.
    Poll,
    /// The repository, which lies on this machine, has changed.
    Repository,
    /// The node's own configuration has changed.
    Configuration,
    /// Something happened on the engine: what, and to what.
    Engine {
        /// `die`, `destroy`, ….
        action: String,
        /// The object's name.
        name: String,
        /// `container`, `network`, `volume` or `image`.
        kind: String,
        /// The container that changed: itself, or the one that joined or left a network.
        container: Option<String>,
    },
    /// The event stream broke: anything may have happened.
    EventsLost,
    /// SIGHUP.
    Hangup,
    /// A window opened, a freeze or a suspension ended.
    Time,
    /// What was under way has ended.
    Ended,
    /// Images were copied into the hub.
    Copied,
    /// An operator asks.
    Operator,
}

impl Trigger {
    /// Whether the remote is to be asked.
    pub fn fetches(&self) -> bool {
        matches!(
            self,
            Self::Start
                | Self::Poll
                | Self::Repository
                | Self::Configuration
                | Self::Hangup
                | Self::Operator
        )
    }

    /// How closely the pass must look.
    pub fn look(&self) -> Look {
        match self {
            Self::Start
            | Self::EventsLost
            | Self::Hangup
            | Self::Operator
            | Self::Configuration => Look::Everything,
            Self::Poll
            | Self::Repository
            | Self::Time
            | Self::Ended
            | Self::Copied
            | Self::Engine { .. } => Look::Changes,
        }
    }

    /// What an engine event means to the agent; most mean nothing.
    pub fn from_event(event: &EngineEvent) -> Option<Self> {
        let action = event.action.split(':').next().unwrap_or_default();
        let wakes = match event.kind.as_str() {
            "container" => matches!(
                action,
                "die"
                    | "destroy"
                    | "stop"
                    | "rename"
                    | "update"
                    | "pause"
                    | "unpause"
                    | "start"
                    | "health_status"
            ),
            // A start or stop without a network tells of `none` or `host`, which nobody can take away.
            "network"
                if event.attributes.get("type").is_some_and(|t| t == "null" || t == "host") =>
            {
                false
            }
            "network" => matches!(action, "disconnect" | "destroy" | "connect" | "remove"),
            "volume" => action == "destroy",
            "image" => matches!(action, "delete" | "untag"),
            _ => false,
        };
        wakes.then(|| Self::Engine {
            action: event.action.clone(),
            kind: event.kind.clone(),
            container: match event.kind.as_str() {
                "container" => Some(event.actor.clone()),
                _ => event.attributes.get("container").cloned(),
            },
            name: event.attributes.get("name").unwrap_or(&event.actor).clone(),
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Poll => f.write_str("poll"),
            Self::Repository => f.write_str("repository"),
            Self::Configuration => f.write_str("configuration"),
            Self::Engine { action, name, .. } => write!(f, "docker {action} {name}"),
            Self::EventsLost => f.write_str("events lost"),
            Self::Hangup => f.write_str("SIGHUP"),
            Self::Time => f.write_str("time"),
            Self::Ended => f.write_str("end of a rollout"),
            Self::Copied => f.write_str("images copied"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// Everything that one pass answers: the first trigger, and what all of them together ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// What came first, for the journal.
    pub first: Trigger,
    /// Whether any of them asks the remote.
    pub fetches: bool,
    /// The closest look that any of them asks for.
    pub look: Look,
    /// Whether the node's configuration changed.
    pub reloads: bool,
    /// Whether anything may have happened on the engine.
    pub events_lost: bool,
    /// Ids of containers that may have changed in a way that no list shows, as by `docker update`.
    pub changed: BTreeSet<String>,
    /// Whether networks or volumes changed.
    pub networks_changed: bool,
    /// Whether images went.
    pub images_changed: bool,
}

impl Wake {
    /// A wake by one trigger.
    pub fn by(first: Trigger) -> Self {
        let mut wake = Self {
            first: Trigger::Start,
            fetches: false,
            look: Look::Changes,
            reloads: false,
            events_lost: false,
            changed: BTreeSet::new(),
            networks_changed: false,
            images_changed: false,
        };
        wake.add(&first);
        wake.first = first;
        wake
    }

    /// Answers everything that another wake answers as well.
    pub fn join(&mut self, other: Self) {
        self.fetches |= other.fetches;
        if other.look == Look::Everything {
            self.look = Look::Everything;
        }
        self.reloads |= other.reloads;
        self.events_lost |= other.events_lost;
        self.changed.extend(other.changed);
        self.networks_changed |= other.networks_changed;
        self.images_changed |= other.images_changed;
    }

    /// Forgets what changed, so that the next look asks for it.
    pub fn forget_changed(&self, seen: &mut ObservedCache) {
        self.changed.iter().for_each(|id| seen.forget(id));
        if self.networks_changed {
            seen.forget_networks_and_volumes();
        }
        if self.images_changed {
            seen.forget_images();
        }
    }

    /// Answers another trigger as well.
    pub fn add(&mut self, trigger: &Trigger) {
        self.fetches |= trigger.fetches();
        if trigger.look() == Look::Everything {
            self.look = Look::Everything;
        }
        self.reloads |= matches!(trigger, Trigger::Configuration | Trigger::Hangup);
        self.events_lost |= matches!(trigger, Trigger::EventsLost);
        if let Trigger::Engine { kind, container, .. } = trigger {
            self.networks_changed |= kind != "container" && kind != "image";
            self.images_changed |= kind == "image";
            self.changed.extend(container.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::trigger::{Trigger, Wake};
    use crate::clients::docker::EngineEvent;
    use crate::reconcile::observed::Look;

    fn event(kind: &str, action: &str) -> Option<Trigger> {
        Trigger::from_event(&EngineEvent {
            kind: kind.into(),
            action: action.into(),
            actor: "0123".into(),
            attributes: [("name".to_owned(), "app1.prd-web".to_owned())].into(),
        })
    }

    #[test]
    fn a_start_or_stop_without_a_network_wakes_as_a_containers_alone() {
        for (kind, wakes) in [("null", false), ("host", false), ("bridge", true)] {
            let event = EngineEvent {
                kind: "network".into(),
                action: "disconnect".into(),
                actor: "0123".into(),
                attributes: [("type".to_owned(), kind.to_owned())].into(),
            };
            assert_eq!(Trigger::from_event(&event).is_some(), wakes, "{kind}");
        }
    }

    #[test]
    fn what_changes_a_container_wakes_and_what_only_looks_at_it_does_not() {
        for (kind, action, wakes) in [
            ("container", "die", true),
            ("container", "update", true),
            ("container", "health_status: unhealthy", true),
            ("container", "exec_start: wget", false),
            ("container", "create", false),
            ("network", "disconnect", true),
            ("volume", "destroy", true),
            ("volume", "mount", false),
            ("image", "pull", false),
            ("image", "delete", true),
        ] {
            assert_eq!(event(kind, action).is_some(), wakes, "{kind} {action}");
        }
        assert_eq!(event("container", "die").unwrap().to_string(), "docker die app1.prd-web");
    }

    #[test]
    fn one_pass_answers_all_that_came_together() {
        let mut wake = Wake::by(event("container", "die").unwrap());
        assert!(!wake.fetches);
        wake.add(&Trigger::Repository);
        assert!(wake.fetches && wake.look == Look::Changes && !wake.reloads);
        assert_eq!(wake.changed, ["0123".to_owned()].into());
        wake.add(&Trigger::Hangup);
        assert!(wake.reloads && wake.look == Look::Everything);
    }
}
