// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[derive(State)]`.

use super::{StructMessages, with_help};

pub(crate) const STATE: StructMessages = StructMessages {
    what: "a state",
    example: "MyState",
    instead: "put it into a field",
};

pub(crate) const GENERIC_STATE: &str =
    "a state takes no generics, lifetimes or where clause: name the types";

pub(crate) const WRITE_REDUCER: &str = "expected a reducer, such as `#[reduce(append)]`
= help: the reducers are append, add, max, min, merge, union, and with = path::to::function";

pub(crate) const ONE_REDUCER: &str = "a field has one reducer: keep one";

pub(crate) const WITH_NEEDS_PATH: &str = "expected `#[reduce(with = path::to::function)]`
= help: the function is `fn(existing: T, new: T) -> T`";

pub(crate) const SERDE_FLATTEN: &str =
    "a state cannot flatten a field: each field is stored under its own name
= help: remove `flatten`, or write the inner fields here";

pub(crate) fn unknown_reducer(written: &str, near: Option<&str>) -> String {
    let message = format!("there is no reducer `{written}`");
    match (written, near) {
        ("set" | "replace" | "overwrite", _) => with_help(
            message,
            "without `#[reduce]` the new value replaces the old one",
        ),
        (_, Some(near)) => with_help(message, format!("a similar reducer exists: `{near}`")),
        (_, None) => with_help(
            message,
            "the reducers are append, add, max, min, merge, union, and with = path::to::function",
        ),
    }
}

pub(crate) fn reducer_takes_nothing(word: &str) -> String {
    with_help(
        format!("`{word}` takes no value: write `#[reduce({word})]`"),
        "a function of your own is given as `#[reduce(with = path::to::function)]`",
    )
}

pub(crate) fn duplicate_json_name(name: &str) -> String {
    format!("two fields are called `{name}` in JSON: rename one")
}

pub(crate) fn serde_container(word: &str) -> String {
    with_help(
        format!(
            "a state cannot use `#[serde({word})]`: it is stored as a JSON object of its fields"
        ),
        "put the value into a field of a plain struct",
    )
}

pub(crate) fn serde_skip(word: &str) -> String {
    with_help(
        format!(
            "a state cannot use `#[serde({word})]`: a field that is not stored is lost when the run resumes"
        ),
        "what is not state is given to steps as a `Resource`",
    )
}

pub(crate) fn serde_with(word: &str) -> String {
    with_help(
        format!(
            "a state cannot use `#[serde({word})]`: updates of the field are written by its type's own `Serialize`"
        ),
        "use a type of your own that serialises in the wanted way",
    )
}

pub(crate) fn serde_skip_if(field: &str) -> String {
    with_help(
        format!("field `{field}` may be left out of the JSON but cannot be read without it"),
        "add `#[serde(default)]` to the field",
    )
}

pub(crate) fn serde_two_names(word: &str) -> String {
    with_help(
        format!(
            "`{word}` must be the same for serialising and deserialising: a state is read back as it is written"
        ),
        "write one name for both; `#[serde(alias = \"..\")]` reads an older one besides",
    )
}
