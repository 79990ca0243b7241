// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Parts of an object, and how much of it may be read.

use bytes::Bytes;
use forktex_storage::{StorageError, StorageErrorKind};
use futures_util::TryStreamExt as _;

use crate::content;

on_each_backend! {
    async fn a_range_is_what_was_asked_for(place: &Place) {
        let storage = &place.storage;
        let whole = content::bytes(100_000);
        storage.put("a.bin", whole.clone()).await.unwrap();

        let object = storage.get("a.bin").range(10..20).await.unwrap();
        assert_eq!(object.range(), 10..20);
        assert_eq!(object.info().size, 100_000, "the size is the object's");
        assert_eq!(object.bytes().await.unwrap(), whole.slice(10..20));

        let object = storage.get("a.bin").from(99_000).await.unwrap();
        assert_eq!(object.range(), 99_000..100_000);
        assert_eq!(object.bytes().await.unwrap(), whole.slice(99_000..));

        let object = storage.get("a.bin").suffix(7).await.unwrap();
        assert_eq!(object.range(), 99_993..100_000);
        assert_eq!(object.bytes().await.unwrap(), whole.slice(99_993..));
    }

    async fn a_range_ends_where_the_object_ends(place: &Place) {
        let storage = &place.storage;
        storage.put("a.txt", "0123456789").await.unwrap();
        let object = storage.get("a.txt").range(5..500).await.unwrap();
        assert_eq!(object.range(), 5..10);
        assert_eq!(object.bytes().await.unwrap(), "56789");
    }

    async fn a_range_after_the_end_is_refused(place: &Place) {
        let storage = &place.storage;
        storage.put("a.txt", "0123456789").await.unwrap();
        let after = storage.get("a.txt").range(10..20).await.map(drop);
        let from = storage.get("a.txt").from(11).await.map(drop);
        for outcome in [after, from] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::InvalidRange, "{error}");
        }
    }

    async fn a_stream_brings_all_bytes_in_order(place: &Place) {
        let storage = &place.storage;
        let whole = content::bytes(1_000_000);
        storage.put("a.bin", whole.clone()).await.unwrap();
        let stream = storage.get("a.bin").await.unwrap().stream();
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(pieces.concat(), whole);
    }

    async fn more_than_was_allowed_is_not_read(place: &Place) {
        let storage = &place.storage;
        storage.put("a.bin", content::bytes(2_000)).await.unwrap();
        let read = async |bytes_max| {
            let object = storage.get("a.bin").bytes_max(bytes_max).await?;
            object.bytes().await
        };
        assert_eq!(read(2_000).await.unwrap().len(), 2_000);
        let error = read(1_999).await.unwrap_err();
        let StorageError::TooLarge { bytes_max, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*bytes_max, 1_999);
    }
}
