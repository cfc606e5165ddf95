//! A story of three branches from a seed: what honest people do, with tampered commits beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tidegate::model::CommitId;

pub(crate) const LINE: [&str; 3] = ["dev", "tst", "prd"];
pub(crate) const APPS: u64 = 8;

pub(crate) type Files = BTreeMap<String, String>;

/// A commit before it is made; others are named by their place in the plan, as `{7}` in a message.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) environment: usize,
    pub(crate) parents: Vec<usize>,
    pub(crate) files: Files,
    pub(crate) message: String,
    pub(crate) by: Option<&'static str>,
    pub(crate) approved: bool,
    /// What an honest history would never have.
    pub(crate) is_tampered: bool,
}

#[derive(Default)]
pub(crate) struct Branch {
    pub(crate) tip: usize,
    /// Its own history, what wrappers land included.
    pub(crate) chain: Vec<usize>,
    pub(crate) hotfixes: Vec<usize>,
    /// The newest source that was taken.
    pub(crate) taken: usize,
}

/// xorshift: the same story for the same seed, on any machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below).unwrap()
    }
}

/// Keys that people have besides their first, and lose again.
pub(crate) struct Keys {
    pub(crate) bob: String,
    pub(crate) bob2: String,
    pub(crate) carol: String,
    /// carol's OpenPGP key, and its certificate.
    pub(crate) pgp: String,
    pub(crate) certificate: String,
}

pub(crate) struct Story {
    pub(crate) dice: Dice,
    pub(crate) keys: Keys,
    pub(crate) plan: Vec<Planned>,
    /// The commits that were made so far, by place.
    pub(crate) made: Vec<CommitId>,
    pub(crate) branches: [Branch; 3],
}

fn is_flow(path: &str) -> bool {
    !path.starts_with("environments/")
}

pub(crate) fn own(environment: usize, path: &str) -> String {
    format!("environments/{}/{path}", LINE[environment])
}

/// The kind, in what comes after `Tidegate: ` or in a whole message.
pub(crate) fn word_of(text: &str) -> &str {
    let text = text.split_once("Tidegate: ").map_or(text, |(_, rest)| rest);
    text.split([' ', '\n']).next().unwrap_or_default()
}

/// Lists `second` beside `first`, or no more; whether it is listed now.
fn toggle(policy: &mut String, first: &str, second: &str) -> bool {
    let (alone, both) = (format!("\"{first}\"]"), format!("\"{first}\", \"{second}\"]"));
    let is_listed = policy.contains(&both);
    let (old, new) = if is_listed { (both, alone) } else { (alone, both) };
    assert!(policy.contains(&old), "{policy}");
    *policy = policy.replace(&old, &new);
    !is_listed
}

fn is_own(path: &str, environment: usize) -> bool {
    path.starts_with(&format!("environments/{}/", LINE[environment]))
}

impl Story {
    pub(crate) fn new(seed: u64, keys: Keys, made: [CommitId; 3], anchors: [Files; 3]) -> Self {
        let (plan, branches) = (Vec::new(), Default::default());
        let mut story = Self { dice: Dice(seed), keys, plan, made: made.to_vec(), branches };
        for (environment, files) in anchors.into_iter().enumerate() {
            story.branches[environment].tip = environment;
            story.branches[environment].chain.push(environment);
            let (parents, message) = (Vec::new(), String::new());
            let (by, approved, is_tampered) = (None, false, false);
            let planned =
                Planned { environment, parents, files, message, by, approved, is_tampered };
            story.plan.push(planned);
        }
        // The lower anchor is the first source.
        story.branches[2].taken = 1;
        story
    }

    fn app(&mut self) -> String {
        format!("services/app{}.toml", self.dice.roll(APPS))
    }

    fn add(&mut self, planned: Planned) -> usize {
        self.plan.push(planned);
        self.plan.len() - 1
    }

    /// One more commit on a branch.
    pub(crate) fn go_on(&mut self, environment: usize) {
        let tip = self.branches[environment].tip;
        let mut next = Planned { parents: vec![tip], ..self.plan[tip].clone() };
        (next.is_tampered, next.approved) = (false, false);
        let edit = format!("app = \"app1\" # {}\n", self.plan.len());
        let kind = match (environment, self.dice.roll(11)) {
            (_, 10) => self.admin(environment, &mut next),
            (0, 0) => self.roll_back(environment, &mut next),
            (0, 1) => self.merge(&mut next, &edit),
            (0, _) => {
                let app = self.app();
                next.files.insert(app, edit);
                next.by = Some(["alice", "bob"][self.dice.roll(2)]);
                String::new()
            }
            (_, 0..=2) => self.promote(environment, &mut next),
            (_, 3..=5) => self.pick(environment, &mut next),
            (_, 6) => {
                let app = self.app();
                next.files.insert(app, edit);
                next.by = Some("carol");
                let here = self.plan.len();
                self.branches[environment].hotfixes.push(here);
                "hotfix\nHotfix: it burns".to_owned()
            }
            (_, 7) => self.roll_back(environment, &mut next),
            _ => {
                let node = format!("environments/{}/nodes/n1.toml", LINE[environment]);
                next.files.insert(node, edit);
                next.by = Some("bob");
                "local".to_owned()
            }
        };
        if word_of(&kind) != "admin" {
            next.by = next.by.map(|by| self.key_of(environment, by, &self.plan[tip].files.clone()));
        }
        let (word, more) = kind.split_once('\n').unwrap_or((&kind, ""));
        let more = if more.is_empty() { String::new() } else { format!("\n{more}") };
        let trailer = format!("\n\nTidegate: {word} {}{more}", LINE[environment]);
        next.message = format!("Work{}", if word.is_empty() { "" } else { &trailer });
        if self.dice.roll(8) == 0 {
            self.tamper(&next);
        }
        let here = self.add(next);
        // A hotfix was noted before a tampered copy took its place.
        if word == "hotfix" {
            *self.branches[environment].hotfixes.last_mut().unwrap() = here;
        }
        self.branches[environment].tip = here;
        self.branches[environment].chain.push(here);
    }

    /// One of the keys that somebody has at the moment.
    fn key_of(&mut self, environment: usize, by: &'static str, files: &Files) -> &'static str {
        let policy = &files[&own(environment, "trust.toml")];
        let second = match by {
            "bob" if policy.contains(&self.keys.bob2) => "bob2",
            "carol" if policy.contains(&self.keys.pgp) => "carol's OpenPGP",
            _ => by,
        };
        [by, second][self.dice.roll(2)]
    }

    /// Somebody gets a second key or loses it; or the environment below is judged from a later commit.
    fn admin(&mut self, environment: usize, next: &mut Planned) -> String {
        next.by = Some(if environment == 0 { "alice" } else { "carol" });
        let certificate = own(environment, "keys/carol.asc");
        let lower = environment.checked_sub(1).map(|lower| self.first_parents(lower));
        let later = lower.map(|all| all[self.dice.roll(all.len() as u64)]);
        let later = later.and_then(|at| self.made.get(at).copied());
        let policy = next.files.get_mut(&own(environment, "trust.toml")).unwrap();
        match (self.dice.roll(3), later) {
            (0, Some(later)) => {
                let (before, rest) = policy.split_once("anchor = \"").unwrap();
                *policy = format!("{before}anchor = \"{later}{}", &rest[40..]);
                // What was taken before may lie below it now.
                self.branches[environment].taken = 0;
            }
            (1, _) => {
                let pgp = format!("openpgp:{}", self.keys.pgp);
                if toggle(policy, &self.keys.carol, &pgp) {
                    next.files.insert(certificate, self.keys.certificate.clone());
                } else {
                    next.files.remove(&certificate);
                }
            }
            _ => {
                toggle(policy, &self.keys.bob, &self.keys.bob2);
            }
        }
        "admin".to_owned()
    }

    /// A branch's commits by first parents, the newest first.
    pub(crate) fn first_parents(&self, environment: usize) -> Vec<usize> {
        let mut at = self.branches[environment].tip;
        let mut all = vec![at];
        while let Some(parent) = self.plan[at].parents.first() {
            at = *parent;
            all.push(at);
        }
        all
    }

    fn roll_back(&mut self, environment: usize, next: &mut Planned) -> String {
        let chain = &self.branches[environment].chain;
        let to = chain[self.dice.roll(chain.len() as u64)];
        let target = self.plan[to].files.clone();
        next.by = Some(if environment == 0 { "alice" } else { "bob" });
        if self.dice.roll(2) == 0 {
            let app = self.app();
            take(&mut next.files, &target, |path| path == app);
            return format!("rollback\nRollback-To: {{{to}}}\nRollback-Path: {app}");
        }
        take(&mut next.files, &target, is_flow);
        format!("rollback\nRollback-To: {{{to}}}")
    }

    /// A feature branch that nobody signed, merged by somebody who may change dev.
    fn merge(&mut self, next: &mut Planned, edit: &str) -> String {
        let app = self.app();
        next.files.insert(app, edit.to_owned());
        let feature =
            Planned { message: "Feature".into(), by: None, is_tampered: true, ..next.clone() };
        let feature = self.add(feature);
        next.parents.push(feature);
        next.by = Some("alice");
        if self.dice.roll(2) == 0 {
            next.files.insert("README.md".into(), edit.to_owned());
        }
        String::new()
    }

    fn promote(&mut self, environment: usize, next: &mut Planned) -> String {
        let source = self.branches[environment - 1].tip;
        let content = self.plan[source].files.clone();
        take(&mut next.files, &content, |path| !is_own(path, environment));
        next.parents.push(source);
        next.by = Some("carol");
        next.approved = self.dice.roll(2) == 0;
        let branch = &mut self.branches[environment];
        branch.taken = source;
        supersede("promote".into(), std::mem::take(&mut branch.hotfixes))
    }

    fn pick(&mut self, environment: usize, next: &mut Planned) -> String {
        let newest = self.branches[environment - 1].tip;
        let again = self.branches[environment].taken;
        let source = if self.dice.roll(3) == 0 && again > 2 { again } else { newest };
        let content = self.plan[source].files.clone();
        let (one, two) = (self.app(), self.app());
        take(&mut next.files, &content, |path| path == one || path == two);
        next.by = Some("bob");
        let branch = &mut self.branches[environment];
        branch.taken = source;
        let kind = format!(
            "pick\nPromoted-From: {{{source}}}\nPromoted-Path: {one}\nPromoted-Path: {two}"
        );
        supersede(kind, branch.hotfixes.clone())
    }

    /// A commit that differs from an honest one in one thing, beside it.
    fn tamper(&mut self, honest: &Planned) {
        let mut bad = Planned { is_tampered: true, ..honest.clone() };
        let own = own(bad.environment, "trust.toml");
        let before = self.plan[honest.parents[0]].files[&own].clone();
        match self.dice.roll(9) {
            7 if !before.contains(&self.keys.bob2) => bad.by = Some("bob2"),
            8 if !before.contains(&self.keys.pgp) => bad.by = Some("carol's OpenPGP"),
            0 => bad.by = None,
            1 => bad.by = Some("stranger"),
            2 if word_of(&bad.message) != "admin" => {
                bad.files.entry(own).or_default().push_str("# mine\n");
            }
            3 => bad.message += "\n\nTidegate: local prd\nTidegate: local prd",
            4 => bad.message = bad.message.replace("Tidegate: ", "Tidegate: x"),
            5 if bad.message.contains("rollback") || bad.message.contains("pick") => {
                bad.files.insert("services/evil.toml".into(), String::new());
            }
            6 if bad.message.contains("rollback") => {
                // Of the next environment or the one below, never of its own.
                let other = self.branches[(bad.environment + 1) % 3].chain[0];
                let begin = bad.message.find("Rollback-To: ").unwrap();
                let end = bad.message[begin..].find('}').unwrap() + begin;
                bad.message.replace_range(begin..=end, &format!("Rollback-To: {{{other}}}"));
            }
            _ => {
                let more: Vec<usize> = (0..3).filter(|at| !bad.parents.contains(at)).collect();
                bad.parents.extend(more);
                bad.parents.truncate(3);
            }
        }
        if bad.parents.first() != honest.parents.first()
            || bad.message == honest.message
                && bad.by == honest.by
                && bad.files == honest.files
                && bad.parents == honest.parents
        {
            bad.by = None;
        }
        self.add(bad);
    }

    /// Some commits of a branch of their own, landed by a merge button.
    pub(crate) fn land(&mut self, environment: usize) {
        let before = self.branches[environment].tip;
        for _ in 0..=self.dice.roll(3) {
            self.go_on(environment);
        }
        let tip = self.branches[environment].tip;
        let (parents, message) = (vec![before, tip], "Merge pull request".to_owned());
        let wrapper =
            Planned { parents, message, by: None, approved: false, ..self.plan[tip].clone() };
        let wrapper = self.add(wrapper);
        self.branches[environment].tip = wrapper;
        self.branches[environment].chain.push(wrapper);
    }
}

fn supersede(mut kind: String, hotfixes: Vec<usize>) -> String {
    for hotfix in hotfixes {
        let _ = write!(kind, "\nSupersedes: {{{hotfix}}}");
    }
    kind
}

/// Makes the files that fit as they are in `source`, absent ones too.
fn take(files: &mut Files, source: &Files, fits: impl Fn(&str) -> bool) {
    files.retain(|path, _| !fits(path));
    let taken = source.iter().filter(|(path, _)| fits(path));
    files.extend(taken.map(|(path, text)| (path.clone(), text.clone())));
}
