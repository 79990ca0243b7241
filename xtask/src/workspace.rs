// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The workspace as cargo describes it: packages, their features, dependencies and targets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::run::Task;

/// The comparison with the rivals.
pub(crate) const RIVALS_MANIFEST: &str = "benches/rivals/Cargo.toml";
/// The comparison of the queue with its rivals in other languages.
pub(crate) const QUEUE_RIVALS_MANIFEST: &str = "benches/rivals/queue/Cargo.toml";
/// The packages with lock files of their own, which `ci` does not build.
pub(crate) const OUTSIDE: [&str; 3] = [
    RIVALS_MANIFEST,
    QUEUE_RIVALS_MANIFEST,
    "tests/fuzz/Cargo.toml",
];

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// From the root of the workspace.
    pub(crate) manifest: PathBuf,
    /// Whether it may go to a registry.
    pub(crate) publishable: bool,
    /// Each feature with what it turns on.
    pub(crate) features: Vec<(String, Vec<String>)>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// What a package depends on.
#[derive(Debug, Default)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// What is asked of a library; none where it is a member of this workspace.
    pub(crate) library: Option<Library>,
    /// A dev-dependency reaches no user.
    pub(crate) development: bool,
    pub(crate) optional: bool,
}

/// What a manifest asks of a library.
#[derive(Debug, Default, Clone)]
pub(crate) struct Library {
    pub(crate) version: String,
    pub(crate) features: BTreeSet<String>,
    pub(crate) default_features: bool,
}

/// Something that cargo builds.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `lib`, `proc-macro`, `bin`, `test`, `bench` or `example`.
    pub(crate) kind: String,
}

/// All members, with the folder that cargo builds in.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_folder: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// `Metadata` where a manifest is broken.
    pub(crate) fn load() -> Result<Self, Error> {
        let text = Task::cargo(&["metadata", "--no-deps", "--format-version", "1"]).answer();
        let problem = || Error::Metadata {
            problem: "cargo refuses to describe it".to_owned(),
        };
        Self::parse(&text.ok_or_else(problem)?)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text).map_err(|error| Error::Metadata {
            problem: error.to_string(),
        })?;
        let root = text_of(&value, "workspace_root");
        let packages = list(&value, "packages").iter();
        let packages = packages
            .map(|value| package(value, Path::new(&root)))
            .collect();
        Ok(Self {
            packages,
            target_folder: text_of(&value, "target_directory").into(),
        })
    }

    /// The package that has a target of this kind and name.
    pub(crate) fn package_of(&self, kind: &str, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| {
            package
                .targets
                .iter()
                .any(|target| target.kind == kind && target.name == name)
        })
    }
}

fn package(value: &Value, root: &Path) -> Package {
    let manifest = PathBuf::from(text_of(value, "manifest_path"));
    let features = value.get("features").and_then(Value::as_object);
    let features = features.into_iter().flatten().map(|(name, enables)| {
        let enables = enables.as_array().into_iter().flatten();
        (
            name.clone(),
            enables
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )
    });
    Package {
        name: text_of(value, "name"),
        version: text_of(value, "version"),
        manifest: manifest
            .strip_prefix(root)
            .map(Path::to_path_buf)
            .unwrap_or(manifest),
        publishable: !list(value, "publish").is_empty()
            || value.get("publish").is_none_or(Value::is_null),
        features: features.collect(),
        dependencies: list(value, "dependencies").iter().map(dependency).collect(),
        targets: list(value, "targets").iter().map(target).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text_of(value, "name"),
        library: value.get("path").is_none().then(|| library(value)),
        development: value.get("kind").and_then(Value::as_str) == Some("dev"),
        optional: is(value, "optional"),
    }
}

fn library(value: &Value) -> Library {
    let features = list(value, "features").iter();
    Library {
        version: text_of(value, "req"),
        features: features
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        default_features: is(value, "uses_default_features"),
    }
}

fn is(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

fn target(value: &Value) -> Target {
    let kind = list(value, "kind")
        .first()
        .and_then(Value::as_str)
        .unwrap_or_default();
    Target {
        name: text_of(value, "name"),
        kind: kind.to_owned(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The root of the workspace.
fn root() -> PathBuf {
    let ours = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    ours.parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Makes the root of the workspace the current folder, and gives the folder we were called from.
///
/// # Errors
/// `File` where the root is gone.
pub(crate) fn enter() -> Result<PathBuf, Error> {
    let here = std::env::current_dir().map_err(Error::file("."))?;
    let root = root();
    std::env::set_current_dir(&root).map_err(Error::file(&root))?;
    Ok(here)
}

/// Where we keep logs: below cargo's own folder, which is never committed.
pub(crate) fn scratch_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target).join("xtask")
}

/// Whether this is a run on a build server rather than on a developer's machine.
pub(crate) fn is_continuous_integration() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "target_directory": "/t",
        "workspace_root": "/w",
        "packages": [
            {"name": "a", "manifest_path": "/w/a/Cargo.toml", "publish": null,
             "features": {"default": [], "x": ["dep:b"]},
             "dependencies": [{"name": "b", "kind": null, "optional": true},
                              {"name": "c", "kind": "dev", "optional": false}],
             "targets": [{"name": "speed", "kind": ["bench"]}]},
            {"name": "p", "manifest_path": "/w/p/Cargo.toml", "publish": []}
        ]
    }"#;

    #[test]
    fn metadata_is_read() {
        let workspace = Workspace::parse(METADATA).unwrap();
        let [a, p] = workspace.packages.as_slice() else {
            panic!("two packages")
        };
        assert_eq!(a.manifest, Path::new("a/Cargo.toml"));
        assert!(a.publishable && !p.publishable);
        assert_eq!(a.features[1], ("x".to_owned(), vec!["dep:b".to_owned()]));
        assert!(a.dependencies[0].optional && !a.dependencies[0].development);
        assert!(a.dependencies[1].development);
        assert_eq!(workspace.package_of("bench", "speed").unwrap().name, "a");
        assert!(workspace.package_of("bin", "speed").is_none());
    }

    #[test]
    fn broken_metadata_is_an_error_that_says_what_to_type() {
        let error = Workspace::parse("{").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("type `cargo metadata --no-deps`"),
            "{error}"
        );
    }
}
