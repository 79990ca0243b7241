// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A worker in a process of its own: this program, started again. It speaks in lines, and ends when its
//! parent does.

use std::error::Error;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

/// A child, as its parent has it. Dropping it kills it.
pub(crate) struct Child {
    _process: tokio::process::Child,
    _input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn spawn(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(FLAG)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take().ok_or("a child without an input")?;
        let lines = process.stdout.take().ok_or("a child without an output")?;
        Ok(Self {
            _process: process,
            _input: input,
            lines: BufReader::new(lines).lines(),
        })
    }

    /// The child's next line.
    pub(crate) async fn hear(&mut self, limit: Duration) -> Result<String, Box<dyn Error>> {
        let line = tokio::time::timeout(limit, self.lines.next_line());
        let line = line
            .await
            .map_err(|_| format!("a child said nothing for {limit:?}"))??;
        line.ok_or_else(|| "a child ended early".into())
    }
}

/// Ends this process when its parent has ended.
pub(crate) fn attend_parent() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        // Nothing is said to a child: its input ends with its parent.
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        std::process::exit(0);
    });
}

/// Tells the parent a line.
pub(crate) fn tell(line: &str) {
    println!("{line}");
}
