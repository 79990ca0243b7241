// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What each side is asked to do, and how the process is started that does it.

use std::error::Error;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What fails here is told to a person and ends the program, or strikes a rival off the list.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The argument with which this program is the process of our side.
pub(crate) const OBEY: &str = "--obey";

/// What a job carries beside its number.
pub(crate) const TEXT: &str = "as much as a small job carries";

/// The variables by which `xtask` says where the rivals are.
const NODE_VARIABLE: &str = "FORKTEX_RIVALS_NODE";
const PYTHON_VARIABLE: &str = "FORKTEX_RIVALS_PYTHON";

/// One side.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    /// The name that `--only` takes.
    pub(crate) name: &'static str,
    /// The program with its first arguments; why there is none.
    pub(crate) program: Result<Vec<PathBuf>, String>,
    /// The jobs of a turn: so many that it takes some seconds.
    pub(crate) jobs: u64,
    /// The jobs that its worker runs at a time.
    pub(crate) at_once: u32,
    /// The jobs of which the pickup is measured.
    pub(crate) pickups: u64,
}

/// What a process is told to do, as its last argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The server, emptied before.
    pub(crate) url: String,
    pub(crate) task: Task,
    pub(crate) jobs: u64,
    pub(crate) at_once: u32,
    pub(crate) text: String,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Put the jobs in, then do them as quick as it goes.
    Many,
    /// One job at a time, each put in when the one before has begun.
    Pickup,
}

/// What a process tells when it is done, as its last line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    pub(crate) version: String,
    /// Of many: from the start of the worker until all are done and gone.
    pub(crate) seconds: f64,
    /// Of many: the bodies that began.
    pub(crate) begun: u64,
    /// Of pickup: from the call that puts a job in until its body begins, in milliseconds.
    pub(crate) times: Vec<f64>,
}

impl Contender {
    /// forktex-queue, by this program.
    pub(crate) fn ours() -> Outcome<Self> {
        Ok(Self {
            name: "forktex-queue",
            program: Ok(vec![std::env::current_exe()?, OBEY.into()]),
            jobs: 200_000,
            at_once: 1_000,
            pickups: 500,
        })
    }

    /// BullMQ on Node.
    pub(crate) fn bullmq() -> Self {
        Self {
            name: "bullmq",
            program: installed(NODE_VARIABLE).map(|_| vec!["node".into(), script("bullmq.mjs")]),
            jobs: 40_000,
            // The quickest of 20, 100, 300, 1,000 and 2,000; a second worker in the process adds nothing.
            at_once: 300,
            pickups: 500,
        }
    }

    /// arq on Python.
    pub(crate) fn arq() -> Self {
        Self {
            name: "arq",
            program: installed(PYTHON_VARIABLE).map(|python| vec![python, script("arq_worker.py")]),
            jobs: 5_000,
            // The quickest of 10, 50, 100 and 300.
            at_once: 10,
            pickups: 200,
        }
    }
}

fn installed(variable: &str) -> Result<PathBuf, String> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| "it is not installed: run `cargo xtask bench queue-rivals`".to_owned())
}

/// A file beside the manifest.
fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}
