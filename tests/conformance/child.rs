// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A worker in a process of its own, to be killed: this test binary, run again as one test.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use forktex::flow::Election;
use forktex::flow::prelude::*;
use forktex::vault::{Key, Vault};
use tokio::process::{Child, Command};

use crate::compensation::Saga;
use crate::mail::Listening;
use crate::migrate::{Early, Late, migration};
use crate::tale::{Cast, Ledger, line};
use crate::world::{POLL, World, builder, ledger_pool};

const URL: &str = "CONFORMANCE_CHILD_URL";
const LEDGER_URL: &str = "CONFORMANCE_CHILD_LEDGER_URL";
const CONDUCT: &str = "CONFORMANCE_CHILD_CONDUCT";
const KEY: &str = "CONFORMANCE_CHILD_KEY";

/// The title of the run that kills its process.
pub(crate) const KILLER: &str = "killer";

/// What the ledger is told when a body ends, under [`Conduct::NoteEnds`].
pub(crate) const ENDED: &str = "ended";

/// The node whose undoing never ends in a child.
pub(crate) const HANGING_UNDO: &str = "a";

const MIGRATE: &str = "migrate";
const NOTE_ENDS: &str = "note ends";
const LEAD: &str = "lead";
const LEAD_BY_LEASE: &str = "lead by lease";

/// The lease of a worker in a child.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// What the worker does that its parent would not.
#[derive(Clone, Copy)]
pub(crate) enum Conduct {
    /// The body of this node never ends.
    HangAt(&'static str),
    /// The run called [`KILLER`] ends the process.
    DieOfKiller,
    /// Nothing: it only runs and leads.
    Lead(Election),
    /// It also notes in the ledger when a body of `only` ends.
    NoteEnds,
    /// It runs nothing, and moves runs of [`Early`] to another version, some each second.
    Migrate,
}

/// Starts a worker. Dropping the child kills it; the worker ends by itself when this process does.
pub(crate) fn spawn(world: &World, conduct: Conduct) -> Child {
    command(world, conduct).spawn().unwrap()
}

/// As [`spawn`], of a worker that seals what runs hold under a key.
pub(crate) fn spawn_sealed(world: &World, conduct: Conduct, key: &Key) -> Child {
    let mut command = command(world, conduct);
    command.env(KEY, key.expose().as_str()).spawn().unwrap()
}

fn command(world: &World, conduct: Conduct) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child::a_worker_to_be_killed", "--nocapture"])
        .env(URL, world.database.url())
        .env(LEDGER_URL, world.database.superuser_url())
        .env(
            CONDUCT,
            match conduct {
                Conduct::HangAt(node) => node,
                Conduct::DieOfKiller => "",
                Conduct::Lead(Election::RowLease) => LEAD_BY_LEASE,
                Conduct::Lead(_) => LEAD,
                Conduct::NoteEnds => NOTE_ENDS,
                Conduct::Migrate => MIGRATE,
            },
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Freezes a process with `SIGSTOP`, or thaws it with `SIGCONT`.
pub(crate) async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args([name, &id]).status().await;
    assert!(sent.unwrap().success(), "cannot send {name}");
}

/// `SIGKILL`, and waits for the end.
pub(crate) async fn kill(mut child: Child) {
    child.kill().await.unwrap();
}

/// Not a test where its variables are not set: it is the other process.
#[test]
fn a_worker_to_be_killed() {
    let (Ok(url), Ok(ledger_url), Ok(hang_at)) = (
        std::env::var(URL),
        std::env::var(LEDGER_URL),
        std::env::var(CONDUCT),
    ) else {
        return;
    };
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut cast = Cast::default().on("only", |ctx, tale| async move {
            if tale.title == KILLER {
                std::process::abort();
            }
            line(&ctx)
        });
        for node in ["first", "second", "last"] {
            if node == hang_at {
                cast = cast.on(node, |_, _| std::future::pending());
            }
        }
        if hang_at == "undo" {
            cast = cast.on("final", |_, _| async { Err(StepError::fatal("it fails")) });
        }
        let pool = ledger_pool(&ledger_url);
        if hang_at == NOTE_ENDS {
            let ledger = Ledger::in_table(pool.clone(), "child");
            cast = cast.on("only", move |ctx, _| {
                let ledger = ledger.clone();
                async move {
                    tokio::time::sleep(POLL).await;
                    ledger.note_as(&ctx, ENDED).await?;
                    line(&ctx)
                }
            });
        }
        let mut flow = builder(&url, &pool, "child", cast)
            .register::<Listening>()
            .register::<Saga>()
            .register::<Early>()
            .register::<Late>()
            .lease(LEASE);
        if let Ok(key) = std::env::var(KEY) {
            flow = flow.payload_cipher(Vault::from_key(&key.parse::<Key>().unwrap()));
        }
        let flow = match hang_at.as_str() {
            LEAD_BY_LEASE => flow.election(Election::RowLease),
            _ => flow,
        };
        let flow = flow.build().await.unwrap();
        if hang_at == MIGRATE {
            migration(&flow).rate(200).await.unwrap();
            return;
        }
        flow.start_driver().await.unwrap();
        std::future::pending::<()>().await;
    });
}
