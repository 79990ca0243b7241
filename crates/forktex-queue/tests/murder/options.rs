// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the program is asked for, by people, by cargo, or by itself.

use crate::place::Kind;

/// The first argument of a worker.
pub(crate) const WORK: &str = "work";

/// How many jobs there are where nobody says how many.
const JOBS_DEFAULT: u64 = 2_000;

pub(crate) enum Asked {
    /// Cargo runs other tests.
    Nothing,
    List,
    Work(String),
    Murder(Options),
}

pub(crate) struct Options {
    pub(crate) jobs: u64,
    pub(crate) seed: u64,
    pub(crate) backends: Vec<Kind>,
}

pub(crate) fn read(arguments: &[String]) -> Result<Asked, String> {
    if let [word, orders] = arguments
        && word == WORK
    {
        return Ok(Asked::Work(orders.clone()));
    }
    let mut options = Options {
        jobs: JOBS_DEFAULT,
        seed: fastrand::u64(..1_000_000),
        backends: Kind::all(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("`{argument}` takes a value"))
        };
        let number = |text: &String| {
            text.parse::<u64>()
                .map_err(|_| format!("`{text}` is no number"))
        };
        match argument.as_str() {
            "--jobs" => options.jobs = number(value()?)?.max(100),
            "--seed" => options.seed = number(value()?)?,
            "--backend" => {
                let name = value()?;
                let known = Kind::all().into_iter().find(|kind| kind.as_str() == name);
                options.backends = vec![known.ok_or_else(|| format!("no backend `{name}` here"))?];
            }
            "--list" => return Ok(Asked::List),
            // What is left is for cargo's own harness: flags, and names of tests.
            flag if flag.starts_with('-') => {}
            name if "murder".contains(name) => {}
            _ => return Ok(Asked::Nothing),
        }
    }
    Ok(Asked::Murder(options))
}
