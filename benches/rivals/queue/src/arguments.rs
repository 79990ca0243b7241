// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What may be asked of the program.

use forktex_testkit::figure::Output;

use crate::contender::{Contender, Outcome};

/// How often ours and a rival take turns where no number is named.
const ROUNDS: usize = 5;

/// What a person asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) output: Output,
    /// The rivals asked for; all where empty.
    only: Vec<String>,
    pub(crate) rounds: usize,
    /// Jobs of a turn, instead of as many as take each some seconds.
    pub(crate) jobs: Option<u64>,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Outcome<Self> {
        let mut read = Self {
            output: Output::Table,
            only: Vec::new(),
            rounds: ROUNDS,
            jobs: None,
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
                "--rounds" => read.rounds = usize::try_from(positive(&argument, &value()?)?)?,
                "--jobs" => read.jobs = Some(positive(&argument, &value()?)?),
                other => {
                    return Err(format!(
                        "unknown argument `{other}`: write --json, --only NAME[,NAME], --rounds N \
                         or --jobs N"
                    )
                    .into());
                }
            }
        }
        Ok(read)
    }

    /// The rivals asked for.
    pub(crate) fn chosen(&self, rivals: Vec<Contender>) -> Outcome<Vec<Contender>> {
        let is_named = |name: &str| rivals.iter().any(|rival| rival.name == name);
        if let Some(unknown) = self.only.iter().find(|name| !is_named(name)) {
            return Err(format!("no rival is called `{unknown}`").into());
        }
        let is_chosen = |rival: &Contender| {
            self.only.is_empty() || self.only.iter().any(|name| name == rival.name)
        };
        Ok(rivals.into_iter().filter(is_chosen).collect())
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
    fn what_is_not_said_is_the_default() -> Outcome<()> {
        assert_eq!(read(&[])?.rounds, ROUNDS);
        let arguments = read(&["--jobs", "7", "--only", "arq", "--json"])?;
        assert_eq!((arguments.jobs, arguments.output), (Some(7), Output::Json));
        assert_eq!(
            arguments
                .chosen(vec![Contender::arq(), Contender::bullmq()])?
                .len(),
            1
        );
        Ok(())
    }

    #[test]
    fn what_makes_no_sense_is_refused() -> Outcome<()> {
        for words in [["--rounds", "0"], ["--jobs", "many"], ["--fast", "1"]] {
            assert!(read(&words).is_err(), "{words:?}");
        }
        assert!(read(&["--only", "celery"])?.chosen(Vec::new()).is_err());
        Ok(())
    }
}
