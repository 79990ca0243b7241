// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The command line.

/// What is printed without arguments.
pub(crate) const HELP: &str = "\
usage: deploy_pipeline <mode>

  demo                          a throwaway Postgres, a run, a worker that is killed: all by itself
  init --database URL           lays the schemas; the role must own the database
  worker --database URL         runs steps until SIGTERM or Ctrl-C
      --until-stdin-closes      ... or until whoever started it is gone
  start --database URL          starts a deployment and waits for its end
      --dns NAME                ... under a domain of its own";

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Demo,
    Init {
        database: String,
    },
    Worker {
        database: String,
        until_stdin_closes: bool,
    },
    Start {
        database: String,
        dns: Option<String>,
    },
}

/// A command line that was not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("there is no mode `{0}`")]
    UnknownMode(String),
    #[error("`{0}` is not expected here")]
    Unexpected(String),
    #[error("`{0}` needs a value after it")]
    ValueMissing(&'static str),
    #[error("`--database URL` is missing")]
    DatabaseMissing,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, ArgumentError> {
    let mut arguments = arguments;
    let Some(mode) = arguments.next() else {
        return Ok(Command::Help);
    };
    let mut database = None;
    let mut dns = None;
    let mut until_stdin_closes = false;
    while let Some(argument) = arguments.next() {
        match (mode.as_str(), argument.as_str()) {
            ("init" | "worker" | "start", "--database") => {
                let value = arguments.next();
                database = Some(value.ok_or(ArgumentError::ValueMissing("--database"))?);
            }
            ("start", "--dns") => {
                let value = arguments.next();
                dns = Some(value.ok_or(ArgumentError::ValueMissing("--dns"))?);
            }
            ("worker", "--until-stdin-closes") => until_stdin_closes = true,
            _ => return Err(ArgumentError::Unexpected(argument)),
        }
    }
    let database = database.ok_or(ArgumentError::DatabaseMissing);
    Ok(match mode.as_str() {
        "help" | "--help" | "-h" => Command::Help,
        "demo" => Command::Demo,
        "init" => Command::Init {
            database: database?,
        },
        "worker" => Command::Worker {
            database: database?,
            until_stdin_closes,
        },
        "start" => Command::Start {
            database: database?,
            dns,
        },
        _ => return Err(ArgumentError::UnknownMode(mode)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, ArgumentError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        assert_eq!(parsed(""), Ok(Command::Help));
        assert_eq!(parsed("demo"), Ok(Command::Demo));
        assert_eq!(parsed("worker"), Err(ArgumentError::DatabaseMissing));
        let unexpected = ArgumentError::Unexpected("--fast".to_owned());
        assert_eq!(parsed("demo --fast"), Err(unexpected));
        let expected = Command::Worker {
            database: "url".to_owned(),
            until_stdin_closes: true,
        };
        let line = "worker --until-stdin-closes --database url";
        assert_eq!(parsed(line), Ok(expected));
    }
}
