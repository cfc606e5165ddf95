//! Long histories, made by plain git from a seed, judged by the product and by the independent
//! checker: the honest are good commit by commit, the tampered are refused, and both always agree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::ToSpan as _;
use tidegate::model::CommitId;
use tidegate::reconcile::trust::approval::Statement;
use tidegate::reconcile::trust::kind::CommitKind;
use tidegate::reconcile::trust::{Remembered, verify};

use crate::trust::history::{By, History};

const LINE: [&str; 3] = ["dev", "tst", "prd"];
const APPS: u64 = 8;

type Files = BTreeMap<String, String>;

/// A commit before it is made; others are named by their place in the plan, as `{7}` in a message.
#[derive(Clone)]
struct Planned {
    environment: usize,
    parents: Vec<usize>,
    files: Files,
    message: String,
    by: Option<&'static str>,
    approved: bool,
    /// What an honest history would never have.
    is_tampered: bool,
}

#[derive(Default)]
struct Branch {
    tip: usize,
    /// Its own history, what wrappers land included.
    chain: Vec<usize>,
    hotfixes: Vec<usize>,
    /// The newest source that was taken.
    taken: usize,
}

/// xorshift: the same story for the same seed, on any machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below).unwrap()
    }
}

struct Story {
    dice: Dice,
    plan: Vec<Planned>,
    branches: [Branch; 3],
}

fn is_flow(path: &str) -> bool {
    !path.starts_with("environments/")
}

fn is_own(path: &str, environment: usize) -> bool {
    path.starts_with(&format!("environments/{}/", LINE[environment]))
}

impl Story {
    fn new(seed: u64, anchors: [Files; 3]) -> Self {
        let mut story = Self { dice: Dice(seed), plan: Vec::new(), branches: Default::default() };
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
    fn go_on(&mut self, environment: usize) {
        let tip = self.branches[environment].tip;
        let mut next = Planned { parents: vec![tip], ..self.plan[tip].clone() };
        (next.is_tampered, next.approved) = (false, false);
        let edit = format!("app = \"app1\" # {}\n", self.plan.len());
        let kind = match (environment, self.dice.roll(10)) {
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
        let own = format!("environments/{}/trust.toml", LINE[bad.environment]);
        match self.dice.roll(7) {
            0 => bad.by = None,
            1 => bad.by = Some("stranger"),
            2 => bad.files.entry(own).or_default().push_str("# mine\n"),
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
    fn land(&mut self, environment: usize) {
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

/// The trees of a plan, by one fast-import.
fn trees(h: &History, plan: &[Planned]) -> Vec<String> {
    let mut stream = String::new();
    for planned in plan {
        stream += "commit refs/heads/scratch\ncommitter a <a@b> 1 +0000\ndata 1\nx\ndeleteall\n";
        for (path, text) in &planned.files {
            let _ = writeln!(stream, "M 100644 inline {path}\ndata {}\n{text}", text.len());
        }
    }
    h.run("git", &["fast-import", "--quiet"], stream.as_bytes());
    let log = h.git(&["log", "--reverse", "--format=%T", "scratch"]);
    log.lines().map(str::to_owned).collect()
}

/// Makes the commits of a plan; the first three are the anchors, which are there.
fn make(h: &mut History, plan: &[Planned], anchors: [CommitId; 3]) -> Vec<CommitId> {
    let trees = trees(h, plan);
    let mut ids = anchors.to_vec();
    for (planned, tree) in plan.iter().zip(&trees).skip(3) {
        let parents: Vec<CommitId> = planned.parents.iter().map(|at| ids[*at]).collect();
        let mut message = planned.message.clone();
        while let Some((before, rest)) = message.split_once('{') {
            let (at, after) = rest.split_once('}').unwrap();
            message = format!("{before}{}{after}", ids[at.parse::<usize>().unwrap()]);
        }
        if planned.approved {
            let statement = Statement {
                repository: "acme-config".into(),
                environment: LINE[planned.environment].parse().unwrap(),
                kind: CommitKind::Promote,
                from: parents[0],
                source: parents.get(1).copied(),
                tree: tree.parse().unwrap(),
                expires: h.clock.checked_add(24.hours()).unwrap(),
            };
            let approval = h.approve("bob", &statement);
            let _ = write!(message, "\n{approval}");
        }
        let by = planned.by.map_or(By::Nobody, By::Ssh);
        ids.push(h.make(tree, &parents, by, &message));
    }
    ids
}

/// What the independent checker says of each commit.
fn checked(h: &History, asked: &[(usize, CommitId, CommitId)]) -> Vec<bool> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/trust/checker.py");
    let mut child = Command::new("python3")
        .args([script, h.path(".").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = asked.iter().map(|(env, anchor, tip)| format!("{} {anchor} {tip}\n", LINE[*env]));
    let lines: String = lines.collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(|line| line == "good").collect()
}

/// Plays a story of `n` steps, and compares the verdicts on each of its commits.
fn play(seed: u64, n: usize) -> usize {
    let mut h = History::line();
    let anchors = LINE.map(|name| {
        h.on(name);
        h.anchor
    });
    let content = anchors.map(|anchor| {
        let listed = h.git(&["ls-tree", "-r", "--name-only", &anchor.to_string()]);
        let file = |path: &str| {
            let text = h.run_bytes("git", &["show", &format!("{anchor}:{path}")], b"");
            (path.to_owned(), String::from_utf8(text).unwrap())
        };
        listed.lines().map(file).collect::<Files>()
    });
    let mut story = Story::new(seed, content);
    for _ in 0..n {
        let environment = [0, 0, 1, 1, 2][story.dice.roll(5)];
        if story.dice.roll(12) == 0 {
            story.land(environment);
        } else {
            story.go_on(environment);
        }
    }
    let Story { plan, branches, .. } = story;
    let ids = make(&mut h, &plan, anchors);
    let asked: Vec<_> =
        plan.iter().zip(&ids).map(|(p, id)| (p.environment, anchors[p.environment], *id)).collect();
    let theirs = checked(&h, &asked);
    let objects = h.objects();
    for (environment, branch) in branches.iter().enumerate() {
        h.on(LINE[environment]);
        h.tip = ids[branch.tip];
        let accepted = h.assert_good().accepted;
        let mut honest =
            branch.chain.iter().skip(1).filter(|at| plan[**at].message != "Merge pull request");
        assert!(honest.clone().all(|at| theirs[*at]), "seed {seed}: an honest one is refused");
        assert!(accepted.iter().all(|a| honest.next().is_some_and(|at| ids[*at] == a.commit)));
        assert_eq!(honest.next(), None);
        assert!(branch.chain.iter().all(|at| theirs[*at]));
    }
    for (at, planned) in plan.iter().enumerate().filter(|(_, planned)| planned.is_tampered) {
        h.on(LINE[planned.environment]);
        h.tip = ids[at];
        let known = ids[planned.parents[0]];
        let verdict = verify(&objects, &h.request(Remembered::Verified(known)));
        assert_eq!(verdict.verified_id(), Some(known), "seed {seed}: {}", ids[at]);
        assert!(verdict.refused.is_some() && !theirs[at], "seed {seed}: {}", ids[at]);
    }
    plan.len()
}

#[test]
fn two_checkers_agree_on_a_thousand_commits() {
    assert!(play(0x5eed, 900) >= 1_000);
}

#[test]
fn nothing_tampered_is_adopted_and_nothing_honest_refused() {
    for seed in 1..=6 {
        play(seed, 40);
    }
}
