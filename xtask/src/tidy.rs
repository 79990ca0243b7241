// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `tidy`: holds what the compiler cannot: which crate and which module may use which, and the
//! form of files. It checks what is there, so that a file not written yet is no fault.

mod files;
mod floors;
mod lexer;
mod manifests;
mod modules;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::license;
use crate::run;
use crate::workspace::Workspace;

/// Something to mend, with where it is and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    path: PathBuf,
    line: usize,
    message: String,
}

impl Fault {
    fn new(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

/// A source file with its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        Ok(Self { path, text })
    }

    fn extension(&self) -> &str {
        self.path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default()
    }

    /// Whether the file is below, or is itself, something of this name.
    fn is_in(&self, name: &str) -> bool {
        let stem = self.path.file_stem().is_some_and(|stem| stem == name);
        stem || self.path.components().any(|part| part.as_os_str() == name)
    }
}

/// Checks the whole repository.
///
/// # Errors
/// `Faults` where there are any; each has been printed.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    if let Some(given) = arguments.first() {
        return Err(Error::UnexpectedArgument {
            command: "tidy",
            given: given.clone(),
        });
    }
    let faults = faults()?;
    for fault in &faults {
        run::say(&fault.to_string());
    }
    if faults.is_empty() {
        run::say("tidy: no faults");
        return Ok(());
    }
    Err(Error::Faults {
        count: faults.len(),
        remedy: "mend them and type: cargo xtask tidy",
    })
}

/// All that is to mend, in the order of files and lines.
///
/// # Errors
/// `File` where one cannot be read, `Metadata` where a manifest is broken.
pub(crate) fn faults() -> Result<Vec<Fault>, Error> {
    let workspace = Workspace::load()?;
    let mut faults = floors::check(&workspace);
    faults.extend(manifests::check(&workspace)?);
    faults.extend(files::check_top_level()?);
    let sources = license::source_files()?.into_iter().map(Source::read);
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    faults.extend(sources.iter().flat_map(files::check));
    faults.extend(modules::check(&sources));
    faults.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(faults)
}
