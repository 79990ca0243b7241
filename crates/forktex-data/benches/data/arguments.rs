// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the program is asked for.

use std::error::Error;
use std::fmt::Write as _;
use std::str::FromStr;

use forktex_testkit::figure::Output;

use crate::fixture::Bench;
use crate::rows::{ROWS, Row};

/// What to do.
pub(crate) enum Asked {
    Help,
    Rows {
        rows: Vec<&'static Row>,
        bench: Bench,
    },
}

pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Asked, Box<dyn Error>> {
    let mut bench = Bench::default();
    let mut only: Option<String> = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--json" => bench.output = Output::Json,
            "--quick" => bench.is_quick = true,
            "--only" => only = Some(arguments.next().ok_or("--only takes names of rows")?),
            "--records" => bench.records = Some(number("--records", arguments.next())?),
            "--rounds" => bench.rounds = Some(number("--rounds", arguments.next())?),
            // Cargo says the first to every benchmark, and those who type put the second before ours.
            "--bench" | "--" => {}
            other => return Err(format!("unknown argument `{other}`\n\n{}", help()).into()),
        }
    }
    let rows = match only {
        None => ROWS.iter().collect(),
        Some(names) => names.split(',').map(row).collect::<Result<_, _>>()?,
    };
    Ok(Asked::Rows { rows, bench })
}

/// A number of which none makes no sense.
fn number<N: FromStr + PartialOrd + From<u8>>(
    option: &str,
    given: Option<String>,
) -> Result<N, String> {
    given
        .and_then(|given| given.parse().ok())
        .filter(|number| *number >= N::from(1))
        .ok_or_else(|| format!("{option} takes a number from 1 up"))
}

fn row(name: &str) -> Result<&'static Row, String> {
    ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        format!("no row is called `{name}`: there are {}", names.join(", "))
    })
}

pub(crate) fn help() -> String {
    let mut help =
        "cargo xtask bench data [--only ROW,..] [--rounds N] [--records N] [--quick] [--json]\n\n"
            .to_owned();
    for row in ROWS {
        // A String takes all that is written to it.
        let _ = writeln!(
            help,
            "  {:<12} {} ({} rounds)",
            row.name, row.what, row.rounds
        );
    }
    help
}
