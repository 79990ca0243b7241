// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The floors: which crate may depend on which, and, inside forktex-flow, which module may use
//! which. This file is the drawing; `modules` reads the source against it.

use crate::workspace::{Dependency, Package, Workspace};

use super::Fault;

/// What a crate may use of ours, and whether it may name the Postgres driver.
struct Crate {
    name: &'static str,
    /// Always there.
    uses: &'static [&'static str],
    /// Only behind a feature.
    may_use: &'static [&'static str],
    driver: bool,
}

/// The lowest floor: no sibling, so that all others can stand on it.
const GROUND: [&str; 2] = ["forktex-macros", "forktex-migrations"];
const TESTKIT: &str = "forktex-testkit";
/// The Postgres driver. Who else needs it reaches it through `forktex_db::sqlx`.
const DRIVER: &str = "sqlx";

/// Lowest floor first.
const CRATES: [Crate; 15] = [
    ours("forktex-macros", &[], &[]),
    ours("forktex-migrations", &[], &[]),
    Crate {
        name: TESTKIT,
        uses: &[],
        may_use: &[],
        driver: true,
    },
    Crate {
        name: "forktex-db",
        uses: &GROUND,
        may_use: &[],
        driver: true,
    },
    ours("forktex-cache", &GROUND, &[]),
    ours("forktex-storage", &GROUND, &[]),
    ours("forktex-vault", &GROUND, &["forktex-db"]),
    ours("forktex-queue", &GROUND, &["forktex-db", "forktex-cache"]),
    ours(
        "forktex-data",
        &["forktex-macros", "forktex-migrations", "forktex-db"],
        &[],
    ),
    ours(
        "forktex-flow",
        &["forktex-macros", "forktex-migrations", "forktex-db"],
        &[],
    ),
    ours("forktex", &GROUND, &MODULE_CRATES),
    ours("forktex-tests", &EVERYTHING, &[]),
    ours("forktex-simulation", &EVERYTHING, &[]),
    ours("forktex-examples", &EVERYTHING, &[]),
    ours("xtask", &[], &[]),
];

const MODULE_CRATES: [&str; 9] = [
    "forktex-macros",
    "forktex-migrations",
    "forktex-db",
    "forktex-cache",
    "forktex-storage",
    "forktex-vault",
    "forktex-queue",
    "forktex-data",
    "forktex-flow",
];

const EVERYTHING: [&str; 11] = [
    "forktex-macros",
    "forktex-migrations",
    TESTKIT,
    "forktex-db",
    "forktex-cache",
    "forktex-storage",
    "forktex-vault",
    "forktex-queue",
    "forktex-data",
    "forktex-flow",
    "forktex",
];

const fn ours(
    name: &'static str,
    uses: &'static [&'static str],
    may_use: &'static [&'static str],
) -> Crate {
    Crate {
        name,
        uses,
        may_use,
        driver: false,
    }
}

/// Checks the dependencies of all members. Dev-dependencies reach no user and are free.
pub(super) fn check(workspace: &Workspace) -> Vec<Fault> {
    workspace.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Fault> {
    let fault = |message: String| Fault::new(&package.manifest, 1, message);
    let Some(rules) = CRATES.iter().find(|rules| rules.name == package.name) else {
        let name = &package.name;
        return vec![fault(format!(
            "unknown crate {name}: say its floor in {THIS_FILE}"
        ))];
    };
    let dependencies = package
        .dependencies
        .iter()
        .filter(|dependency| !dependency.development);
    dependencies
        .filter_map(|dependency| verdict(rules, dependency))
        .map(fault)
        .collect()
}

/// Where the floors are drawn.
pub(super) const THIS_FILE: &str = "xtask/src/tidy/floors.rs";

/// What is wrong with this dependency, if anything.
fn verdict(rules: &Crate, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if name == DRIVER {
        let message = format!(
            "{} uses {DRIVER}: reach it through forktex_db::sqlx",
            rules.name
        );
        return (!rules.driver).then_some(message);
    }
    let is_ours = CRATES.iter().any(|known| known.name == name);
    if !is_ours || rules.uses.contains(&name) {
        return None;
    }
    if rules.may_use.contains(&name) {
        let message = format!(
            "{} uses {name}: only behind a feature (optional)",
            rules.name
        );
        return (!dependency.optional).then_some(message);
    }
    Some(format!(
        "{} uses {name}: it stands on the same floor or above",
        rules.name
    ))
}

/// The modules of forktex-flow, the lowest floor first. A module may use its own floor and those
/// before it.
const MODULES: [&[&str]; 8] = [
    &["identifier", "state", "clock", "planted"],
    &[
        "definition",
        "step",
        "ctx",
        "schedule",
        "signal",
        "instance",
        "error",
        "simulation",
    ],
    &["compile"],
    &["registry", "transition"],
    &["store", "failpoint"],
    &["query", "handle", "catalog", "telemetry"],
    &["worker", "driver"],
    &["flow"],
];

/// Stand outside the floors: they only name things.
const FREE_MODULES: [&str; 3] = ["lib", "__private", "prelude"];

/// Share a floor and still never use each other: they meet in the tables.
const APART: [&str; 2] = ["worker", "driver"];

/// The highest floor that does no input or output.
const PURE_FLOOR: usize = 3;

/// The lowest floor that spawns tasks.
const SPAWNING_FLOOR: usize = 6;

/// The floor of a module of forktex-flow; `None` where it is free or unknown.
pub(super) fn floor(module: &str) -> Option<usize> {
    MODULES.iter().position(|floor| floor.contains(&module))
}

/// Whether the drawing has this module.
pub(super) fn is_known(module: &str) -> bool {
    FREE_MODULES.contains(&module) || floor(module).is_some()
}

/// Whether this module does no input or output, and so names neither tokio nor sqlx.
pub(super) fn is_pure(module: &str) -> bool {
    floor(module).is_some_and(|floor| floor <= PURE_FLOOR)
}

/// Whether this module may spawn tasks.
pub(super) fn may_spawn(module: &str) -> bool {
    floor(module).is_none_or(|floor| floor >= SPAWNING_FLOOR)
}

/// What is wrong with `module` using `used`, if anything.
pub(super) fn module_verdict(module: &str, used: &str) -> Option<String> {
    let (own, other) = (floor(module)?, floor(used)?);
    if module != used && APART.contains(&module) && APART.contains(&used) {
        return Some(format!(
            "{module} uses {used}: they never use each other, only the tables"
        ));
    }
    (other > own).then(|| format!("{module} uses {used}, which stands on a floor above"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, bool, bool)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, development, optional)| Dependency {
                name: (*name).to_owned(),
                development: *development,
                optional: *optional,
                ..Dependency::default()
            });
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            manifest: "Cargo.toml".into(),
            publishable: true,
            features: Vec::new(),
            dependencies: dependencies.collect(),
            targets: Vec::new(),
        }
    }

    fn messages(package: &Package) -> Vec<String> {
        check_package(package)
            .into_iter()
            .map(|fault| fault.message)
            .collect()
    }

    #[test]
    fn a_crate_may_use_lower_floors_only() {
        let good = [("forktex-db", false, false), ("serde", false, false)];
        assert_eq!(messages(&package("forktex-flow", &good)), [""; 0]);
        let sideways = messages(&package("forktex-flow", &[("forktex-vault", false, true)]));
        assert!(
            sideways[0].contains("forktex-flow uses forktex-vault"),
            "{sideways:?}"
        );
        assert_eq!(
            messages(&package("forktex-db", &[("forktex-flow", false, false)])).len(),
            1
        );
        assert_eq!(
            messages(&package("forktex", &[("forktex-testkit", false, true)])).len(),
            1
        );
    }

    #[test]
    fn dev_dependencies_are_free() {
        let good = [("forktex-testkit", true, false), ("sqlx", true, false)];
        assert_eq!(messages(&package("forktex-cache", &good)), [""; 0]);
    }

    #[test]
    fn what_belongs_behind_a_feature_must_be_optional() {
        assert_eq!(
            messages(&package("forktex-vault", &[("forktex-db", false, true)])),
            [""; 0]
        );
        let fault = messages(&package("forktex-vault", &[("forktex-db", false, false)]));
        assert!(fault[0].contains("behind a feature"), "{fault:?}");
    }

    #[test]
    fn only_db_and_the_test_kit_depend_on_the_driver() {
        let driver = [("sqlx", false, false)];
        assert_eq!(messages(&package("forktex-db", &driver)), [""; 0]);
        assert_eq!(messages(&package(TESTKIT, &driver)), [""; 0]);
        assert!(messages(&package("forktex-queue", &driver))[0].contains("forktex_db::sqlx"));
    }

    #[test]
    fn an_unknown_crate_must_be_drawn_first() {
        let fault = messages(&package("forktex-common", &[]));
        assert_eq!(
            fault,
            ["unknown crate forktex-common: say its floor in xtask/src/tidy/floors.rs"]
        );
    }

    #[test]
    fn each_crate_that_is_allowed_stands_lower_in_the_list() {
        for (height, rules) in CRATES.iter().enumerate() {
            for used in rules.uses.iter().chain(rules.may_use) {
                let at = CRATES.iter().position(|below| below.name == *used);
                assert!(
                    at.is_some_and(|at| at < height),
                    "{} uses {used}",
                    rules.name
                );
            }
        }
    }

    #[test]
    fn modules_use_their_own_floor_and_below() {
        assert_eq!(module_verdict("flow", "worker"), None);
        assert_eq!(module_verdict("query", "handle"), None);
        assert_eq!(module_verdict("lib", "flow"), None);
        assert!(module_verdict("transition", "store").is_some());
        assert!(module_verdict("worker", "flow").is_some());
    }

    #[test]
    fn worker_and_driver_never_meet() {
        assert!(module_verdict("worker", "driver").is_some());
        assert!(module_verdict("driver", "worker").is_some());
        assert_eq!(module_verdict("driver", "driver"), None);
    }
}
