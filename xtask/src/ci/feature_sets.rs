// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The feature sets that the packages which users get must compile with: none, and each feature alone. All
//! at once are what `clippy` checks.
//!
//! Packages whose features have nothing to do with each other take a set each at the same time, so that a
//! round checks all of them, on the same dependencies as the round before. One whose features turn on those
//! of others takes its turns after them.

use std::collections::BTreeSet;

use crate::workspace::Package;

/// Packages that are checked together, with one set of the features of each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Round<'a> {
    packages: Vec<&'a str>,
    /// Each as `package/feature`; what is not named here is off.
    features: Vec<String>,
}

/// The rounds of all packages that users get.
pub(super) fn rounds(packages: &[Package]) -> Vec<Round<'_>> {
    let published: Vec<&Package> = packages.iter().filter(|it| it.publishable).collect();
    let names: BTreeSet<&str> = published.iter().map(|it| it.name.as_str()).collect();
    let (alone, together): (Vec<&Package>, Vec<&Package>) = published
        .iter()
        .partition(|package| turns_on_others(package, &names));
    let groups = [together]
        .into_iter()
        .chain(alone.into_iter().map(|it| vec![it]));
    groups.flat_map(|group| rounds_of(&group)).collect()
}

/// Whether one of its features turns on a feature of one of these packages.
fn turns_on_others(package: &Package, names: &BTreeSet<&str>) -> bool {
    let enabled = package.features.iter().flat_map(|(_, enables)| enables);
    enabled
        .filter_map(|enabled| enabled.split_once('/'))
        .any(|(other, _)| names.contains(other.trim_end_matches('?')))
}

/// None of any first, then the first of each, the second of each, and so on.
fn rounds_of<'a>(group: &[&'a Package]) -> Vec<Round<'a>> {
    let packages: Vec<&str> = group.iter().map(|package| package.name.as_str()).collect();
    if packages.is_empty() {
        return Vec::new();
    }
    let sets: Vec<Vec<String>> = group.iter().map(|package| alone(package)).collect();
    let most = sets.iter().map(Vec::len).max().unwrap_or_default();
    let none = Round {
        packages: packages.clone(),
        features: Vec::new(),
    };
    let each = (0..most).map(|at| Round {
        packages: packages.clone(),
        features: sets.iter().filter_map(|set| set.get(at).cloned()).collect(),
    });
    [none].into_iter().chain(each).collect()
}

/// The features of a package that are sets of their own, as `package/feature`.
fn alone(package: &Package) -> Vec<String> {
    // An empty default is the set without any.
    let features = package
        .features
        .iter()
        .filter(|(name, enables)| name != "default" || !enables.is_empty());
    let features: Vec<&(String, Vec<String>)> = features.collect();
    // So is one that turns all others on; what has no others is no such.
    let is_all = |name: &String, enables: &[String]| {
        let mut others = features.iter().filter(|(other, _)| other != name);
        features.len() > 1 && others.all(|(other, _)| enables.contains(other))
    };
    let alone = features
        .iter()
        .filter(|(name, enables)| !is_all(name, enables));
    alone
        .map(|(name, _)| format!("{}/{name}", package.name))
        .collect()
}

impl Round<'_> {
    /// What cargo is told.
    pub(super) fn arguments(&self) -> Vec<String> {
        let packages = self.packages.iter().flat_map(|name| ["--package", name]);
        let mut arguments: Vec<String> = packages.map(str::to_owned).collect();
        arguments.push("--no-default-features".to_owned());
        if !self.features.is_empty() {
            arguments.extend(["--features".to_owned(), self.features.join(",")]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, features: &[(&str, &[&str])]) -> Package {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            manifest: "Cargo.toml".into(),
            publishable: true,
            features: features
                .iter()
                .map(|(name, enables)| ((*name).to_owned(), owned(enables)))
                .collect(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// The features of each round.
    fn features(packages: &[Package]) -> Vec<String> {
        let rounds = rounds(packages).into_iter();
        rounds.map(|round| round.features.join(" ")).collect()
    }

    #[test]
    fn none_and_each_alone() {
        let empty_default = package("a", &[("default", &[]), ("x", &[]), ("y", &[])]);
        assert_eq!(features(&[empty_default]), ["", "a/x", "a/y"]);
        let default = package("a", &[("default", &["x"]), ("x", &[]), ("y", &[])]);
        assert_eq!(features(&[default]), ["", "a/default", "a/x", "a/y"]);
        assert_eq!(features(&[package("a", &[("x", &[])])]), ["", "a/x"]);
    }

    #[test]
    fn what_has_no_features_is_checked_once() {
        assert_eq!(features(&[package("a", &[])]), [""]);
        assert_eq!(features(&[package("a", &[("default", &[])])]), [""]);
    }

    #[test]
    fn all_at_once_are_no_set() {
        let full = package("a", &[("full", &["x", "y"]), ("x", &[]), ("y", &[])]);
        assert_eq!(features(&[full]), ["", "a/x", "a/y"]);
    }

    #[test]
    fn strangers_take_a_set_each_at_the_same_time() {
        let packages = [
            package("a", &[("x", &[]), ("y", &["tokio/fs"])]),
            package("b", &[]),
            package("c", &[("z", &[])]),
        ];
        assert_eq!(features(&packages), ["", "a/x c/z", "a/y"]);
        assert_eq!(
            rounds(&packages)[1].arguments().join(" "),
            "--package a --package b --package c --no-default-features --features a/x,c/z"
        );
    }

    #[test]
    fn a_feature_that_turns_on_those_of_others_takes_its_package_apart() {
        let packages = [
            package("a", &[("x", &[])]),
            package("facade", &[("a", &["dep:a", "a?/x"])]),
        ];
        assert_eq!(features(&packages), ["", "a/x", "", "facade/a"]);
        assert_eq!(
            rounds(&packages)[3].arguments().join(" "),
            "--package facade --no-default-features --features facade/a"
        );
    }

    #[test]
    fn what_no_user_gets_has_no_sets_of_its_own() {
        let internal = Package {
            publishable: false,
            ..package("a", &[("x", &[]), ("y", &[])])
        };
        assert_eq!(rounds(&[internal]), []);
    }
}
