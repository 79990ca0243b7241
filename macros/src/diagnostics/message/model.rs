// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[derive(Model)]`.

use super::{StructMessages, with_help};
use crate::diagnostics::nearest;

pub(crate) const MODEL: StructMessages = StructMessages {
    what: "a model",
    example: "MyModel",
    instead: "each field is a column",
};

pub(crate) const GENERIC_MODEL: &str =
    "a model takes no generics, lifetimes or where clause: name the types";

pub(crate) const NEEDS_TABLE: &str =
    "a model needs its table: write `#[model(table = \"schema.table\")]`";

pub(crate) const NEEDS_ID: &str = "a model needs the field `id: Uuid`";

pub(crate) const TABLE_FORM: &str =
    "expected the table as `\"schema.table\"`, or `\"table\"` where the search path finds it";

pub(crate) const EMPTY_LIST: &str = "expected at least one name";

pub(crate) const ONE_STORAGE: &str =
    "a field is stored in one way: keep one of `text`, `json` and `encrypted`";

pub(crate) const ROW_SECURITY_NEEDS_ORG: &str =
    "`row_security` keeps organisations apart: add `org_scoped`, and the field `org_id: Uuid`";

pub(crate) const FORGOTTEN_ORG: &str =
    "rows with an `org_id` belong to an organisation: add `org_scoped` to `#[model(..)]`
= help: a column that merely names one has another field name, such as `#[model(column = \"org_id\")] owner: Uuid`";

pub(crate) const UNIQUE_SEALED: &str =
    "an encrypted field cannot be unique: equal values are sealed differently
= help: keep a blind index of it in a field of its own, and make that unique";

pub(crate) fn name_too_long(name: &str) -> String {
    format!("`{name}` cannot be a name in Postgres: a name has 1 to 63 bytes")
}

pub(crate) fn mixin_needs_fields(mixin: &str, fields: &[String]) -> String {
    match fields {
        [one] => format!("`{mixin}` needs the field {one}"),
        all => format!("`{mixin}` needs the fields {}", all.join(" and ")),
    }
}

pub(crate) fn managed_type(field: &str, ty: &str) -> String {
    format!("`{field}` is filled in by the repository: its type is `{ty}`")
}

pub(crate) fn managed_storage(field: &str) -> String {
    format!("`{field}` is filled in by the repository: it is stored as it is")
}

pub(crate) fn duplicate_column(name: &str) -> String {
    format!("two fields are stored in the column `{name}`: rename one")
}

pub(crate) fn no_such_field<'a>(
    written: &str,
    fields: impl IntoIterator<Item = &'a str>,
) -> String {
    let message = format!("the model has no field `{written}`");
    match nearest(written, fields) {
        Some(near) => with_help(message, format!("a similar field exists: `{near}`")),
        None => message,
    }
}
