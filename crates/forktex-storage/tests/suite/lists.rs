// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists: in order, in pages, by prefix and by folder.

use forktex_storage::Storage;
use futures_util::TryStreamExt as _;

/// In the order of their bytes, which is not the order of their folders.
const KEYS: [&str; 7] = [
    "list/a-b.txt",
    "list/a.txt",
    "list/a/b.txt",
    "list/a/c.txt",
    "list/b/c/d.txt",
    "list/z.txt",
    "list/Ä.txt",
];

/// More than S3 gives at a time.
const MANY: usize = 1_050;

async fn fill(storage: &Storage) {
    for key in KEYS {
        storage.put(key, key).await.unwrap();
    }
    storage
        .put("listed.txt", "beside the folder")
        .await
        .unwrap();
    storage.put("other/a.txt", "elsewhere").await.unwrap();
}

async fn listed(storage: &Storage, prefix: &str) -> Vec<String> {
    let objects: Vec<_> = storage.list(prefix).stream().try_collect().await.unwrap();
    objects
        .into_iter()
        .map(|object| object.key.to_string())
        .collect()
}

on_each_backend! {
    async fn a_list_is_in_the_order_of_the_keys_bytes(place: &Place) {
        let storage = &place.storage;
        assert!(listed(storage, "").await.is_empty());
        fill(storage).await;
        assert_eq!(listed(storage, "list").await, KEYS);
        let all = listed(storage, "").await;
        assert_eq!(all.len(), KEYS.len() + 2);
        assert!(all.is_sorted(), "{all:?}");
    }

    async fn a_prefix_is_of_whole_segments(place: &Place) {
        let storage = &place.storage;
        fill(storage).await;
        assert_eq!(listed(storage, "list/a").await, KEYS[2..4]);
        assert_eq!(listed(storage, "list/a/").await, KEYS[2..4]);
        assert!(listed(storage, "lis").await.is_empty());
        assert!(listed(storage, "none/such").await.is_empty());
    }

    async fn pages_make_up_the_whole(place: &Place) {
        let storage = &place.storage;
        fill(storage).await;
        let mut found = Vec::new();
        let mut cursor = None;
        let mut pages = 0;
        loop {
            let mut list = storage.list("list").page_size(3);
            if let Some(cursor) = cursor.take() {
                list = list.cursor(cursor);
            }
            let page = list.page().await.unwrap();
            assert!(page.objects.len() <= 3, "{} in a page", page.objects.len());
            found.extend(page.objects.into_iter().map(|object| object.key.to_string()));
            pages += 1;
            assert!(pages <= KEYS.len(), "the list never ended");
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, KEYS);
        assert!(pages >= 3, "{pages} pages");
    }

    async fn a_list_goes_on_after_a_key(place: &Place) {
        let storage = &place.storage;
        fill(storage).await;
        let page = storage.list("list").after("list/a/b.txt").page().await.unwrap();
        let keys: Vec<String> = page.objects.iter().map(|object| object.key.to_string()).collect();
        assert_eq!(keys, KEYS[3..]);
        assert!(page.next.is_none());
        // It need not be there.
        let page = storage.list("list").after("list/b").page().await.unwrap();
        let keys: Vec<String> = page.objects.iter().map(|object| object.key.to_string()).collect();
        assert_eq!(keys, KEYS[4..]);
    }

    async fn a_listed_object_is_the_one_that_is_there(place: &Place) {
        let storage = &place.storage;
        let stored = storage.put("one/a.txt", "12345").await.unwrap();
        let page = storage.list("one").page().await.unwrap();
        let [object] = page.objects.as_slice() else {
            panic!("{} objects", page.objects.len());
        };
        assert_eq!(object.size, stored.size);
        let info = storage.head("one/a.txt").await.unwrap();
        let apart = (object.last_modified - info.last_modified).abs();
        // One of the two may know whole seconds only.
        assert!(apart <= time::Duration::SECOND, "{apart}");
        if object.etag.is_some() {
            assert_eq!(object.etag, stored.etag);
        }
    }

    async fn folders_are_told_from_objects(place: &Place) {
        let storage = &place.storage;
        fill(storage).await;
        let folder = storage.folders("list").await.unwrap();
        let folders: Vec<String> = folder.folders.iter().map(ToString::to_string).collect();
        let objects: Vec<String> = folder.objects.iter().map(|object| object.key.to_string()).collect();
        assert_eq!(folders, ["list/a", "list/b"]);
        assert_eq!(objects, ["list/a-b.txt", "list/a.txt", "list/z.txt", "list/Ä.txt"]);
    }

    async fn more_than_a_page_of_a_backend_is_listed(place: &Place) {
        let storage = &place.storage;
        if place.kind == crate::place::Kind::Endpoint {
            return;
        }
        for number in 0..MANY {
            storage.put(format!("many/{number:05}"), "").await.unwrap();
        }
        let all = listed(storage, "many").await;
        assert_eq!(all.len(), MANY);
        assert!(all.is_sorted());
        let page = storage.list("many").page_size(1_000).page().await.unwrap();
        assert_eq!(page.objects.len(), 1_000);
        assert!(page.next.is_some());
    }
}
