// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Background jobs: all of `forktex_queue`, with macros that expand to paths of this module, so that a
//! service needs no dependency on `forktex-queue` itself.

pub use forktex_queue::*;

/// The derive of `forktex_queue`, expanding to `::forktex::queue`. Its documentation and examples are
/// those of [`forktex_queue::Job`](macro@forktex_queue::Job).
#[doc(inline)]
pub use forktex_macros::JobThroughFacade as Job;

/// The attribute of `forktex_queue`, expanding to `::forktex::queue`. Its documentation and examples are
/// those of [`forktex_queue::job_handler`](macro@forktex_queue::job_handler).
#[doc(inline)]
pub use forktex_macros::job_handler_through_facade as job_handler;

/// What a service author imports.
///
/// ```
/// use forktex::queue::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Job, Serialize, Deserialize)]
/// #[job("email.send", queue = "mail")]
/// struct SendEmail {
///     to: String,
/// }
///
/// #[job_handler]
/// async fn send_email(job: SendEmail) -> Result<(), std::io::Error> {
///     println!("to {}", job.to);
///     Ok(())
/// }
/// ```
pub mod prelude {
    pub use super::{Job, job_handler};
    pub use forktex_queue::prelude::*;
}
