// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The commands of this repository: `cargo xtask <command>`; `cargo xtask help` lists them.
//!
//! One file a command. A command reports what went wrong in one line that says what to type; it
//! never panics at its user.

mod audit;
mod bench;
mod chaos;
mod ci;
mod demo;
mod docs;
mod error;
mod fuzz;
mod help;
mod license;
mod openapi;
mod run;
mod services;
mod sim;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use error::Error;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into())
        .collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Told) => ExitCode::from(error.exit_code()),
        Err(error) => {
            run::note(&format!("xtask: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Error> {
    let Some((command, rest)) = arguments.split_first() else {
        help::print();
        return Ok(());
    };
    if help::is_asked_for(command, rest) {
        help::print();
        return Ok(());
    }
    let here = workspace::enter()?;
    match command.as_str() {
        "audit" => audit::command(rest),
        "bench" => bench::command(rest),
        "chaos" => chaos::command(rest),
        "ci" => ci::command(rest),
        "demo" => demo::command(rest),
        "docs" => docs::command(rest),
        "fuzz" => fuzz::command(rest),
        "license-check" => license::check(&here, rest),
        "license-fix" => license::fix(&here, rest),
        "license-strip" => license::strip(&here, rest),
        "openapi" => openapi::command(rest),
        "sim" => sim::command(rest),
        "test" => test::command(rest),
        "tidy" => tidy::command(rest),
        unknown => Err(help::unknown(unknown)),
    }
}
