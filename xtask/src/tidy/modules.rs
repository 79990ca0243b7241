// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads the source of forktex-flow against the floors. Paths through `crate::`, `super::` and the
//! re-exports of the crate's root are followed; test code may use what it likes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::lexer::{Token, tokens};
use super::{Fault, Source, floors};

const ROOT: &str = "crates/forktex-flow/src";

/// Checks all sources that belong to forktex-flow.
pub(super) fn check(sources: &[Source]) -> Vec<Fault> {
    let modules: Vec<Module<'_>> = sources.iter().filter_map(Module::read).collect();
    let test_modules: HashSet<String> = modules
        .iter()
        .flat_map(|module| module.scan.test_modules.iter().cloned())
        .collect();
    let re_exports = re_exports(&modules);
    let product = modules
        .iter()
        .filter(|module| !module.is_test(&test_modules));
    product
        .flat_map(|module| module.faults(&re_exports))
        .collect()
}

/// A file of the crate, with the paths it names.
struct Module<'a> {
    source: &'a Source,
    /// The module path from the crate's root; empty for the root itself.
    path: Vec<String>,
    scan: Scan<'a>,
}

/// What a file names.
#[derive(Default)]
struct Scan<'a> {
    paths: Vec<NamedPath<'a>>,
    /// Files that the file declares as test code, by their module path.
    test_modules: Vec<String>,
}

/// A path of at least two parts, from the crate's root where it leads there.
struct NamedPath<'a> {
    /// Starts with `crate` where it was followed to the root.
    parts: Vec<&'a str>,
    /// The name it is known by afterwards.
    name: &'a str,
    line: usize,
}

impl<'a> Module<'a> {
    fn read(source: &'a Source) -> Option<Self> {
        let inside = source.path.strip_prefix(ROOT).ok()?;
        let path = module_path(inside);
        let scan = Scanner::scan(&tokens(&source.text), &path);
        (source.extension() == "rs").then_some(Self { source, path, scan })
    }

    /// The module of the crate's root that this file belongs to.
    fn top(&self) -> &str {
        self.path.first().map_or("lib", String::as_str)
    }

    fn is_test(&self, test_modules: &HashSet<String>) -> bool {
        let declared = (1..=self.path.len()).map(|length| self.path[..length].join("::"));
        self.source.is_in("tests")
            || declared
                .into_iter()
                .any(|path| test_modules.contains(&path))
    }

    fn faults(&self, re_exports: &HashMap<&str, &str>) -> Vec<Fault> {
        let top = self.top();
        let fault = |line, message| Fault::new(&self.source.path, line, message);
        if !floors::is_known(top) {
            let place = floors::THIS_FILE;
            return vec![fault(
                1,
                format!("unknown module `{top}`: say its floor in {place}"),
            )];
        }
        let mut faults: Vec<Fault> = self
            .scan
            .paths
            .iter()
            .filter_map(|path| {
                let message = path.verdict(top, re_exports)?;
                Some(fault(path.line, message))
            })
            .collect();
        faults.dedup();
        faults
    }
}

impl NamedPath<'_> {
    /// What is wrong with naming this path in a module, if anything.
    fn verdict(&self, module: &str, re_exports: &HashMap<&str, &str>) -> Option<String> {
        match self.parts.as_slice() {
            ["crate", first, ..] => {
                let used = re_exports.get(first).copied().unwrap_or(first);
                floors::module_verdict(module, used)
            }
            ["tokio_util", "sync", "CancellationToken"] if module == "ctx" => None,
            ["tokio" | "tokio_util" | "sqlx", ..] | ["forktex_db", "sqlx", ..]
                if floors::is_pure(module) =>
            {
                let named = self.parts.join("::");
                Some(format!(
                    "{module} names {named}: from registry down nothing does I/O"
                ))
            }
            ["tokio", .., last] if last.starts_with("spawn") && !floors::may_spawn(module) => Some(
                format!("{module} spawns tasks: only worker, driver and flow may"),
            ),
            _ => None,
        }
    }
}

/// `worker/claimer.rs` is `[worker, claimer]`; `lib.rs` is the root.
fn module_path(inside: &Path) -> Vec<String> {
    let stem = inside.with_extension("");
    let parts = stem
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let mut path: Vec<String> = parts.collect();
    if path == ["lib"] || path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

/// The names that the crate's root takes from its modules, with the module of each.
fn re_exports<'a>(modules: &'a [Module<'_>]) -> HashMap<&'a str, &'a str> {
    let root = modules.iter().filter(|module| module.path.is_empty());
    root.flat_map(|module| &module.scan.paths)
        .filter_map(|path| {
            let mut parts = path.parts.as_slice();
            if let ["crate" | "self", inside @ ..] = parts {
                parts = inside;
            }
            let module = parts
                .first()
                .filter(|module| floors::floor(module).is_some())?;
            (parts.len() > 1).then_some((path.name, *module))
        })
        .collect()
}

struct Scanner<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    braces: usize,
    /// The inline modules we are in: the depth of braces outside, and whether it is test code.
    inline: Vec<(usize, bool)>,
    path: &'t [String],
    scan: Scan<'a>,
}

impl<'t, 'a> Scanner<'t, 'a> {
    fn scan(tokens: &'t [Token<'a>], path: &'t [String]) -> Scan<'a> {
        let scan = Scan::default();
        let mut scanner = Self {
            tokens,
            at: 0,
            braces: 0,
            inline: Vec::new(),
            path,
            scan,
        };
        while scanner.at < tokens.len() {
            scanner.step();
        }
        scanner.scan
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn step(&mut self) {
        match self.text(self.at) {
            "{" => self.braces += 1,
            "}" => {
                self.braces = self.braces.saturating_sub(1);
                self.inline.pop_if(|(outside, _)| *outside == self.braces);
            }
            "mod" => self.enter_module(),
            text if is_word(text) && self.text(self.at + 1) == "::" => {
                let continues = self.at > 0 && self.text(self.at - 1) == "::";
                let begins_at = self.at;
                let mut leaves = Vec::new();
                self.path_tree(&[], &mut leaves);
                let in_test = self.inline.iter().any(|(_, test)| *test);
                if !continues && !in_test {
                    self.keep(leaves);
                }
                self.at = self.at.max(begins_at + 1);
                return;
            }
            _ => {}
        }
        self.at += 1;
    }

    /// At `mod`: notes an inline module, or a file of test code.
    fn enter_module(&mut self) {
        let name = self.text(self.at + 1);
        let test = name == "tests" || self.follows_cfg_test();
        match self.text(self.at + 2) {
            "{" => self.inline.push((self.braces, test)),
            ";" if test => {
                let mut path = self.path.to_vec();
                path.push(name.to_owned());
                self.scan.test_modules.push(path.join("::"));
            }
            _ => {}
        }
    }

    fn follows_cfg_test(&self) -> bool {
        const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
        let Some(begin) = self.at.checked_sub(ATTRIBUTE.len()) else {
            return false;
        };
        ATTRIBUTE
            .iter()
            .enumerate()
            .all(|(offset, text)| self.text(begin + offset) == *text)
    }

    /// Reads a path with its groups, as in `a::{b, c::d as e}`, up to the token after it.
    fn path_tree(&mut self, prefix: &[&'a str], leaves: &mut Vec<NamedPath<'a>>) {
        let mut parts = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(self.at) {
                "{" => {
                    self.group(&parts, leaves);
                    return;
                }
                text if is_word(text) || text == "*" => parts.push(text),
                _ => break,
            }
            self.at += 1;
            if self.text(self.at) != "::" {
                break;
            }
            self.at += 1;
        }
        let mut name = parts.last().copied().unwrap_or_default();
        if self.text(self.at) == "as" {
            name = self.text(self.at + 1);
            self.at += 2;
        }
        leaves.push(NamedPath { parts, name, line });
    }

    fn group(&mut self, parts: &[&'a str], leaves: &mut Vec<NamedPath<'a>>) {
        self.at += 1;
        while self.at < self.tokens.len() && self.text(self.at) != "}" {
            let begins_at = self.at;
            self.path_tree(parts, leaves);
            if self.text(self.at) == "," || self.at == begins_at {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn keep(&mut self, leaves: Vec<NamedPath<'a>>) {
        let depth = self.path.len() + self.inline.len();
        self.scan.paths.extend(leaves.into_iter().map(|mut path| {
            path.parts = from_root(path.parts, depth);
            path
        }));
    }
}

/// Follows `super` from a module so deep to the crate's root. A path that stays inside its own
/// module of the root is left as it is.
fn from_root(parts: Vec<&str>, depth: usize) -> Vec<&str> {
    let skipped = usize::from(parts.first() == Some(&"self"));
    let ups = parts[skipped..]
        .iter()
        .take_while(|part| **part == "super")
        .count();
    if ups == 0 || ups < depth {
        return parts;
    }
    std::iter::once("crate")
        .chain(parts[skipped + ups..].iter().copied())
        .collect()
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(name, text)| Source {
                path: Path::new(ROOT).join(name),
                text: (*text).to_owned(),
            })
            .collect();
        check(&sources)
            .into_iter()
            .map(|fault| fault.message)
            .collect()
    }

    #[test]
    fn a_lower_module_that_names_a_higher_one_is_a_fault_in_every_spelling() {
        for text in [
            "use crate::store::Store;",
            "use crate::{state::State, store::{Store, Other as Name}};",
            "fn f() -> crate::store::Store {}",
            "use super::store;",
            "use super::store::Store;",
            "use self::super::store::Store;",
            "mod inner { use super::super::store::Store; }",
            "macro_rules! m { () => { $crate::store::f() } }",
        ] {
            let found = messages(&[("transition.rs", text)]);
            assert!(!found.is_empty(), "{text}");
            assert!(
                found[0].starts_with("transition uses store"),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_lower_or_only_mentioned_is_no_fault() {
        for text in [
            "use crate::state::State; use crate::compile::Plan;",
            "// crate::store::Store\n/// [`crate::store::Store`]\nconst A: &str = \"crate::store::x\";",
            "mod inner { use super::store; } fn store() {}",
            "#[cfg(test)] mod tests { use crate::store::Store; #[tokio::test] async fn t() {} }",
            "#[cfg(test)]\nmod properties { use crate::store::Store; }",
            "use other::store::Store;",
        ] {
            assert_eq!(messages(&[("transition.rs", text)]), [""; 0], "{text}");
        }
    }

    #[test]
    fn code_after_a_test_module_counts_again() {
        let text = "mod tests { mod deep { fn f() {} } } use crate::store::Store;";
        assert_eq!(messages(&[("transition.rs", text)]).len(), 1);
    }

    #[test]
    fn a_re_export_of_the_root_does_not_hide_the_module() {
        let root = (
            "lib.rs",
            "mod flow; mod store; pub use crate::flow::{Flow, Other as Renamed};",
        );
        assert_eq!(messages(&[root, ("store.rs", "use crate::Flow;")]).len(), 1);
        assert_eq!(
            messages(&[root, ("store.rs", "use crate::Renamed;")]).len(),
            1
        );
        assert_eq!(
            messages(&[root, ("store.rs", "use crate::Unknown;")]),
            [""; 0]
        );
    }

    #[test]
    fn files_of_a_folder_stand_on_the_floor_of_its_module() {
        let above = messages(&[("store/postgres/claims.rs", "use crate::worker::Worker;")]);
        assert_eq!(above.len(), 1);
        let own = [(
            "store/postgres/claims.rs",
            "use super::super::memory; use super::Store;",
        )];
        assert_eq!(messages(&own), [""; 0]);
        let up = [(
            "store/postgres/claims.rs",
            "use super::super::super::flow::Flow;",
        )];
        assert_eq!(messages(&up).len(), 1);
    }

    #[test]
    fn worker_and_driver_are_kept_apart() {
        let found = messages(&[("driver/election.rs", "use crate::worker::Worker;")]);
        assert!(found[0].contains("never use each other"), "{found:?}");
    }

    #[test]
    fn pure_modules_name_neither_tokio_nor_sqlx() {
        assert_eq!(
            messages(&[("step.rs", "fn f(d: tokio::time::Instant) {}")]).len(),
            1
        );
        assert_eq!(
            messages(&[("registry.rs", "use forktex_db::sqlx::PgPool;")]).len(),
            1
        );
        assert_eq!(
            messages(&[("store.rs", "use tokio::sync::Notify;")]),
            [""; 0]
        );
        let token = "use tokio_util::sync::CancellationToken;";
        assert_eq!(messages(&[("ctx.rs", token)]), [""; 0]);
        assert_eq!(messages(&[("step.rs", token)]).len(), 1);
    }

    #[test]
    fn only_the_top_spawns_tasks() {
        let spawn = "fn f() { tokio::spawn(g()); }";
        assert_eq!(messages(&[("handle.rs", spawn)]).len(), 1);
        assert_eq!(messages(&[("worker/executor.rs", spawn)]), [""; 0]);
    }

    #[test]
    fn an_unknown_module_must_be_drawn_first() {
        let found = messages(&[("helper.rs", "fn f() {}")]);
        assert_eq!(
            found,
            ["unknown module `helper`: say its floor in xtask/src/tidy/floors.rs"]
        );
    }

    #[test]
    fn a_file_that_is_declared_as_test_code_is_free() {
        let files = [
            ("transition.rs", "#[cfg(test)]\nmod properties;"),
            (
                "transition/properties.rs",
                "use crate::store::memory::Memory;",
            ),
        ];
        assert_eq!(messages(&files), [""; 0]);
    }
}
