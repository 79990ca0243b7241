// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A Redis for a test that merely uses one: running already, or started for it.
//!
//! It refuses to empty a server that it did not start.

use super::{Redis, RedisOptions};
use crate::TestkitError;
use crate::url::UrlParts;

const URL_VARIABLE: &str = "FORKTEX_TEST_REDIS_URL";

/// A Redis to use, and a prefix for keys that is this test's alone.
///
/// Keys under the prefix are not removed from a running server; give them a time to live.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_testkit::TestkitError> {
/// let redis = forktex_testkit::TestRedis::create().await?;
/// let key = format!("{}:greeting", redis.namespace());
/// # assert!(redis.url().starts_with("redis"));
/// # drop(key);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestRedis {
    url: String,
    namespace: String,
    /// Absent where the server was running already; held for its drop.
    _server: Option<Redis>,
}

impl TestRedis {
    /// The server that `FORKTEX_TEST_REDIS_URL` names, or else a private one.
    ///
    /// # Errors
    /// [`TestkitError::InvalidUrl`], and those of [`Redis::start`].
    ///
    /// # Cancellation
    /// As of [`Redis::start`].
    pub async fn create() -> Result<Self, TestkitError> {
        let namespace = format!("forktex_test_{}", uuid::Uuid::new_v4().simple());
        if let Ok(url) = std::env::var(URL_VARIABLE)
            && !url.is_empty()
        {
            UrlParts::parse(&url, URL_VARIABLE)?;
            return Ok(Self {
                url,
                namespace,
                _server: None,
            });
        }
        let server = Redis::start(RedisOptions::new()).await?;
        Ok(Self {
            url: server.url().to_owned(),
            namespace,
            _server: Some(server),
        })
    }

    /// The server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A prefix that no other test has.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}
