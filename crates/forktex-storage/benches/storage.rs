// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What streaming costs over bare `object_store`, how much memory it takes, and how many links are signed a second.
//!
//! 2 GiB go up and come down, on a folder and on the S3 server of the test kit. Each run is a process of its own:
//! what its peak memory is, is its own, and the S3 server is one more process. The two sides take turns on the same
//! folder and the same server; a figure is the median of its rounds. The bare side of the folder flushes to the disk
//! as ours does (`with_fsync`), sends parts of the same size, and as many at once.
//!
//! `cargo xtask bench storage`; `-- --gib 1` streams less, `-- --rounds 1` fewer times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "storage/links.rs"]
mod links;
#[path = "storage/run.rs"]
mod run;
#[path = "storage/server.rs"]
mod server;
#[path = "storage/source.rs"]
mod source;

use std::path::PathBuf;

use forktex_testkit::figure::{self, Figure, Output, median};

use run::{Measured, Side};
use server::Server;

const ROUNDS: u64 = 3;
const GIB: u64 = 2;

/// Of bare `object_store`.
const THROUGHPUT_BAR: f64 = 0.9;
/// The most memory that a process may ever have had, in MiB.
const MEMORY_BAR: f64 = 64.0;

/// The names of one backend's figures.
struct Names {
    up: &'static str,
    down: &'static str,
    memory: &'static str,
}

fn main() {
    if server::is_server() {
        return server::serve();
    }
    if let Some(orders) = run::orders() {
        return run::obey(&orders);
    }
    let output = Output::from_arguments();
    let bytes = argument("--gib").unwrap_or(GIB) * 1024 * 1024 * 1024;
    let rounds = argument("--rounds").unwrap_or(ROUNDS).max(1);

    let mut figures = vec![links::figure()];
    let folder = Folder::create();
    eprintln!(
        "bench storage: {} MiB up and down, {rounds} times each side, on a folder and on S3; minutes",
        bytes >> 20
    );
    let names = Names {
        up: "storage.folder_up",
        down: "storage.folder_down",
        memory: "storage.folder_memory",
    };
    figures.extend(compare(&names, &folder.url(), bytes, rounds));
    let server = Server::start(folder.path());
    let names = Names {
        up: "storage.s3_up",
        down: "storage.s3_down",
        memory: "storage.s3_memory",
    };
    figures.extend(compare(&names, server.url(), bytes, rounds));
    drop(server);
    figure::print(&figures, output);
}

/// The number after a word of the arguments.
fn argument(name: &str) -> Option<u64> {
    let mut arguments = std::env::args();
    arguments.find(|argument| argument == name)?;
    arguments.next()?.parse().ok()
}

/// Runs both sides in turns, the order changing from round to round.
fn compare(names: &Names, url: &str, bytes: u64, rounds: u64) -> [Figure; 3] {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let turns = if round % 2 == 0 {
            [Side::Ours, Side::Bare]
        } else {
            [Side::Bare, Side::Ours]
        };
        for side in turns {
            let measured = run::start(side, url, bytes);
            eprintln!(
                "  {} {side:?}: up {:.0} MiB/s, down {:.0} MiB/s, peak {:.1} MiB",
                names.up, measured.up, measured.down, measured.memory
            );
            match side {
                Side::Ours => ours.push(measured),
                Side::Bare => bare.push(measured),
            }
        }
    }
    let throughput = |bench, of: fn(&Measured) -> f64| {
        let ratios = ours
            .iter()
            .zip(&bare)
            .map(|(ours, bare)| of(ours) / of(bare));
        Figure {
            bench,
            value: median(ours.iter().map(of).collect()),
            unit: "MiB/s",
            baseline: median(bare.iter().map(of).collect()),
            ratio: median(ratios.collect()),
            bar: THROUGHPUT_BAR,
            at_most: false,
        }
    };
    // The most of all rounds: memory that is bounded most of the time is not bounded.
    let most = |runs: &[Measured]| runs.iter().map(|run| run.memory).fold(0.0, f64::max);
    let memory = Figure {
        bench: names.memory,
        value: most(&ours),
        unit: "MiB",
        baseline: most(&bare),
        ratio: most(&ours),
        bar: MEMORY_BAR,
        at_most: true,
    };
    [
        throughput(names.up, |run| run.up),
        throughput(names.down, |run| run.down),
        memory,
    ]
}

/// Where the objects are, of both sides and of the S3 server; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Self {
        let name = format!("forktex-bench-storage-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn url(&self) -> String {
        format!("folder://{}", self.0.join("objects").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
