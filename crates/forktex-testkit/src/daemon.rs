// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One local server process with its folder and its guardian. Blocking; never on async threads.
//!
//! It knows signals and processes, and nothing of what the server serves.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::TestkitError;
use crate::account::Account;
use crate::guardian::Guardian;
use crate::{folder, launch, process};

/// Recovery after a crash of a busy server takes part of it.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// A port found free may be taken before the server binds it.
const START_ATTEMPTS_MAX: u32 = 5;

/// A server, running or not. Dropping it stops the server and removes the folder.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    folder: PathBuf,
    account: Account,
    /// Held over a whole start, stop or kill: they take turns.
    main_process: Mutex<Option<Child>>,
    guardian: Option<Guardian>,
}

impl Daemon {
    /// Makes the folder and its guardian; starts nothing yet.
    ///
    /// `stop_signal` (without `SIG`) makes the server end at once, with all its processes.
    pub(crate) fn new(
        name: &'static str,
        kind: &str,
        parent: Option<&Path>,
        stop_signal: &str,
    ) -> Result<Self, TestkitError> {
        let account = Account::for_servers()?;
        let folder = folder::create(parent, kind, account)?;
        let guardian = Guardian::of_server(&folder, stop_signal)?;
        Ok(Self {
            name,
            folder,
            account,
            main_process: Mutex::new(None),
            guardian: Some(guardian),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    pub(crate) fn is_running(&self) -> bool {
        self.main_process().is_some()
    }

    /// Starts the server and waits until `is_ready`, given its process id, says so.
    pub(crate) fn start(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        is_ready: impl FnMut(u32) -> bool,
    ) -> Result<(), TestkitError> {
        let mut main_process = self.main_process();
        if main_process.is_some() {
            return Err(TestkitError::AlreadyRunning { server: self.name });
        }
        let mut child = launch::launch(&self.folder, self.account, program, arguments)?;
        if let Err(error) = self.await_ready(&mut child, is_ready) {
            self.kill_child(child)?;
            return Err(error);
        }
        *main_process = Some(child);
        Ok(())
    }

    /// Kills the server and all its processes, and returns when all are gone.
    pub(crate) fn kill(&self) -> Result<(), TestkitError> {
        let mut main_process = self.main_process();
        let child = main_process.take().ok_or(self.not_running())?;
        self.kill_child(child)
    }

    /// Asks the server to end in order, and waits until it has.
    pub(crate) fn stop(&self, signal: Signal) -> Result<(), TestkitError> {
        let mut main_process = self.main_process();
        let child = main_process.as_mut().ok_or(self.not_running())?;
        process::send(child.id(), signal)?;
        if !process::wait_until(STOP_LIMIT, || matches!(child.try_wait(), Ok(Some(_)))) {
            return Err(self.timeout("stop", STOP_LIMIT));
        }
        *main_process = None;
        launch::forget_pid(&self.folder);
        Ok(())
    }

    /// Freezes the server and all its processes.
    pub(crate) fn pause(&self) -> Result<(), TestkitError> {
        let main_process = self.main_process();
        let child = main_process.as_ref().ok_or(self.not_running())?;
        // The parent first, so that it starts no process that we would not see.
        process::send(child.id(), Signal::STOP)?;
        process::children(child.id())
            .into_iter()
            .try_for_each(|pid| process::send(pid, Signal::STOP))
    }

    /// Undoes [`pause`](Self::pause).
    pub(crate) fn resume(&self) -> Result<(), TestkitError> {
        let main_process = self.main_process();
        let child = main_process.as_ref().ok_or(self.not_running())?;
        process::children(child.id())
            .into_iter()
            .try_for_each(|pid| process::send(pid, Signal::CONT))?;
        process::send(child.id(), Signal::CONT)
    }

    fn kill_child(&self, mut child: Child) -> Result<(), TestkitError> {
        // Stopped first, so that it starts no process while its children are counted.
        process::send(child.id(), Signal::STOP)?;
        let children = process::children(child.id());
        for &pid in &children {
            process::send(pid, Signal::KILL)?;
        }
        process::send(child.id(), Signal::KILL)?;
        child
            .wait()
            .map_err(TestkitError::io("await the end of", self.name))?;
        let all_gone = || !children.iter().copied().any(process::is_alive);
        if !process::wait_until(STOP_LIMIT, all_gone) {
            return Err(self.timeout("die", STOP_LIMIT));
        }
        // Another process may get the id next; it must not be taken for the server.
        launch::forget_pid(&self.folder);
        Ok(())
    }

    fn await_ready(
        &self,
        child: &mut Child,
        mut is_ready: impl FnMut(u32) -> bool,
    ) -> Result<(), TestkitError> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            let ended = child
                .try_wait()
                .map_err(TestkitError::io("await", self.name))?;
            if let Some(status) = ended {
                let log_tail = launch::log_tail(&self.folder);
                return Err(TestkitError::StartFailed {
                    server: self.name,
                    status,
                    log_tail,
                });
            }
            if is_ready(child.id()) {
                return Ok(());
            }
            std::thread::sleep(process::POLL_INTERVAL);
        }
        Err(self.timeout("start", START_LIMIT))
    }

    fn not_running(&self) -> TestkitError {
        TestkitError::NotRunning { server: self.name }
    }

    fn timeout(&self, action: &'static str, limit: Duration) -> TestkitError {
        let log_tail = launch::log_tail(&self.folder);
        TestkitError::Timeout {
            server: self.name,
            action,
            limit,
            log_tail,
        }
    }

    fn main_process(&self) -> MutexGuard<'_, Option<Child>> {
        self.main_process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let child = self.main_process().take();
        let Some(guardian) = self.guardian.take() else {
            return;
        };
        guardian.finish_in_background(child);
    }
}

/// Tries `start` with ports from `choose_port` until one is really free; gives that port.
pub(crate) fn with_free_port(
    choose_port: impl Fn() -> Result<u16, TestkitError>,
    mut start: impl FnMut(u16) -> Result<(), TestkitError>,
) -> Result<u16, TestkitError> {
    let mut attempt = 1;
    loop {
        let port = choose_port()?;
        match start(port) {
            Ok(()) => return Ok(port),
            Err(TestkitError::StartFailed { log_tail, .. })
                if attempt < START_ATTEMPTS_MAX && names_a_taken_port(&log_tail) =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn names_a_taken_port(log: &str) -> bool {
    // The system's own words for EADDRINUSE, which every server repeats.
    let words = io::Error::from(rustix::io::Errno::ADDRINUSE).to_string();
    let words = words.split(" (os error").next().unwrap_or(&words);
    log.contains(words)
}
