// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Async Postgres: all of `forktex_db`, with a derive that expands to paths of this module, so that a
//! service needs no dependency on `forktex-db` itself.

pub use forktex_db::*;

/// The derive of `forktex_db`, expanding to `::forktex::db`. Its documentation and examples are those
/// of [`forktex_db::Model`](macro@forktex_db::Model).
///
/// ```
/// use forktex::db::Model;
/// use uuid::Uuid;
///
/// #[derive(Model)]
/// #[model(table = "app.user")]
/// struct User { id: Uuid, email: String }
///
/// let filter = User::email().ends_with("@example.com");
/// # let _ = filter;
/// ```
#[doc(inline)]
pub use forktex_macros::ModelThroughFacade as Model;
