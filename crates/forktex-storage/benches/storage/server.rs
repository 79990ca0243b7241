// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The S3 server, in a process of its own: what it needs of memory and time is not counted as the client's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use forktex_testkit::S3;

const ROLE: &str = "FORKTEX_BENCH_STORAGE_SERVER";
const BUCKET: &str = "bench";

/// Whether this process is the server.
pub(crate) fn is_server() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Serves until the standard input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = S3::start().await.unwrap();
        server.create_bucket(BUCKET).await.unwrap();
        println!(
            "s3://{}:{}@{}/{BUCKET}?region={}&path_style=true&tls=false",
            server.access_key(),
            server.secret_key(),
            server.address(),
            server.region()
        );
        std::io::stdout().flush().unwrap();
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        end.await.unwrap().unwrap();
    });
}

/// The server as its client has it. Dropping it ends it.
pub(crate) struct Server {
    process: Child,
    url: String,
}

impl Server {
    /// Starts it, with its files below a folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, "1")
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        assert!(!url.is_empty(), "the S3 server ended");
        Self { process, url }
    }

    /// How a storage reaches it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends when its input does, and removes its files.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
