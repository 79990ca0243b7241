// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The pages of `uploads` and `registers` in a real browser: each does by itself what a visitor would, and
//! tells how it went.
//!
//! Without Chromium a test says so on one line and passes; CI installs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long the browser may take, its first start included.
const LIMIT: Duration = Duration::from_mins(2);
/// How much of its own time the page is given.
const PAGE_MILLISECONDS: u32 = 30_000;

#[tokio::test]
async fn a_page_uploads_checks_and_downloads_in_chromium() {
    let Some(chromium) = chromium() else {
        return skipped();
    };
    let folder = Folder::create();
    let mut uploads = Command::new(env!("CARGO_BIN_EXE_uploads"));
    uploads.arg(folder.path.join("files"));
    let (mut service, url) = start(uploads).await;
    let page = open(&chromium, &folder.path, &format!("{url}/?auto")).await;
    service.kill().await.unwrap();

    assert_eq!(
        outcome(&page),
        " data-state=\"done\">uploaded a cat.png: 70 bytes of image/png; downloaded 70 bytes; \
         a page in disguise was refused"
    );
    assert!(
        page.contains("id=\"link\" href=\"http://127.0.0.1:"),
        "{page}"
    );
}

/// The row that was there before the field has it as well, empty.
#[tokio::test]
async fn a_field_that_is_added_is_seen_at_once_in_chromium() {
    let Some(chromium) = chromium() else {
        return skipped();
    };
    let folder = Folder::create();
    let registers = Command::new(env!("CARGO_BIN_EXE_registers"));
    let (mut service, url) = start(registers).await;
    let page = open(&chromium, &folder.path, &format!("{url}/?auto")).await;
    service.kill().await.unwrap();

    assert_eq!(
        outcome(&page),
        " data-state=\"done\">name, age: Ada, , Bob, 42; a wrong value was refused"
    );
    let cell = " contenteditable=\"plaintext-only\"";
    for part in [
        "<th>name<small>text</small></th><th>age<small>integer</small></th>".to_owned(),
        format!("<td{cell}>Ada</td><td{cell}></td>"),
        format!("<td{cell}>Bob</td><td{cell}>42</td>"),
    ] {
        assert!(page.contains(&part), "{part} is not in:\n{page}");
    }
}

/// Says so past the test harness, which shows nothing of a test that passes.
fn skipped() {
    let line = "skipped: no chromium was found; install it, or set CHROMIUM_BIN to its folder";
    let mut errors = std::io::stderr();
    writeln!(errors, "{line}").unwrap();
}

/// The attributes and the text of what the page says of itself.
fn outcome(page: &str) -> &str {
    let outcome = page.split("<output id=\"outcome\"").nth(1);
    let outcome = outcome.and_then(|rest| rest.split("</output>").next());
    outcome.unwrap_or_else(|| panic!("the page has no outcome:\n{page}"))
}

/// The browser, where it is installed: the variable alone where it is set.
fn chromium() -> Option<PathBuf> {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = match std::env::var_os("CHROMIUM_BIN") {
        Some(named) => vec![named.into()],
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
    };
    let programs = folders
        .iter()
        .flat_map(|folder| NAMES.map(|name| folder.join(name)));
    programs.into_iter().find(|program| program.is_file())
}

/// Starts an example, which ends with the handle.
async fn start(mut example: Command) -> (Child, String) {
    let mut service = example
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines();
    let line = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap();
    let line = line.expect("the example ended without an address");
    let url = line.strip_prefix("serving on ").unwrap().to_owned();
    (service, url)
}

/// Opens a page; gives what became of it.
async fn open(chromium: &Path, folder: &Path, url: &str) -> String {
    let profile = folder.join("profile");
    let browser = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
        .args([
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--no-first-run",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--virtual-time-budget={PAGE_MILLISECONDS}"))
        .args(["--dump-dom", url])
        // It writes beside its profile too.
        .env("HOME", folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(LIMIT, browser).await;
    let output = output.expect("the browser did not end in time").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder that is removed with its test.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create() -> Self {
        let name = format!("forktex-browser-{}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self { path }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The browser's last process may still write; the system clears the temporary folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
