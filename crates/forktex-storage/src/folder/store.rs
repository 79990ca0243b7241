// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The folder as an [`ObjectStore`].
//!
//! It keeps what the trait promises and what it leaves open: modes are exact, attributes survive, a
//! missing object is deleted without an error. Tags and versions are refused, since a folder has none.
//! The extensions of [`PutMultipartOptions`] may carry a [`PutMode`], which then holds for the end of the
//! upload.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, TagSet, UploadPart,
};

use super::attributes::KeyLock;
use super::read::PIECE_BYTES_MAX;
use super::{FolderError, FolderStore, Root, Staged, blocking, list, path, read};

/// How many objects of one call are deleted at once.
const DELETES_PARALLEL: usize = 8;

#[async_trait]
impl ObjectStore for FolderStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        refuse_tags(location, &opts.tags)?;
        path::object_key(location)?;
        let root = Arc::clone(&self.root);
        let location = location.clone();
        blocking(move || {
            Staged::at_once(root, |staged| {
                staged.write_now(0, payload.as_ref())?;
                staged.place_now(&location, &opts.attributes, &opts.mode)
            })
        })
        .await
        .map(put_result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        refuse_tags(location, &opts.tags)?;
        path::object_key(location)?;
        let mode = opts.extensions.get::<PutMode>().cloned();
        Ok(Box::new(FolderUpload {
            location: location.clone(),
            attributes: opts.attributes,
            mode: mode.unwrap_or_default(),
            bytes: 0,
            staged: Some(self.stage().await?),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.version.is_some() {
            return Err(unsupported(location, "a version"));
        }
        let mut opened = self.open_object(location.clone()).await?;
        options.check_preconditions(&opened.meta)?;
        let range = opened.resolve(options.range.as_ref())?;
        let meta = opened.meta.clone();
        let attributes = std::mem::take(&mut opened.attributes);
        let payload = if options.head {
            stream::empty().boxed()
        } else {
            opened.stream(range.clone(), PIECE_BYTES_MAX)
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes,
            extensions: object_store::Extensions::new(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let root = Arc::clone(&self.root);
        locations
            .map(move |location| {
                let root = Arc::clone(&root);
                async move {
                    let location = location?;
                    blocking(move || delete(&root, &location).map(|()| location)).await
                }
            })
            .buffered(DELETES_PARALLEL)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        list::list(Arc::clone(&self.root), prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        list::list(
            Arc::clone(&self.root),
            prefix.cloned(),
            Some(offset.clone()),
        )
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let root = Arc::clone(&self.root);
        let prefix = prefix.cloned();
        blocking(move || list::level(&root, prefix.as_ref())).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        path::object_key(to)?;
        let root = Arc::clone(&self.root);
        let (from, to) = (from.clone(), to.clone());
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        blocking(move || copy(root, &from, &to, &mode)).await
    }
}

/// A multipart upload: parts go to their places in one staging file, in any order.
#[derive(Debug)]
struct FolderUpload {
    location: Path,
    attributes: Attributes,
    mode: PutMode,
    /// How many bytes the parts have that were handed in, which is where the next one begins.
    bytes: u64,
    /// Nothing after the end.
    staged: Option<Arc<Staged>>,
}

impl FolderUpload {
    fn staged(&self) -> Result<Arc<Staged>> {
        self.staged.clone().ok_or_else(|| {
            let key = self.location.to_string();
            FolderError::UploadEnded { key }.into()
        })
    }
}

#[async_trait]
impl MultipartUpload for FolderUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let offset = self.bytes;
        self.bytes += data.content_length() as u64;
        let staged = self.staged();
        Box::pin(async move {
            let staged = staged?;
            staged.write(offset, data.into_iter().collect()).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged()?;
        let written = staged.written();
        if written != self.bytes {
            return Err(FolderError::PartsMissing {
                key: self.location.to_string(),
                written,
                expected: self.bytes,
            }
            .into());
        }
        let (location, attributes) = (self.location.clone(), self.attributes.clone());
        let meta = staged
            .place(location, attributes, self.mode.clone())
            .await?;
        self.staged = None;
        Ok(put_result(meta))
    }

    async fn abort(&mut self) -> Result<()> {
        if let Some(staged) = self.staged.take() {
            staged.discard().await;
        }
        Ok(())
    }
}

/// Copies one version with its attributes. Where the file system can share the bytes, it does.
fn copy(root: Arc<Root>, from: &Path, to: &Path, mode: &PutMode) -> Result<()> {
    let (mut file, meta, attributes) = read::open(&root, from)?.into_parts();
    Staged::at_once(root, |staged| {
        staged.write_file(&mut file)?;
        if staged.written() != meta.size {
            let shorter = io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file changed while it was copied",
            );
            return Err(path::failure(from.as_ref(), shorter));
        }
        staged.place_now(to, &attributes, mode)
    })
    .map(|_| ())
}

/// Deletes an object, if there is one, and the folders that are empty without it.
fn delete(root: &Root, location: &Path) -> Result<()> {
    let key = path::object_key(location)?;
    let failed = |error| path::failure(key, error);
    let lock = KeyLock::acquire(root, key).map_err(failed)?;
    match root.dir.remove_file(key) {
        Ok(()) => {}
        Err(error) if path::is_absence(&error) => {}
        // A folder is no object. Systems differ in what they call the attempt.
        Err(error) => match root.dir.symlink_metadata(key) {
            Ok(metadata) if metadata.is_dir() => {}
            _ => return Err(failed(error)),
        },
    }
    lock.forget();
    let mut folder = path::parent(key);
    // A writer that needs the folder makes it again.
    while folder != "." && root.dir.remove_dir(folder).is_ok() {
        folder = path::parent(folder);
    }
    Ok(())
}

fn put_result(meta: ObjectMeta) -> PutResult {
    PutResult {
        e_tag: meta.e_tag,
        version: None,
        extensions: object_store::Extensions::new(),
    }
}

fn refuse_tags(location: &Path, tags: &TagSet) -> Result<()> {
    if tags.encoded().is_empty() {
        return Ok(());
    }
    Err(unsupported(location, "tags"))
}

fn unsupported(location: &Path, what: &'static str) -> object_store::Error {
    FolderError::Unsupported {
        key: location.to_string(),
        what,
    }
    .into()
}
