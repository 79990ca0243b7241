// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The process that uploads, and its death.
//!
//! It says on its standard output what it is about to do and what it has done; the murderer listens, and strikes
//! after a word that chance has chosen.

use std::io::Write as _;
use std::process::Stdio;

use bytes::Bytes;
use forktex_storage::{Storage, StorageConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::Outcome;
use crate::options::UPLOAD;

pub(crate) const KEY: &str = "victim.bin";

/// How much it writes at a time, and how often: less than a part, so that some writes send one and some none.
const WRITE_BYTES: usize = 2 * 1024 * 1024;
const WRITES: usize = 12;
const PART_BYTES: usize = 5 * 1024 * 1024;

/// What it says.
const WRITING: &str = "writing";
const FINISHING: &str = "finishing";
const FINISHED: &str = "finished";

/// What is to be uploaded.
pub(crate) fn whole() -> Bytes {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = vec![0; WRITE_BYTES * WRITES];
    random.fill(&mut bytes);
    bytes.into()
}

/// What the victim does. It is killed before it returns, or after it has finished.
pub(crate) async fn upload(url: &str) -> Outcome<()> {
    let config = StorageConfig::from_url(url)?
        .part_size(PART_BYTES)
        .parallel_parts(2);
    let storage = Storage::open(config).await?;
    let whole = whole();
    let mut upload = storage.upload(KEY).start().await?;
    for number in 0..WRITES {
        say(&format!("{WRITING} {number}"))?;
        let start = number * WRITE_BYTES;
        upload
            .write(whole.slice(start..start + WRITE_BYTES))
            .await?;
    }
    say(FINISHING)?;
    upload.finish().await?;
    say(FINISHED)?;
    // Until it is killed; or until the murderer is gone.
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

fn say(words: &str) -> Outcome<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{words}")?;
    Ok(output.flush()?)
}

/// How it ended.
pub(crate) struct Death {
    pub(crate) last_words: String,
    /// Whether it may have finished by then.
    pub(crate) was_finishing: bool,
}

/// A process that uploads. Dropping it kills it.
pub(crate) struct Victim {
    child: Child,
    words: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    pub(crate) fn start(url: &str) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([UPLOAD, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("a victim without an output")?;
        Ok(Self {
            child,
            words: BufReader::new(output).lines(),
        })
    }

    /// Kills it after one of its words, and a moment that is too short to measure.
    pub(crate) async fn live_until(mut self, random: &mut fastrand::Rng) -> Outcome<Death> {
        // The words are one for each write, and two for the end.
        let words = random.usize(1..=WRITES + 2);
        let mut last_words = String::new();
        for _ in 0..words {
            let line = self.words.next_line().await?;
            last_words = line.ok_or("the victim died by itself")?;
        }
        for _ in 0..random.u32(..2_000) {
            std::hint::spin_loop();
        }
        for _ in 0..random.u32(..200) {
            tokio::task::yield_now().await;
        }
        // SIGKILL, and its death awaited.
        self.child.kill().await?;
        // What it said meanwhile counts.
        let mut was_finishing = false;
        let mut said = last_words.clone();
        loop {
            was_finishing |= said == FINISHING || said == FINISHED;
            match self.words.next_line().await? {
                Some(line) => said = line,
                None => break,
            }
        }
        Ok(Death {
            last_words,
            was_finishing,
        })
    }
}
