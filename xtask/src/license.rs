// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `license-check`, `license-fix` and `license-strip`: the licence line at the top of each source
//! file. A line that runs a script (`#!`) stays the first. Applying a command twice changes nothing
//! more than applying it once.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::run;

const TAG: &str = "SPDX-License-Identifier:";
const LICENSE: &str = "AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial";

/// The folders that hold source; the rest of the top level is settings and prose.
const FOLDERS: [&str; 9] = [
    ".ci",
    "benches",
    "crates",
    "docs",
    "examples",
    "macros",
    "migrations",
    "tests",
    "xtask",
];
/// Folders that are made, not written.
const GENERATED: [&str; 2] = ["target", "node_modules"];

/// Lists the files that lack the line.
///
/// # Errors
/// `Faults` where any does.
pub(crate) fn check(here: &Path, arguments: &[String]) -> Result<(), Error> {
    let files = named_files(here, arguments)?;
    let faults = faults(&files)?;
    for path in &faults {
        run::say(&fault_line(path));
    }
    if faults.is_empty() {
        run::say(&format!(
            "license-check: all {} source files have the line",
            files.len()
        ));
        return Ok(());
    }
    Err(Error::Faults {
        count: faults.len(),
        remedy: "type: cargo xtask license-fix",
    })
}

/// Puts the line on the files that lack it.
///
/// # Errors
/// `File` where one cannot be written.
pub(crate) fn fix(here: &Path, arguments: &[String]) -> Result<(), Error> {
    rewrite("license-fix", &named_files(here, arguments)?, with_line)
}

/// Takes the line off.
///
/// # Errors
/// `File` where one cannot be written.
pub(crate) fn strip(here: &Path, arguments: &[String]) -> Result<(), Error> {
    rewrite(
        "license-strip",
        &named_files(here, arguments)?,
        without_line,
    )
}

/// All source files of the workspace, in order.
pub(crate) fn source_files() -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for folder in FOLDERS
        .iter()
        .map(Path::new)
        .filter(|folder| folder.is_dir())
    {
        collect(folder, &mut files)?;
    }
    files.sort();
    Ok(files)
}

/// Those of `files` that lack the line.
pub(crate) fn faults(files: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut faults = Vec::new();
    for path in files {
        let text = read(path)?;
        if !is_headed(path, &text) {
            faults.push(path.clone());
        }
    }
    Ok(faults)
}

/// Whether the text has the line where it belongs, or needs none.
pub(crate) fn is_headed(path: &Path, text: &str) -> bool {
    comment(path).is_none_or(|comment| with_line(text, comment) == text)
}

/// What is said of a file that lacks the line.
pub(crate) fn fault_line(path: &Path) -> String {
    format!("{}:1: lacks the licence line", path.display())
}

/// The files of the paths given, which are relative to `here`; all source files where none is.
fn named_files(here: &Path, arguments: &[String]) -> Result<Vec<PathBuf>, Error> {
    if arguments.is_empty() {
        return source_files();
    }
    let mut files = Vec::new();
    for argument in arguments {
        let path = here.join(argument);
        if path.is_dir() {
            collect(&path, &mut files)?;
        } else if comment(&path).is_some() {
            files.push(path);
        } else {
            return Err(Error::UnexpectedArgument {
                command: "license-check|fix|strip",
                given: argument.clone(),
            });
        }
    }
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let entry = entry.map_err(Error::file(folder))?;
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !GENERATED.iter().any(|generated| name == *generated) {
                collect(&path, files)?;
            }
        } else if comment(&path).is_some() {
            files.push(path);
        }
    }
    Ok(())
}

/// How a comment begins in this file, or `None` where it is not source.
fn comment(path: &Path) -> Option<&'static str> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs" | "mjs") => Some("//"),
        Some("sql" | "lua") => Some("--"),
        Some("sh" | "py") => Some("#"),
        None if path.ends_with(".ci/run") => Some("#"),
        _ => None,
    }
}

fn rewrite(
    command: &str,
    files: &[PathBuf],
    change: fn(&str, &str) -> String,
) -> Result<(), Error> {
    let mut changed = 0;
    for path in files {
        let Some(comment) = comment(path) else {
            continue;
        };
        let old = read(path)?;
        let new = change(&old, comment);
        if new != old {
            fs::write(path, new).map_err(Error::file(path))?;
            run::say(&path.display().to_string());
            changed += 1;
        }
    }
    run::say(&format!(
        "{command}: {changed} of {} files changed",
        files.len()
    ));
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file(path))
}

/// The text with the line where it belongs, and nowhere else among the first two lines.
fn with_line(text: &str, comment: &str) -> String {
    let bare = without_line(text, comment);
    let (script_line, rest) = split_script_line(&bare);
    format!("{script_line}{comment} {TAG} {LICENSE}\n{rest}")
}

/// The text without any licence line among its first two lines.
fn without_line(text: &str, comment: &str) -> String {
    let (script_line, mut rest) = split_script_line(text);
    let is_ours = |line: &str| {
        line.strip_prefix(comment)
            .is_some_and(|after| after.trim_start().starts_with(TAG))
    };
    while let Some(line) = rest
        .split_inclusive('\n')
        .next()
        .filter(|line| is_ours(line))
    {
        rest = &rest[line.len()..];
    }
    format!("{script_line}{rest}")
}

/// A `#!` line, with its end, and what follows it. Rust's `#![..]` is none.
fn split_script_line(text: &str) -> (&str, &str) {
    if !text.starts_with("#!") || text.starts_with("#![") {
        return ("", text);
    }
    let end = text.find('\n').map_or(text.len(), |at| at + 1);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn create(name: &str) -> Self {
            let name = format!("xtask-license-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const LINE: &str =
        "SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial";

    #[test]
    fn fix_then_strip_gives_the_files_back_and_twice_is_once() {
        let folder = Folder::create("round");
        let texts = [
            (
                "src/lib.rs",
                "//! Docs.\n",
                format!("// {LINE}\n//! Docs.\n"),
            ),
            (
                "sql/claim.sql",
                "SELECT 1;\n",
                format!("-- {LINE}\nSELECT 1;\n"),
            ),
            (
                "go.sh",
                "#!/bin/sh\nls\n",
                format!("#!/bin/sh\n# {LINE}\nls\n"),
            ),
            (
                ".ci/run",
                "#!/usr/bin/env bash\n",
                format!("#!/usr/bin/env bash\n# {LINE}\n"),
            ),
            ("empty.rs", "", format!("// {LINE}\n")),
            (
                "src/scripts/put.lua",
                "return 1\n",
                format!("-- {LINE}\nreturn 1\n"),
            ),
            (
                "rival.mjs",
                "import fs from 'node:fs';\n",
                format!("// {LINE}\nimport fs from 'node:fs';\n"),
            ),
            ("rival.py", "import os\n", format!("# {LINE}\nimport os\n")),
        ];
        let paths: Vec<PathBuf> = texts
            .iter()
            .map(|(name, bare, _)| folder.file(name, bare))
            .collect();
        let ignored = folder.file("tests/ui/wrong.stderr", "error: no\n");
        let generated = folder.file("target/out.rs", "fn f() {}\n");

        assert_eq!(faults(&paths).unwrap().len(), texts.len());
        for _ in 0..2 {
            fix(&folder.0, &[".".to_owned()]).unwrap();
            for (path, (_, _, headed)) in paths.iter().zip(&texts) {
                assert_eq!(&fs::read_to_string(path).unwrap(), headed);
            }
        }
        check(&folder.0, &[".".to_owned()]).unwrap();
        for _ in 0..2 {
            strip(&folder.0, &[".".to_owned()]).unwrap();
            for (path, (_, bare, _)) in paths.iter().zip(&texts) {
                assert_eq!(&fs::read_to_string(path).unwrap(), bare);
            }
        }
        assert_eq!(fs::read_to_string(ignored).unwrap(), "error: no\n");
        assert_eq!(fs::read_to_string(generated).unwrap(), "fn f() {}\n");
    }

    #[test]
    fn another_licence_is_replaced_rather_than_added_to() {
        let text = "// SPDX-License-Identifier: MIT\nfn f() {}\n";
        assert_eq!(with_line(text, "//"), format!("// {LINE}\nfn f() {{}}\n"));
    }

    #[test]
    fn an_inner_attribute_is_not_taken_for_a_script_line() {
        assert_eq!(
            with_line("#![no_std]\n", "//"),
            format!("// {LINE}\n#![no_std]\n")
        );
    }

    #[test]
    fn check_counts_the_files_that_lack_the_line() {
        let folder = Folder::create("check");
        folder.file("a.rs", "fn a() {}\n");
        folder.file("b.rs", &format!("// {LINE}\n"));
        let error = check(&folder.0, &[".".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "1 fault; type: cargo xtask license-fix");
    }

    #[test]
    fn a_path_that_is_no_source_file_is_refused() {
        let error = fix(Path::new("/"), &["no/such/file.txt".to_owned()]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
