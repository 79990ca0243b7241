// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sees to it that the programs which the tests need are on this machine: Postgres, Redis,
//! PgBouncer and a browser.
//!
//! On Debian and its relatives, as root, they are installed by apt; elsewhere the error says what
//! to type. Nothing is started here: the test kit starts throwaway servers of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::run::{self, Task};

/// How long apt may take.
const INSTALL_LIMIT: Duration = Duration::from_mins(10);

/// A server, or a tool of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Postgres,
    /// The load driver that Postgres ships; the benchmarks' baselines are written for it.
    Pgbench,
    Redis,
    /// The pooler that forktex-db must work behind.
    PgBouncer,
    /// The browser that drives the pages of examples. Their tests pass without.
    Chromium,
}

/// What the demo needs, and what a service author has at hand afterwards.
pub(crate) const FOR_DEMO: [Service; 2] = [Service::Postgres, Service::Redis];
/// What the tests need.
pub(crate) const FOR_TESTS: [Service; 3] = [Service::Postgres, Service::Redis, Service::PgBouncer];
/// What the tests of pages use, which pass without and say so.
pub(crate) const FOR_THE_BROWSER_TEST: [Service; 1] = [Service::Chromium];
/// What the benchmarks need.
pub(crate) const FOR_BENCHMARKS: [Service; 3] =
    [Service::Postgres, Service::Pgbench, Service::Redis];

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Pgbench => "pgbench",
            Self::Redis => "Redis",
            Self::PgBouncer => "PgBouncer",
            Self::Chromium => "Chromium",
        }
    }

    /// All of them must be in one folder.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["initdb", "postgres"],
            Self::Pgbench => &["pgbench"],
            Self::Redis => &["redis-server"],
            Self::PgBouncer => &["pgbouncer"],
            Self::Chromium => &["chromium"],
        }
    }

    /// The variable that says where the programs are.
    fn variable(self) -> &'static str {
        match self {
            Self::Postgres | Self::Pgbench => "PG_BIN",
            Self::Redis => "REDIS_BIN",
            Self::PgBouncer => "PGBOUNCER_BIN",
            Self::Chromium => "CHROMIUM_BIN",
        }
    }

    fn debian_package(self) -> &'static str {
        match self {
            Self::Postgres | Self::Pgbench => "postgresql",
            Self::Redis => "redis-server",
            Self::PgBouncer => "pgbouncer",
            Self::Chromium => "chromium",
        }
    }

    fn homebrew_package(self) -> &'static str {
        match self {
            Self::Postgres | Self::Pgbench => "postgresql@17",
            Self::Redis => "redis",
            Self::PgBouncer => "pgbouncer",
            Self::Chromium => "chromium",
        }
    }

    /// The folder that has its programs.
    fn find(self) -> Option<PathBuf> {
        folders(self)
            .into_iter()
            .find(|folder| has_all(folder, self.programs()))
    }
}

/// Installs what is missing of `services`, or says how. What was done is one line each.
///
/// # Errors
/// `Missing`, with what to type.
pub(crate) fn ensure(services: &[Service]) -> Result<Vec<String>, Error> {
    let missing = missing(services);
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(service) = missing.iter().find(|service| is_named(**service)) {
        return Err(misnamed(*service));
    }
    let machine = Machine::detect();
    if machine != (Machine::Debian { root: true }) {
        return Err(Error::Missing {
            what: are(&missing),
            remedy: format!("type: {}", machine.advice(&missing)),
        });
    }
    install(&missing)
}

/// As `ensure`, telling on standard error what was done.
pub(crate) fn ensure_with_notes(services: &[Service]) -> Result<(), Error> {
    for line in ensure(services)? {
        run::note(&line);
    }
    Ok(())
}

fn missing(services: &[Service]) -> Vec<Service> {
    services
        .iter()
        .copied()
        .filter(|service| service.find().is_none())
        .collect()
}

/// `PostgreSQL is` or `PostgreSQL and Redis are`.
fn are(services: &[Service]) -> String {
    let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
    format!(
        "{} {}",
        names.join(" and "),
        if names.len() == 1 { "is" } else { "are" }
    )
}

/// Where a service's programs may be: the variable alone where it is set, as in the test kit.
fn folders(service: Service) -> Vec<PathBuf> {
    if let Some(named) = env::var_os(service.variable()) {
        let named = PathBuf::from(named);
        // Of Redis there is one program, so that the variable may name it or its folder.
        let parent = named.parent().map(Path::to_path_buf);
        return if named.is_file() {
            parent.into_iter().collect()
        } else {
            vec![named]
        };
    }
    let mut folders: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    // Debian keeps the server's programs off the PATH, one folder a version.
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    folders.extend(versions.map(|entry| entry.path().join("bin")));
    // And PgBouncer where only root looks.
    folders.push(PathBuf::from("/usr/sbin"));
    folders
}

fn has_all(folder: &Path, programs: &[&str]) -> bool {
    programs
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn is_named(service: Service) -> bool {
    env::var_os(service.variable()).is_some()
}

fn misnamed(service: Service) -> Error {
    let variable = service.variable();
    let folder = env::var_os(variable).unwrap_or_default();
    Error::Missing {
        what: are(&[service]),
        remedy: format!(
            "{variable} is set to {}, which has no {}: correct it or type: unset {variable}",
            Path::new(&folder).display(),
            service.programs().join(" and "),
        ),
    }
}

/// How programs are installed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machine {
    Debian { root: bool },
    MacOs,
    Other,
}

impl Machine {
    fn detect() -> Self {
        if Path::new("/etc/debian_version").exists() {
            let root = Task::program("id", &["-u"]).answer().as_deref() == Some("0");
            return Self::Debian { root };
        }
        if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Other
        }
    }

    /// What the user types to install `services`.
    fn advice(self, services: &[Service]) -> String {
        let packages = |name| packages(services, name).join(" ");
        match self {
            Self::Debian { .. } => format!(
                "sudo apt-get update && sudo apt-get install -y {}",
                packages(Service::debian_package)
            ),
            Self::MacOs => format!(
                "brew install {0} && export PATH=\"$(brew --prefix {1})/bin:$PATH\"",
                packages(Service::homebrew_package),
                Service::Postgres.homebrew_package(),
            ),
            Self::Other => {
                let variables = services.iter().map(|service| service.variable());
                let mut variables: Vec<&str> = variables.collect();
                variables.dedup();
                format!(
                    "your system's command to install {}, or set {} to the folder of its programs",
                    packages(Service::debian_package),
                    variables.join(" and ")
                )
            }
        }
    }
}

/// The packages of `services` by one of their names, each once.
fn packages(services: &[Service], name: fn(Service) -> &'static str) -> Vec<String> {
    let names = services.iter().map(|service| name(*service).to_owned());
    let mut names: Vec<String> = names.collect();
    names.dedup();
    names
}

/// Installs by apt. Packages that try to start their service fail in containers; what counts is
/// that the programs are there afterwards.
fn install(missing: &[Service]) -> Result<Vec<String>, Error> {
    let packages = packages(missing, Service::debian_package);
    run::note(&format!(
        "{} missing: installing {} by apt",
        are(missing),
        packages.join(" ")
    ));

    let update = apt(&["update"]).capture("apt-get-update")?;
    let install = apt(&["install", "-y", "--no-install-recommends"]).arguments(&packages);
    let install = install.capture("apt-get-install")?;

    let still = self::missing(missing);
    if still.is_empty() {
        return Ok(vec![format!("installed {} by apt", packages.join(" "))]);
    }
    if !update.success {
        run::note(&update.output);
    }
    run::note(&install.output);
    let machine = Machine::Debian { root: true };
    Err(Error::Missing {
        what: format!("apt did not install all: {} still", are(&still)),
        remedy: format!("type: {}", machine.advice(&still).replace("sudo ", "")),
    })
}

fn apt(arguments: &[&str]) -> Task {
    Task::program("apt-get", &["-q", "-o", "DPkg::Lock::Timeout=120"])
        .arguments(
            &arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect::<Vec<_>>(),
        )
        .variable("DEBIAN_FRONTEND", "noninteractive")
        // Where packages start services by the runlevel, one that starts none.
        .variable("RUNLEVEL", "1")
        .limit(INSTALL_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_packages_of_the_system() {
        let services = FOR_DEMO;
        let debian = Machine::Debian { root: false }.advice(&services);
        assert_eq!(
            debian,
            "sudo apt-get update && sudo apt-get install -y postgresql redis-server"
        );
        let mac = Machine::MacOs.advice(&services);
        assert!(
            mac.starts_with("brew install postgresql@17 redis &&"),
            "{mac}"
        );
        let other = Machine::Other.advice(&FOR_BENCHMARKS);
        assert!(other.contains("set PG_BIN and REDIS_BIN"), "{other}");
        let benchmarks = packages(&FOR_BENCHMARKS, Service::debian_package);
        assert_eq!(benchmarks, ["postgresql", "redis-server"]);
    }

    #[test]
    fn a_sentence_agrees_in_number() {
        assert_eq!(are(&[Service::Redis]), "Redis is");
        assert_eq!(are(&FOR_DEMO), "PostgreSQL and Redis are");
    }

    #[test]
    fn a_folder_must_have_all_programs() {
        assert!(has_all(Path::new("/bin"), &["sh"]));
        assert!(!has_all(Path::new("/bin"), &["sh", "no-such-program"]));
    }
}
