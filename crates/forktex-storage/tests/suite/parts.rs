// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Bodies of many parts, the writer, and what is left of those that were not finished.

use std::time::Duration;

use bytes::Bytes;
use forktex_storage::{Body, Sha256Digest, StorageErrorKind};

use crate::content;
use crate::place::PART_BYTES;

/// Longer than any test.
const HOUR: Duration = Duration::from_hours(1);

on_each_backend! {
    async fn a_long_body_arrives_whole(place: &Place) {
        let storage = &place.storage;
        for length in [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7] {
            let whole = content::bytes(length);
            let digest = Sha256Digest::of(&whole);
            let body = Body::stream(content::pieces(&whole, 777_777));
            let stored = storage.put("long.bin", body).metadata("part", "many").await.unwrap();
            assert_eq!(stored.size, length as u64);
            assert_eq!(stored.sha256, digest);

            let object = storage.get("long.bin").await.unwrap();
            assert_eq!(object.info().size, length as u64);
            assert_eq!(object.info().metadata.get("part").map(String::as_str), Some("many"));
            let read = object.bytes().await.unwrap();
            assert_eq!(Sha256Digest::of(&read), digest);
        }
    }

    async fn a_source_that_breaks_leaves_nothing(place: &Place) {
        let storage = &place.storage;
        for length in [1_000, 2 * PART_BYTES + 7] {
            let body = Body::stream(content::broken(&content::bytes(length), 777_777));
            let error = storage.put("long.bin", body).await.unwrap_err();
            let told = std::iter::successors(
                Some(&error as &dyn std::error::Error),
                |error| error.source(),
            );
            assert!(
                told.map(ToString::to_string).any(|text| text.contains("the source broke")),
                "{error}"
            );
            assert!(!storage.exists("long.bin").await.unwrap());
        }
    }

    async fn a_body_beyond_its_limit_leaves_nothing(place: &Place) {
        let storage = &place.storage;
        for length in [1_000, 2 * PART_BYTES + 7] {
            let limit = length as u64 - 1;
            let whole = content::bytes(length);
            let bodies: [Body; 2] = [
                whole.clone().into(),
                Body::stream(content::pieces(&whole, 777_777)),
            ];
            for body in bodies {
                let error = storage.put("long.bin", body).bytes_max(limit).await.unwrap_err();
                assert_eq!(error.kind(), StorageErrorKind::TooLarge, "{error}");
                assert!(!storage.exists("long.bin").await.unwrap());
            }
            let body = Body::stream(content::pieces(&whole, 777_777));
            storage.put("long.bin", body).bytes_max(limit + 1).await.unwrap();
            storage.delete("long.bin").await.unwrap();
        }
    }

    async fn a_condition_on_a_long_body_is_kept_or_refused(place: &Place) {
        let storage = &place.storage;
        let first = storage.put("long.bin", "the first").await.unwrap();
        let whole = content::bytes(PART_BYTES + 7);
        let body = || Body::stream(content::pieces(&whole, 777_777));
        let absent = storage.put("long.bin", body()).if_absent().await;
        let error = absent.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                StorageErrorKind::AlreadyExists | StorageErrorKind::Unsupported
            ),
            "{error}"
        );
        let other = storage.put("other.bin", "another").await.unwrap().etag.unwrap();
        assert_ne!(Some(&other), first.etag.as_ref());
        let matching = storage.put("long.bin", body()).if_match(&other).await;
        let error = matching.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                StorageErrorKind::PreconditionFailed | StorageErrorKind::Unsupported
            ),
            "{error}"
        );
        let object = storage.get("long.bin").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "the first");
    }

    async fn a_writer_is_visible_once_finished(place: &Place) {
        let storage = &place.storage;
        let whole = content::bytes(2 * PART_BYTES + 7);
        let mut upload = storage
            .upload("written.bin")
            .content_type("application/x-test")
            .start()
            .await
            .unwrap();
        for start in (0..whole.len()).step_by(500_000) {
            let end = (start + 500_000).min(whole.len());
            upload.write(whole.slice(start..end)).await.unwrap();
        }
        assert!(!storage.exists("written.bin").await.unwrap());
        let stored = upload.finish().await.unwrap();
        assert_eq!(stored.size, whole.len() as u64);
        assert_eq!(stored.sha256, Sha256Digest::of(&whole));
        let object = storage.get("written.bin").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), whole);
    }

    async fn a_writer_may_write_little_or_nothing(place: &Place) {
        let storage = &place.storage;
        let upload = storage.upload("nothing").start().await.unwrap();
        assert_eq!(upload.finish().await.unwrap().size, 0);
        let mut upload = storage.upload("little").start().await.unwrap();
        upload.write(Bytes::from_static(b"lit")).await.unwrap();
        upload.write(Bytes::new()).await.unwrap();
        upload.write(Bytes::from_static(b"tle")).await.unwrap();
        upload.finish().await.unwrap();
        assert_eq!(storage.get("nothing").await.unwrap().bytes().await.unwrap(), "");
        assert_eq!(storage.get("little").await.unwrap().bytes().await.unwrap(), "little");
    }

    async fn an_aborted_writer_leaves_nothing(place: &Place) {
        let storage = &place.storage;
        let mut upload = storage.upload("aborted.bin").start().await.unwrap();
        for _ in 0..3 {
            upload.write(content::bytes(PART_BYTES)).await.unwrap();
        }
        upload.abort().await;
        assert!(!storage.exists("aborted.bin").await.unwrap());
        let page = storage.list("").page().await.unwrap();
        assert!(page.objects.is_empty());
    }

    async fn the_sweeper_leaves_what_is_young_and_says_where_it_cannot(place: &Place) {
        let storage = &place.storage;
        let mut upload = storage.upload("young.bin").start().await.unwrap();
        for _ in 0..2 {
            upload.write(content::bytes(PART_BYTES)).await.unwrap();
        }
        match storage.sweep_uploads(HOUR).await {
            Ok(swept) => assert!(swept.aborted.is_empty(), "{swept:?}"),
            Err(error) => assert_eq!(error.kind(), StorageErrorKind::Unsupported, "{error}"),
        }
        // It was left alone.
        let stored = upload.finish().await.unwrap();
        assert_eq!(stored.size, 2 * PART_BYTES as u64);
        assert!(storage.exists("young.bin").await.unwrap());
    }
}
