// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the JSON of a state looks like, and the serde attributes that would make it unreadable.

use crate::diagnostics::{Diagnostics, message};
use crate::model::rename::RenameRule;
use crate::parse::serde::{Names, SerdeItem};

/// What the container's attributes say to the fields.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub(crate) rename: RenameRule,
    pub(crate) has_default: bool,
}

/// Checks the attributes of the struct.
pub(crate) fn container(items: &[SerdeItem], diagnostics: &mut Diagnostics) -> Container {
    let mut container = Container::default();
    for item in items {
        match item.word.as_str() {
            "rename_all" => {
                let rule = both_ways(item, diagnostics);
                container.rename = rule.map_or_else(Default::default, RenameRule::named);
            }
            "default" => container.has_default = true,
            "tag" | "content" | "untagged" | "transparent" | "from" | "into" | "try_from"
            | "remote" => {
                diagnostics.error(&item.tokens, message::serde_container(&item.word));
            }
            _ => {}
        }
    }
    container
}

/// Checks the attributes of a field and returns its name in JSON.
pub(crate) fn field(
    items: &[SerdeItem],
    ident: &str,
    rename: RenameRule,
    diagnostics: &mut Diagnostics,
) -> String {
    let mut name = None;
    for item in items {
        let word = item.word.as_str();
        match word {
            "rename" => name = both_ways(item, diagnostics).map(str::to_owned),
            "flatten" => diagnostics.error(&item.tokens, message::SERDE_FLATTEN),
            "skip" | "skip_serializing" | "skip_deserializing" => {
                diagnostics.error(&item.tokens, message::serde_skip(word));
            }
            "with" | "serialize_with" | "deserialize_with" | "getter" => {
                diagnostics.error(&item.tokens, message::serde_with(word));
            }
            _ => {}
        }
    }
    name.unwrap_or_else(|| rename.apply(ident))
}

/// Checks that a field that may be left out of the JSON can be read without it.
pub(crate) fn check_absence(
    items: &[SerdeItem],
    ident: &str,
    has_default: bool,
    diagnostics: &mut Diagnostics,
) {
    let has = |word| items.iter().find(|item| item.word == word);
    if let (Some(skip), None, false) = (has("skip_serializing_if"), has("default"), has_default) {
        diagnostics.error(&skip.tokens, message::serde_skip_if(ident));
    }
}

/// The one name for both directions. A state is read back as it is written.
fn both_ways<'a>(item: &'a SerdeItem, diagnostics: &mut Diagnostics) -> Option<&'a str> {
    let Names {
        serialize,
        deserialize,
    } = &item.names;
    if serialize != deserialize {
        diagnostics.error(&item.tokens, message::serde_two_names(&item.word));
    }
    serialize.as_deref()
}
