// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is a key, and that each one means one object.

use forktex_storage::{Key, StorageErrorKind};
use futures_util::TryStreamExt as _;

/// Keys that an encoding could change, and that none may.
const STRANGE: [&str; 16] = [
    "a b/c d.txt",
    "plus+sign",
    "per%cent",
    "per%20cent",
    "per%2Fcent",
    "tilde~",
    "hash#mark",
    "question?mark=1&two",
    "Grüße/日本語/файл.txt",
    "e\u{301}",
    "\u{e9}",
    "quote'\"quote",
    "(brackets)[square]{curly}",
    "star*dot.dot..dots",
    "comma,semi;colon:at@dollar$equals=",
    "UPPER/lower",
];

/// What is no key of anything.
const NO_KEYS: [&str; 14] = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../a",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a//b",
    "a/",
    "a\0b",
    "a\\b",
    "a\nb",
];

on_each_backend! {
    async fn each_key_means_its_own_object(place: &Place) {
        let storage = &place.storage;
        for key in STRANGE {
            storage.put(key, key).await.unwrap_or_else(|error| panic!("{key}: {error}"));
        }
        for key in STRANGE {
            let object = storage.get(key).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(object.info().key.as_str(), key);
            assert_eq!(object.bytes().await.unwrap(), key);
        }
        let listed: Vec<_> = storage.list("").stream().try_collect().await.unwrap();
        let mut listed: Vec<String> = listed
            .into_iter()
            .map(|object| object.key.to_string())
            .collect();
        listed.sort();
        let mut expected = STRANGE.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(listed, expected);
        for key in STRANGE {
            storage.copy(key, "copied").await.unwrap_or_else(|error| panic!("{key}: {error}"));
            let object = storage.get("copied").await.unwrap();
            assert_eq!(object.bytes().await.unwrap(), key);
            storage.delete(key).await.unwrap();
            assert!(!storage.exists(key).await.unwrap(), "{key}");
        }
    }

    async fn what_is_no_key_never_reaches_the_backend(place: &Place) {
        let storage = &place.storage;
        storage.put("a", "x").await.unwrap();
        let too_long = "k".repeat(1_025);
        for key in NO_KEYS.into_iter().chain([too_long.as_str()]) {
            Key::new(key).unwrap_err();
            let errors = [
                storage.put(key, "x").await.map(drop).unwrap_err(),
                storage.get(key).await.map(drop).unwrap_err(),
                storage.head(key).await.map(drop).unwrap_err(),
                storage.delete(key).await.unwrap_err(),
                storage.exists(key).await.map(drop).unwrap_err(),
                storage.copy("a", key).await.map(drop).unwrap_err(),
                storage.rename(key, "b").await.map(drop).unwrap_err(),
                storage.signed_url(key).await.map(drop).unwrap_err(),
                storage.upload_ticket(key).bytes_max(1).await.map(drop).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), StorageErrorKind::InvalidInput, "{key:?}: {error}");
            }
        }
        let prefix = storage.list("../a").page().await.map(drop).unwrap_err();
        assert_eq!(prefix.kind(), StorageErrorKind::InvalidInput, "{prefix}");
    }
}
