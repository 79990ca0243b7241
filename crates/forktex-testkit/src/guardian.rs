// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The guardian: a small shell process that outlives us, to clean up after us.
//!
//! It waits on a pipe whose other end only this process holds (the standard library opens it
//! close-on-exec, so no child inherits it). However this process ends, the kernel closes the pipe;
//! the guardian then stops the server and removes its folder. It never acts on a process whose
//! working folder lies outside the folder it guards, so a recycled process id is safe.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::TestkitError;

/// `$0` is the folder, `$1` the signal that makes the server end at once.
const SERVER_SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
cat >/dev/null
pid=$(cat "$0/server.pid" 2>/dev/null)
ours() {
    [ -n "$pid" ] || return 1
    [ -d /proc/self ] || { kill -0 "$pid" 2>/dev/null; return; }
    case $(readlink "/proc/$pid/cwd" 2>/dev/null) in "$0"*) return 0 ;; *) return 1 ;; esac
}
# A frozen server does not end, nor does one whose children are frozen.
thaw() {
    if [ -r "/proc/$pid/stat" ]; then
        read -r _ _ state _ <"/proc/$pid/stat"
        [ "$state" = T ] || return
        for process in /proc/[0-9]*; do
            case $(readlink "$process/cwd" 2>/dev/null) in "$0"*) kill -CONT "${process#/proc/}" ;; esac
        done
    fi
    kill -CONT "$pid"
}
if ours; then
    thaw
    kill -"$1" "$pid"
    rounds=0
    while ours && [ "$rounds" -lt 200 ]; do sleep 0.05; rounds=$((rounds + 1)); done
    ours && kill -KILL "$pid"
fi
rm -rf "$0"
"#;

/// `$0` is the container's id. Without the `docker` program the container stays.
#[cfg(feature = "containers")]
const CONTAINER_SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
cat >/dev/null
docker rm --force --volumes "$0"
"#;

/// The process that waits for our end. Dropping it lets it do its work now.
#[derive(Debug)]
pub(crate) struct Guardian {
    process: Child,
}

impl Guardian {
    /// Guards the server whose process id is in `folder`/server.pid, if any, and the folder.
    pub(crate) fn of_server(folder: &Path, stop_signal: &str) -> Result<Self, TestkitError> {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(SERVER_SCRIPT)
            .arg(folder)
            .arg(stop_signal);
        Self::spawn(command)
    }

    /// Guards a container.
    #[cfg(feature = "containers")]
    pub(crate) fn of_container(id: &str) -> Result<Self, TestkitError> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(CONTAINER_SCRIPT).arg(id);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self, TestkitError> {
        let process = command
            .stdin(Stdio::piped())
            // A guardian that held our output open would make `cargo test | less` wait for it.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Its own group: Ctrl-C and a kill of our whole group must not reach it.
            .process_group(0)
            .spawn()
            .map_err(TestkitError::io("run", "sh"))?;
        Ok(Self { process })
    }

    /// Closes the pipe, so that all is stopped and removed, and reaps the guardian and the server.
    pub(crate) fn finish_in_background(self, server: Option<Child>) {
        // Should the thread not start, the processes end all the same, and stay zombies until we
        // end.
        let _ = std::thread::Builder::new()
            .name("server_reaper".to_owned())
            .spawn(move || {
                let mut guardian = self.process;
                drop(guardian.stdin.take());
                // The server first: the guardian waits until it is gone, reaped included.
                if let Some(mut server) = server {
                    let _ = server.wait();
                }
                let _ = guardian.wait();
            });
    }
}
