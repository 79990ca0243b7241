// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The parts of one upload: several on their way at once, all of them taken away if it does not end well.
//!
//! It decides nothing about sizes or conditions, and knows no keys.

use object_store::{MultipartUpload, PutPayload, PutResult, Result};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::upload::plan::{PARTS_MAX, parts_at_once};

/// Why an upload that was ended takes no more parts.
const ENDED: &str = "the upload has ended";

/// A multipart upload that was begun.
pub(crate) struct Parts {
    /// Nothing after the end.
    upload: Option<Box<dyn MultipartUpload>>,
    running: JoinSet<Result<()>>,
    /// Where it is taken away when it is dropped, which may happen on any thread.
    runtime: Option<Handle>,
    sent_bytes: u64,
    sent_count: usize,
    part_bytes: usize,
    parallel: usize,
}

impl Parts {
    pub(crate) fn new(
        upload: Box<dyn MultipartUpload>,
        part_bytes: usize,
        parallel: usize,
    ) -> Self {
        Self {
            upload: Some(upload),
            running: JoinSet::new(),
            runtime: Handle::try_current().ok(),
            sent_bytes: 0,
            sent_count: 0,
            part_bytes,
            parallel,
        }
    }

    /// How many bytes were handed in.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Sends one more part, beside those that are on their way. It waits until there is room for it.
    pub(crate) async fn send(&mut self, payload: PutPayload) -> Result<()> {
        if self.sent_count == PARTS_MAX {
            return Err(failed(std::io::Error::other(
                "an object has at most 10,000 parts",
            )));
        }
        let bytes = payload.content_length();
        let allowed = parts_at_once(self.part_bytes, self.parallel, bytes);
        while self.running.len() >= allowed {
            self.join_one().await?;
        }
        let Some(upload) = &mut self.upload else {
            return Err(failed(std::io::Error::other(ENDED)));
        };
        self.running.spawn(upload.put_part(payload));
        self.sent_bytes += bytes as u64;
        self.sent_count += 1;
        Ok(())
    }

    /// Waits for all parts, and makes the object visible.
    pub(crate) async fn complete(&mut self) -> Result<PutResult> {
        while !self.running.is_empty() {
            self.join_one().await?;
        }
        let Some(upload) = &mut self.upload else {
            return Err(failed(std::io::Error::other(ENDED)));
        };
        let result = upload.complete().await?;
        self.upload = None;
        Ok(result)
    }

    /// Stops the parts that are on their way, and takes away the others.
    pub(crate) async fn abort(mut self) {
        let upload = self.upload.take();
        let running = std::mem::take(&mut self.running);
        if let Some(upload) = upload {
            take_away(upload, running).await;
        }
    }

    async fn join_one(&mut self) -> Result<()> {
        match self.running.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(failed(error)),
            None => Ok(()),
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        let running = std::mem::take(&mut self.running);
        // Without a runtime nothing can be sent any more; the sweeper finds the parts.
        if let Some(runtime) = &self.runtime {
            runtime.spawn(take_away(upload, running));
        }
    }
}

/// Parts are stopped first: one that ends after the upload was given up would stay.
async fn take_away(mut upload: Box<dyn MultipartUpload>, mut running: JoinSet<Result<()>>) {
    running.shutdown().await;
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, "parts of an upload were not taken away; `sweep_uploads` will do it");
    }
}

fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> object_store::Error {
    object_store::Error::Generic {
        store: "upload",
        source: Box::new(error),
    }
}
