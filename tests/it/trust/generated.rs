//! Long histories, made by plain git from a seed, judged by the product and by the independent
//! checker: the honest are good commit by commit, the tampered are refused, and both always agree.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::ToSpan as _;
use tidegate::model::CommitId;
use tidegate::reconcile::trust::approval::Statement;
use tidegate::reconcile::trust::kind::CommitKind;
use tidegate::reconcile::trust::{Remembered, verify};

use crate::trust::history::{By, History};
use crate::trust::story::{Dice, Files, Keys, LINE, Planned, Story, word_of};

/// The trees of a plan, by one fast-import.
fn trees(h: &History, plan: &[Planned]) -> Vec<String> {
    let mut stream = "reset refs/heads/scratch\n".to_owned();
    for planned in plan {
        stream += "commit refs/heads/scratch\ncommitter a <a@b> 1 +0000\ndata 1\nx\ndeleteall\n";
        for (path, text) in &planned.files {
            let _ = writeln!(stream, "M 100644 inline {path}\ndata {}\n{text}", text.len());
        }
    }
    h.run("git", &["fast-import", "--quiet", "--force"], stream.as_bytes());
    let log = h.git(&["log", "--reverse", "--format=%T", "scratch"]);
    log.lines().map(str::to_owned).collect()
}

/// Makes the commits of a plan beyond those that are there.
fn make(h: &mut History, plan: &[Planned], pgp: &str, ids: &mut Vec<CommitId>) {
    let new = &plan[ids.len()..];
    let trees = trees(h, new);
    for (planned, tree) in new.iter().zip(&trees) {
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
        let by = match planned.by {
            None => By::Nobody,
            Some("carol's OpenPGP") => By::Pgp(pgp),
            Some(name) => By::Ssh(name),
        };
        ids.push(h.make(tree, &parents, by, &message));
    }
}

/// What the independent checker says of each commit.
pub(crate) fn checked(h: &History, asked: &[(usize, CommitId, CommitId)]) -> Vec<bool> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/trust/checker.py");
    let mut child = Command::new("python3")
        .args([script, h.path(".").to_str().unwrap()])
        .env("GNUPGHOME", h.path("gpg"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
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

/// Keys beyond those that everybody has.
fn keys(h: &mut History) -> Keys {
    h.new_key("bob2", &["-t", "ed25519"]);
    let pgp = h.new_pgp_key("carol", "ed25519");
    let certificate = h.run("gpg", &["--armor", "--export", "carol"], b"") + "\n";
    let [bob, bob2, carol] = ["bob", "bob2", "carol"].map(|name| h.public_key(name));
    Keys { bob, bob2, carol, pgp, certificate }
}

/// Plays a story of `n` steps in three acts, each made before the next one begins.
fn told(seed: u64, n: usize) -> (History, Story) {
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
    let keys = keys(&mut h);
    let mut story = Story::new(seed, keys, anchors, content);
    for _ in 0..3 {
        for _ in 0..n / 3 {
            let environment = [0, 0, 1, 1, 2][story.dice.roll(5)];
            if story.dice.roll(12) == 0 {
                story.land(environment);
            } else {
                story.go_on(environment);
            }
        }
        make(&mut h, &story.plan, &story.keys.pgp, &mut story.made);
    }
    (h, story)
}

/// What the product says of a commit, from an anchor or a checkpoint.
fn is_good(h: &mut History, (environment, anchor, tip): (usize, CommitId, CommitId)) -> bool {
    h.on(LINE[environment]);
    (h.anchor, h.tip) = (anchor, tip);
    let verdict = verify(&h.objects(), &h.request(Remembered::Nothing));
    verdict.verified_id() == Some(tip) && verdict.refused.is_none()
}

/// Both judge the ends of each branch, and what is tampered there, from commits in its middle.
fn checkpoints(h: &mut History, story: &mut Story, seed: u64) {
    let mut asked = Vec::new();
    for environment in 0..3 {
        let chain = story.first_parents(environment);
        let tip = story.made[chain[0]];
        for _ in 0..4 {
            let place = story.dice.roll(chain.len() as u64);
            let anchor = story.made[chain[place]];
            asked.push(((environment, anchor, tip), true));
            let above: Vec<usize> = chain[..=place].to_vec();
            let beside = |planned: &Planned| {
                planned.is_tampered
                    && planned.environment == environment
                    && planned.parents.first().is_some_and(|parent| above.contains(parent))
            };
            let tampered = story.plan.iter().zip(&story.made).filter(|(p, _)| beside(p)).take(5);
            asked.extend(tampered.map(|(_, id)| ((environment, anchor, *id), false)));
        }
    }
    let questions: Vec<_> = asked.iter().map(|(question, _)| *question).collect();
    let theirs = checked(h, &questions);
    for ((question, honest), theirs) in asked.into_iter().zip(theirs) {
        let ours = is_good(h, question);
        assert_eq!((ours, theirs), (honest, honest), "seed {seed}: {question:?}");
    }
}

/// Plays a story of `n` steps, and compares the verdicts on each of its commits.
fn play(seed: u64, n: usize) -> usize {
    let (mut h, mut story) = told(seed, n);
    let Story { plan, branches, made: ids, .. } = &story;
    let question = |(p, id): (&Planned, &CommitId)| (p.environment, ids[p.environment], *id);
    let asked: Vec<_> = plan.iter().zip(ids).map(question).collect();
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
    let n_commits = plan.len();
    assert!(n < 500 || has_everything(plan), "the story lacks something");
    checkpoints(&mut h, &mut story, seed);
    n_commits
}

/// Whether honest commits of all kinds, and by keys of all sorts, are there.
fn has_everything(plan: &[Planned]) -> bool {
    let kinds = ["promote", "pick", "local", "hotfix", "rollback", "admin"];
    let honest = |fits: &dyn Fn(&Planned) -> bool| plan.iter().any(|p| !p.is_tampered && fits(p));
    kinds.iter().all(|kind| honest(&|p| word_of(&p.message) == *kind))
        && ["bob2", "carol's OpenPGP"].iter().all(|by| honest(&|p| p.by == Some(*by)))
        && honest(&|p| p.message == "Merge pull request")
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

/// A commit's bytes with one byte changed, gone or added.
fn with_one_byte_changed(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = dice.roll(bytes.len() as u64);
    let other = u8::try_from(dice.roll(256)).unwrap();
    match dice.roll(4) {
        0 => drop(bytes.remove(at)),
        1 => bytes.insert(at, other),
        2 => bytes[at] = other,
        _ => bytes[at] ^= 1 << dice.roll(8),
    }
    bytes
}

/// What is signed: all but the signature itself.
fn signed_part(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let (mut is_head, mut is_signature) = (true, false);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        is_signature = is_head && (line.starts_with(b"gpgsig ") || is_signature && line[0] == b' ');
        is_head &= line != b"\n";
        if !is_signature {
            kept.extend_from_slice(line);
        }
    }
    kept
}

#[test]
fn no_byte_that_was_signed_can_be_changed() {
    let (mut h, mut story) = told(0xb17e, 60);
    let mut n_refused = 0;
    for (environment, name) in LINE.iter().enumerate() {
        h.on(name);
        for at in story.first_parents(environment) {
            let Some(parent) = story.plan[at].parents.first().map(|at| story.made[*at]) else {
                continue;
            };
            if story.plan[at].by.is_none() {
                continue;
            }
            let honest = h.bytes(story.made[at]);
            for _ in 0..6 {
                let bytes = with_one_byte_changed(&honest, &mut story.dice);
                let id = h.store(&bytes);
                let verdict = verify(&h.objects(), &h.request(Remembered::Verified(parent)));
                if verdict.verified_id() == Some(id) {
                    assert_eq!(signed_part(&bytes), signed_part(&honest), "{id} of {at}");
                } else {
                    assert_eq!(verdict.verified_id(), Some(parent), "{id} of {at}");
                    n_refused += 1;
                }
            }
        }
    }
    assert!(n_refused > 100, "{n_refused}");
}
