// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `list` and `folders`: which objects there are under a prefix.
//!
//! A list is in the order of the keys' bytes, and goes by pages that know where they ended. It promises no
//! snapshot: what is written meanwhile may be in it or not.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

use crate::error::StorageError;
use crate::key::{IntoKey, IntoPrefix, Key, KeyError, Prefix};
use crate::object::time_of;
use crate::storage::Storage;

/// The most objects of a page.
const PAGE_SIZE_MAX: usize = 1_000;

/// The operation, as errors name it.
const LIST: &str = "list";

/// What a cursor begins with: the version of its form.
const CURSOR_VERSION: &str = "1.";

impl Storage {
    /// The objects under a prefix, in the order of the bytes of their keys. Take a [`List::page`] or a
    /// [`List::stream`].
    ///
    /// The prefix counts by whole segments: `a` finds `a/b`, and neither `ab` nor `a` itself. The empty
    /// prefix finds all. Objects whose keys this crate would refuse are left out, with a line in the log.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// for key in ["a/1", "a/2", "a/3", "b/1"] {
    ///     storage.put(key, "x").await?;
    /// }
    /// let first = storage.list("a").page_size(2).page().await?;
    /// assert_eq!(first.objects.len(), 2);
    ///
    /// let next = storage.list("a").cursor(first.next.unwrap()).page().await?;
    /// assert_eq!(next.objects[0].key.as_str(), "a/3");
    /// assert!(next.next.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, prefix: impl IntoPrefix) -> List {
        List {
            storage: self.clone(),
            prefix: prefix.into_prefix(),
            after: None,
            page_size: PAGE_SIZE_MAX,
        }
    }

    /// What is directly under a prefix: objects, and the prefixes of those that are deeper, as a folder
    /// has files and folders.
    ///
    /// All of it is held in memory, some 200 bytes an entry: for a prefix with very many, use
    /// [`list`](Self::list). It is one request for each 1,000 entries, 5,000 on Azure.
    ///
    /// # Errors
    /// [`StorageError::Key`], [`StorageError::Denied`], [`StorageError::Unavailable`].
    ///
    /// # Cancellation
    /// Dropping it changes nothing.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// for key in ["a/1", "a/b/2", "a/b/3"] {
    ///     storage.put(key, "x").await?;
    /// }
    /// let folder = storage.folders("a").await?;
    /// assert_eq!(folder.folders[0].as_str(), "a/b");
    /// assert_eq!(folder.objects[0].key.as_str(), "a/1");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn folders(&self, prefix: impl IntoPrefix) -> Result<Folder, StorageError> {
        let prefix = prefix.into_prefix()?;
        let path = self.full_prefix(&prefix)?.to_path();
        let result = self
            .store()
            .list_with_delimiter(Some(&path))
            .await
            .map_err(|error| {
                StorageError::from_store(LIST, self.bucket_name(), prefix.as_str(), error)
            })?;
        let mut folder = Folder::default();
        for path in result.common_prefixes {
            match self.strip(path.as_ref()) {
                Some(key) => folder.folders.push(Prefix::new(key.as_str())?),
                None => left_out(self, path.as_ref()),
            }
        }
        for meta in &result.objects {
            folder.objects.extend(listed(self, meta));
        }
        folder.folders.sort_unstable();
        folder.objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(folder)
    }
}

/// A list that was not asked for yet. See [`Storage::list`].
#[derive(Clone, Debug)]
#[must_use = "nothing is listed until `page` or `stream` is called"]
pub struct List {
    storage: Storage,
    prefix: Result<Prefix, KeyError>,
    after: Option<Result<Key, KeyError>>,
    page_size: usize,
}

impl List {
    /// Begins after this key, which need not exist. It replaces a [`cursor`](Self::cursor).
    pub fn after(mut self, key: impl IntoKey) -> Self {
        self.after = Some(key.into_key());
        self
    }

    /// Goes on where a page ended. It replaces an [`after`](Self::after).
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.after = Some(Ok(cursor.0));
        self
    }

    /// How many objects a page has at most: 1 to 1,000, and 1,000 without it. What is outside is brought
    /// to the nearer end. Services answer with up to 1,000 objects (Azure 5,000) whatever is asked, so
    /// smaller pages save nothing on the way.
    pub fn page_size(mut self, objects: usize) -> Self {
        self.page_size = objects.clamp(1, PAGE_SIZE_MAX);
        self
    }

    /// The next page. It is one request, where no object is left out.
    ///
    /// A full page always says where to go on, so the one after the last object may be empty.
    ///
    /// # Errors
    /// [`StorageError::Key`], [`StorageError::Denied`], [`StorageError::Unavailable`].
    ///
    /// # Cancellation
    /// Dropping it changes nothing.
    pub async fn page(self) -> Result<Page, StorageError> {
        let page_size = self.page_size;
        let mut stream = self.objects()?;
        let mut objects = Vec::new();
        while objects.len() < page_size {
            match stream.try_next().await? {
                Some(object) => objects.push(object),
                None => {
                    return Ok(Page {
                        objects,
                        next: None,
                    });
                }
            }
        }
        let next = objects.last().map(|object| Cursor(object.key.clone()));
        Ok(Page { objects, next })
    }

    /// All objects, as they come: one request for each 1,000 of them, and memory for as many. After an
    /// error it ends.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// # use forktex_storage::{Storage, StorageError};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), StorageError> {
    /// let storage = Storage::memory();
    /// storage.put("a/1", "12").await?;
    /// storage.put("a/2", "345").await?;
    /// let sizes = storage.list("a").stream().map_ok(|object| object.size);
    /// assert_eq!(sizes.try_collect::<Vec<_>>().await?, [2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(self) -> impl Stream<Item = Result<ListedObject, StorageError>> + Send + use<> {
        match self.objects() {
            Ok(stream) => stream,
            Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
        }
    }

    fn objects(
        self,
    ) -> Result<BoxStream<'static, Result<ListedObject, StorageError>>, StorageError> {
        let (storage, prefix) = (self.storage, self.prefix?);
        let path = storage.full_prefix(&prefix)?.to_path();
        let stream = match self.after {
            None => storage.store().list(Some(&path)),
            Some(after) => {
                let after = storage.full_key(&after?)?.to_path();
                storage.store().list_with_offset(Some(&path), &after)
            }
        };
        let objects = stream
            .map_err({
                let storage = storage.clone();
                move |error| {
                    StorageError::from_store(LIST, storage.bucket_name(), prefix.as_str(), error)
                }
            })
            .try_filter_map(move |meta| {
                let object = listed(&storage, &meta);
                async move { Ok(object) }
            });
        Ok(until_error(objects).boxed())
    }
}

/// The stream up to its first error, which is its last item.
fn until_error<S>(stream: S) -> impl Stream<Item = S::Item>
where
    S: Stream<Item = Result<ListedObject, StorageError>> + Send + 'static,
{
    stream.scan(false, |failed, item| {
        let item = (!*failed).then_some(item);
        *failed |= matches!(item, Some(Err(_)));
        async move { item }
    })
}

/// An object as a list tells of it. Its type and its metadata take a [`Storage::head`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedObject {
    /// Its key, within the storage that was asked.
    pub key: Key,
    /// How many bytes it has.
    pub size: u64,
    /// What conditions compare, in its quotes.
    pub etag: Option<String>,
    /// When it was written, in UTC.
    pub last_modified: OffsetDateTime,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The objects, in the order of the bytes of their keys.
    pub objects: Vec<ListedObject>,
    /// Where the next page begins; nothing where there is none.
    pub next: Option<Cursor>,
}

/// What is directly under a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folder {
    /// The prefixes of the objects that are deeper, sorted.
    pub folders: Vec<Prefix>,
    /// The objects, sorted by key.
    pub objects: Vec<ListedObject>,
}

/// Where a page ended. It is a text for whoever asks for the next page, and says nothing but a key: it
/// leads nowhere that [`List::after`] would not.
///
/// # Examples
/// ```
/// # use forktex_storage::{Storage, StorageError};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = Storage::memory();
/// storage.put("a/1", "x").await?;
/// let page = storage.list("a").page_size(1).page().await?;
/// let text = page.next.unwrap().to_string();
/// assert!(storage.list("a").cursor(text.parse()?).page().await?.objects.is_empty());
/// assert!("nonsense".parse::<forktex_storage::Cursor>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(Key);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64URL_NOPAD.encode(self.0.as_str().as_bytes());
        write!(f, "{CURSOR_VERSION}{key}")
    }
}

impl FromStr for Cursor {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self, StorageError> {
        text.strip_prefix(CURSOR_VERSION)
            .and_then(|key| BASE64URL_NOPAD.decode(key.as_bytes()).ok())
            .and_then(|key| String::from_utf8(key).ok())
            .and_then(|key| Key::new(key).ok())
            .map(Self)
            .ok_or_else(|| {
                StorageError::option(
                    "cursor",
                    "it is none of this library's; begin at the first page",
                )
            })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

fn listed(storage: &Storage, meta: &ObjectMeta) -> Option<ListedObject> {
    let Some(key) = storage.strip(meta.location.as_ref()) else {
        left_out(storage, meta.location.as_ref());
        return None;
    };
    Some(ListedObject {
        key,
        size: meta.size,
        etag: meta.e_tag.clone(),
        last_modified: time_of(meta.last_modified),
    })
}

fn left_out(storage: &Storage, key: &str) {
    tracing::warn!(
        bucket = storage.bucket_name(),
        ?key,
        "an object is left out of a list: its key is none that this library takes"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn filled(keys: usize) -> Storage {
        let storage = Storage::memory();
        for number in 0..keys {
            storage.put(format!("a/{number:04}"), "x").await.unwrap();
        }
        storage
    }

    #[tokio::test]
    async fn pages_meet_without_a_gap_or_an_overlap() {
        let storage = filled(25).await;
        let (mut keys, mut cursor) = (Vec::new(), None);
        for _ in 0..10 {
            let list = storage.list("a").page_size(7);
            let list = match cursor.take() {
                Some(cursor) => list.cursor(cursor),
                None => list,
            };
            let page = list.page().await.unwrap();
            keys.extend(
                page.objects
                    .into_iter()
                    .map(|object| object.key.to_string()),
            );
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<_> = (0..25).map(|number| format!("a/{number:04}")).collect();
        assert_eq!(keys, expected);
    }

    #[tokio::test]
    async fn a_full_page_says_where_to_go_on_even_at_the_end() {
        let storage = filled(2).await;
        let page = storage.list("a").page_size(2).page().await.unwrap();
        let next = storage
            .list("a")
            .cursor(page.next.unwrap())
            .page()
            .await
            .unwrap();
        assert_eq!(next, Page::default());
    }

    #[tokio::test]
    async fn a_tenant_sees_its_own_objects_and_its_own_keys() {
        let storage = Storage::memory();
        for org in ["one", "two"] {
            let storage = storage.for_org(org).unwrap();
            storage.put(format!("{org}.txt"), "x").await.unwrap();
        }
        let one = storage.for_org("one").unwrap();
        let page = one.list("").page().await.unwrap();
        let keys: Vec<_> = page
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect();
        assert_eq!(keys, ["one.txt"]);
        assert!(one.folders("").await.unwrap().folders.is_empty());
    }

    #[tokio::test]
    async fn a_wrong_prefix_or_key_is_refused() {
        let storage = Storage::memory();
        assert!(storage.list("../a").page().await.is_err());
        assert!(storage.list("").after("../a").page().await.is_err());
        let items: Vec<_> = storage.list("a//b").stream().collect().await;
        assert_eq!(items.len(), 1);
        assert!(items[0].is_err());
    }

    #[test]
    fn cursors_are_texts_that_are_checked() {
        let cursor = Cursor(Key::new("a/\u{fc} 1").unwrap());
        let text = cursor.to_string();
        assert!(text.is_ascii());
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        let climbing = format!("1.{}", BASE64URL_NOPAD.encode(b"../x"));
        for wrong in ["", "1.", "1.\u{fc}", "2.YQ", "YQ", climbing.as_str()] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
