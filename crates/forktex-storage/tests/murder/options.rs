// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the program is asked for, by people, by cargo, or by itself.

use crate::scene::Kind;

/// The first argument of a victim.
pub(crate) const UPLOAD: &str = "upload";

/// How many are murdered where nobody says how many.
const ROUNDS_DEFAULT: u32 = 10;

pub(crate) enum Asked {
    /// Cargo runs other tests.
    Nothing,
    List,
    /// To this storage.
    Upload(String),
    Murder(Options),
}

pub(crate) struct Options {
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
    pub(crate) backends: Vec<Kind>,
}

pub(crate) fn read(arguments: &[String]) -> Result<Asked, String> {
    if let [word, url] = arguments
        && word == UPLOAD
    {
        return Ok(Asked::Upload(url.clone()));
    }
    let mut options = Options {
        rounds: ROUNDS_DEFAULT,
        seed: fastrand::u64(..1_000_000),
        backends: Kind::ALL.to_vec(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("`{argument}` takes a value"))
        };
        match argument.as_str() {
            "--rounds" => options.rounds = number::<u32>(value()?)?.max(1),
            "--seed" => options.seed = number(value()?)?,
            "--backend" => {
                let name = value()?;
                let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
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

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
