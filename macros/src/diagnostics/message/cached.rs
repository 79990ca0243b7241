// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[cached]`.

use super::with_help;
use crate::diagnostics::nearest;

pub(crate) const CACHED_IS_NO_FUNCTION: &str = "a cached function is an async fn
= help: async fn profile(cache: &Cache, user_id: &str) -> Result<Profile, MyError>";

pub(crate) const CACHED_NOT_ASYNC: &str = "a cached function is an `async fn`";

pub(crate) const CACHED_WITHOUT_RESULT: &str =
    "a cached function returns what is cached: a value, an `Option`, or a `Result` of one";

pub(crate) const CACHED_IMPL_TRAIT: &str =
    "a cached function returns no `impl Trait`: name the type";

pub(crate) const CACHE_MISSING: &str = "a cached function needs the cache
= help: take `cache: &Cache`, or say where it is: `cache = self.cache`";

pub(crate) const SELF_IN_KEY: &str = "`self` is no part of a key by itself
= help: name what counts, `key = (self.id, user_id)`, or leave it out, `skip(self)`";

pub(crate) const KEY_BESIDE_SKIP: &str = "`key` names all that counts: leave `skip` out";

pub(crate) const KEY_TOO_LONG: &str = "a key has at most 8 parts
= help: name those that count: `key = (org.id, user_id)`";

pub(crate) const PATTERN_IN_KEY: &str = "a parameter of the key has a plain name
= help: give it one, or name what counts: `key = (org.id, user_id)`";

pub(crate) const NAMESPACE_FORM: &str = "a namespace has `a` to `z`, `0` to `9`, `_`, `-`, `.` and `:`, \
     at most 100 bytes, and no empty segment: write `namespace = \"user.profile\"`";

pub(crate) const CACHE_VERSION: &str = "`version` is a number from 1 to 4294967295";
pub(crate) const EARLY_RANGE: &str = "`early` is a number above 0 and up to 100";
pub(crate) const JITTER_RANGE: &str = "`jitter` is a number from 0 up to, not including, 1";
pub(crate) const LEASE_RANGE: &str = "`lease` is a duration from \"100ms\" to \"1h\"";

pub(crate) const REFRESH_OF_NOTHING: &str =
    "`refresh` says how `stale` or `early` loads: add one of them";

pub(crate) const REFRESH_OF_REFERENCES: &str =
    "a refresh behind the caller cannot hold this: it has a reference in it
= help: take it as `&T`, `&str` or owned, or let one caller wait: `refresh = \"in_line\"`";

pub(crate) const REFRESH_OF_MUTABLE: &str =
    "a refresh behind the caller cannot hold what the caller may change
= help: let one caller wait for the load: `refresh = \"in_line\"`";

pub(crate) const REFRESH_OF_IMPL_TRAIT: &str = "a refresh behind the caller needs to know the type
= help: name it, or let one caller wait for the load: `refresh = \"in_line\"`";

pub(crate) const REFRESH_OF_PATTERN: &str = "a refresh behind the caller needs a plain name here
= help: give it one, or let one caller wait for the load: `refresh = \"in_line\"`";

pub(crate) const REFRESH_OF_SELF: &str = "a refresh behind the caller needs `&self`
= help: let one caller wait for the load: `refresh = \"in_line\"`";

pub(crate) fn plain_cached(word: &str) -> String {
    format!("a cached function is a plain `async fn`: remove `{word}`")
}

pub(crate) fn zero_time(option: &str) -> String {
    format!("`{option}` must be longer than zero")
}

pub(crate) fn long_time(text: &str) -> String {
    format!("`{text}` is too long: at most ten years (\"3650d\") are allowed")
}

pub(crate) fn no_such_parameter<'a>(
    written: &str,
    parameters: impl IntoIterator<Item = &'a str>,
) -> String {
    let message = format!("there is no parameter `{written}`");
    match nearest(written, parameters) {
        Some(near) => with_help(message, format!("a similar parameter exists: `{near}`")),
        None => message,
    }
}
