// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All that an expansion of our macros may name. Not for people: no promise is made about it.

pub use inventory;

use std::borrow::Cow;
use std::fmt::{Debug, Display};

use sha2::{Digest, Sha256};

pub use crate::context::JobContext;
pub use crate::cron::Cron;
pub use crate::error::{JobError, JobResult};
pub use crate::handler::{CronRegistration, Handler, Registration};
pub use crate::job::{Job, JobSettings};
pub use crate::limit::Limit;
pub use crate::resource::{Resource, ResourceKey, Resources};
pub use crate::unique::Unique;
pub use futures_util::future::BoxFuture;
pub use std::time::Duration;

use crate::identifier::KEY_BYTES_MAX;
use crate::queue::prepare::hexadecimal;

/// A duration that was read at compile time.
pub const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The schedule that `#[job(cron = ..)]` declares: its job is the default of its type.
pub fn cron_by_default<J: Job + Default>(cron: &str, timezone: &str) -> Cron {
    Cron::new(J::NAME, cron)
        .timezone(timezone)
        .job_at(|_| J::default())
}

/// The limit of the jobs called `job`, or of those with one value of a field. `None` where the field has
/// none.
pub fn limit(job: &str, field: Option<&dyn AsKey>) -> Option<Limit> {
    let key = match field {
        None => job.to_owned(),
        Some(field) => scoped(job, &field.as_key()?),
    };
    Some(Limit::new(key))
}

/// The key of a value, within a kind of job. No name has a `/`, so that no two kinds share a key.
fn scoped(job: &str, value: &str) -> String {
    let key = format!("{job}/{value}");
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    format!("{job}#{}", hexadecimal(&Sha256::digest(value)))
}

/// A field that tells jobs apart: a text, a whole number, a `bool`, a `Uuid`, or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell jobs apart",
    label = "not a text, a whole number, a `bool` or a `Uuid`",
    note = "for a type of your own, implement `Job` by hand"
)]
pub trait AsKey {
    /// The value as text; `None` where there is none, or an empty text.
    fn as_key(&self) -> Option<Cow<'_, str>>;
}

macro_rules! texts {
    ($($type:ty),*) => {
        $(
            impl AsKey for $type {
                fn as_key(&self) -> Option<Cow<'_, str>> {
                    let text: &str = self.as_ref();
                    (!text.is_empty()).then_some(Cow::Borrowed(text))
                }
            }
        )*
    };
}

texts!(str, String, Box<str>, std::sync::Arc<str>);

impl AsKey for Cow<'_, str> {
    fn as_key(&self) -> Option<Cow<'_, str>> {
        str::as_key(self)
    }
}

macro_rules! displayed {
    ($($type:ty),*) => {
        $(
            impl AsKey for $type {
                fn as_key(&self) -> Option<Cow<'_, str>> {
                    Some(Cow::Owned(self.to_string()))
                }
            }
        )*
    };
}

displayed!(
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    bool,
    char,
    uuid::Uuid
);

impl<T: AsKey> AsKey for Option<T> {
    fn as_key(&self) -> Option<Cow<'_, str>> {
        self.as_ref().and_then(AsKey::as_key)
    }
}

impl<T: AsKey + ?Sized> AsKey for &T {
    fn as_key(&self) -> Option<Cow<'_, str>> {
        T::as_key(self)
    }
}

/// The key of a field: for the tenant.
pub fn key(field: &dyn AsKey) -> Option<Cow<'_, str>> {
    field.as_key()
}

/// What the body of a handler may return, in the order in which it is tried: an error that converts into a
/// [`JobError`], or one that has nothing but a text.
pub mod outcome {
    use super::{Debug, Display, JobError};

    /// For errors that convert.
    #[derive(Debug, Clone, Copy)]
    pub struct Converted;

    impl Converted {
        /// The error of the attempt.
        pub fn error<E: Into<JobError>>(self, error: E) -> JobError {
            error.into()
        }
    }

    /// For errors that are texts.
    #[derive(Debug, Clone, Copy)]
    pub struct Shown;

    impl Shown {
        /// The error of the attempt.
        pub fn error<E: Display + Debug>(self, error: E) -> JobError {
            JobError::of_text(&format!("{error:#}"))
        }
    }

    /// Chosen first, as its receiver needs no reference.
    pub trait Convert {
        /// How the error becomes that of the attempt.
        fn way_to_job_error(&self) -> Converted {
            Converted
        }
    }

    impl<E: Into<JobError>> Convert for E {}

    /// Chosen where the error does not convert.
    pub trait Show {
        /// How the error becomes that of the attempt.
        fn way_to_job_error(&self) -> Shown {
            Shown
        }
    }

    impl<E: Display + Debug> Show for &E {}
}
