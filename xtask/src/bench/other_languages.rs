// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Installs the queue's rivals of other languages below `target`: a package of npm, and one of pip in an
//! environment of its own. What cannot be installed is said, and left out of the comparison.

use std::path::{Path, PathBuf};

use crate::run::{self, Task};
use crate::workspace;

/// The variable that tells the comparison where Node's packages are.
const NODE_VARIABLE: &str = "FORKTEX_RIVALS_NODE";
/// The variable that tells it which Python to run.
const PYTHON_VARIABLE: &str = "FORKTEX_RIVALS_PYTHON";

/// Installs what is missing; gives the variables that say where the rivals are.
pub(super) fn install() -> Vec<(&'static str, String)> {
    let folder = workspace::scratch_folder().join("queue-rivals");
    let found = [
        (NODE_VARIABLE, bullmq(&folder.join("node"))),
        (PYTHON_VARIABLE, arq(&folder.join("python"))),
    ];
    let found = found.into_iter();
    found
        .filter_map(|(variable, path)| Some((variable, path?.display().to_string())))
        .collect()
}

/// The folder that has `BullMQ`'s packages.
fn bullmq(folder: &Path) -> Option<PathBuf> {
    if !folder.join("node_modules/bullmq/package.json").is_file() {
        if Task::program("node", &["--version"]).answer().is_none() {
            return left_out("BullMQ", "Node is missing: install nodejs and npm");
        }
        let prefix = folder.display().to_string();
        let quiet = [
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
        ];
        // Its client is a package of its own since version 6.
        let packages = [&*prefix, "bullmq@latest", "ioredis@latest"];
        let arguments = [&quiet[..], &packages].concat();
        if !done("npm-install-bullmq", Task::program("npm", &arguments)) {
            return left_out("BullMQ", "npm cannot install it");
        }
    }
    Some(folder.to_owned())
}

/// The Python that has arq.
fn arq(folder: &Path) -> Option<PathBuf> {
    let python = folder.join("bin/python");
    let program = python.display().to_string();
    if Task::program(&program, &["-c", "import arq"])
        .answer()
        .is_none()
    {
        if Task::program("python3", &["--version"]).answer().is_none() {
            return left_out("arq", "Python is missing: install python3 and python3-venv");
        }
        let place = folder.display().to_string();
        let venv = Task::program("python3", &["-m", "venv", &place]);
        if !done("python-venv", venv) {
            return left_out("arq", "python3 makes no venv: install python3-venv");
        }
        let pip = ["-m", "pip", "install", "--quiet", "--upgrade", "arq"];
        if !done("pip-install-arq", Task::program(&program, &pip)) {
            return left_out("arq", "pip cannot install it");
        }
    }
    Some(python)
}

/// Whether the installation succeeded; its output is shown where it did not.
fn done(label: &str, task: Task) -> bool {
    run::note(&format!("bench queue-rivals: {label}"));
    // A program that is not there is no reason to leave the others out.
    let Ok(captured) = task.capture(label) else {
        return false;
    };
    if !captured.success {
        run::note(&captured.output);
    }
    captured.success
}

fn left_out(rival: &str, reason: &str) -> Option<PathBuf> {
    run::note(&format!("bench queue-rivals: without {rival}: {reason}"));
    None
}
