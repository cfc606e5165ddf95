//! The corpus of the fuzz targets, replayed and mutated from a seed: no parser panics.

use std::path::Path;

#[path = "../../fuzz/parsers.rs"]
#[expect(unreachable_pub, reason = "it is the library of the fuzz targets, too")]
mod parsers;

/// Mutations of each file: the fuzzers make millions, this keeps what they know true. Where there is
/// no fuzzer, `TIDEGATE_MUTATIONS=1000000` takes its place.
const MUTATIONS: u64 = 400;

fn n_mutations() -> u64 {
    let asked = std::env::var("TIDEGATE_MUTATIONS").ok();
    asked.map_or(MUTATIONS, |text| text.parse().unwrap())
}

fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % (below.max(1) as u64)).unwrap()
    };
    for _ in 0..=roll(4) {
        let at = roll(bytes.len());
        match roll(4) {
            0 if !bytes.is_empty() => bytes[at] = u8::try_from(roll(256)).unwrap(),
            1 if !bytes.is_empty() => drop(bytes.drain(at..(at + roll(40)).min(bytes.len()))),
            2 => bytes.truncate(at),
            _ => {
                let from = roll(bytes.len());
                let piece = bytes[from..(from + roll(60)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn replay(target: &str, run: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut n_files = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        run(&bytes);
        for seed in 1..=n_mutations() {
            run(&mutated(&bytes, seed));
        }
        n_files += 1;
    }
    assert!(n_files > 0, "the corpus of {target} is gone");
}

#[test]
fn commits_of_the_corpus_and_their_mutations() {
    replay("commit", parsers::commit);
}

#[test]
fn signatures_of_the_corpus_and_their_mutations() {
    replay("signature", parsers::signature);
}

#[test]
fn policies_of_the_corpus_and_their_mutations() {
    replay("policy", parsers::policy);
}
