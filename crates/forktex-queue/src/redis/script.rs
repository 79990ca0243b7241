// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The scripts, and how one is run: by its hash, and by its text where the server has lost it.
//!
//! A script is sent once. While the connection is known to be broken it is not sent at all: a claim that
//! was kept until the server is back would take jobs for somebody who does not wait any more.

use std::sync::OnceLock;
use std::time::Duration;

use forktex_cache::fred::bytes_utils::Str;
use forktex_cache::fred::clients::Pool;
use forktex_cache::fred::error::{Error, ErrorKind};
use forktex_cache::fred::interfaces::ClientLike;
use forktex_cache::fred::types::config::Options;
use forktex_cache::fred::types::{ClusterHash, CustomCommand, Value};
use forktex_cache::fred::util::redis_keyslot;

use super::answer::fault;
use crate::error::QueueError;

/// How long an answer is waited for. The largest batch takes a fraction of it.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The connections, with what each script is told.
pub(super) struct Server {
    pub(super) pool: Pool,
    options: Options,
    /// The hash of the jobs, by which a script knows the other keys.
    jobs_key: Str,
    slot: u16,
}

/// A script with what all begin with.
pub(super) struct Script {
    text: &'static str,
    /// As the server computed it; the same on every server.
    hash: OnceLock<Str>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(
            pub(super) static $name: Script = Script {
                text: concat!(
                    include_str!("scripts/common.lua"),
                    include_str!(concat!("scripts/", $file)),
                ),
                hash: OnceLock::new(),
            };
        )*

        /// All of them.
        pub(super) static ALL: &[&Script] = &[$(&$name),*];
    };
}

scripts!(
    PUT = "put.lua",
    CLAIM = "claim.lua",
    SETTLE = "settle.lua",
    RENEW = "renew.lua",
    MAINTAIN = "maintain.lua",
    CANCEL = "cancel.lua",
    PAUSE = "pause.lua",
    LOOK = "look.lua",
    MEMBERS = "members.lua",
    REPLAY = "replay.lua",
    DISCARD = "discard.lua",
    STATS = "stats.lua",
    QUEUES = "queues.lua",
    TIME = "time.lua",
);

impl Server {
    pub(super) fn new(pool: Pool, jobs_key: String) -> Self {
        Self {
            pool,
            options: Options {
                max_attempts: Some(1),
                timeout: Some(ANSWER_LIMIT),
                fail_fast: true,
                ..Options::default()
            },
            slot: redis_keyslot(jobs_key.as_bytes()),
            jobs_key: Str::from(jobs_key),
        }
    }

    /// Runs a script. One round trip, and another where the server does not know it yet.
    pub(super) async fn run(
        &self,
        script: &'static Script,
        action: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, QueueError> {
        let answer = self.call(script, arguments).await;
        answer.map_err(|error| fault(action, error))
    }

    /// Makes the server know a script.
    pub(super) async fn load(
        &self,
        script: &'static Script,
        action: &'static str,
    ) -> Result<(), QueueError> {
        let loaded = self.loaded(script).await;
        loaded.map(drop).map_err(|error| fault(action, error))
    }

    async fn call(&self, script: &'static Script, arguments: Vec<Value>) -> Result<Value, Error> {
        let hash = match script.hash.get() {
            Some(hash) => hash.clone(),
            None => self.loaded(script).await?,
        };
        // Clones share their bytes.
        let answer = self.send("EVALSHA", self.told(hash, &arguments)).await;
        match answer {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let text = Str::from_static(script.text);
                self.send("EVAL", self.told(text, &arguments)).await
            }
            answer => answer,
        }
    }

    /// The hash of a script, as the server says it.
    async fn loaded(&self, script: &'static Script) -> Result<Str, Error> {
        let text = Value::String(Str::from_static(script.text));
        let answer = self
            .send("SCRIPT", vec![Value::from_static_str("LOAD"), text])
            .await?;
        let hash = answer
            .into_bytes_str()
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "no hash was answered"))?;
        Ok(script.hash.get_or_init(|| hash).clone())
    }

    /// The arguments of a call: the script, its key, and what it is to know.
    fn told(&self, script: Str, arguments: &[Value]) -> Vec<Value> {
        let mut all = Vec::with_capacity(3 + arguments.len());
        all.extend([
            Value::String(script),
            Value::Integer(1),
            Value::String(self.jobs_key.clone()),
        ]);
        all.extend_from_slice(arguments);
        all
    }

    async fn send(&self, command: &'static str, arguments: Vec<Value>) -> Result<Value, Error> {
        // Not by the driver's own call for it, which heeds no options.
        let command = CustomCommand::new_static(command, ClusterHash::Custom(self.slot), false);
        let client = self.pool.next_connected().with_options(&self.options);
        client.custom(command, arguments).await
    }
}
