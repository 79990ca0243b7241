// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one place that starts programs. A program either shares our terminal, or writes to a log
//! that is shown only when it fails, with a line of progress meanwhile. None runs without a limit
//! of time unless it shares the terminal.

mod process_tree;

use std::fs::{self, File};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::workspace;

/// How long a captured program may take unless said otherwise.
const LIMIT: Duration = Duration::from_mins(20);
/// How often we look whether a program has ended.
const POLL: Duration = Duration::from_millis(50);
/// How often a log file hears of a program that still runs.
const HEARTBEAT: Duration = Duration::from_mins(1);
/// How much of a program's last line is shown as progress.
const PROGRESS_CHARS_MAX: usize = 80;

/// Prints a line to standard output. A reader that went away is no error.
pub(crate) fn say(line: &str) {
    // What the test harness catches goes through the macro alone.
    #[cfg(test)]
    println!("{line}");
    #[cfg(not(test))]
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line to standard error, where notes and progress go.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A program to run, from the root of the workspace.
pub(crate) struct Task {
    command: Command,
    program: String,
    limit: Duration,
}

/// What a captured program did.
pub(crate) struct Captured {
    /// Whether it ended by itself, with success.
    pub(crate) success: bool,
    /// All that it printed, in the order printed.
    pub(crate) output: String,
}

/// A program that goes on until this value is dropped.
pub(crate) struct Served {
    child: Child,
    /// The first line that it printed. It must print no more than a pipe holds after it.
    pub(crate) first_line: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = process_tree::kill(&mut self.child);
    }
}

impl Task {
    /// Any program by name or path.
    pub(crate) fn program(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null());
        // Cargo describes *this* package to us in variables that some build scripts watch; passed
        // on, they would make cargo build those crates anew at each change between the two.
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            let ours = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_NAME",
            ];
            if ours.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&variable);
            }
        }
        Self {
            command,
            program: name.to_owned(),
            limit: LIMIT,
        }
    }

    /// The cargo that runs us.
    pub(crate) fn cargo(arguments: &[&str]) -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut task = Self::program(&cargo, arguments);
        let subcommand = arguments.first().copied().unwrap_or_default();
        task.program = format!("cargo {subcommand}");
        task
    }

    /// Appends arguments.
    pub(crate) fn arguments(mut self, arguments: &[String]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// How long it may take when captured.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it on our own terminal.
    ///
    /// # Errors
    /// `NotStarted`, or `Failed` with its exit code.
    pub(crate) fn show(mut self) -> Result<(), Error> {
        let status = self.command.status().map_err(not_started(&self.program))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed {
            what: format!("`{}`", self.program),
            code: code(status),
        })
    }

    /// Runs it with its output in a log, showing progress under `label`.
    ///
    /// # Errors
    /// `NotStarted` or `File`; a program that fails is `Captured` like any other.
    pub(crate) fn capture(mut self, label: &str) -> Result<Captured, Error> {
        let folder = workspace::scratch_folder();
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let path = folder.join(format!("{label}-{}.log", std::process::id()));
        let log = File::create(&path).map_err(Error::file(&path))?;
        let errors = log.try_clone().map_err(Error::file(&path))?;
        // Counts are read from the log: colours would be in the way.
        self.command
            .env("CARGO_TERM_COLOR", "never")
            .stdout(log)
            .stderr(errors);

        let mut child = self.command.spawn().map_err(not_started(&self.program))?;
        let status = watch(&mut child, label, &path, self.limit);
        let status = status.map_err(not_started(&self.program))?;

        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        let _ = fs::remove_file(&path);
        let mut output = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_none() {
            let minutes = self.limit.as_secs() / 60;
            output = format!("{output}\nstopped: it took longer than {minutes} minutes\n");
        }
        Ok(Captured {
            success: status.is_some_and(|status| status.success()),
            output,
        })
    }

    /// Starts a program that goes on, and waits for its first line, in which it says where it is.
    ///
    /// # Errors
    /// `NotStarted`, or `Failed` where it ends without a line.
    pub(crate) fn serve(mut self) -> Result<Served, Error> {
        let child = self.command.stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(not_started(&self.program))?;
        let output = child.stdout.take();
        let mut served = Served {
            child,
            first_line: String::new(),
        };
        if let Some(output) = output {
            let read = io::BufReader::new(output).read_line(&mut served.first_line);
            read.map_err(not_started(&self.program))?;
        }
        if served.first_line.is_empty() {
            return Err(Error::Failed {
                what: format!("`{}`", self.program),
                code: 1,
            });
        }
        Ok(served)
    }

    /// Standard output of a program that answers at once, or `None` where it is missing or fails.
    pub(crate) fn answer(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn not_started(program: &str) -> impl FnOnce(io::Error) -> Error {
    let program = program.to_owned();
    move |source| Error::NotStarted { program, source }
}

/// A program's exit code, as ours; a signal counts as 1.
fn code(status: ExitStatus) -> u8 {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1)
}

/// Waits for the child, showing progress; `None` where the limit passed and the child was killed.
fn watch(
    child: &mut Child,
    label: &str,
    log: &Path,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut progress = Progress::new(label);
    loop {
        if let Some(status) = child.try_wait()? {
            progress.clear();
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            progress.clear();
            process_tree::kill(child)?;
            return Ok(None);
        }
        progress.tick(begun.elapsed(), log);
        thread::sleep(POLL);
    }
}

/// A line that renews itself on a terminal, and a line a minute elsewhere.
struct Progress<'a> {
    label: &'a str,
    terminal: bool,
    period: Duration,
    next: Duration,
}

impl<'a> Progress<'a> {
    fn new(label: &'a str) -> Self {
        let terminal = io::stderr().is_terminal();
        let period = if terminal {
            Duration::from_secs(1)
        } else {
            HEARTBEAT
        };
        Self {
            label,
            terminal,
            period,
            next: period,
        }
    }

    fn tick(&mut self, elapsed: Duration, log: &Path) {
        if elapsed < self.next {
            return;
        }
        self.next += self.period;
        let last = last_line(log).unwrap_or_default();
        let last: String = last.chars().take(PROGRESS_CHARS_MAX).collect();
        let line = format!("..  {}  {}s  {last}", self.label, elapsed.as_secs());
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else {
            note(&line);
        }
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The last line of a log that has something on it, without reading the whole log.
fn last_line(log: &Path) -> io::Result<String> {
    const TAIL_BYTES: u64 = 4096;
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    Ok(last.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_both_kinds_is_captured_in_order() {
        let script = "echo one; echo two >&2; echo three; exit 3";
        let captured = Task::program("sh", &["-c", script])
            .capture("test-order")
            .unwrap();
        assert!(!captured.success);
        assert_eq!(captured.output, "one\ntwo\nthree\n");
    }

    #[test]
    fn a_program_past_its_limit_is_killed_with_all_that_it_started() {
        let marker = format!("{}.5", 10_000 + std::process::id());
        let script = format!("echo begun; sleep {marker} & wait");
        let task = Task::program("sh", &["-c", &script]).limit(Duration::from_millis(300));
        let captured = task.capture("test-limit").unwrap();
        assert!(!captured.success);
        assert!(captured.output.starts_with("begun"), "{}", captured.output);
        assert!(
            captured.output.contains("stopped: it took longer"),
            "{}",
            captured.output
        );
        if cfg!(target_os = "linux") {
            let left = Task::program("sh", &["-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]);
            let left = left.capture("test-left").unwrap().output;
            assert!(
                !left.contains(&format!("sleep {marker}")),
                "the grandchild lives"
            );
        }
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Task::program("no-such-program", &[]).show().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot start `no-such-program`"),
            "{error}"
        );
    }

    #[test]
    fn a_failing_program_hands_on_its_code() {
        let error = Task::program("sh", &["-c", "exit 7"]).show().unwrap_err();
        assert_eq!(error.exit_code(), 7);
    }
}
