// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[derive(Job)]` and `#[job_handler]`.

use super::with_help;
use crate::diagnostics::nearest;

pub(crate) const GENERIC_JOB: &str = "a job takes no generics, lifetimes or where clause";

pub(crate) const JOB_IS_UNION: &str = "a job is a struct or an enum, not a union";

pub(crate) const JOB_WITHOUT_NAME: &str = "a job needs its name: write `#[job(\"area.action\")]`";

pub(crate) const JOB_NAMED_TWICE: &str = "`#[job(..)]` is given twice: keep one";

pub(crate) const JOB_FORM: &str =
    "expected `#[job(\"area.action\")]`, with options such as `max_attempts = 5` after the name";

pub(crate) const PRIORITY_OUT_OF_RANGE: &str = "`priority` is a number from -32768 to 32767";

pub(crate) const CONCURRENCY_OUT_OF_RANGE: &str =
    "`concurrency` is a number from 1: a limit of zero would keep each job forever";

pub(crate) const LIMIT_WITHOUT_NUMBER: &str = "`limit_key` says what is counted, but not how much: add `concurrency = 3` or `rate = \"100/1m\"`";

pub(crate) const ZERO_UNIQUE: &str = "`unique` must be longer than zero";

pub(crate) fn job_name(text: &str) -> String {
    with_help(
        format!("`{text}` is not a valid job name"),
        "write 1 to 100 characters: words of letters, digits, `_` and `-`, joined by dots",
    )
}

pub(crate) fn queue_name(text: &str) -> String {
    with_help(
        format!("`{text}` is not a valid queue name"),
        "write 1 to 100 characters: words of letters, digits, `_` and `-`, joined by dots",
    )
}

pub(crate) fn no_such_unique(written: &str) -> String {
    with_help(
        format!("`unique` cannot be `{written}`"),
        "write until_started, until_done, forever, or a time such as \"10m\"",
    )
}

pub(crate) fn malformed_rate(text: &str) -> String {
    with_help(
        format!("`{text}` is not a rate"),
        "write how many, from 1 to 10000, in how long: \"100/1m\"",
    )
}

pub(crate) fn no_job_field(text: &str, fields: &[String]) -> String {
    let message = format!("the job has no field `{text}`");
    match nearest(text, fields.iter().map(String::as_str)) {
        Some(near) => with_help(message, format!("a similar field exists: `{near}`")),
        None => with_help(message, "name a field of the struct"),
    }
}

pub(crate) const HANDLER_IS_NO_FUNCTION: &str = "a job handler is an async fn
= help: async fn my_handler(job: MyJob, ctx: &JobContext) -> Result<(), MyError>";

pub(crate) const HANDLER_NOT_ASYNC: &str = "a job handler is an `async fn`";
pub(crate) const HANDLER_WITH_SELF: &str = "a job handler is a free fn and takes no `self`";
pub(crate) const GENERIC_HANDLER: &str =
    "a job handler takes no generics, lifetimes or where clause";
pub(crate) const HANDLER_IMPL_TRAIT: &str = "a job handler takes no `impl Trait`: name the type";
pub(crate) const HANDLER_WITHOUT_JOB: &str = "a job handler takes the job first";
pub(crate) const HANDLER_JOB_REFERENCE: &str = "a job handler takes the job by value";
pub(crate) const HANDLER_WITHOUT_RESULT: &str = "a job handler returns a `Result`";
pub(crate) const HANDLER_CTX_BY_VALUE: &str =
    "a job handler takes the context by reference: `&JobContext`";
pub(crate) const HANDLER_CTX_TWICE: &str = "a job handler takes the context once";
pub(crate) const HANDLER_PATTERN: &str = "a parameter of a job handler has a plain name";

pub(crate) fn plain_handler(word: &str) -> String {
    format!("a job handler is a plain `async fn`: remove `{word}`")
}

pub(crate) fn not_a_handler_parameter(name: &str, inner: &str) -> String {
    format!(
        "a job handler takes `ctx: &JobContext` and resources after the job: write `{name}: Resource<{inner}>`"
    )
}
