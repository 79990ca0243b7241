// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The same work by the driver alone, as a careful author would write it by hand.

use std::time::Duration;

use forktex_cache::fred::bytes::Bytes;
use forktex_cache::fred::clients::{Client, WithOptions};
use forktex_cache::fred::interfaces::{ClientLike as _, KeysInterface as _};
use forktex_cache::fred::types::config::Options;
use forktex_cache::{Cache, Key};

use crate::Profile;

/// The same connection, with the same limit on a command.
pub(crate) fn client(cache: &Cache) -> WithOptions<Client> {
    let options = Options {
        timeout: Some(Duration::from_millis(500)),
        fail_fast: true,
        ..Options::default()
    };
    let client = cache.client().unwrap().next_connected();
    client.with_options(&options)
}

pub(crate) async fn get(client: &WithOptions<Client>, key: &Key, calls: u32) {
    for _ in 0..calls {
        let stored: Option<Bytes> = client.get(key.as_str()).await.unwrap();
        let profile: Profile = serde_json::from_slice(&stored.unwrap()).unwrap();
        assert_eq!(profile.id, 7);
    }
}
