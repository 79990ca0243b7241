// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a worker does not start, or does not stop.

use crate::duration::InvalidDuration;
use crate::error::QueueError;
use crate::identifier::InvalidName;

/// A worker that could not be started or drained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// There is nothing that the worker could do.
    #[error(
        "the worker has no handlers: give it one, or, where `#[job_handler]` stands in a crate that is \
         only a dependency, add `use that_crate as _;`"
    )]
    NoHandlers,

    /// Two handlers are linked for one job.
    #[error("job `{job}` has two handlers, in {first} and in {second}: keep one")]
    Duplicate {
        /// The name of the job.
        job: String,
        /// The module of one.
        first: &'static str,
        /// The module of the other.
        second: &'static str,
    },

    /// A handler takes a resource that the worker was not given.
    #[error(
        "the handler of job `{job}` takes a resource `{resource}`, which the worker was not given: \
         call `.resource(..)` with one"
    )]
    MissingResource {
        /// The name of the job.
        job: String,
        /// The type of the resource.
        resource: &'static str,
    },

    /// Two schedules have one name.
    #[error("two schedules of the worker are called `{name}`: give each a name of its own")]
    DuplicateCron {
        /// The name.
        name: String,
    },

    /// An option has a value that it cannot have.
    #[error("the option `{option}` of the worker cannot be used: {reason}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The queue refused, or could not be reached.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<InvalidDuration> for WorkerError {
    fn from(error: InvalidDuration) -> Self {
        Self::Queue(error.into())
    }
}

impl From<InvalidName> for WorkerError {
    fn from(error: InvalidName) -> Self {
        Self::Queue(error.into())
    }
}
