// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is asked for on the command line.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forktex::flow::planted::PlantedFault;

use crate::round::Round;
use crate::scenario::Scenario;

/// The murders of a round take so long, and so many runs are started meanwhile.
const LENGTH: Duration = Duration::from_secs(8);
const RUNS: u32 = 300;
/// The same with `--short`.
const SHORT_LENGTH: Duration = Duration::from_secs(3);
const SHORT_RUNS: u32 = 96;
const ROUNDS: u32 = 10;

const OPTIONS: &str = "--rounds N, --seed S, --scenario NAME[,NAME..], --planted NAME, --short, \
                       --json, --keep FOLDER";

#[derive(Debug)]
pub(crate) struct Options {
    rounds: Option<u32>,
    pub(crate) seed: u64,
    /// In turn; none where the seed says.
    scenarios: Vec<Scenario>,
    pub(crate) planted: Option<PlantedFault>,
    pub(crate) is_json: bool,
    /// Whether each round is a short one.
    is_short: bool,
    pub(crate) kept_in: PathBuf,
}

impl Options {
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut options = Self {
            rounds: None,
            seed: since.map_or(0, |since| since.as_secs() % 1_000_000),
            scenarios: Vec::new(),
            planted: None,
            is_json: false,
            is_short: false,
            kept_in: std::env::temp_dir().join("forktex-chaos"),
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` takes a value"));
            match word {
                "--json" => options.is_json = true,
                "--short" => options.is_short = true,
                "--rounds" => options.rounds = Some(number(word, value()?)?),
                "--seed" => options.seed = number(word, value()?)?,
                "--keep" => options.kept_in = PathBuf::from(value()?),
                "--scenario" => {
                    for name in value()?.split(',') {
                        let known = Scenario::ALL.map(Scenario::name);
                        let scenario = Scenario::from_name(name);
                        let scenario = scenario.ok_or(unknown("scenario", name, &known))?;
                        options.scenarios.push(scenario);
                    }
                }
                "--planted" => {
                    let name = value()?;
                    let known = PlantedFault::ALL.map(PlantedFault::as_str);
                    let fault = PlantedFault::from_name(name);
                    options.planted = Some(fault.ok_or(unknown("planted fault", name, &known))?);
                }
                other => {
                    return Err(format!("`{other}` is not an option; there are {OPTIONS}"));
                }
            }
        }
        Ok(options)
    }

    /// The rounds to be played.
    pub(crate) fn rounds(&self) -> Vec<Round> {
        let (length, runs) = if self.is_short {
            (SHORT_LENGTH, SHORT_RUNS)
        } else {
            (LENGTH, RUNS)
        };
        let each_once = match self.scenarios.len() {
            0 => ROUNDS,
            count => u32::try_from(count).unwrap_or(ROUNDS),
        };
        (0..self.rounds.unwrap_or(each_once))
            .map(|number| {
                let seed = self.seed + u64::from(number);
                Round {
                    seed,
                    scenario: self.scenario_of(seed, number),
                    length,
                    runs,
                    planted: self.planted,
                    proves_checks: number == 0,
                    kept_in: self.kept_in.clone(),
                }
            })
            .collect()
    }

    /// A planted fault is looked for where it shows.
    fn scenario_of(&self, seed: u64, number: u32) -> Scenario {
        if !self.scenarios.is_empty() {
            return self.scenarios[number as usize % self.scenarios.len()];
        }
        match self.planted {
            None => Scenario::of(seed),
            Some(PlantedFault::UnfencedWrite) => Scenario::Zombies,
            Some(_) if number % 3 == 2 => Scenario::Zombies,
            Some(_) => Scenario::Points,
        }
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{option}` takes a number, not `{text}`"))
}

fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    format!(
        "there is no {what} `{given}`; there are {}",
        known.join(", ")
    )
}
