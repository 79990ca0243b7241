// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The name under which serde writes a field: serde's case rules, applied as serde applies them.

/// A `rename_all` rule for fields, which are written in `snake_case`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RenameRule {
    #[default]
    AsWritten,
    Upper,
    Pascal,
    Camel,
    Kebab,
    ScreamingKebab,
}

impl RenameRule {
    /// The rule of that name. One that serde does not know is serde's to report.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => Self::AsWritten,
        }
    }

    /// The name of the field `field` under this rule.
    pub(crate) fn apply(self, field: &str) -> String {
        match self {
            Self::AsWritten => field.to_owned(),
            Self::Upper => field.to_ascii_uppercase(),
            Self::Pascal => pascal(field),
            Self::Camel => {
                let mut name = pascal(field);
                if let Some(first) = name.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                name
            }
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(field: &str) -> String {
    let mut name = String::new();
    let mut capital = true;
    for character in field.chars() {
        if character == '_' {
            capital = true;
        } else if capital {
            name.push(character.to_ascii_uppercase());
            capital = false;
        } else {
            name.push(character);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_serdes() {
        for (rule, expected) in [
            ("lowercase", "server_id"),
            ("UPPERCASE", "SERVER_ID"),
            ("PascalCase", "ServerId"),
            ("camelCase", "serverId"),
            ("snake_case", "server_id"),
            ("SCREAMING_SNAKE_CASE", "SERVER_ID"),
            ("kebab-case", "server-id"),
            ("SCREAMING-KEBAB-CASE", "SERVER-ID"),
        ] {
            assert_eq!(RenameRule::named(rule).apply("server_id"), expected);
        }
    }
}
