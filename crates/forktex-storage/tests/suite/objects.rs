// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Put, get, head, exists, delete, copy and rename.

use bytes::Bytes;
use forktex_storage::{Body, StorageErrorKind};

use crate::content;
use crate::folder::TestFolder;

on_each_backend! {
    async fn what_was_put_is_got(place: &Place) {
        let storage = &place.storage;
        let stored = storage.put("letters/one.txt", "hello").await.unwrap();
        assert_eq!(stored.key.as_str(), "letters/one.txt");
        assert_eq!(stored.size, 5);

        let object = storage.get("letters/one.txt").await.unwrap();
        assert_eq!(object.info().size, 5);
        assert_eq!(object.info().etag, stored.etag);
        assert_eq!(object.bytes().await.unwrap(), "hello");
    }

    async fn each_kind_of_body_arrives(place: &Place) {
        let storage = &place.storage;
        let folder = TestFolder::create();
        let path = folder.path().join("body");
        std::fs::write(&path, "of a file").unwrap();
        let stream = content::pieces(&Bytes::from_static(b"of a stream"), 3);
        let bodies: [(&str, Body, &str); 6] = [
            ("bytes", Bytes::from_static(b"of bytes").into(), "of bytes"),
            ("vec", b"of a vec".to_vec().into(), "of a vec"),
            ("string", "of a string".to_owned().into(), "of a string"),
            ("slice", b"of a slice".as_slice().into(), "of a slice"),
            ("stream", Body::stream(stream), "of a stream"),
            ("file", Body::file(&path), "of a file"),
        ];
        for (name, body, expected) in bodies {
            let stored = storage.put(name, body).await.unwrap();
            assert_eq!(stored.size, expected.len() as u64, "{name}");
            let object = storage.get(name).await.unwrap();
            assert_eq!(object.bytes().await.unwrap(), expected, "{name}");
        }
    }

    async fn an_object_may_be_empty(place: &Place) {
        let storage = &place.storage;
        storage.put("empty", "").await.unwrap();
        assert_eq!(storage.head("empty").await.unwrap().size, 0);
        let object = storage.get("empty").await.unwrap();
        assert!(object.bytes().await.unwrap().is_empty());
    }

    async fn the_last_put_wins(place: &Place) {
        let storage = &place.storage;
        let first = storage.put("a.txt", "first").await.unwrap();
        let second = storage.put("a.txt", "second one").await.unwrap();
        assert_ne!(first.etag, second.etag);
        let object = storage.get("a.txt").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "second one");
    }

    async fn what_is_missing_is_not_found(place: &Place) {
        let storage = &place.storage;
        let errors = [
            storage.get("none").await.map(drop).unwrap_err(),
            storage.head("none").await.map(drop).unwrap_err(),
            storage.copy("none", "other").await.map(drop).unwrap_err(),
            storage.rename("none", "other").await.map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_not_found(), "{error}");
            assert_eq!(error.kind(), StorageErrorKind::NotFound);
            assert!(!error.is_transient());
            assert!(error.to_string().contains("none"), "{error}");
        }
        assert!(!storage.exists("none").await.unwrap());
        assert!(!storage.exists("other").await.unwrap());
    }

    async fn a_delete_may_be_repeated(place: &Place) {
        let storage = &place.storage;
        storage.put("a/b.txt", "x").await.unwrap();
        assert!(storage.exists("a/b.txt").await.unwrap());
        storage.delete("a/b.txt").await.unwrap();
        assert!(!storage.exists("a/b.txt").await.unwrap());
        storage.delete("a/b.txt").await.unwrap();
        storage.delete("never/was").await.unwrap();
    }

    async fn many_are_deleted_at_once(place: &Place) {
        let storage = &place.storage;
        let keys: Vec<String> = (0..25).map(|number| format!("many/{number}")).collect();
        for key in &keys {
            storage.put(key, "x").await.unwrap();
        }
        storage.put("kept", "x").await.unwrap();
        let deleted = storage
            .delete_many(keys.iter().cloned().chain(["never/was".to_owned()]))
            .await
            .unwrap();
        assert!(deleted.failures.is_empty(), "{deleted:?}");
        assert!(deleted.count >= 25, "{deleted:?}");
        for key in &keys {
            assert!(!storage.exists(key).await.unwrap(), "{key}");
        }
        assert!(storage.exists("kept").await.unwrap());
    }

    async fn a_copy_has_the_bytes_and_the_attributes(place: &Place) {
        let storage = &place.storage;
        storage
            .put("from.bin", "copied")
            .content_type("image/png")
            .metadata("owner", "ada")
            .await
            .unwrap();
        storage.copy("from.bin", "to.bin").await.unwrap();
        let object = storage.get("to.bin").await.unwrap();
        let (before, after) = (
            storage.head("from.bin").await.unwrap(),
            object.info().clone(),
        );
        assert_eq!(after.content_type, before.content_type);
        assert_eq!(after.metadata.get("owner").map(String::as_str), Some("ada"));
        assert_eq!(after.sha256, before.sha256);
        assert_eq!(object.bytes().await.unwrap(), "copied");
        // Over one that is there, too.
        storage.put("from.bin", "copied again").await.unwrap();
        storage.copy("from.bin", "to.bin").await.unwrap();
        let object = storage.get("to.bin").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "copied again");
    }

    async fn a_rename_leaves_nothing_behind(place: &Place) {
        let storage = &place.storage;
        storage
            .put("old/name.txt", "moved")
            .metadata("owner", "ada")
            .await
            .unwrap();
        storage.rename("old/name.txt", "new/name.txt").await.unwrap();
        assert!(!storage.exists("old/name.txt").await.unwrap());
        let object = storage.get("new/name.txt").await.unwrap();
        assert_eq!(
            object.info().metadata.get("owner").map(String::as_str),
            Some("ada")
        );
        assert_eq!(object.bytes().await.unwrap(), "moved");
    }

    async fn an_object_is_saved_to_a_file(place: &Place) {
        let storage = &place.storage;
        let folder = TestFolder::create();
        let path = folder.path().join("saved");
        let whole = content::bytes(300_000);
        storage.put("a.bin", whole.clone()).await.unwrap();
        storage
            .get("a.bin")
            .await
            .unwrap()
            .save_to(&path)
            .await
            .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}
