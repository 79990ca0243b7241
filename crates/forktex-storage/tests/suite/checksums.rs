// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! SHA-256, on the way up and on the way down.

use bytes::Bytes;
use forktex_storage::{Body, Sha256Digest, StorageError};
use futures_util::TryStreamExt as _;

use crate::content;
use crate::place::PART_BYTES;

fn assert_mismatch(error: &StorageError, wanted: Sha256Digest, came: Sha256Digest) {
    let StorageError::ChecksumMismatch {
        expected, found, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((*expected, *found), (wanted, came));
}

on_each_backend! {
    async fn the_digest_of_what_was_sent_is_told_and_kept(place: &Place) {
        let storage = &place.storage;
        let digest = Sha256Digest::of("hello");
        let stored = storage.put("a.txt", "hello").await.unwrap();
        assert_eq!(stored.sha256, digest);
        assert_eq!(storage.head("a.txt").await.unwrap().sha256, Some(digest));
        // It is ours to keep, and not one of the caller's words.
        assert!(storage.head("a.txt").await.unwrap().metadata.is_empty());
    }

    async fn a_digest_given_is_kept_with_a_body_of_many_parts(place: &Place) {
        let storage = &place.storage;
        let whole = content::bytes(PART_BYTES + 1);
        let digest = Sha256Digest::of(&whole);
        let body = Body::stream(content::pieces(&whole, 1_000_000));
        let stored = storage.put("a.bin", body).sha256(digest).await.unwrap();
        assert_eq!(stored.sha256, digest);
        assert_eq!(storage.head("a.bin").await.unwrap().sha256, Some(digest));
    }

    async fn bytes_that_are_not_the_ones_meant_are_never_visible(place: &Place) {
        let storage = &place.storage;
        let meant = Sha256Digest::of("meant");
        let small = content::bytes(1_000);
        let large = content::bytes(2 * PART_BYTES + 1);
        for whole in [small, large] {
            let bodies: [Body; 2] = [
                whole.clone().into(),
                Body::stream(content::pieces(&whole, 1_000_000)),
            ];
            for body in bodies {
                let error = storage.put("a.bin", body).sha256(meant).await.unwrap_err();
                assert_mismatch(&error, meant, Sha256Digest::of(&whole));
                assert!(!storage.exists("a.bin").await.unwrap());
            }
        }
    }

    async fn a_refused_body_leaves_the_object_that_was_there(place: &Place) {
        let storage = &place.storage;
        storage.put("a.bin", "as it was").await.unwrap();
        let whole = content::bytes(PART_BYTES + 1);
        let body = Body::stream(content::pieces(&whole, 1_000_000));
        let meant = Sha256Digest::of("meant");
        storage.put("a.bin", body).sha256(meant).await.unwrap_err();
        let object = storage.get("a.bin").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "as it was");
    }

    async fn a_reader_is_told_when_the_bytes_are_others(place: &Place) {
        let storage = &place.storage;
        storage.put("a.txt", "hello").await.unwrap();
        let wanted = Sha256Digest::of("others");
        let object = storage.get("a.txt").sha256(wanted).await.unwrap();
        let error = object.bytes().await.unwrap_err();
        assert_mismatch(&error, wanted, Sha256Digest::of("hello"));

        let object = storage.get("a.txt").sha256(wanted).await.unwrap();
        let stream: Vec<Result<Bytes, StorageError>> =
            futures_util::StreamExt::collect(object.stream()).await;
        let (last, before) = stream.split_last().expect("the bytes and the error");
        assert!(before.iter().all(Result::is_ok));
        assert_mismatch(last.as_ref().unwrap_err(), wanted, Sha256Digest::of("hello"));

        let right = Sha256Digest::of("hello");
        let object = storage.get("a.txt").sha256(right).await.unwrap();
        let pieces: Vec<Bytes> = object.stream().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"hello");
    }

    async fn the_digest_that_was_kept_is_compared_without_being_asked(place: &Place) {
        let storage = &place.storage;
        // Whoever wrote it said what it was to be: it is believed only by looking.
        let digest = Sha256Digest::of("hello").to_string();
        let lie = storage.put("a.txt", "jello").metadata("forktex-sha256", digest);
        match lie.await {
            // A name of ours, which nobody else may write.
            Err(_) => assert!(!storage.exists("a.txt").await.unwrap()),
            Ok(stored) => {
                assert_eq!(stored.sha256, Sha256Digest::of("jello"));
                let object = storage.get("a.txt").await.unwrap();
                assert_eq!(object.info().sha256, Some(stored.sha256));
                assert_eq!(object.bytes().await.unwrap(), "jello");
            }
        }
    }
}
