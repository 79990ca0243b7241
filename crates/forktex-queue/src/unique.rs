// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What keeps a job from being there twice: a lock on a key, in one queue, that the job takes as it is
//! put in.

use std::time::Duration;

/// How long a job keeps another with the same key out.
///
/// The key is the job's name with a digest of its payload, or with what
/// [`unique_key`](crate::Enqueue::unique_key) gives. It is looked at within the job's queue. The lock
/// outlives processes: it is kept where the jobs are, and taken in the same step as the job is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unique {
    /// Until a worker takes the job for the first time, or it is cancelled. A job put in while an equal
    /// one runs is then not lost: it runs after it.
    UntilStarted,
    /// Until the job is done, dead, cancelled or discarded; a retry keeps it.
    UntilDone,
    /// For so long from when it is put in, by the backend's clock, whatever becomes of the job. Longer
    /// than zero.
    For(Duration),
    /// For good, whatever becomes of the job.
    Forever,
}

/// The mode of a lock, as backends call it.
pub(crate) type UniqueMode = Unique;

impl Unique {
    /// The word for it in attributes and where jobs are kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UntilStarted => "until_started",
            Self::UntilDone => "until_done",
            Self::For(_) => "for",
            Self::Forever => "forever",
        }
    }
}
