// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the command line says.

use forktex_flow::planted::PlantedFault;

/// How many seeds are played where nothing is said.
const SEEDS_DEFAULT: u64 = 1_000;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) task: Task,
    pub(crate) planted: Option<PlantedFault>,
    /// Whether the report is lines for machines.
    pub(crate) is_json: bool,
}

/// One world or many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Replay {
        seed: u64,
    },
    Campaign {
        from: u64,
        seeds: u64,
        is_twice: bool,
    },
}

const USAGE: &str = "write `cargo xtask sim [--seeds N] [--from SEED] [--twice] [--json] \
    [--planted FAULT]`, or `cargo xtask sim --seed SEED` to play one seed again";

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut seed, mut from, mut seeds) = (None, 1, SEEDS_DEFAULT);
        let (mut planted, mut is_twice, mut is_json) = (None, false, false);
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64, String> {
                let text = words
                    .next()
                    .ok_or_else(|| format!("{word} lacks its number: {USAGE}"))?;
                let number = text.replace(['_', ','], "").parse();
                number.map_err(|_| format!("`{text}` behind {word} is no number: {USAGE}"))
            };
            match word.as_str() {
                "--seed" => seed = Some(number()?),
                "--seeds" => seeds = number()?,
                "--from" => from = number()?,
                "--twice" => is_twice = true,
                "--json" => is_json = true,
                "--planted" => planted = Some(fault(words.next())?),
                _ => return Err(format!("`{word}` is not known: {USAGE}")),
            }
        }
        let task = match seed {
            Some(seed) => Task::Replay { seed },
            None => Task::Campaign {
                from,
                seeds,
                is_twice,
            },
        };
        Ok(Self {
            task,
            planted,
            is_json,
        })
    }
}

fn fault(name: Option<String>) -> Result<PlantedFault, String> {
    let name = name.unwrap_or_default();
    PlantedFault::from_name(&name).ok_or_else(|| {
        let names = PlantedFault::ALL.map(PlantedFault::as_str);
        format!(
            "there is no fault `{name}` to plant; there are {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        Arguments::read(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_would_be() {
        for wrong in [
            &["--sedes", "1"][..],
            &["--seeds"],
            &["--seed", "x"],
            &["--planted", "moss"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(read(&["--planted"]).unwrap_err().contains("unfenced-write"));
        let many = read(&["--seeds", "10_000", "--twice"]).unwrap();
        let seeds = 10_000;
        assert_eq!(
            many.task,
            Task::Campaign {
                from: 1,
                seeds,
                is_twice: true
            }
        );
        let one = read(&["--seed", "7"]).unwrap();
        assert_eq!(one.task, Task::Replay { seed: 7 });
    }
}
