// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong in a command, each with the exit code and with what to type next.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Error {
    /// No command, stage or benchmark has this name.
    Unknown {
        what: &'static str,
        given: String,
        known: Vec<String>,
    },
    /// The command does not take this argument.
    UnexpectedArgument {
        command: &'static str,
        given: String,
    },
    /// A program or service is not on this machine, and this command cannot install it.
    Missing { what: String, remedy: String },
    /// A program could not be started.
    NotStarted { program: String, source: io::Error },
    /// A program ran and said no. Its own output has been shown.
    Failed { what: String, code: u8 },
    /// A file could not be read or written.
    File { path: PathBuf, source: io::Error },
    /// Cargo described the workspace in a form that we do not understand.
    Metadata { problem: String },
    /// Something failed, and the last line has been printed: nothing may follow it.
    Told,
    /// A check found faults, which it has printed.
    Faults { count: usize, remedy: &'static str },
}

impl Error {
    /// For `map_err` on the file system.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// 2 for a mistake on the command line, the program's own code where one failed, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown { .. } | Self::UnexpectedArgument { .. } => 2,
            Self::Failed { code, .. } => *code,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { what, given, known } => match nearest(given, known) {
                Some(near) => write!(f, "there is no {what} `{given}`; did you mean `{near}`?"),
                None if known.is_empty() => write!(f, "there is no {what} yet, and no `{given}`"),
                None => write!(
                    f,
                    "there is no {what} `{given}`; there are: {}",
                    known.join(", ")
                ),
            },
            Self::UnexpectedArgument { command, given } => write!(
                f,
                "`{command}` does not take `{given}`; type `cargo xtask help` for what it takes"
            ),
            Self::Missing { what, remedy } => write!(f, "{what} missing; {remedy}"),
            Self::NotStarted { program, source } => {
                write!(
                    f,
                    "cannot start `{program}`: {source}; install it or put it on the PATH"
                )
            }
            Self::Failed { what, .. } => write!(f, "{what} failed"),
            Self::Told => write!(f, "failed as told"),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Metadata { problem } => write!(
                f,
                "cannot read the workspace: {problem}; type `cargo metadata --no-deps` to see it"
            ),
            Self::Faults { count: 1, remedy } => write!(f, "1 fault; {remedy}"),
            Self::Faults { count, remedy } => write!(f, "{count} faults; {remedy}"),
        }
    }
}

/// The known name that is at most a third of its letters away from the given one.
fn nearest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(given, name), name.as_str()))
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed or replaced to turn one word into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_gets_the_nearest_name() {
        let known = ["license-check", "ci", "test", "tidy"].map(String::from);
        assert_eq!(nearest("licence-check", &known), Some("license-check"));
        assert_eq!(nearest("tets", &known), Some("test"));
        assert_eq!(nearest("deploy", &known), None);
    }

    #[test]
    fn distance_counts_single_letter_changes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn a_mistake_on_the_command_line_exits_with_two_and_a_failed_program_with_its_own_code() {
        let usage = Error::UnexpectedArgument {
            command: "docs",
            given: "x".into(),
        };
        assert_eq!(usage.exit_code(), 2);
        assert_eq!(
            Error::Failed {
                what: "demo".into(),
                code: 77
            }
            .exit_code(),
            77
        );
    }
}
