// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A scheduled step is an async fn.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Default, Serialize, Deserialize)]
struct Backup {
    files: u32,
}

#[scheduled(name = "backup", version = 1, cron = "0 2 * * *")]
struct BackUp;

const _: Option<Backup> = None;

fn main() {}
