// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The form of files: their first lines, their length, what may not stand in them, and what may
//! stand at the top level.

use std::fs;
use std::path::{Component, Path};

use crate::error::Error;
use crate::license;

use super::{Fault, Source};

/// The house style says: aim at 200, question 400, stop at 600.
const LINES_MAX: usize = 600;
/// Files that may be longer, each with its reason. There are none.
const LONG_FILES: [&str; 0] = [];

/// The top level is what a visitor sees first. Settings of tools are dotfiles, which are free.
const TOP_LEVEL: [&str; 17] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "NOTICE",
    "README.md",
    "benches",
    "crates",
    "docs",
    "examples",
    "macros",
    "migrations",
    "rust-toolchain.toml",
    "tests",
    "xtask",
];
/// Cargo's own folder, which is never committed.
const IGNORED: &str = "target";

/// Checks what stands at the top level.
pub(super) fn check_top_level() -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    for entry in fs::read_dir(".").map_err(Error::file("."))? {
        let name = entry
            .map_err(Error::file("."))?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !is_welcome(&name) {
            let message = "not among the entries of the top level (xtask/src/tidy/files.rs)";
            faults.push(Fault::new(Path::new(&name), 1, message));
        }
    }
    Ok(faults)
}

fn is_welcome(name: &str) -> bool {
    name.starts_with('.') || name == IGNORED || TOP_LEVEL.contains(&name)
}

/// Checks one source file.
pub(super) fn check(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !license::is_headed(&source.path, &source.text) {
        faults.push(Fault::new(
            &source.path,
            1,
            "lacks the licence line: cargo xtask license-fix",
        ));
    }
    if source.extension() == "rs" {
        faults.extend(module_documentation(source));
        faults.extend(length(source));
        faults.extend(attributes(source));
    }
    if source.extension() == "sql" && is_statement(source) {
        faults.extend(statement_header(source));
    }
    faults.extend(promises(source));
    faults
}

/// Each module says first what it does, and what it refuses to do.
fn module_documentation(source: &Source) -> Option<Fault> {
    // What a UI case shows is said by its name, and its line numbers are in the expected output.
    if source.is_in("ui") {
        return None;
    }
    let mut lines = source.text.lines().map(str::trim).enumerate();
    let first = lines.find(|(_, line)| !line.is_empty() && !line.starts_with("// SPDX-"));
    let (at, line) = first.unwrap_or((0, ""));
    let message = "must begin, after the licence line, with `//!`: what the module does";
    (!line.starts_with("//!")).then(|| Fault::new(&source.path, at + 1, message))
}

/// Long files hide more than one concept. Tests may be long.
fn length(source: &Source) -> Option<Fault> {
    let lines = source.text.lines().count();
    let excused = ["tests", "ui"].iter().any(|name| source.is_in(name))
        || LONG_FILES.iter().any(|name| source.path == Path::new(name));
    let message = format!("{lines} lines, at most {LINES_MAX}: split it by concept");
    (lines > LINES_MAX && !excused).then(|| Fault::new(&source.path, lines, message))
}

/// Nothing is left out of the tests.
fn attributes(source: &Source) -> Vec<Fault> {
    let fault = |(at, line): (usize, &str)| {
        let line = line.trim_start();
        let fence = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let fence = fence
            .map(str::trim_start)
            .and_then(|fence| fence.strip_prefix("```"));
        let message = if line.starts_with("#[ignore") {
            "no ignored tests: make it run, or remove it"
        } else if line.starts_with("#[should_panic") {
            "no tests that expect a panic: test the error"
        } else if fence.is_some_and(|words| words.split(',').any(|word| word.trim() == "ignore")) {
            "no ignored examples: make it compile; no_run where it needs a server"
        } else {
            return None;
        };
        Some(Fault::new(&source.path, at + 1, message))
    };
    source.text.lines().enumerate().filter_map(fault).collect()
}

/// Whether the file holds one statement of a store, rather than a migration.
fn is_statement(source: &Source) -> bool {
    let mut parts = source.path.components().map(Component::as_os_str);
    parts.next().is_some_and(|first| first == "crates")
        && parts.any(|part| part == "src")
        && parts.any(|part| part == "sql")
}

/// The comment at the top says which locks are taken and which index is used.
fn statement_header(source: &Source) -> Option<Fault> {
    let comment = source
        .text
        .lines()
        .take_while(|line| line.trim_start().starts_with("--"));
    let comment = comment
        .filter(|line| !line.contains("SPDX-"))
        .collect::<String>();
    let comment = comment.to_lowercase();
    let said = ["lock", "index"].iter().all(|word| comment.contains(word));
    let message = "must say, after the licence line: `-- What it does. Locks: .. Index: ..`";
    (!said).then(|| Fault::new(&source.path, 2, message))
}

/// A promise to do something needs the number of an issue, where it can be found.
fn promises(source: &Source) -> Vec<Fault> {
    const WORD: &str = concat!("TO", "DO");
    let marks = match source.extension() {
        "rs" => "//",
        "sql" => "--",
        _ => "#",
    };
    let is_promise = |line: &str| {
        let Some((_, comment)) = line.split_once(marks) else {
            return false;
        };
        let Some((before, after)) = comment.split_once(WORD) else {
            return false;
        };
        let is_word = !before.ends_with(char::is_alphanumeric)
            && !after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let numbered = after
            .strip_prefix("(#")
            .is_some_and(|number| number.starts_with(|digit: char| digit.is_ascii_digit()));
        is_word && !numbered
    };
    let lines = source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_promise(line));
    let message = format!("{WORD} without an issue number: write {WORD}(#12), or do it");
    lines
        .map(|(at, _)| Fault::new(&source.path, at + 1, message.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial\n";

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let source = Source {
            path: path.into(),
            text: text.to_owned(),
        };
        check(&source)
            .into_iter()
            .map(|fault| (fault.line, fault.message))
            .collect()
    }

    #[test]
    fn a_module_begins_with_its_licence_and_its_documentation() {
        assert_eq!(
            found("crates/a/src/a.rs", &format!("{HEADER}//! Docs.\n")),
            []
        );
        assert_eq!(
            found("crates/a/src/a.rs", &format!("{HEADER}\n//! Docs.\n")),
            []
        );
        assert_eq!(
            found("crates/a/src/a.rs", &format!("{HEADER}fn f() {{}}\n"))[0].0,
            2
        );
        assert_eq!(found("crates/a/src/a.rs", "//! Docs.\n").len(), 1);
        assert_eq!(
            found("tests/ui/a.rs", &format!("{HEADER}fn main() {{}}\n")),
            []
        );
    }

    #[test]
    fn a_long_file_is_a_fault_outside_tests() {
        let long = format!("{HEADER}//! Docs.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(found("crates/a/src/a.rs", &long).len(), 1);
        assert_eq!(found("crates/a/tests/a.rs", &long), []);
        assert_eq!(found("tests/a.rs", &long), []);
    }

    #[test]
    fn nothing_is_ignored() {
        for line in [
            "    #[ignore]",
            "#[ignore = \"slow\"]",
            "/// ```ignore",
            "//! ```rust,ignore",
        ] {
            let text = format!("{HEADER}//! Docs.\n{line}\n");
            assert_eq!(found("crates/a/src/a.rs", &text).len(), 1, "{line}");
        }
        let text = format!("{HEADER}//! Docs.\n/// ```no_run\n/// Please ignore this.\n");
        assert_eq!(found("crates/a/src/a.rs", &text), []);
    }

    #[test]
    fn a_promise_needs_a_number() {
        let word = concat!("TO", "DO");
        let text = |line: String| format!("{HEADER}//! Docs.\n{line}\n");
        let path = "crates/a/src/a.rs";
        assert_eq!(found(path, &text(format!("// {word}: later"))).len(), 1);
        assert_eq!(found(path, &text(format!("// {word}(#7): later"))), []);
        assert_eq!(found(path, &text(format!("const {word}: u8 = 1;"))), []);
        assert_eq!(found(path, &text(format!("// METHODS and {word}S"))), []);
    }

    #[test]
    fn a_statement_says_its_locks_and_its_index() {
        let header = HEADER.replace("//", "--");
        let good = format!("{header}-- Claims. Locks: nodes.\n-- Index: nodes_ready.\nSELECT 1;\n");
        let path = "crates/forktex-flow/src/store/postgres/sql/claim.sql";
        assert_eq!(found(path, &good), []);
        assert_eq!(
            found(path, &format!("{header}SELECT 1; -- locks, index\n")).len(),
            1
        );
        assert_eq!(
            found(
                "migrations/flow/0001_init.sql",
                &format!("{header}SELECT 1;\n")
            ),
            []
        );
    }

    #[test]
    fn the_top_level_is_a_closed_list_but_for_dotfiles() {
        assert!(is_welcome("crates") && is_welcome(".deny.toml") && is_welcome("target"));
        assert!(!is_welcome("PROGRESS.md") && !is_welcome("scripts"));
    }
}
