// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[cached]` through `forktex`, and through `renamed_cache` with `crate =`.

mod facade {
    use forktex::cache::{Cache, CacheError, cached};

    #[cached(ttl = "5m", namespace = "paths.plain", tags = ("word:{word}"))]
    pub(super) async fn plain(cache: &Cache, word: &str) -> usize {
        word.len()
    }

    #[derive(Clone)]
    pub(super) struct Words {
        pub(super) cache: Cache,
    }

    impl Words {
        #[cached(
            ttl = "5m", negative_ttl = "1m", stale = "1h", stale_if_error = "1d", early, fail_closed,
            namespace = "paths.method", cache = self.cache, skip(self), single_flight = "cluster",
            local = "1s",
        )]
        pub(super) async fn len(&self, word: &str) -> Result<Option<usize>, CacheError> {
            Ok(Some(word.len()))
        }
    }
}

mod renamed {
    use renamed_cache::{Cache, CacheError, cached};

    #[cached(
        ttl = "5m", namespace = "paths.plain", tags = ("word:{word}"), crate = ::renamed_cache,
    )]
    pub(super) async fn plain(cache: &Cache, word: &str) -> usize {
        word.len()
    }

    #[derive(Clone)]
    pub(super) struct Words {
        pub(super) cache: Cache,
    }

    impl Words {
        #[cached(
            ttl = "5m", negative_ttl = "1m", stale = "1h", stale_if_error = "1d", early, fail_closed,
            namespace = "paths.method", cache = self.cache, skip(self), single_flight = "cluster",
            local = "1s", crate = ::renamed_cache,
        )]
        pub(super) async fn len(&self, word: &str) -> Result<Option<usize>, CacheError> {
            Ok(Some(word.len()))
        }
    }
}

use forktex::cache::Cache;

/// Both ways name the very same crate, and so read each other's values.
#[tokio::test]
async fn both_ways_keep_the_same_value() {
    let cache = Cache::in_process();
    assert_eq!(facade::plain(&cache, "four").await, 4);
    assert!(renamed::plain::invalidate(&cache, "four").await.unwrap());
    assert_eq!(renamed::plain(&cache, "four").await, 4);
    assert_eq!(facade::plain::key("four"), renamed::plain::key("four"));

    let (one, other) = (
        facade::Words {
            cache: cache.clone(),
        },
        renamed::Words { cache },
    );
    assert_eq!(one.len("four").await.unwrap(), Some(4));
    assert_eq!(other.len("four").await.unwrap(), Some(4));
    assert!(other.len_invalidate("four").await.unwrap());
    assert!(!one.len_invalidate("four").await.unwrap());
}
