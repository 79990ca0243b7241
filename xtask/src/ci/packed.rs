// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The packages as a registry would hand them out: packed, and unpacked side by side. What a package has
//! forgotten to take along is missing there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::docs;
use crate::error::Error;
use crate::run::{Captured, Task};
use crate::workspace::{self, Library, Package, Workspace};

use super::stages;

/// Where a feature of the driver adds methods to its traits, ours must compile with them: a round with what the
/// driver's macros turn on. To make the macros themselves would take longer than all else here.
pub(super) const WITH_MACROS: [&str; 4] =
    ["--package", "forktex-db", "--features", "beside/macros"];

/// The parts of the driver.
const DRIVER: [&str; 2] = ["sqlx-core", "sqlx-postgres"];

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

    /// Whether something was laid out.
    pub(super) fn is_there(&self) -> bool {
        self.folder.is_dir()
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
        let root = fs::read_to_string("Cargo.toml").map_err(Error::file("Cargo.toml"))?;
        let manifest = [&manifest(&published), profiles(&root)].concat();
        self.write("Cargo.toml", manifest.as_bytes())?;
        // The versions of everything else are ours.
        let lock = fs::read("Cargo.lock").map_err(Error::file("Cargo.lock"))?;
        self.write("Cargo.lock", &lock)?;
        self.write("beside/Cargo.toml", beside(&workspace.packages).as_bytes())?;
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

    /// A command of cargo over packages of these, with the service beside.
    pub(super) fn cargo(&self, workspace: &Workspace, arguments: &[&str]) -> Task {
        stages::check(Task::cargo(arguments), workspace)
            .arguments(&["--package", "beside"].map(str::to_owned))
            .folder(&self.folder)
    }

    /// Documents all of them as readers get it.
    pub(super) fn document(&self, workspace: &Workspace) -> Task {
        let names = published(workspace).flat_map(|it| ["--package".to_owned(), it.name.clone()]);
        let task = self.cargo(workspace, &["doc", "--no-deps", "--all-features"]);
        docs::strict(task.arguments(&names.collect::<Vec<_>>()))
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

/// The profiles of the root's manifest, its last part: with others, cargo would check every library again.
fn profiles(root: &str) -> &str {
    root.find("\n[profile.").map_or("", |at| &root[at..])
}

/// The manifest of a service that uses all libraries that the members do, with all that any of them turns
/// on. So the libraries are the same in each round, and the same that `clippy` has checked with the members'
/// tests: nothing of theirs is checked twice.
fn beside(packages: &[Package]) -> String {
    let mut libraries: BTreeMap<&str, Library> = BTreeMap::new();
    for package in packages {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let Some(asked) = &dependency.library else {
                continue;
            };
            let entry = libraries.entry(name).or_default();
            entry.version.clone_from(&asked.version);
            entry.default_features |= asked.default_features;
            entry.features.extend(asked.features.iter().cloned());
            let enabled = package.features.iter().flat_map(|(_, enables)| enables);
            let enabled = enabled.filter_map(|enabled| enabled.split_once('/'));
            let of_it = enabled.filter(|(of, _)| of.trim_end_matches('?') == name);
            entry
                .features
                .extend(of_it.map(|(_, feature)| feature.to_owned()));
        }
    }
    for name in DRIVER {
        let entry = libraries.entry(name).or_default();
        "*".clone_into(&mut entry.version);
    }
    let lines = libraries.iter().map(|(name, library)| {
        let Library {
            version,
            default_features,
            features,
        } = library;
        let features: Vec<&String> = features.iter().collect();
        format!(
            "{name} = {{ version = {version:?}, default-features = {default_features}, \
             features = {features:?} }}\n"
        )
    });
    format!(
        "[package]\nname = \"beside\"\nedition = \"2024\"\n\n[features]\nmacros = {:?}\n\n[dependencies]\n{}",
        DRIVER.map(|name| format!("{name}/offline")),
        lines.collect::<String>()
    )
}

fn folder_of(package: &Package) -> String {
    format!("{}-{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use crate::workspace::Dependency;

    use super::*;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            manifest: "Cargo.toml".into(),
            publishable: true,
            features: Vec::new(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn the_packed_are_neighbours() {
        let (a, b) = (package("a"), package("b"));
        assert_eq!(
            manifest(&[&a, &b]),
            "[workspace]\nresolver = \"3\"\nmembers = [\"a-0.1.0\", \"b-0.1.0\", \"beside\"]\n\n\
             [patch.crates-io]\na = { path = \"a-0.1.0\" }\nb = { path = \"b-0.1.0\" }\n"
        );
    }

    #[test]
    fn the_profiles_are_the_last_part_of_a_manifest() {
        let root =
            "[workspace]\nmembers = []\n\n[profile.dev]\ndebug = 1\n\n[profile.test]\ndebug = 1\n";
        assert!(profiles(root).starts_with("\n[profile.dev]"));
        assert!(profiles(root).ends_with("[profile.test]\ndebug = 1\n"));
        assert_eq!(profiles("[workspace]\n"), "");
    }

    #[test]
    fn the_service_beside_asks_for_all_that_anyone_asks_for() {
        let library = |name: &str, features: &[&str], default_features| Dependency {
            name: name.to_owned(),
            library: Some(Library {
                version: "^1".to_owned(),
                features: features.iter().map(|it| (*it).to_owned()).collect(),
                default_features,
            }),
            ..Dependency::default()
        };
        let ours = Dependency {
            library: None,
            ..library("b", &[], true)
        };
        let for_tests = Dependency {
            development: true,
            ..library("mock", &[], true)
        };
        let mock = r#"mock = { version = "^1", default-features = true, features = [] }"#;
        let a = Package {
            features: vec![("x".to_owned(), vec!["l?/three".to_owned()])],
            dependencies: vec![library("l", &["one"], false), ours, for_tests],
            ..package("a")
        };
        let b = Package {
            dependencies: vec![library("l", &["two"], true), library("sqlx", &[], false)],
            ..package("b")
        };
        let of_any = r#"{ version = "*", default-features = false, features = [] }"#;
        let manifest = beside(&[a, b]);
        let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
        assert_eq!(
            dependencies,
            format!(
                "l = {{ version = \"^1\", default-features = true, features = [\"one\", \"three\", \"two\"] }}\n\
                 {mock}\n\
                 sqlx = {{ version = \"^1\", default-features = false, features = [] }}\n\
                 sqlx-core = {of_any}\nsqlx-postgres = {of_any}\n"
            )
        );
    }
}
