// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deleting by pattern on Redis: each primary is scanned in pages, and what is found is unlinked by slot.
//!
//! The leases of matching keys are scanned for first, since a key that is being loaded for the first
//! time has a lease and no value yet. A key that the scan shows twice counts once: the second time it is
//! gone.

use fred::bytes::Bytes;
use fred::types::Value;
use fred::types::config::Server;

use super::Pattern;
use super::redis::{Command, RedisStore};
use crate::error::CacheError;

/// How many keys of the server a page looks at.
const PAGE_KEYS: i64 = 1_000;

const ACTION: &str = "delete by pattern";

/// What a scan is for.
#[derive(Clone, Copy)]
enum Wanted {
    Leases,
    Values,
}

impl RedisStore {
    pub(super) async fn unlink_matching(&self, pattern: &Pattern) -> Result<u64, CacheError> {
        let servers: Vec<Option<Server>> = if self.is_clustered() {
            self.primaries().into_iter().map(Some).collect()
        } else {
            vec![None]
        };
        if servers.is_empty() {
            return Err(CacheError::Unavailable {
                action: ACTION,
                source: None,
            });
        }
        let (leases, values) = (pattern.lease_glob(), pattern.glob());
        let mut count = 0;
        for (glob, wanted) in [(leases, Wanted::Leases), (values, Wanted::Values)] {
            for server in &servers {
                count += self.unlink_scanned(server.as_ref(), &glob, wanted).await?;
            }
        }
        Ok(count)
    }

    /// Unlinks the keys of one server that match, or those whose lease matches, with their leases.
    async fn unlink_scanned(
        &self,
        server: Option<&Server>,
        glob: &str,
        wanted: Wanted,
    ) -> Result<u64, CacheError> {
        let mut count = 0;
        let mut cursor = Some(Bytes::from_static(b"0"));
        while let Some(at) = cursor {
            let command = Command::new("SCAN").arg(at).arg("MATCH").arg(glob);
            let command = command.arg("COUNT").arg(PAGE_KEYS);
            let page: Value = match server {
                Some(server) => self.send_to(server.clone(), ACTION, command).await?,
                None => self.send(ACTION, "", command).await?,
            };
            let mut page = page.into_array().into_iter();
            cursor = page.next().and_then(Value::into_bytes);
            cursor = cursor.filter(|next| &next[..] != b"0");
            let found = page.next().map_or_else(Vec::new, Value::into_array);
            let found = found.into_iter().filter_map(Value::into_bytes);
            let keys: Vec<Bytes> = match wanted {
                Wanted::Values => found.collect(),
                Wanted::Leases => found.filter_map(|lease| value_key(&lease)).collect(),
            };
            count += self.unlink_bytes(keys).await?;
        }
        Ok(count)
    }
}

/// The key whose lease this is.
fn value_key(lease: &Bytes) -> Option<Bytes> {
    let rest = lease.strip_prefix(b"{")?;
    rest.strip_suffix(b"}:lease").map(Bytes::copy_from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lease_key;

    #[test]
    fn a_lease_names_its_key() {
        let lease = Bytes::from(lease_key("user:1"));
        assert_eq!(value_key(&lease), Some(Bytes::from_static(b"user:1")));
        assert_eq!(value_key(&Bytes::from_static(b"user:1")), None);
    }
}
