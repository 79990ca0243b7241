// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What there is to type. The list of commands lives here, so that `help` cannot forget one.

use crate::error::Error;
use crate::run;

/// Each command, what it takes, and what it does.
const COMMANDS: [(&str, &str, &str); 15] = [
    (
        "demo",
        "",
        "build and run the demo: a deploy that is killed and taken over",
    ),
    (
        "test",
        "[filter]",
        "run the tests, setting up Postgres and Redis where they are missing",
    ),
    (
        "ci",
        "[stage..]",
        "run all that a change must pass, or only the stages named",
    ),
    (
        "bench",
        "[name] [--json] [..]",
        "run a benchmark, or list what there is",
    ),
    (
        "chaos",
        "[--rounds N] [--seed S] [..]",
        "murder workers and their server while they work, and judge what is left",
    ),
    (
        "sim",
        "[--seeds N] [--seed S] [..]",
        "play many worlds of processes that die, and judge them by the guarantees; or one again",
    ),
    (
        "fuzz",
        "[name] [seconds]",
        "throw mutated input at a reader of input from outside, or list them",
    ),
    (
        "openapi",
        "[..]",
        "validate the OpenAPI document of the example `registers`, and fuzz the example by it",
    ),
    (
        "tidy",
        "",
        "check the floors, the files and the manifests against the house style",
    ),
    (
        "license-check",
        "[path..]",
        "list the source files that lack the licence line",
    ),
    (
        "license-fix",
        "[path..]",
        "put the licence line on the files that lack it",
    ),
    ("license-strip", "[path..]", "take the licence line off"),
    (
        "audit",
        "",
        "check licences, banned crates, sources and known vulnerabilities",
    ),
    (
        "docs",
        "",
        "build the documentation, with warnings as errors",
    ),
    ("help", "", "print this"),
];

/// Prints the list of commands.
pub(crate) fn print() {
    run::say("The commands of this repository: cargo xtask <command>\n");
    let width = COMMANDS
        .iter()
        .map(|(name, takes, _)| name.len() + takes.len() + 1)
        .max();
    let width = width.unwrap_or_default();
    for (name, takes, does) in COMMANDS {
        run::say(&format!("  {:<width$}  {does}", format!("{name} {takes}")));
    }
    run::say(
        "\ndemo, test, ci, bench, chaos and openapi install Postgres and Redis on Debian as root; elsewhere they \
         say what to type.",
    );
}

/// `help` as the command, or a help flag before any `--`.
pub(crate) fn is_asked_for(command: &str, rest: &[String]) -> bool {
    let flag = |argument: &str| matches!(argument, "-h" | "--help");
    command == "help"
        || flag(command)
        || rest
            .iter()
            .take_while(|argument| *argument != "--")
            .any(|argument| flag(argument))
}

/// The error for a command that does not exist.
pub(crate) fn unknown(given: &str) -> Error {
    let known = COMMANDS
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    Error::Unknown {
        what: "command",
        given: given.to_owned(),
        known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_heard_in_every_position_but_behind_two_dashes() {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert!(is_asked_for("help", &[]));
        assert!(is_asked_for("-h", &[]));
        assert!(is_asked_for("ci", &words(&["--help"])));
        assert!(!is_asked_for("bench", &words(&["flow", "--", "--help"])));
    }
}
