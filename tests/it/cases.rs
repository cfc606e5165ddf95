//! Whole repositories, and what the program says about them: `tests/cases/<case>/{repo/, said.txt}`.
//!
//! In `said.txt` each line that begins with `$ tidegate` is run in `repo/`; below it stands all that
//! it says, and how it ends. With `TIDEGATE_UPDATE_CASES` set the files are written anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::cli::support::run;

const COMMAND: &str = "$ tidegate ";

/// The file as it would be written now.
fn play(case: &Path, text: &str) -> String {
    let mut played = String::new();
    for command in text.lines().filter_map(|line| line.strip_prefix(COMMAND)) {
        let said = run(&case.join("repo"), command.split(' '));
        write!(played, "{COMMAND}{command}\n{}{}", said.out, said.err).unwrap();
        writeln!(played, "[exit {}]", said.code).unwrap();
    }
    played
}

#[test]
fn every_case_says_what_its_file_says() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut different = Vec::new();
    let mut count = 0;
    for case in fs::read_dir(&cases).unwrap() {
        let case = case.unwrap().path();
        let file = case.join("said.txt");
        let expected = fs::read_to_string(&file).unwrap();
        let found = play(&case, &expected);
        assert!(!found.is_empty(), "{} runs nothing", file.display());
        if std::env::var_os("TIDEGATE_UPDATE_CASES").is_some() {
            fs::write(&file, &found).unwrap();
        } else if found != expected {
            different.push(format!("{}\n{found}", file.display()));
        }
        count += 1;
    }
    assert!(count >= 3 && different.is_empty(), "{}", different.join("\n"));
}
