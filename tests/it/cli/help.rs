//! `--help` of every command, in one snapshot, so that a change of the command line is seen.

use std::fmt::Write as _;

use clap::Command;

fn describe(command: &mut Command, path: &str, text: &mut String) {
    writeln!(text, "=== {path}\n{}", command.render_long_help()).unwrap();
    let subcommands: Vec<String> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in subcommands {
        let sub = command.find_subcommand_mut(&name).unwrap();
        // Global options are shown once, for the program itself.
        let mut own = sub.clone().mut_args(|arg| {
            let heading = arg.get_help_heading() == Some("Global options");
            arg.hide(heading)
        });
        describe(&mut own, &format!("{path} {name}"), text);
    }
}

#[test]
fn the_manual_of_every_command_is_this() {
    let mut command = tidegate::cli::command();
    command.build();
    let mut text = String::new();
    describe(&mut command, "tidegate", &mut text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    insta::assert_snapshot!("help", lines.join("\n"));
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &Command, path: &str, missing: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            if sub.get_subcommands().next().is_some() {
                check(sub, &path, missing);
            } else if !sub.get_after_help().is_some_and(|help| help.to_string().contains("Example"))
            {
                missing.push(path);
            }
        }
    }
    let mut missing = Vec::new();
    check(&tidegate::cli::command(), "tidegate", &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}
