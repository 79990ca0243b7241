// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `openapi`: starts the example `registers`, validates its OpenAPI document, and sends it what the
//! document allows and forbids. Two tools in Python do that; they are installed below `target`, so this is
//! not part of `ci`.

mod http;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::run::{self, Task};
use crate::services::{self, Service};
use crate::workspace::{self, Workspace};

const EXAMPLE: &str = "registers";
/// The tools by exact versions, so that a seed sends the same requests again.
const VALIDATOR: &str = "openapi-spec-validator==0.9.0";
const FUZZER: &str = "schemathesis==4.32.5";

/// Registers with fields of all types, in the order in which they are made.
const REGISTERS: &str = include_str!("openapi/registers.json");

/// What is sent, unless an argument after it says otherwise.
///
/// What a schema cannot say is refused as well: that a range is empty, that a formula makes no sense, that
/// a row is not there. So one check is left out: that all that fits the document is taken.
const FUZZING: [&str; 9] = [
    "--seed=1",
    "--max-examples=50",
    "--checks=all",
    "--exclude-checks=positive_data_acceptance",
    "--continue-on-failure",
    "--no-shrink",
    // What an earlier run has found would be sent first, and a seed would not give the same again.
    "--generation-database=none",
    "--header",
    "x-tenant: north",
];

/// Runs both tools; the arguments are handed on to the second.
///
/// # Errors
/// `Missing` where a tool cannot be installed, `Failed` with the tool's own code where one found a fault.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    services::ensure_with_notes(&[Service::Postgres])?;
    let folder = workspace::scratch_folder().join("openapi");
    fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let tools = install(&folder)?;

    run::note("openapi: building the example; the first time takes a few minutes");
    let build = ["build", "--package", "forktex-examples", "--bin", EXAMPLE];
    Task::cargo(&build).show()?;
    let program = Workspace::load()?.target_folder.join("debug").join(EXAMPLE);
    let served = Task::program(&program.to_string_lossy(), &[]).serve()?;
    let address = served
        .first_line
        .trim()
        .trim_start_matches("serving on http://");
    let document = document(address)?;
    let path = folder.join("openapi.json");
    fs::write(&path, document).map_err(Error::file(&path))?;
    let path = path.display().to_string();

    let validator = tools.join("openapi-spec-validator");
    Task::program(&validator.to_string_lossy(), &[&path]).show()?;
    let url = format!("--url=http://{address}/api");
    let fuzzer = tools.join("schemathesis");
    let start = [&["run", &path, &url], &FUZZING[..]].concat();
    // It keeps what it found in the folder that it runs in.
    let fuzz = Task::program(&fuzzer.to_string_lossy(), &start).folder(&folder);
    fuzz.arguments(arguments).show()
}

/// Makes the registers, and gives the document that has them.
fn document(address: &str) -> Result<String, Error> {
    let registers: Value = serde_json::from_str(REGISTERS).unwrap_or_default();
    for register in registers.as_array().into_iter().flatten() {
        http::request(address, "POST", "/api/registers", &register.to_string())?;
    }
    http::request(address, "GET", "/api/openapi.json", "")
}

/// The folder of the tools' programs.
fn install(folder: &Path) -> Result<PathBuf, Error> {
    let place = folder.join("python");
    let programs = place.join("bin");
    let python = programs.join("python").display().to_string();
    // Named by version, so that another version is installed over it.
    let installed = place.join(format!("{VALIDATOR},{FUZZER}"));
    if installed.is_file() {
        return Ok(programs);
    }
    let missing = |what: &str, remedy: &str| Error::Missing {
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    if Task::program("python3", &["--version"]).answer().is_none() {
        return Err(missing("Python is", "install python3 and python3-venv"));
    }
    let place = place.display().to_string();
    let venv = Task::program("python3", &["-m", "venv", &place]);
    if !done("python-venv", venv)? {
        return Err(missing(
            "python3 makes no venv: python3-venv is",
            "install it",
        ));
    }
    let pip = ["-m", "pip", "install", "--quiet", VALIDATOR, FUZZER];
    if !done("pip-install", Task::program(&python, &pip))? {
        let what = format!("{VALIDATOR} and {FUZZER} are");
        return Err(missing(&what, "see what pip said"));
    }
    fs::write(&installed, "").map_err(Error::file(&installed))?;
    Ok(programs)
}

/// Whether it succeeded; its output is shown where it did not.
fn done(label: &str, task: Task) -> Result<bool, Error> {
    run::note(&format!("openapi: {label}"));
    let captured = task.capture(label)?;
    if !captured.success {
        run::note(&captured.output);
    }
    Ok(captured.success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registers_are_json_and_have_fields_of_all_types() {
        let registers: Value = serde_json::from_str(REGISTERS).unwrap();
        let registers = registers.as_array().unwrap();
        let fields = registers.iter().flat_map(|register| {
            let fields = register["fields"].as_array().unwrap();
            fields
                .iter()
                .map(|field| field["type"]["kind"].as_str().unwrap())
        });
        let mut kinds: Vec<&str> = fields.collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(
            kinds,
            [
                "boolean",
                "date",
                "datetime",
                "decimal",
                "enum",
                "formula",
                "integer",
                "json",
                "lookup",
                "number",
                "reference",
                "rollup",
                "text",
                "uuid",
            ]
        );
    }
}
