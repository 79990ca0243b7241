// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Caching and rate limits on Redis: all of `forktex_cache`, with an attribute that expands to paths of
//! this module, so that a service needs no dependency on `forktex-cache` itself.

pub use forktex_cache::*;

/// The attribute of `forktex_cache`, expanding to `::forktex::cache`. Its documentation and examples
/// are those of [`forktex_cache::cached`](macro@forktex_cache::cached).
///
/// ```
/// use forktex::cache::{Cache, cached};
///
/// #[cached(ttl = "5m", namespace = "greeting")]
/// async fn greeting(cache: &Cache, name: &str) -> String {
///     format!("Hello, {name}!")
/// }
///
/// assert_eq!(greeting::key("Ada")?.as_str(), "greeting:Ada");
/// # Ok::<(), forktex::cache::KeyError>(())
/// ```
#[doc(inline)]
pub use forktex_macros::cached_through_facade as cached;
