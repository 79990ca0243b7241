// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads, lists, copies and deletes, and what no key reaches.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt,
    PutOptions,
};

use super::super::FolderStore;
use super::{Scratch, described, files, keys, put, text};
use crate::StorageError;

#[tokio::test]
async fn a_file_put_there_by_hand_is_an_object_without_attributes() {
    let scratch = Scratch::new();
    let store = scratch.store();
    std::fs::create_dir(scratch.root().join("hand")).unwrap();
    std::fs::write(scratch.root().join("hand/made.txt"), "hello").unwrap();
    let found = store.get(&Path::from("hand/made.txt")).await.unwrap();
    assert_eq!(found.attributes, Attributes::new());
    assert_eq!(found.meta.size, 5);
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_leave_the_root_are_refused() {
    use std::os::unix::fs::symlink;

    let scratch = Scratch::new();
    let store = scratch.store();
    let outside = scratch.0.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, scratch.root().join("absolute")).unwrap();
    symlink("../outside", scratch.root().join("relative")).unwrap();
    symlink("../outside/secret", scratch.root().join("file")).unwrap();

    for key in ["absolute/secret", "relative/secret", "file"] {
        let key = Path::from(key);
        let read = store.get(&key).await;
        assert!(
            matches!(read, Err(Error::PermissionDenied { .. })),
            "{key}: {read:?}"
        );
        let written = store.put(&key, "overwritten".into()).await;
        assert!(
            matches!(written, Err(Error::PermissionDenied { .. })),
            "{key}"
        );
    }
    for key in ["absolute/secret", "relative/secret"] {
        let deleted = store.delete(&Path::from(key)).await;
        assert!(
            matches!(deleted, Err(Error::PermissionDenied { .. })),
            "{key}"
        );
        let planted = store
            .put(&Path::parse(format!("{key}2")).unwrap(), "x".into())
            .await;
        assert!(
            matches!(planted, Err(Error::PermissionDenied { .. })),
            "{key}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(outside.join("secret")).unwrap(),
        "secret"
    );
    assert_eq!(files(&outside).len(), 1);
    assert!(keys(&store, None, None).await.is_empty());
    assert!(scratch.staged().is_empty());
}

#[tokio::test]
async fn the_backends_own_folder_is_out_of_reach() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a", "text").await;
    let own = Path::from(".forktex-storage/staging/x");
    assert!(store.put(&own, "x".into()).await.is_err());
    assert!(store.get(&own).await.is_err());
    assert!(store.delete(&own).await.is_err());
    assert!(store.copy(&Path::from("a"), &own).await.is_err());
    assert_eq!(keys(&store, None, None).await, ["a"]);
    assert!(
        keys(&store, Some(".forktex-storage"), None)
            .await
            .is_empty()
    );
    let level = store.list_with_delimiter(None).await.unwrap();
    assert!(level.common_prefixes.is_empty());
}

#[tokio::test]
async fn a_key_that_is_the_folder_of_another_clashes() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a", "object").await;
    put(&store, "b/c", "object").await;
    for key in ["a/x", "a/x/y", "b"] {
        let clash = store.put(&Path::from(key), "x".into()).await.unwrap_err();
        let told = StorageError::from_store("write", "default", key, clash);
        assert!(
            matches!(told, StorageError::InvalidOption { .. }),
            "{told:?}"
        );
        assert!(told.to_string().contains(key), "{told}");
    }
    assert!(matches!(
        store.get(&Path::from("a/x")).await,
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        store.get(&Path::from("b")).await,
        Err(Error::NotFound { .. })
    ));
    assert!(scratch.staged().is_empty());
    // A folder that holds nothing is in nobody's way.
    std::fs::create_dir(scratch.root().join("empty")).unwrap();
    put(&store, "empty", "object").await;
    assert_eq!(text(&store, "empty").await, "object");
}

#[tokio::test]
async fn lists_follow_the_bytes_of_keys() {
    let scratch = Scratch::new();
    let store = scratch.store();
    // `.` and `-` sort before `/`, digits and letters behind it.
    let mut expected = vec![
        "a/b/c", "a/b.txt", "a/b-x", "a.txt", "a0", "a/b0", "z/1", "ä", "B",
    ];
    for key in &expected {
        put(&store, key, "x").await;
    }
    expected.sort_unstable();
    assert_eq!(keys(&store, None, None).await, expected);
    assert_eq!(
        keys(&store, Some("a"), None).await,
        ["a/b-x", "a/b.txt", "a/b/c", "a/b0"]
    );
    assert!(keys(&store, Some("a/b.txt"), None).await.is_empty());
    assert!(keys(&store, Some("nothing/here"), None).await.is_empty());
    for (index, offset) in expected.iter().enumerate() {
        assert_eq!(
            keys(&store, None, Some(offset)).await,
            expected[index + 1..]
        );
    }
}

#[tokio::test]
async fn a_level_has_objects_and_folders_that_hold_some() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for key in ["top", "a/one", "a/b/two", "c/d/e/three"] {
        put(&store, key, "x").await;
    }
    std::fs::create_dir_all(scratch.root().join("empty/empty")).unwrap();
    let level = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(level.common_prefixes, [Path::from("a"), Path::from("c")]);
    assert_eq!(level.objects.len(), 1);
    let below = store
        .list_with_delimiter(Some(&Path::from("a")))
        .await
        .unwrap();
    assert_eq!(below.common_prefixes, [Path::from("a/b")]);
    assert_eq!(below.objects[0].location, Path::from("a/one"));
}

#[tokio::test]
async fn more_objects_than_one_batch_are_all_listed() {
    let scratch = Scratch::new();
    let store = scratch.store();
    std::fs::create_dir(scratch.root().join("many")).unwrap();
    for number in 0..2_500 {
        std::fs::write(scratch.root().join(format!("many/{number:05}")), "").unwrap();
    }
    let found = keys(&store, Some("many"), None).await;
    assert_eq!(found.len(), 2_500);
    assert!(found.is_sorted());
}

#[tokio::test]
async fn ranges_are_exact_and_those_behind_the_end_are_refused() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("a");
    put(&store, "a", "0123456789").await;
    let read = async |range: GetRange| {
        let options = GetOptions::new().with_range(Some(range));
        let found = store.get_opts(&key, options).await?;
        let range = found.range.clone();
        let bytes = found.bytes().await?;
        assert_eq!(bytes.len() as u64, range.end - range.start);
        Ok::<_, Error>(String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(read(GetRange::Bounded(2..5)).await.unwrap(), "234");
    assert_eq!(read(GetRange::Bounded(8..99)).await.unwrap(), "89");
    assert_eq!(read(GetRange::Offset(7)).await.unwrap(), "789");
    assert_eq!(read(GetRange::Suffix(2)).await.unwrap(), "89");
    assert_eq!(read(GetRange::Suffix(99)).await.unwrap(), "0123456789");
    for range in [
        GetRange::Bounded(10..12),
        GetRange::Bounded(3..3),
        GetRange::Offset(10),
    ] {
        let error = read(range).await.unwrap_err();
        let told = StorageError::from_store("read", "default", "a", error);
        assert!(
            matches!(told, StorageError::InvalidRange { .. }),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn a_large_object_comes_in_pieces_of_one_mebibyte() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("large");
    let content: Vec<u8> = (0..2_500_000_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    store.put(&key, content.clone().into()).await.unwrap();
    let pieces: Vec<Bytes> = store
        .get(&key)
        .await
        .unwrap()
        .into_stream()
        .try_collect()
        .await
        .unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= 1024 * 1024));
    assert_eq!(pieces.concat(), content);
}

#[tokio::test]
async fn what_was_opened_stays_one_version() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("a");
    put(&store, "a", "old").await;
    let opened = store.get(&key).await.unwrap();
    put(&store, "a", "newer").await;
    assert_eq!(opened.bytes().await.unwrap(), "old");
    let opened = store.get(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(opened.bytes().await.unwrap(), "newer");
}

#[tokio::test]
async fn conditions_are_checked_and_versions_refused() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("a");
    let etag = put(&store, "a", "text").await.e_tag.unwrap();
    let get =
        async |options: GetOptions| store.get_opts(&key, options).await.map(|found| found.meta);
    let matches = GetOptions::new().with_if_match(Some(etag.clone()));
    assert_eq!(get(matches).await.unwrap().e_tag, Some(etag.clone()));
    let other = GetOptions::new().with_if_match(Some("other"));
    assert!(matches!(get(other).await, Err(Error::Precondition { .. })));
    let known = GetOptions::new().with_if_none_match(Some(etag));
    assert!(matches!(get(known).await, Err(Error::NotModified { .. })));
    let version = GetOptions::new().with_version(Some("1"));
    assert!(get(version).await.is_err());
}

#[tokio::test]
async fn copies_carry_attributes_and_keep_their_mode() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let (from, to) = (Path::from("from"), Path::from("some/where/to"));
    let options = PutOptions::from(described());
    store.put_opts(&from, "text".into(), options).await.unwrap();
    store.copy(&from, &to).await.unwrap();
    assert_eq!(text(&store, "some/where/to").await, "text");
    assert_eq!(store.get(&to).await.unwrap().attributes, described());
    let create = CopyOptions::new().with_mode(CopyMode::Create);
    let refused = store.copy_opts(&from, &to, create).await;
    assert!(matches!(refused, Err(Error::AlreadyExists { .. })));
    store.copy(&from, &from).await.unwrap();
    assert_eq!(store.get(&from).await.unwrap().attributes, described());
    let absent = store.copy(&Path::from("absent"), &to).await;
    assert!(matches!(absent, Err(Error::NotFound { .. })));
    store.rename(&from, &Path::from("renamed")).await.unwrap();
    assert_eq!(keys(&store, None, None).await, ["renamed", "some/where/to"]);
    assert!(scratch.staged().is_empty());
}

#[tokio::test]
async fn deleting_is_idempotent_and_takes_empty_folders_along() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a/b/c", "x").await;
    put(&store, "a/d", "x").await;
    let paths = ["a/b/c", "absent", "a/b", "a/d/below"].map(|key| Ok(Path::from(key)));
    let deleted: Vec<_> = store
        .delete_stream(stream::iter(paths).boxed())
        .collect()
        .await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    assert!(!scratch.root().join("a/b").exists());
    assert_eq!(keys(&store, None, None).await, ["a/d"]);
    store.delete(&Path::from("a/d")).await.unwrap();
    assert!(!scratch.root().join("a").exists());
    assert_eq!(scratch.attributes(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn tags_are_refused_rather_than_dropped() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut options = PutOptions::default();
    options.tags.push("a", "b");
    let refused = store.put_opts(&Path::from("a"), "x".into(), options).await;
    assert!(refused.is_err());
    assert!(keys(&store, None, None).await.is_empty());
}

#[test]
fn a_root_that_cannot_be_made_says_which() {
    let scratch = Scratch::new();
    let file = scratch.0.join("file");
    std::fs::write(&file, "").unwrap();
    let error = FolderStore::open(&file.join("root")).unwrap_err();
    assert!(matches!(error, StorageError::Io { .. }));
    assert!(error.to_string().contains("file/root"), "{error}");
}

#[test]
fn the_store_can_be_shared() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Arc<FolderStore>>();
}
