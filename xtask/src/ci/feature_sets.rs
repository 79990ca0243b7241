// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The feature sets that each package which users get must compile with: none, and each alone. All at once
//! are what `clippy` checks, in one go for all packages.

use crate::workspace::Package;

/// A package with one set of its features.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FeatureSet {
    package: String,
    selection: Selection,
}

#[derive(Debug, PartialEq, Eq)]
enum Selection {
    None,
    One(String),
}

/// What a service may turn on beside us: a feature of the driver adds to its traits.
const BESIDE: (&str, &str) = ("forktex-db", "sqlx/macros");

/// The sets of all packages that have features, and the one of a service that uses the driver's macros.
pub(super) fn of(packages: &[Package]) -> Vec<FeatureSet> {
    let (package, feature) = BESIDE;
    let beside = FeatureSet {
        package: package.to_owned(),
        selection: Selection::One(feature.to_owned()),
    };
    let published = packages.iter().filter(|package| package.publishable);
    let sets = published.flat_map(of_package);
    sets.chain([beside]).collect()
}

fn of_package(package: &Package) -> Vec<FeatureSet> {
    // An empty default is the set without any.
    let features = package
        .features
        .iter()
        .filter(|(name, enables)| name != "default" || !enables.is_empty());
    let features: Vec<&(String, Vec<String>)> = features.collect();
    // So is one that is alone, and one that turns all others on.
    let is_all = |name: &String, enables: &[String]| {
        let mut others = features.iter().filter(|(other, _)| other != name);
        others.all(|(other, _)| enables.contains(other))
    };
    let alone = features
        .iter()
        .filter(|(name, enables)| !is_all(name, enables));
    let alone = alone.map(|(name, _)| Selection::One(name.clone()));
    let set = |selection| FeatureSet {
        package: package.name.clone(),
        selection,
    };
    [Selection::None]
        .into_iter()
        .chain(alone)
        .map(set)
        .collect()
}

impl FeatureSet {
    /// What cargo is told.
    pub(super) fn arguments(&self) -> Vec<String> {
        let features: &[&str] = match &self.selection {
            Selection::None => &["--no-default-features"],
            Selection::One(name) => &["--no-default-features", "--features", name],
        };
        let package = ["--package", &self.package];
        package
            .iter()
            .chain(features)
            .map(|word| (*word).to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(features: &[(&str, &[&str])]) -> Package {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Package {
            name: "a".to_owned(),
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

    fn selections(features: &[(&str, &[&str])]) -> Vec<Selection> {
        of_package(&package(features))
            .into_iter()
            .map(|set| set.selection)
            .collect()
    }

    fn one(name: &str) -> Selection {
        Selection::One(name.to_owned())
    }

    #[test]
    fn what_has_no_features_is_checked_once() {
        assert_eq!(selections(&[]), [Selection::None]);
        assert_eq!(selections(&[("default", &[])]), [Selection::None]);
    }

    #[test]
    fn none_and_each_alone() {
        assert_eq!(
            selections(&[("default", &[]), ("x", &[]), ("y", &[])]),
            [Selection::None, one("x"), one("y")]
        );
        assert_eq!(
            selections(&[("default", &["x"]), ("x", &[]), ("y", &[])]),
            [Selection::None, one("default"), one("x"), one("y")]
        );
    }

    #[test]
    fn nothing_is_compiled_twice() {
        assert_eq!(selections(&[("x", &[])]), [Selection::None]);
        assert_eq!(
            selections(&[("full", &["x", "y"]), ("x", &[]), ("y", &[])]),
            [Selection::None, one("x"), one("y")]
        );
    }

    #[test]
    fn what_no_user_gets_has_no_sets_of_its_own() {
        let internal = Package {
            publishable: false,
            ..package(&[("x", &[]), ("y", &[])])
        };
        assert_eq!(of(&[internal]).len(), 1);
    }

    #[test]
    fn cargo_is_told_the_set() {
        let sets = of_package(&package(&[("x", &[]), ("y", &[])]));
        assert_eq!(
            sets[1].arguments(),
            ["--package", "a", "--no-default-features", "--features", "x"]
        );
    }
}
