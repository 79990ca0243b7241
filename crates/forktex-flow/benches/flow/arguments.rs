// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the program is asked for.

use std::error::Error;
use std::fmt::Write as _;
use std::str::FromStr;

use forktex_testkit::figure::Output;

use crate::child;
use crate::fixture::Bench;
use crate::rows::{ROWS, Row};

/// What to do.
pub(crate) enum Asked {
    Help,
    /// To be a part of a row that is measured in another process.
    Child {
        part: String,
        arguments: Vec<String>,
    },
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
            child::FLAG => {
                let part = arguments.next().ok_or("a child is told what it is for")?;
                let arguments = arguments.collect();
                return Ok(Asked::Child { part, arguments });
            }
            "--json" => bench.output = Output::Json,
            "--quick" => bench.is_quick = true,
            "--only" => only = Some(arguments.next().ok_or("--only takes names of rows")?),
            "--runs" => bench.runs = Some(number("--runs", arguments.next())?),
            "--rounds" => bench.rounds = Some(number("--rounds", arguments.next())?),
            "--minutes" => bench.minutes = number("--minutes", arguments.next())?,
            // Cargo says the first to every benchmark, and those who type put the second before ours.
            "--bench" | "--" => {}
            other => return Err(format!("unknown argument `{other}`\n\n{}", help()).into()),
        }
    }
    let rows = match only {
        None => ROWS.iter().filter(|row| row.is_default).collect(),
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
    let mut text = "How fast the engine is, against bare loops on the same server: cargo xtask bench flow [..]\n\n\
        \x20 --only NAME[,NAME]  only these rows\n\
        \x20 --rounds N          how often ours and the baseline take turns; each row has its default\n\
        \x20 --runs N            the runs of `throughput` and `history`, 40000 by default\n\
        \x20 --minutes N         how long `soak` lasts, 10 by default\n\
        \x20 --quick             small sizes and one round: the code works, the figures say nothing\n\
        \x20 --json              an object a line, for machines\n\nRows:\n"
        .to_owned();
    for row in &ROWS {
        let when = if row.is_default {
            match row.rounds {
                1 => "1 round".to_owned(),
                rounds => format!("{rounds} rounds"),
            }
        } else {
            "only when named".to_owned()
        };
        let _ = writeln!(text, "  {:<12} {} ({when})", row.name, row.what);
    }
    text.truncate(text.trim_end().len());
    text
}
