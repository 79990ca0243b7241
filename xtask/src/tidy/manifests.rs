// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The manifests: every version stands once, in the workspace, and every member has the lints.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::workspace::Workspace;

use super::Fault;

/// Checks the manifests of all members.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let path = &package.manifest;
        let text = fs::read_to_string(path).map_err(Error::file(path))?;
        faults.extend(check_text(path, &text));
    }
    Ok(faults)
}

fn check_text(path: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut section = "";
    let mut open_brackets = 0_usize;
    let mut has_lints = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if open_brackets == 0 && line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            // `[dependencies.name]` is an entry of its own, over several lines.
            if let Some(name) = section.split_once("dependencies.").map(|(_, name)| name) {
                let table = text.lines().skip(at + 1);
                let table: Vec<&str> = table.take_while(|next| !next.starts_with('[')).collect();
                faults.extend(entry(path, at, name, &table.join(" ")));
            }
            continue;
        }
        if section == "lints" && is_inherited(line) {
            has_lints = true;
        }
        if open_brackets == 0 && section.ends_with("dependencies") {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            faults.extend(entry(path, at, name, line));
        }
        open_brackets += line.matches(['[', '{']).count();
        open_brackets = open_brackets.saturating_sub(line.matches([']', '}']).count());
    }
    if !has_lints {
        let message = "lacks the lints of the workspace: add [lints] workspace = true";
        faults.push(Fault::new(path, 1, message));
    }
    faults
}

fn entry(path: &Path, at: usize, name: &str, text: &str) -> Option<Fault> {
    let message = format!("{name}: its version stands in the root manifest; use workspace = true");
    (!text.is_empty() && !is_inherited(text)).then(|| Fault::new(path, at + 1, message))
}

fn is_inherited(text: &str) -> bool {
    text.replace(' ', "").contains("workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    fn lines(text: &str) -> Vec<usize> {
        let text = format!("{LINTS}{text}");
        check_text(Path::new("Cargo.toml"), &text)
            .iter()
            .map(|fault| fault.line)
            .collect()
    }

    #[test]
    fn inherited_dependencies_are_in_order_in_every_spelling() {
        let text = "[dependencies]\nserde.workspace = true\ntokio = { workspace = true }\n\
                    # a comment = \"1\"\nsyn = { workspace = true, features = [\n  \"full\",\n] }\n\
                    [target.'cfg(unix)'.dependencies]\nrustix.workspace = true\n\
                    [dev-dependencies.uuid]\nworkspace = true\n[package]\nversion = \"1\"\n";
        assert_eq!(lines(text), [0; 0]);
    }

    #[test]
    fn a_version_of_its_own_is_a_fault_in_every_spelling() {
        assert_eq!(lines("[dependencies]\nserde = \"1\"\n"), [4]);
        assert_eq!(
            lines("[dev-dependencies]\nserde = { version = \"1\" }\n"),
            [4]
        );
        assert_eq!(lines("[build-dependencies]\ncc.version = \"1\"\n"), [4]);
        assert_eq!(lines("[dependencies.serde]\nversion = \"1\"\n"), [3]);
    }

    #[test]
    fn a_member_has_the_lints_of_the_workspace() {
        let faults = check_text(Path::new("Cargo.toml"), "[package]\nname = \"a\"\n");
        assert!(faults[0].message.contains("lints"), "{faults:?}");
    }
}
