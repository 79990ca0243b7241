// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes that hold only where something is as expected, and reads that are spared.

use forktex_storage::StorageErrorKind;
use futures_util::future::join_all;
use time::Duration;

on_each_backend! {
    async fn a_put_if_absent_never_replaces(place: &Place) {
        let storage = &place.storage;
        storage.put("a.txt", "first").if_absent().await.unwrap();
        let again = storage.put("a.txt", "second").if_absent().await;
        let error = again.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::AlreadyExists, "{error}");
        let object = storage.get("a.txt").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "first");
    }

    async fn of_many_that_put_if_absent_one_wins(place: &Place) {
        let storage = &place.storage;
        let puts = (0..16).map(|number| {
            let storage = storage.clone();
            // Tasks of their own, so that they meet.
            tokio::spawn(async move {
                storage
                    .put("one.txt", format!("of {number}"))
                    .if_absent()
                    .await
            })
        });
        let outcomes = join_all(puts.collect::<Vec<_>>()).await;
        let mut winners = Vec::new();
        for (number, outcome) in outcomes.into_iter().enumerate() {
            match outcome.unwrap() {
                Ok(_) => winners.push(number),
                Err(error) => assert_eq!(error.kind(), StorageErrorKind::AlreadyExists, "{error}"),
            }
        }
        let [winner] = winners.as_slice() else {
            panic!("winners: {winners:?}");
        };
        let object = storage.get("one.txt").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), format!("of {winner}"));
    }

    async fn a_put_if_match_replaces_only_what_it_knows(place: &Place) {
        let storage = &place.storage;
        let first = storage.put("a.txt", "first").await.unwrap();
        let etag = first.etag.clone().expect("an etag");
        let second = storage
            .put("a.txt", "the second")
            .if_match(&etag)
            .await
            .unwrap();
        assert_ne!(second.etag, first.etag);

        let late = storage.put("a.txt", "a third").if_match(&etag).await;
        let error = late.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::PreconditionFailed, "{error}");
        let object = storage.get("a.txt").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "the second");
    }

    async fn a_put_if_match_needs_an_object(place: &Place) {
        let storage = &place.storage;
        let etag = storage.put("a.txt", "x").await.unwrap().etag.unwrap();
        storage.delete("a.txt").await.unwrap();
        let outcome = storage.put("a.txt", "y").if_match(&etag).await;
        // Some backends say that there is none, others that it does not match.
        let error = outcome.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                StorageErrorKind::PreconditionFailed | StorageErrorKind::NotFound
            ),
            "{error}"
        );
        assert!(!storage.exists("a.txt").await.unwrap());
    }

    async fn of_many_that_count_by_if_match_none_is_lost(place: &Place) {
        let storage = &place.storage;
        storage.put("count", "0").await.unwrap();
        let tasks = (0..4).map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let mut counted = 0;
                // Each failure is another one's success, of which there are twenty.
                for _ in 0..100 {
                    let object = storage.get("count").await.unwrap();
                    let etag = object.info().etag.clone().unwrap();
                    let text = object.bytes().await.unwrap();
                    let count: u32 = std::str::from_utf8(&text).unwrap().parse().unwrap();
                    let next = (count + 1).to_string();
                    match storage.put("count", next).if_match(&etag).await {
                        Ok(_) => counted += 1,
                        Err(error) => {
                            assert_eq!(error.kind(), StorageErrorKind::PreconditionFailed, "{error}");
                        }
                    }
                    if counted == 5 {
                        return;
                    }
                }
                panic!("never counted to five");
            })
        });
        for outcome in join_all(tasks.collect::<Vec<_>>()).await {
            outcome.unwrap();
        }
        let object = storage.get("count").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "20");
    }

    async fn a_copy_if_absent_never_replaces(place: &Place) {
        let storage = &place.storage;
        storage.put("from.txt", "new").await.unwrap();
        storage.put("to.txt", "old").await.unwrap();
        let outcome = storage.copy("from.txt", "to.txt").if_absent().await;
        let error = outcome.map(drop).unwrap_err();
        // S3 cannot copy on a condition: it says so, and copies nothing.
        assert!(
            matches!(
                error.kind(),
                StorageErrorKind::AlreadyExists | StorageErrorKind::Unsupported
            ),
            "{error}"
        );
        let object = storage.get("to.txt").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "old");
    }

    async fn what_did_not_change_is_not_sent_again(place: &Place) {
        let storage = &place.storage;
        let stored = storage.put("a.txt", "x").await.unwrap();
        let etag = stored.etag.unwrap();
        let info = storage.head("a.txt").await.unwrap();

        let known = storage.get("a.txt").if_none_match(&etag).await.map(drop);
        let error = known.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::NotModified, "{error}");
        let since = info.last_modified;
        let fresh = storage.get("a.txt").if_modified_since(since).await.map(drop);
        let error = fresh.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::NotModified, "{error}");

        let since = info.last_modified - Duration::minutes(1);
        storage.get("a.txt").if_modified_since(since).await.map(drop).unwrap();
        storage.get("a.txt").if_match(&etag).await.map(drop).unwrap();
        storage.put("a.txt", "changed").await.unwrap();
        storage.get("a.txt").if_none_match(&etag).await.map(drop).unwrap();
        let gone = storage.get("a.txt").if_match(&etag).await.map(drop);
        let error = gone.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::PreconditionFailed, "{error}");
    }
}
