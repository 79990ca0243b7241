// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The packages as a registry would hand them out: packed, and unpacked side by side. What a package has
//! forgotten to take along is missing there, and nothing of the tests' turns features on.

use std::fs;
use std::path::PathBuf;

use crate::error::Error;
use crate::run::{Captured, Task};
use crate::workspace::{self, Package, Workspace};

use super::stages;

/// A service that has turned on what the driver's macros turn on, for their traits have more methods then;
/// without the macros themselves, whose making takes longer than all else here.
const BESIDE: &str = r#"[package]
name = "beside"
edition = "2024"

[dependencies]
forktex-db = "*"
sqlx-core = { version = "*", default-features = false, features = ["offline"] }
sqlx-postgres = { version = "*", default-features = false, features = ["offline"] }
"#;

/// What cargo calls the service.
pub(super) const BESIDE_PACKAGE: &str = "beside";

/// A workspace of their own, in which they depend on each other.
pub(super) struct Packed {
    folder: PathBuf,
}

impl Packed {
    pub(super) fn of(workspace: &Workspace) -> Self {
        Self {
            folder: stages::checks_folder(workspace).join("packed"),
        }
    }

    /// Packs all that may be published, and lays it out anew. Cargo's own check of each is left out: it
    /// would make code of every dependency again, for what `features` sees without.
    ///
    /// # Errors
    /// `NotStarted` or `File`; what cannot be packed is `Captured`.
    pub(super) fn lay_out(&self, workspace: &Workspace) -> Result<Captured, Error> {
        let published: Vec<&Package> = published(workspace).collect();
        let mut arguments = vec!["package", "--quiet", "--no-verify"];
        if !workspace::is_continuous_integration() {
            arguments.push("--allow-dirty");
        }
        for package in &published {
            arguments.extend(["--package", &package.name]);
        }
        let task = stages::check(Task::cargo(&arguments), workspace);
        let packed = task.capture("package")?;
        if !packed.success {
            return Ok(packed);
        }
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        }
        self.write("Cargo.toml", manifest(&published).as_bytes())?;
        // The versions of everything else are ours.
        let lock = fs::read("Cargo.lock").map_err(Error::file("Cargo.lock"))?;
        self.write("Cargo.lock", &lock)?;
        self.write("beside/Cargo.toml", BESIDE.as_bytes())?;
        self.write("beside/src/lib.rs", b"")?;
        let archives = stages::checks_folder(workspace).join("package");
        for package in &published {
            let archive = archives.join(format!("{}.crate", folder_of(package)));
            // With the time of now: cargo packs all files with one of long ago, by which it would take a
            // changed one to be the same.
            let unpack = ["-xzmf", &archive.to_string_lossy()];
            let task = Task::program("tar", &unpack).folder(&self.folder);
            let unpacked = task.capture("package-unpack")?;
            if !unpacked.success {
                return Ok(unpacked);
            }
        }
        Ok(packed)
    }

    /// Checks what the arguments select, and that alone; what a set of features leaves unused is an error.
    /// The flags of our own workspace do not reach it.
    ///
    /// # Errors
    /// `NotStarted` or `File`.
    pub(super) fn check(
        &self,
        workspace: &Workspace,
        arguments: &[String],
    ) -> Result<Captured, Error> {
        stages::check(Task::cargo(&["check"]), workspace)
            .arguments(arguments)
            .variable("RUSTFLAGS", "-D warnings")
            .folder(&self.folder)
            .capture("features")
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        fs::write(&path, content).map_err(Error::file(&path))
    }
}

/// What users get.
fn published(workspace: &Workspace) -> impl Iterator<Item = &Package> {
    let packages = workspace.packages.iter();
    packages.filter(|package| package.publishable)
}

/// A packed manifest names its neighbours by their version alone, so each is told where they are.
fn manifest(packages: &[&Package]) -> String {
    let folders = packages
        .iter()
        .map(|package| format!("{:?}", folder_of(package)));
    let folders: Vec<String> = folders.collect();
    let neighbours = packages.iter().map(|package| {
        let folder = folder_of(package);
        format!("{} = {{ path = {folder:?} }}\n", package.name)
    });
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}, \"beside\"]\n\n[patch.crates-io]\n{}",
        folders.join(", "),
        neighbours.collect::<String>()
    )
}

fn folder_of(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_are_neighbours() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            manifest: "Cargo.toml".into(),
            publishable: true,
            features: Vec::new(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        };
        let (a, b) = (package("a"), package("b"));
        assert_eq!(
            manifest(&[&a, &b]),
            "[workspace]\nresolver = \"3\"\nmembers = [\"a-0.1.0\", \"b-0.1.0\", \"beside\"]\n\n\
             [patch.crates-io]\na = { path = \"a-0.1.0\" }\nb = { path = \"b-0.1.0\" }\n"
        );
    }
}
