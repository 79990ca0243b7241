// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Murder in the middle of an upload: a process that uploads in parts is killed with SIGKILL at a random point, and
//! what it leaves is no object, and parts that the sweeper removes.
//!
//! `cargo test --test murder` murders ten uploads on each backend; by hand: `-- --rounds 200 --seed 7 --backend s3`.
//! The program starts itself again for each victim.
#![allow(missing_docs)]

#[path = "stage/folder.rs"]
#[allow(clippy::unwrap_used, reason = "tests share it")]
mod folder;
#[path = "murder/options.rs"]
mod options;
#[path = "murder/scene.rs"]
mod scene;
#[path = "murder/victim.rs"]
mod victim;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use options::{Asked, Options};
use scene::{Kind, Scene};
use victim::{Death, Victim};

/// What the program and its parts come to.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match options::read(&arguments) {
        Ok(Asked::Nothing) => Ok(()),
        Ok(Asked::List) => {
            println!("murder: test");
            Ok(())
        }
        Ok(Asked::Upload(url)) => victim::upload(&url).await,
        Ok(Asked::Murder(options)) => murder(&options).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("murder: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn murder(options: &Options) -> Outcome<()> {
    for kind in &options.backends {
        let began_at = Instant::now();
        let seed = options.seed;
        let report = play(*kind, options)
            .await
            .map_err(|error| format!("on {}, seed {seed}: {error}", kind.as_str()))?;
        println!(
            "murder on {}: {report}; seed {seed}, {:.1} s",
            kind.as_str(),
            began_at.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// All rounds on one backend.
async fn play(kind: Kind, options: &Options) -> Outcome<String> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let scene = Scene::set(kind).await?;
    let (mut with_parts, mut finished) = (0, 0);
    for round in 0..options.rounds {
        let death = Victim::start(&scene.url)?.live_until(&mut random).await?;
        let left = scene.files_left()?;
        let place = format!("round {round}, killed after `{}`", death.last_words);
        let whole = scene.is_object_whole().await?;
        check_visible(&death, whole).map_err(|error| format!("{place}: {error}"))?;
        with_parts += u32::from(!left.is_empty());
        finished += u32::from(whole.is_some());
        scene
            .sweep_until_clean()
            .await
            .map_err(|error| format!("{place}: {error}"))?;
        scene.clear().await?;
    }
    // A murderer who always comes too early or too late has shown nothing.
    if with_parts == 0 {
        return Err(format!("no upload of {} was in the middle", options.rounds).into());
    }
    Ok(format!(
        "{} uploads, {with_parts} with parts left, {finished} that were finished first",
        options.rounds
    ))
}

/// An object is there only when the victim had begun to finish, and then it is whole.
fn check_visible(death: &Death, whole: Option<bool>) -> Outcome<()> {
    match whole {
        None => Ok(()),
        Some(true) if death.was_finishing => Ok(()),
        Some(true) => Err("the object is there, and nobody finished it".into()),
        Some(false) => Err("the object is there, and not whole".into()),
    }
}
