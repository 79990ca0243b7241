// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A worker in a process of its own, that can be killed.

use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::error::Error;

/// The process; killed when this is dropped. It ends as well when this process does: its input
/// closes then.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    number: usize,
    id: u32,
    child: Child,
}

impl WorkerProcess {
    /// Starts this program again, as a worker.
    pub(super) fn start(number: usize, url: &str) -> Result<Self, Error> {
        let failed = |error| Error::Process {
            action: "start",
            number,
            error,
        };
        let program = std::env::current_exe().map_err(failed)?;
        let child = Command::new(program)
            .args(["worker", "--until-stdin-closes", "--database", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let id = child.id();
        let id = id.ok_or_else(|| failed(io::Error::other("it ended at once")))?;
        Ok(Self { number, id, child })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// `SIGKILL`, and waits until it is gone.
    pub(super) async fn kill(&mut self) -> Result<(), Error> {
        let killed = self.child.kill().await;
        killed.map_err(|error| self.failed("kill", error))
    }

    /// Closes its input and waits until it has ended in order.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        drop(self.child.stdin.take());
        let ended = self.child.wait().await;
        let status = ended.map_err(|error| self.failed("stop", error))?;
        if status.success() {
            return Ok(());
        }
        Err(self.ended(status))
    }

    /// That it has not ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        let ended = self.child.try_wait();
        match ended.map_err(|error| self.failed("look after", error))? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    fn ended(&self, status: std::process::ExitStatus) -> Error {
        Error::WorkerEnded {
            number: self.number,
            status,
        }
    }

    fn failed(&self, action: &'static str, error: io::Error) -> Error {
        Error::Process {
            action,
            number: self.number,
            error,
        }
    }
}
