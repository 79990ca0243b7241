// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tenants that do not see each other, and buckets by their names.

use forktex_storage::{StorageError, StorageErrorKind};
use futures_util::TryStreamExt as _;

use crate::place::OTHER;

on_each_backend! {
    async fn a_tenant_sees_its_own_objects_only(place: &Place) {
        let storage = &place.storage;
        let (ada, bob) = (storage.for_org("ada").unwrap(), storage.for_org("bob").unwrap());
        let stored = ada.put("notes/a.txt", "of ada").await.unwrap();
        assert_eq!(stored.key.as_str(), "notes/a.txt");
        bob.put("notes/a.txt", "of bob").await.unwrap();

        assert_eq!(ada.get("notes/a.txt").await.unwrap().bytes().await.unwrap(), "of ada");
        assert_eq!(bob.get("notes/a.txt").await.unwrap().bytes().await.unwrap(), "of bob");
        bob.delete("notes/a.txt").await.unwrap();
        assert!(ada.exists("notes/a.txt").await.unwrap());
        assert!(!bob.exists("notes/a.txt").await.unwrap());

        // The whole is the operator's to see.
        assert!(storage.exists("org/ada/notes/a.txt").await.unwrap());
        assert_eq!(ada.head("notes/a.txt").await.unwrap().key.as_str(), "notes/a.txt");
    }

    async fn a_tenant_lists_its_own_keys_only(place: &Place) {
        let storage = &place.storage;
        // One name is the beginning of the other.
        let (ad, ada) = (storage.for_org("ad").unwrap(), storage.for_org("ada").unwrap());
        ad.put("x/1", "").await.unwrap();
        ada.put("x/2", "").await.unwrap();
        ada.put("x/3", "").await.unwrap();
        let objects: Vec<_> = ad.list("").stream().try_collect().await.unwrap();
        let keys: Vec<String> = objects.iter().map(|object| object.key.to_string()).collect();
        assert_eq!(keys, ["x/1"]);
        let page = ada.list("").after("x/2").page().await.unwrap();
        let keys: Vec<String> = page.objects.iter().map(|object| object.key.to_string()).collect();
        assert_eq!(keys, ["x/3"]);
        let folders = ada.folders("").await.unwrap();
        let folders: Vec<String> = folders.folders.iter().map(ToString::to_string).collect();
        assert_eq!(folders, ["x"]);
    }

    async fn no_tenant_leaves_its_prefix(place: &Place) {
        let storage = &place.storage;
        let (ada, bob) = (storage.for_org("ada").unwrap(), storage.for_org("bob").unwrap());
        bob.put("secret.txt", "of bob").await.unwrap();
        for key in ["../bob/secret.txt", "/org/bob/secret.txt", "x/../../bob/secret.txt"] {
            let error = ada.get(key).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::InvalidInput, "{key}: {error}");
        }
        let error = ada.get("org/bob/secret.txt").await.map(drop).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        for name in ["", ".", "..", "a/b", "a b", "ada\0", "ä", &"x".repeat(65)] {
            storage.for_org(name).map(drop).unwrap_err();
        }
        // A tenant of a tenant is below it, where there is one at all.
        if let Ok(below) = ada.for_org("bob") {
            assert!(!below.exists("secret.txt").await.unwrap());
        }
    }

    async fn a_bucket_is_found_by_its_name(place: &Place) {
        let storage = &place.storage;
        let error = storage.bucket("none").map(drop).unwrap_err();
        let StorageError::NoSuchBucket { name, known } = &error else {
            panic!("{error}");
        };
        assert_eq!(name, "none");
        assert!(known.iter().any(|known| known == storage.bucket_name()), "{known:?}");
        if place.kind == crate::place::Kind::Endpoint {
            return;
        }
        let other = storage.bucket(OTHER).unwrap();
        assert_eq!(other.bucket_name(), OTHER);
        other.put("a.txt", "in the other").await.unwrap();
        assert!(!storage.exists("a.txt").await.unwrap());
        // The scope is kept from bucket to bucket.
        let tenant = storage.for_org("ada").unwrap().bucket(OTHER).unwrap();
        assert!(!tenant.exists("a.txt").await.unwrap());
        tenant.put("b.txt", "of ada").await.unwrap();
        assert!(other.exists("org/ada/b.txt").await.unwrap());
    }
}
