// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `fuzz`: throws mutated input at one of the readers of input from outside, or lists them. Needs a
//! C++ compiler, for libFuzzer; not part of `ci`.

use std::fs;

use crate::error::Error;
use crate::run::{self, Task};

const MANIFEST: &str = "tests/fuzz/Cargo.toml";
const TARGETS: &str = "tests/fuzz/src/bin";
/// Where what was built and what was found is kept.
const KEPT: &str = "target/fuzz";

/// What libFuzzer needs to see which branches an input takes; the stable compiler takes these too.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

const SECONDS_DEFAULT: u32 = 60;

/// Runs the target named first, for so many seconds.
///
/// # Errors
/// `Unknown` with the targets there are, or `Failed` when an input was found that breaks it.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    let known = targets()?;
    let Some((target, rest)) = arguments.split_first() else {
        run::say("Fuzz targets: cargo xtask fuzz <name> [seconds]\n");
        for target in known {
            run::say(&format!("  {target}"));
        }
        return Ok(());
    };
    if !known.contains(target) {
        return Err(Error::Unknown {
            what: "fuzz target",
            given: target.clone(),
            known,
        });
    }
    let seconds = rest
        .first()
        .map_or(Ok(SECONDS_DEFAULT), |text| text.parse());
    let seconds = seconds.map_err(|_| Error::UnexpectedArgument {
        command: "fuzz",
        given: rest.concat(),
    })?;

    let host = host()?;
    let build = [
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        MANIFEST,
        "--target",
        &host,
        "--target-dir",
        KEPT,
    ];
    Task::cargo(&build).variable("RUSTFLAGS", COVERAGE).show()?;
    let corpus = format!("{KEPT}/corpus/{target}");
    fs::create_dir_all(&corpus).map_err(Error::file(&corpus))?;
    let program = format!("{KEPT}/{host}/release/{target}");
    let time = format!("-max_total_time={seconds}");
    let finds = format!("-artifact_prefix={KEPT}/");
    Task::program(&program, &[&corpus, &time, &finds, "-max_len=4096"]).show()
}

fn targets() -> Result<Vec<String>, Error> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(TARGETS).map_err(Error::file(TARGETS))? {
        let path = entry.map_err(Error::file(TARGETS))?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            targets.push(name.to_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// The machine that we run on, as rustc names it. Named as the target, the flags above are not taken
/// for build scripts.
fn host() -> Result<String, Error> {
    let told = Task::program("rustc", &["-vV"])
        .answer()
        .unwrap_or_default();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::Failed {
        what: "`rustc -vV`".to_owned(),
        code: 1,
    })
}
