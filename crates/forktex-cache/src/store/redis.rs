// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The store on Redis: a single server, one behind sentinels, or a cluster.
//!
//! One command or one pipeline each. What goes over several slots of a cluster is split by slot, and
//! goes to all primaries at once.

mod command;
mod connection;
mod fault;
mod moving;

use std::collections::BTreeMap;
use std::time::Duration;

use fred::bytes::Bytes;
use fred::bytes_utils::Str;
use fred::types::{FromValue, Value};
use fred::util::redis_keyslot;

use super::script::{FILL, INCREMENT, RELEASE_LEASE, RENEW_LEASE, SET, Script, TAKE_LEASE};
use super::{GENERATION_TTL, SetOnly, Taken, TimeToLive, lease_key};
use crate::duration::milliseconds;
use crate::error::CacheError;

pub(super) use command::Command;
pub(crate) use connection::RedisStore;

/// The most keys of one command.
const KEYS_A_COMMAND: usize = 500;

const READ: &str = "read a value";
const WRITE: &str = "store a value";
const DELETE: &str = "delete a value";

impl RedisStore {
    pub(super) async fn ping(&self) -> Result<(), CacheError> {
        self.send("ping", "", Command::new("PING")).await
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.send(READ, key, Command::new("GET").arg(key)).await
    }

    pub(super) async fn get_with_ttl(
        &self,
        key: &str,
    ) -> Result<Option<(Bytes, Option<Duration>)>, CacheError> {
        // The time first: if another value comes in between, it is taken for older than it is, and
        // never for fresher.
        let commands = vec![Command::new("PTTL").arg(key), Command::new("GET").arg(key)];
        let mut answers = self.send_all(READ, key, commands).await?.into_iter();
        let left: i64 = convert(READ, key, answers.next())?;
        let value: Option<Bytes> = convert(READ, key, answers.next())?;
        Ok(value.map(|value| (value, time_left(left))))
    }

    pub(super) async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        let groups = self.groups(keys.iter().map(String::as_str));
        let commands = groups.iter().map(|group| {
            let keys = group.iter().filter_map(|index| keys.get(*index));
            keys.fold(Command::new("MGET"), |command, key| {
                command.arg(key.as_str())
            })
        });
        let first = keys.first().map_or("", String::as_str);
        let answers = self
            .send_all("read values", first, commands.collect())
            .await?;
        let mut values = vec![None; keys.len()];
        for (group, answer) in groups.into_iter().zip(answers) {
            for (index, value) in group.into_iter().zip(answer.into_array()) {
                if let Some(place) = values.get_mut(index) {
                    *place = convert("read values", first, Some(value))?;
                }
            }
        }
        Ok(values)
    }

    pub(super) async fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        only: SetOnly,
    ) -> Result<bool, CacheError> {
        let condition = match only {
            SetOnly::Always => "",
            SetOnly::IfAbsent => "NX",
            SetOnly::IfPresent => "XX",
        };
        let ttl = ttl.map_or_else(|| "".into(), |ttl| Value::from(milliseconds(ttl)));
        let arguments = vec![value.into(), ttl, condition.into()];
        self.run(&SET, &[key.to_owned(), lease_key(key)], arguments)
            .await
    }

    pub(super) async fn set_many(
        &self,
        values: Vec<(String, Bytes)>,
        ttl: Option<Duration>,
    ) -> Result<(), CacheError> {
        let first = values.first().map(|(key, _)| key.clone());
        let commands = values.into_iter().flat_map(|(key, value)| {
            // The lease is ended first, or a load that began before could still fill after the write.
            let end_lease = Command::new("UNLINK").arg(lease_key(&key));
            let set = Command::new("SET").arg(key).arg(value);
            let set = match ttl {
                Some(ttl) => set.arg("PX").arg(milliseconds(ttl)),
                None => set,
            };
            [end_lease, set]
        });
        let first = first.unwrap_or_default();
        self.send_all("store values", &first, commands.collect())
            .await?;
        Ok(())
    }

    /// Writes a value that nobody loads.
    pub(super) async fn put(
        &self,
        key: &str,
        value: Bytes,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        let command = Command::new("SET").arg(key).arg(value);
        self.send(WRITE, key, command.arg("PX").arg(milliseconds(ttl)))
            .await
    }

    pub(super) async fn increment(
        &self,
        key: &str,
        by: i64,
        ttl_if_new: Option<Duration>,
    ) -> Result<i64, CacheError> {
        match ttl_if_new {
            None => {
                self.send("count", key, Command::new("INCRBY").arg(key).arg(by))
                    .await
            }
            Some(ttl) => {
                let arguments = vec![by.into(), milliseconds(ttl).into()];
                self.run(&INCREMENT, &[key.to_owned()], arguments).await
            }
        }
    }

    pub(super) async fn unlink(&self, keys: &[String]) -> Result<u64, CacheError> {
        let keys = keys
            .iter()
            .map(|key| Bytes::copy_from_slice(key.as_bytes()));
        self.unlink_bytes(keys.collect()).await
    }

    /// As [`unlink`](Self::unlink), for keys that need not be text.
    pub(super) async fn unlink_bytes(&self, keys: Vec<Bytes>) -> Result<u64, CacheError> {
        let mut commands = Vec::new();
        for group in self.groups(keys.iter()) {
            let group = group.into_iter().filter_map(|index| keys.get(index));
            let (mut leases, mut values) = (Command::new("UNLINK"), Command::new("UNLINK"));
            for key in group {
                leases = leases.arg(Bytes::from([&b"{"[..], &key[..], b"}:lease"].concat()));
                values = values.arg(key.clone());
            }
            // The leases first: a load that ends in between must not put its value back.
            commands.extend([leases, values]);
        }
        let answers = self.send_all(DELETE, "", commands).await?;
        let mut count = 0;
        for answer in answers.into_iter().skip(1).step_by(2) {
            count += convert::<u64>(DELETE, "", Some(answer))?;
        }
        Ok(count)
    }

    pub(super) async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        let command = Command::new("PEXPIRE").arg(key).arg(milliseconds(ttl));
        self.send("set a time to live", key, command).await
    }

    pub(super) async fn persist(&self, key: &str) -> Result<bool, CacheError> {
        let command = Command::new("PERSIST").arg(key);
        self.send("lift a time to live", key, command).await
    }

    pub(super) async fn ttl(&self, key: &str) -> Result<TimeToLive, CacheError> {
        let left: i64 = self
            .send("read a time to live", key, Command::new("PTTL").arg(key))
            .await?;
        Ok(match (left, time_left(left)) {
            (-2, _) => TimeToLive::Absent,
            (_, None) => TimeToLive::Unlimited,
            (_, Some(left)) => TimeToLive::Left(left),
        })
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        self.send(READ, key, Command::new("EXISTS").arg(key)).await
    }

    pub(super) async fn take_lease(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
        force: bool,
    ) -> Result<Taken, CacheError> {
        let force = if force { "1" } else { "" };
        let arguments = vec![token.into(), milliseconds(lease).into(), force.into()];
        let keys = [key.to_owned(), lease_key(key)];
        let answer = Box::pin(self.script(&TAKE_LEASE, &keys, arguments)).await?;
        let action = TAKE_LEASE.action();
        let mut answer = answer.into_array().into_iter();
        match convert(action, key, answer.next())? {
            0_i64 => Ok(Taken::Mine),
            1 => {
                let remaining: i64 = convert(action, key, answer.next())?;
                Ok(Taken::Other {
                    remaining: time_left(remaining).unwrap_or_default(),
                })
            }
            _ => {
                let value = convert(action, key, answer.next())?;
                let left = convert(action, key, answer.next())?;
                Ok(Taken::Value(value, time_left(left)))
            }
        }
    }

    pub(super) async fn renew_lease(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
    ) -> Result<bool, CacheError> {
        let arguments = vec![token.into(), milliseconds(lease).into()];
        self.run(&RENEW_LEASE, &[lease_key(key)], arguments).await
    }

    pub(super) async fn release_lease(&self, key: &str, token: &str) -> Result<bool, CacheError> {
        let arguments = vec![token.into()];
        self.run(&RELEASE_LEASE, &[lease_key(key)], arguments).await
    }

    pub(super) async fn fill(
        &self,
        key: &str,
        token: &str,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let arguments = vec![token.into(), value.into(), milliseconds(ttl).into()];
        let keys = [key.to_owned(), lease_key(key)];
        self.run(&FILL, &keys, arguments).await
    }

    pub(super) async fn ensure_generations(
        &self,
        tags: &[String],
        new: &str,
    ) -> Result<Vec<String>, CacheError> {
        const ACTION: &str = "read the generations of tags";
        let ttl = milliseconds(GENERATION_TTL);
        let commands = tags.iter().flat_map(|tag| {
            let create = Command::new("SET").arg(tag.as_str()).arg(new);
            let read = Command::new("GETEX").arg(tag.as_str());
            [create.arg("NX").arg("PX").arg(ttl), read.arg("PX").arg(ttl)]
        });
        let first = tags.first().map_or("", String::as_str);
        let answers = self.send_all(ACTION, first, commands.collect()).await?;
        let generations = answers.into_iter().skip(1).step_by(2);
        generations
            .map(|generation| convert(ACTION, first, Some(generation)))
            .collect()
    }

    /// Runs a script by its hash, and sends it where a server does not have it.
    pub(super) async fn script(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: Vec<Value>,
    ) -> Result<Value, CacheError> {
        let first = keys.first().map_or("", String::as_str);
        let hash = match script.hash() {
            Some(hash) => hash,
            None => script.set_hash(self.load_script(script).await?),
        };
        let by_hash = script_command("EVALSHA", hash.clone().into(), keys, &arguments);
        match self.send_in_place(script.action(), first, by_hash).await {
            Err(CacheError::Rejected { code, .. }) if code == "NOSCRIPT" => {
                let source = Str::from_static(script.source());
                let whole = script_command("EVAL", source.into(), keys, &arguments);
                self.send(script.action(), first, whole).await
            }
            answer => answer,
        }
    }

    async fn load_script(&self, script: &'static Script) -> Result<String, CacheError> {
        let command = Command::new("SCRIPT LOAD").arg(script.source());
        self.send(script.action(), "", command).await
    }

    /// Runs a script whose answer is one value.
    async fn run<T: FromValue>(
        &self,
        script: &'static Script,
        keys: &[String],
        arguments: Vec<Value>,
    ) -> Result<T, CacheError> {
        let answer = Box::pin(self.script(script, keys, arguments)).await?;
        let first = keys.first().map_or("", String::as_str);
        convert(script.action(), first, Some(answer))
    }

    /// The places of keys, together where one command may have them: all in one slot, on a cluster.
    fn groups<K: AsRef<[u8]>>(&self, keys: impl Iterator<Item = K>) -> Vec<Vec<usize>> {
        let mut by_slot: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, key) in keys.enumerate() {
            let slot = if self.is_clustered() {
                redis_keyslot(key.as_ref())
            } else {
                0
            };
            by_slot.entry(slot).or_default().push(index);
        }
        let chunks = by_slot.into_values();
        chunks
            .flat_map(|group| {
                let chunks = group.chunks(KEYS_A_COMMAND);
                chunks.map(<[usize]>::to_vec).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// A script with its keys and arguments; the script goes where its first key is.
fn script_command(
    name: &'static str,
    script: Value,
    keys: &[String],
    arguments: &[Value],
) -> Command {
    let slot = keys.first().map(|key| redis_keyslot(key.as_bytes()));
    let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
    let command = Command::with_capacity(name, 2 + keys.len() + arguments.len());
    let command = command.slot(slot).arg(script).arg(count);
    let command = keys
        .iter()
        .fold(command, |command, key| command.arg(key.as_str()));
    command.args(arguments.iter().cloned())
}

/// What the server says of the time of a key that is there; `None` where it has no limit.
fn time_left(milliseconds: i64) -> Option<Duration> {
    match milliseconds {
        -1 => None,
        // It went by itself in between.
        gone if gone < 0 => Some(Duration::ZERO),
        left => Some(Duration::from_millis(left.unsigned_abs())),
    }
}

/// Reads an answer; one of another shape is a fault of the connection.
fn convert<T: FromValue>(
    action: &'static str,
    key: &str,
    answer: Option<Value>,
) -> Result<T, CacheError> {
    let answer = answer.unwrap_or(Value::Null).convert();
    answer.map_err(|error| fault::sort(error, action, key, Duration::ZERO))
}
