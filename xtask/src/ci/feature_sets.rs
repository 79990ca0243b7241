// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The feature sets that each package must compile with: none, each alone, and all.

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
    All,
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
    let sets = packages.iter().flat_map(of_package);
    sets.chain([beside]).collect()
}

fn of_package(package: &Package) -> Vec<FeatureSet> {
    // An empty default is the set without any.
    let names = package
        .features
        .iter()
        .filter(|(name, enables)| name != "default" || !enables.is_empty())
        .map(|(name, _)| name.clone());
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Vec::new();
    }
    let mut selections = vec![Selection::None];
    // One feature alone is all there are.
    if names.len() > 1 {
        selections.extend(names.into_iter().map(Selection::One));
    }
    selections.push(Selection::All);
    let set = |selection| FeatureSet {
        package: package.name.clone(),
        selection,
    };
    selections.into_iter().map(set).collect()
}

impl FeatureSet {
    /// What cargo is told.
    pub(super) fn arguments(&self) -> Vec<String> {
        let features: &[&str] = match &self.selection {
            Selection::None => &["--no-default-features"],
            Selection::One(name) => &["--no-default-features", "--features", name],
            Selection::All => &["--all-features"],
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

    #[test]
    fn none_each_alone_and_all() {
        let one = |name: &str| Selection::One(name.to_owned());
        assert_eq!(
            selections(&[("default", &[]), ("x", &[]), ("y", &[])]),
            [Selection::None, one("x"), one("y"), Selection::All]
        );
        assert_eq!(
            selections(&[("default", &["x"]), ("x", &[])]),
            [Selection::None, one("default"), one("x"), Selection::All]
        );
    }

    #[test]
    fn nothing_is_compiled_twice() {
        assert_eq!(selections(&[]), []);
        assert_eq!(selections(&[("default", &[])]), []);
        assert_eq!(selections(&[("x", &[])]), [Selection::None, Selection::All]);
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
