// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[step]`.

use std::fmt::Display;

use super::with_help;

pub(crate) const STEP_IS_NO_FUNCTION: &str = "a step is an async fn
= help: async fn my_step(ctx: &Ctx, state: &MyState) -> StepResult<MyStateUpdate>";

pub(crate) const STEP_NOT_ASYNC: &str = "a step is an `async fn`";
pub(crate) const STEP_WITH_SELF: &str = "a step is a free fn and takes no `self`";
pub(crate) const GENERIC_STEP: &str = "a step takes no generics, lifetimes or where clause";
pub(crate) const IMPL_TRAIT: &str = "a step takes no `impl Trait`: name the type";
pub(crate) const STEP_WITHOUT_PARAMETERS: &str = "a step takes `ctx: &Ctx` and the state";
pub(crate) const STEP_WITHOUT_STATE: &str = "a step takes the state after `ctx`";
pub(crate) const STEP_WITHOUT_RESULT: &str = "a step returns a `StepResult`";
pub(crate) const CTX_MISSING: &str = "the first parameter of a step is `ctx: &Ctx`";
pub(crate) const CTX_BY_VALUE: &str = "a step takes the context by reference: `&Ctx`";
pub(crate) const STATE_IS_RESOURCE: &str = "the state stands before the resources";
pub(crate) const MUTABLE_PARAMETER: &str =
    "a step does not change the state in place: it returns what changes";
pub(crate) const STATIC_PARAMETER: &str = "a step cannot hold its parameters for ever";
pub(crate) const PATTERN_PARAMETER: &str = "a parameter of a step has a plain name";

pub(crate) const ATTEMPTS_OUT_OF_RANGE: &str = "`max_attempts` is a number from 1 to 1000";
pub(crate) const EMPTY_BACKOFF: &str =
    "`backoff` needs at least one delay: write `backoff = [\"10s\", \"1m\"]`";
pub(crate) const ZERO_TIMEOUT: &str = "`timeout` must be longer than zero";

pub(crate) const WRITES_NEW: &str =
    "a field called `new` cannot be declared: what is declared begins with a `new()` of its own
= help: give the field another name, or leave `writes(..)` out";

pub(crate) fn duplicate_write(field: &impl Display) -> String {
    format!("`writes` names the field `{field}` twice: keep one")
}

pub(crate) const ZERO_HEARTBEAT: &str = "`heartbeat` must be longer than zero";

pub(crate) const UNDOES_ITSELF: &str =
    "a step cannot undo itself: name another step, `compensate = undo_step`";

/// The part of a signature that is wrong, and the whole as it should be.
pub(crate) fn signature(what: impl Display, expected: &str) -> String {
    with_help(what, format!("expected `{expected}`"))
}

pub(crate) fn plain_function(word: &str) -> String {
    format!("a step is a plain `async fn`: remove `{word}`")
}

pub(crate) fn not_a_resource(name: &str, inner: &str) -> String {
    format!("a step takes resources after the state: write `{name}: Resource<{inner}>`")
}

pub(crate) fn malformed_duration(text: &str) -> String {
    with_help(
        format!("`{text}` is not a duration"),
        "write whole numbers with units, the larger unit first: \"500ms\", \"90s\", \"1m30s\", \"12h\", \"7d\"",
    )
}

pub(crate) fn long_duration(text: &str) -> String {
    format!("`{text}` is too long: at most 30 days (\"30d\") are allowed")
}
