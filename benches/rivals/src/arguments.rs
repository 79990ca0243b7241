// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What may be asked of the program.

use forktex_testkit::figure::Output;

use crate::contender::{Entry, Outcome, Settings};
use crate::measure::{Player, Runs};

/// How often ours and a rival take turns where no number is named.
const ROUNDS: usize = 5;

/// What a person asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) output: Output,
    /// The rivals asked for; all where empty.
    pub(crate) only: Vec<String>,
    /// Runs of a measurement, instead of as many as fill its time.
    pub(crate) runs: Option<u64>,
    pub(crate) rounds: usize,
    /// Settings to try on the rivals, instead of those found best.
    pub(crate) connections: Option<u32>,
    pub(crate) at_once: Option<usize>,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Outcome<Self> {
        let mut read = Self {
            output: Output::Table,
            only: Vec::new(),
            runs: None,
            rounds: ROUNDS,
            connections: None,
            at_once: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} takes a value"))
            };
            match argument.as_str() {
                "--json" => read.output = Output::Json,
                "--only" => read.only.extend(value()?.split(',').map(str::to_owned)),
                "--runs" => read.runs = Some(positive(&argument, &value()?)?),
                "--rounds" => read.rounds = usize::try_from(positive(&argument, &value()?)?)?,
                "--connections" => {
                    read.connections = Some(u32::try_from(positive(&argument, &value()?)?)?);
                }
                "--at-once" => {
                    read.at_once = Some(usize::try_from(positive(&argument, &value()?)?)?);
                }
                other => {
                    return Err(format!(
                        "unknown argument `{other}`: write --json, --only NAME[,NAME], --runs N, \
                         --rounds N, --connections N or --at-once N"
                    )
                    .into());
                }
            }
        }
        Ok(read)
    }

    /// The rivals asked for.
    pub(crate) fn chosen(&self, rivals: Vec<Entry>) -> Outcome<Vec<Entry>> {
        let names: Vec<&str> = rivals.iter().map(|rival| rival.facts.name).collect();
        if let Some(unknown) = self
            .only
            .iter()
            .find(|name| !names.contains(&name.as_str()))
        {
            let known = names.join(", ");
            return Err(format!("no rival is called `{unknown}`; there are {known}").into());
        }
        let is_chosen = |rival: &Entry| {
            self.only.is_empty() || self.only.iter().any(|name| name == rival.facts.name)
        };
        Ok(rivals.into_iter().filter(is_chosen).collect())
    }

    /// Ours, at its own settings.
    pub(crate) fn our_player(&self, entry: Entry) -> Player {
        Player {
            settings: entry.facts.settings,
            entry,
            runs: self.runs.map_or(Runs::Filling(0), Runs::Fixed),
        }
    }

    /// A rival, at the settings asked for or those found best for it.
    pub(crate) fn player(&self, entry: Entry) -> Player {
        let best = entry.facts.settings;
        Player {
            settings: Settings {
                connections: self.connections.unwrap_or(best.connections),
                at_once: self.at_once.unwrap_or(best.at_once),
            },
            ..self.our_player(entry)
        }
    }
}

fn positive(argument: &str, value: &str) -> Outcome<u64> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{argument} takes a number above 0, not `{value}`").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Outcome<Arguments> {
        Arguments::read(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let arguments = read(&[]).unwrap();
        assert_eq!((arguments.rounds, arguments.runs), (ROUNDS, None));
        let arguments = read(&["--runs", "7", "--only", "dbos,durare", "--json"]).unwrap();
        assert_eq!(arguments.only, ["dbos", "durare"]);
        assert_eq!((arguments.runs, arguments.output), (Some(7), Output::Json));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [["--rounds", "0"], ["--runs", "many"], ["--fast", "1"]] {
            assert!(read(&words).is_err(), "{words:?}");
        }
        assert!(read(&["--runs"]).is_err());
        let chosen = read(&["--only", "temporal"]).unwrap().chosen(Vec::new());
        assert!(chosen.is_err());
    }
}
