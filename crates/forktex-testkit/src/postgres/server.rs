// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One local server: its folder, its processes and its guardian. Blocking; never on async threads.
//!
//! It knows nothing of databases and roles.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::initdb_cache::{SUPERUSER, SUPERUSER_PASSWORD, create_cluster};
use super::{PostgresOptions, binaries};
use crate::TestkitError;
use crate::account::Account;
use crate::guardian::Guardian;
use crate::{folder, launch, process};

const NAME: &str = "Postgres";
/// Recovery after a crash of a busy server takes part of it.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// A port found free may be taken before the server binds it.
const START_ATTEMPTS_MAX: u32 = 5;

/// A server with its data, running or not.
#[derive(Debug)]
pub(crate) struct Server {
    bin_dir: PathBuf,
    folder: PathBuf,
    account: Account,
    port: u16,
    settings: Vec<(String, String)>,
    /// Held over a whole start, stop or kill: they take turns.
    postmaster: Mutex<Option<Child>>,
    guardian: Option<Guardian>,
}

impl Server {
    pub(crate) fn start(options: &PostgresOptions) -> Result<Self, TestkitError> {
        let bin_dir = binaries::find()?;
        let account = Account::for_servers()?;
        let folder = folder::create(options.folder.as_deref(), "postgres", account)?;
        let guardian = Guardian::of_server(&folder, "QUIT")?;
        let mut server = Self {
            bin_dir,
            folder,
            account,
            port: launch::free_port()?,
            settings: options.all_settings(),
            postmaster: Mutex::new(None),
            guardian: Some(guardian),
        };
        create_cluster(&server.bin_dir, &server.data_folder(), account)?;
        let mut attempt = 1;
        loop {
            match server.launch() {
                Err(TestkitError::StartFailed { log_tail, .. })
                    if attempt < START_ATTEMPTS_MAX
                        && log_tail.contains("Address already in use") =>
                {
                    attempt += 1;
                    server.port = launch::free_port()?;
                }
                Err(error) => return Err(error),
                Ok(child) => {
                    *server.postmaster() = Some(child);
                    return Ok(server);
                }
            }
        }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn kill(&self) -> Result<(), TestkitError> {
        let mut postmaster = self.postmaster();
        let mut child = postmaster
            .take()
            .ok_or(TestkitError::NotRunning { server: NAME })?;
        // Stopped first, so that it starts no process while its children are counted.
        process::send(child.id(), Signal::STOP)?;
        let children = process::children(child.id());
        for &pid in &children {
            process::send(pid, Signal::KILL)?;
        }
        process::send(child.id(), Signal::KILL)?;
        child
            .wait()
            .map_err(TestkitError::io("await the end of", "postgres"))?;
        let gone = process::wait_until(STOP_LIMIT, || {
            !children.iter().copied().any(process::is_alive)
        });
        if !gone {
            return Err(self.timeout("die", STOP_LIMIT));
        }
        self.forget_processes();
        Ok(())
    }

    pub(crate) fn stop(&self) -> Result<(), TestkitError> {
        self.stop_child(&mut self.postmaster())
    }

    pub(crate) fn restart(&self) -> Result<(), TestkitError> {
        let mut postmaster = self.postmaster();
        if postmaster.is_some() {
            self.stop_child(&mut postmaster)?;
        }
        *postmaster = Some(self.launch()?);
        Ok(())
    }

    pub(crate) fn pause(&self) -> Result<(), TestkitError> {
        let postmaster = self.running()?;
        let Some(child) = postmaster.as_ref() else {
            return Ok(());
        };
        process::send(child.id(), Signal::STOP)?;
        process::children(child.id())
            .into_iter()
            .try_for_each(|pid| process::send(pid, Signal::STOP))
    }

    pub(crate) fn resume(&self) -> Result<(), TestkitError> {
        let postmaster = self.running()?;
        let Some(child) = postmaster.as_ref() else {
            return Ok(());
        };
        process::children(child.id())
            .into_iter()
            .try_for_each(|pid| process::send(pid, Signal::CONT))?;
        process::send(child.id(), Signal::CONT)
    }

    fn stop_child(&self, postmaster: &mut Option<Child>) -> Result<(), TestkitError> {
        let child = postmaster
            .as_mut()
            .ok_or(TestkitError::NotRunning { server: NAME })?;
        // SIGINT asks for a fast shutdown: sessions are ended, a checkpoint is written.
        process::send(child.id(), Signal::INT)?;
        if !process::wait_until(STOP_LIMIT, || matches!(child.try_wait(), Ok(Some(_)))) {
            return Err(self.timeout("stop", STOP_LIMIT));
        }
        *postmaster = None;
        self.forget_processes();
        Ok(())
    }

    /// Starts the server on `self.port` and waits until it takes connections.
    fn launch(&self) -> Result<Child, TestkitError> {
        let mut arguments = vec![
            "-D".to_owned(),
            self.data_folder().display().to_string(),
            format!("-cport={}", self.port),
            "-clisten_addresses=127.0.0.1".to_owned(),
            format!("-cunix_socket_directories={}", self.folder.display()),
        ];
        arguments.extend(
            self.settings
                .iter()
                .map(|(name, value)| format!("-c{name}={value}")),
        );
        let mut child = launch::launch(
            &self.folder,
            self.account,
            &self.bin_dir.join("postgres"),
            arguments,
        )?;
        match self.await_ready(&mut child) {
            Ok(()) => Ok(child),
            Err(error) => {
                // SIGQUIT ends a server that starts, and what it has started.
                process::send(child.id(), Signal::QUIT)?;
                child
                    .wait()
                    .map_err(TestkitError::io("await the end of", "postgres"))?;
                self.forget_processes();
                Err(error)
            }
        }
    }

    fn await_ready(&self, child: &mut Child) -> Result<(), TestkitError> {
        let status_path = self.data_folder().join("postmaster.pid");
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            let ended = child
                .try_wait()
                .map_err(TestkitError::io("await", "postgres"))?;
            if let Some(status) = ended {
                let log_tail = launch::log_tail(&self.folder);
                return Err(TestkitError::StartFailed {
                    server: NAME,
                    status,
                    log_tail,
                });
            }
            match fs::read_to_string(&status_path) {
                Ok(text) if is_ready(&text, child.id()) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(TestkitError::io("read", &status_path)(error)),
            }
            std::thread::sleep(process::POLL_INTERVAL);
        }
        Err(self.timeout("start", START_LIMIT))
    }

    fn timeout(&self, action: &'static str, limit: Duration) -> TestkitError {
        let log_tail = launch::log_tail(&self.folder);
        TestkitError::Timeout {
            server: NAME,
            action,
            limit,
            log_tail,
        }
    }

    /// Removes the ids of processes that have ended, lest others that take the same ids are
    /// mistaken for them.
    fn forget_processes(&self) {
        launch::forget_pid(&self.folder);
        let _ = fs::remove_file(self.data_folder().join("postmaster.pid"));
    }

    fn running(&self) -> Result<MutexGuard<'_, Option<Child>>, TestkitError> {
        let postmaster = self.postmaster();
        if postmaster.is_none() {
            return Err(TestkitError::NotRunning { server: NAME });
        }
        Ok(postmaster)
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<Child>> {
        self.postmaster
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let child = self.postmaster().take();
        let guardian = self.guardian.take();
        // The guardian does the work; the thread only reaps. Should it not start, the processes
        // end all the same and stay zombies until we end.
        let _ = std::thread::Builder::new()
            .name("postgres_reaper".to_owned())
            .spawn(move || {
                let reaped = child.map(|mut child| std::thread::spawn(move || child.wait()));
                if let Some(guardian) = guardian {
                    let _ = guardian.finish();
                }
                drop(reaped);
            });
    }
}

/// The server's own report, as `pg_ctl` reads it: line 1 is its process id, line 8 its state.
fn is_ready(postmaster_pid: &str, pid: u32) -> bool {
    let mut lines = postmaster_pid.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}
