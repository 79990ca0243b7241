// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The folder against a real file system: what is visible when, who wins, and what is left behind.

use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UpdateVersion,
};

use super::{FolderStore, staging};

mod reading;

/// A folder that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("forktex-folder-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn store(&self) -> FolderStore {
        FolderStore::open(&self.root()).unwrap()
    }

    fn staged(&self) -> Vec<PathBuf> {
        files(&self.root().join(".forktex-storage/staging"))
    }

    fn attributes(&self) -> Vec<PathBuf> {
        files(&self.root().join(".forktex-storage/attributes"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// All files below a folder.
fn files(folder: &FilePath) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

async fn put(store: &FolderStore, key: &str, text: &'static str) -> PutResult {
    store
        .put(&Path::parse(key).unwrap(), text.into())
        .await
        .unwrap()
}

async fn text(store: &FolderStore, key: &str) -> String {
    let found = store.get(&Path::parse(key).unwrap()).await.unwrap();
    String::from_utf8(found.bytes().await.unwrap().to_vec()).unwrap()
}

async fn keys(store: &FolderStore, prefix: Option<&str>, offset: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(|prefix| Path::parse(prefix).unwrap());
    let found = match offset {
        Some(offset) => store.list_with_offset(prefix.as_ref(), &Path::parse(offset).unwrap()),
        None => store.list(prefix.as_ref()),
    };
    found
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .unwrap()
}

fn described() -> Attributes {
    Attributes::from_iter([
        (Attribute::ContentType, "text/plain"),
        (Attribute::Metadata("owner".into()), "someone"),
    ])
}

#[tokio::test]
async fn attributes_survive_and_belong_to_their_version() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("a/b");
    let options = PutOptions::from(described());
    store.put_opts(&key, "one".into(), options).await.unwrap();

    let reopened = scratch.store();
    let found = reopened.get(&key).await.unwrap();
    assert_eq!(found.attributes, described());

    put(&store, "a/b", "two").await;
    assert_eq!(store.get(&key).await.unwrap().attributes, Attributes::new());
    let left = scratch.attributes();
    assert!(
        left.iter().all(|file| file.ends_with("lock")),
        "older attributes are left: {left:?}"
    );
    store.delete(&key).await.unwrap();
    assert_eq!(scratch.attributes(), Vec::<PathBuf>::new());
    assert!(scratch.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn if_absent_has_one_winner_among_twenty() {
    let scratch = Scratch::new();
    let key = Path::from("deep/in/there");
    let writers: FuturesUnordered<_> = (0..20)
        .map(|number: u32| {
            // Each its own store, as if it were its own process.
            let store = scratch.store();
            let key = key.clone();
            tokio::spawn(async move {
                let payload = PutPayload::from(number.to_string());
                let options = PutOptions::from(PutMode::Create);
                store.put_opts(&key, payload, options).await.map(|_| number)
            })
        })
        .collect();
    let results: Vec<_> = writers.map(Result::unwrap).collect().await;
    let winners: Vec<u32> = results.iter().flatten().copied().collect();
    assert_eq!(winners.len(), 1);
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Ok(_) | Err(Error::AlreadyExists { .. })))
    );
    let store = scratch.store();
    assert_eq!(text(&store, "deep/in/there").await, winners[0].to_string());
    assert!(scratch.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn if_match_loses_no_update() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "counter", "0").await;
    let writers: FuturesUnordered<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let key = Path::from("counter");
                for _attempt in 0..1_000 {
                    let found = store.get(&key).await.unwrap();
                    let version = UpdateVersion {
                        e_tag: found.meta.e_tag.clone(),
                        version: None,
                    };
                    let bytes = found.bytes().await.unwrap();
                    let number: u32 = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
                    let next = PutPayload::from((number + 1).to_string());
                    let options = PutOptions::from(PutMode::Update(version));
                    match store.put_opts(&key, next, options).await {
                        Ok(_) => return,
                        Err(Error::Precondition { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                panic!("the update never got through");
            })
        })
        .collect();
    let done: Vec<_> = writers.collect().await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(text(&store, "counter").await, "8");
}

#[tokio::test]
async fn an_update_of_what_is_not_there_is_refused() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let old = put(&store, "a", "one").await;
    let new = put(&store, "a", "two").await;
    assert_ne!(old.e_tag, new.e_tag);
    for key in ["a", "absent"] {
        let options = PutOptions::from(PutMode::Update(UpdateVersion::from(old.clone())));
        let refused = store.put_opts(&Path::from(key), "x".into(), options).await;
        assert!(matches!(refused, Err(Error::Precondition { .. })), "{key}");
    }
    assert_eq!(text(&store, "a").await, "two");
    assert!(scratch.staged().is_empty());
}

#[tokio::test]
async fn a_version_never_comes_twice() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let result = put(&store, "a", "same").await;
        assert!(seen.insert(result.e_tag), "{seen:?}");
    }
}

#[tokio::test]
async fn an_upload_is_visible_only_when_it_is_finished() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("big");
    let options = PutMultipartOptions::from(described());
    let mut upload = store.put_multipart_opts(&key, options).await.unwrap();
    let first = upload.put_part("hello ".into());
    let second = upload.put_part("world".into());
    // In any order.
    second.await.unwrap();
    assert!(matches!(
        upload.complete().await,
        Err(Error::Generic { .. })
    ));
    first.await.unwrap();
    assert!(matches!(
        store.head(&key).await,
        Err(Error::NotFound { .. })
    ));
    upload.complete().await.unwrap();
    assert_eq!(text(&store, "big").await, "hello world");
    assert_eq!(store.get(&key).await.unwrap().attributes, described());
    assert!(scratch.staged().is_empty());
}

#[tokio::test]
async fn an_upload_keeps_the_mode_that_its_extensions_carry() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a", "first").await;
    let mut options = PutMultipartOptions::default();
    options.extensions.insert(PutMode::Create);
    let mut upload = store
        .put_multipart_opts(&Path::from("a"), options)
        .await
        .unwrap();
    upload.put_part("second".into()).await.unwrap();
    let refused = upload.complete().await;
    assert!(matches!(refused, Err(Error::AlreadyExists { .. })));
    upload.abort().await.unwrap();
    assert_eq!(text(&store, "a").await, "first");
    assert!(scratch.staged().is_empty());
}

/// The state that a killed process leaves: a staging file.
#[tokio::test]
async fn a_crash_before_the_rename_leaves_nothing_visible_and_is_swept() {
    let scratch = Scratch::new();
    let store = scratch.store();
    put(&store, "a", "old").await;
    let staged = store.stage().await.unwrap();
    staged
        .write(0, vec![Bytes::from_static(b"half")])
        .await
        .unwrap();
    // The process ends here: nothing of `staged` is dropped.
    std::mem::forget(staged);

    let restarted = scratch.store();
    assert_eq!(keys(&restarted, None, None).await, ["a"]);
    assert_eq!(text(&restarted, "a").await, "old");
    assert_eq!(scratch.staged().len(), 1);

    let young = restarted.sweep(Duration::from_hours(1)).await.unwrap();
    assert!(young.names.is_empty());
    let swept = restarted.sweep(Duration::ZERO).await.unwrap();
    assert_eq!((swept.names.len(), swept.bytes), (1, 4));
    assert!(scratch.staged().is_empty());
    assert_eq!(keys(&restarted, None, None).await, ["a"]);
}

#[tokio::test]
async fn a_sweep_takes_only_what_is_old_enough() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let staged = store.stage().await.unwrap();
    let hour = Duration::from_hours(1);
    let now = SystemTime::now();
    let before = staging::sweep(&store.root, hour, now + hour / 2).unwrap();
    assert!(before.names.is_empty());
    let after = staging::sweep(&store.root, hour, now + hour * 2).unwrap();
    assert_eq!(after.names.len(), 1);
    let ended = staged
        .place(Path::from("a"), Attributes::new(), PutMode::Overwrite)
        .await;
    assert!(ended.unwrap_err().to_string().contains("swept"));
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut upload = store.put_multipart(&Path::from("a")).await.unwrap();
    upload.put_part("text".into()).await.unwrap();
    assert_eq!(scratch.staged().len(), 1);
    upload.abort().await.unwrap();
    assert!(scratch.staged().is_empty());
    assert!(upload.complete().await.is_err());
}

#[tokio::test]
async fn a_dropped_upload_is_removed_in_the_background() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let upload = store.put_multipart(&Path::from("a")).await.unwrap();
    drop(upload);
    let gone = tokio::time::timeout(Duration::from_secs(10), async {
        while !scratch.staged().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    gone.await.unwrap();
}

/// Deleting removes folders that are empty; a writer at that moment must not lose its object.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delete_that_removes_folders_never_loses_a_new_object() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for round in 0..20 {
        let tasks: FuturesUnordered<_> = (0..4)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let gone = Path::from(format!("x/y/gone-{number}"));
                    let kept = Path::from(format!("x/y/kept-{number}"));
                    store.put(&gone, "x".into()).await.unwrap();
                    let (deleted, stored) =
                        tokio::join!(store.delete(&gone), store.put(&kept, "x".into()));
                    deleted.unwrap();
                    stored.unwrap();
                    assert!(store.head(&kept).await.is_ok());
                    store.delete(&kept).await.unwrap();
                })
            })
            .collect();
        let done: Vec<_> = tasks.collect().await;
        assert!(done.iter().all(Result::is_ok), "round {round}");
    }
    assert!(!scratch.root().join("x").exists());
    assert_eq!(scratch.attributes(), Vec::<PathBuf>::new());
}

/// A reader must never see the bytes of one version with the attributes of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bytes_and_attributes_belong_together_under_writers() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Path::from("a");
    let write = |store: FolderStore, key: Path, number: u32| async move {
        let options = PutOptions::from(Attributes::from_iter([(
            Attribute::Metadata("number".into()),
            number.to_string(),
        )]));
        let payload = PutPayload::from(number.to_string());
        store.put_opts(&key, payload, options).await
    };
    write(store.clone(), key.clone(), 0).await.unwrap();
    let writer = tokio::spawn({
        let (store, key) = (store.clone(), key.clone());
        async move {
            for number in 1..60 {
                write(store.clone(), key.clone(), number).await.unwrap();
            }
        }
    });
    let mut reads = 0;
    while !writer.is_finished() || reads == 0 {
        let found = store.get(&key).await.unwrap();
        let told = found
            .attributes
            .get(&Attribute::Metadata("number".into()))
            .unwrap()
            .to_string();
        assert_eq!(found.bytes().await.unwrap(), told);
        reads += 1;
    }
    writer.await.unwrap();
}
