// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A part of a row in a process of its own: this program, started again. Parent and child speak in lines,
//! and a child ends when its parent does.

use std::error::Error;
use std::io::BufRead;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

/// The ticks of a second in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child, as its parent has it. Dropping it kills it.
pub(crate) struct Child {
    process: tokio::process::Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn spawn(part: &str, arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([FLAG, part])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = process.stdin.take().ok_or("a child without an input")?;
        let lines = process.stdout.take().ok_or("a child without an output")?;
        Ok(Self {
            process,
            orders,
            lines: BufReader::new(lines).lines(),
        })
    }

    pub(crate) async fn say(&mut self, order: &str) -> Result<(), Box<dyn Error>> {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .await?;
        Ok(self.orders.flush().await?)
    }

    /// The child's next line.
    pub(crate) async fn hear(&mut self, limit: Duration) -> Result<String, Box<dyn Error>> {
        let line = tokio::time::timeout(limit, self.lines.next_line());
        let line = line
            .await
            .map_err(|_| format!("a child said nothing for {limit:?}"))??;
        line.ok_or_else(|| "a child ended early".into())
    }

    /// Waits until the child says a word.
    pub(crate) async fn expect(
        &mut self,
        word: &str,
        limit: Duration,
    ) -> Result<(), Box<dyn Error>> {
        let line = self.hear(limit).await?;
        if line == word {
            return Ok(());
        }
        Err(format!("a child said `{line}` where `{word}` was due").into())
    }

    /// `SIGKILL`, and waits for the end.
    pub(crate) async fn kill(mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.process.kill().await?)
    }

    /// The bytes of memory that the child has for itself: its heap and stacks, and no pages of files.
    pub(crate) fn memory_bytes(&self) -> Result<f64, Box<dyn Error>> {
        let text = self.proc("smaps_rollup")?;
        let kilobytes: f64 = text
            .lines()
            .find_map(|line| line.strip_prefix("Anonymous:")?.trim().strip_suffix(" kB"))
            .ok_or("/proc tells no anonymous memory")?
            .parse()?;
        Ok(kilobytes * 1_024.0)
    }

    /// How long a core has worked for the child.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Box<dyn Error>> {
        let text = self.proc("stat")?;
        // The name may hold spaces and ends with the last bracket; user and system time are then
        // the 12th and 13th.
        let (_, numbers) = text.rsplit_once(')').ok_or("a short line in /proc")?;
        let ticks: f64 = numbers
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    fn proc(&self, file: &str) -> Result<String, Box<dyn Error>> {
        let id = self.process.id().ok_or("the child has ended")?;
        let path = format!("/proc/{id}/{file}");
        std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {path} ({error}): this row needs Linux").into())
    }
}

/// The parent, as a child has it.
pub(crate) struct Parent(mpsc::UnboundedReceiver<String>);

impl Parent {
    /// Listens, and ends the process when the parent has ended.
    pub(crate) fn attend() -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
            std::process::exit(0);
        });
        Self(orders)
    }

    /// Waits for the next order.
    pub(crate) async fn order(&mut self) -> Result<String, Box<dyn Error>> {
        self.0
            .recv()
            .await
            .ok_or_else(|| "the parent has ended".into())
    }
}

/// Tells the parent a line.
pub(crate) fn tell(line: &str) {
    println!("{line}");
}
