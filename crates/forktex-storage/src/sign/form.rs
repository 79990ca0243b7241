// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The form of a browser upload: its fields, and the conditions of the policy that is signed.
//!
//! The signers of S3 and of GCS print the same form each in their own order. A field that a signer
//! sets by itself is refused here, as is a key that the service would take for a template.

use super::SignError;
use super::encode::push_json;

/// What the service puts in place of the name of the uploaded file.
pub(crate) const FILENAME: &str = "${filename}";

/// Which key the form may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostKey<'a> {
    /// This key alone.
    Exact(&'a str),
    /// Any key that begins so; the form proposes the name of the file.
    Prefix(&'a str),
}

/// A condition of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// The field must have this value.
    Equals {
        /// The field, as in the form.
        field: String,
        /// Its value.
        value: String,
    },
    /// The field must begin so; an empty prefix allows any value.
    StartsWith {
        /// The field, as in the form, without a `$`.
        field: String,
        /// Its beginning.
        prefix: String,
    },
    /// The size of the file in bytes, both ends allowed.
    ContentLengthRange {
        /// The fewest bytes.
        bytes_min: u64,
        /// The most bytes.
        bytes_max: u64,
    },
}

/// The fields and conditions of a form, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostForm {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) conditions: Vec<Condition>,
}

impl PostForm {
    /// Neither fields nor conditions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field with a fixed value: it is part of the form, and the policy demands it.
    pub fn field(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (field, value) = (name.into(), value.into());
        self.loose_field(field.clone(), value.clone())
            .condition(Condition::Equals { field, value })
    }

    /// A field of the form alone; a condition must allow it.
    pub fn loose_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// A condition of the policy alone.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// The size of the file in bytes, both ends allowed.
    pub fn content_length_range(self, bytes_min: u64, bytes_max: u64) -> Self {
        self.condition(Condition::ContentLengthRange {
            bytes_min,
            bytes_max,
        })
    }

    /// The client chooses the field's value, which must begin so.
    pub fn starts_with(self, field: impl Into<String>, prefix: impl Into<String>) -> Self {
        self.condition(Condition::StartsWith {
            field: field.into(),
            prefix: prefix.into(),
        })
    }

    /// Refuses fields that the signer sets, fields given twice, and a range that nothing fits.
    pub(crate) fn check(&self, key: PostKey<'_>, own: &str) -> Result<(), SignError> {
        let (PostKey::Exact(text) | PostKey::Prefix(text)) = key;
        if text.contains(FILENAME) {
            return Err(SignError::InvalidPath {
                path: text.to_owned(),
                reason: "the service would put the name of the uploaded file into it",
            });
        }
        let refuse = |name: &str, reason| {
            Err(SignError::InvalidField {
                name: name.to_owned(),
                reason,
            })
        };
        for (place, (name, _)) in self.fields.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            let taken = [
                "algorithm",
                "credential",
                "date",
                "signature",
                "security-token",
            ]
            .iter()
            .any(|end| lower.strip_prefix(own) == Some(*end));
            if taken || matches!(lower.as_str(), "key" | "policy" | "bucket" | "file" | "") {
                return refuse(name, "the form sets this field by itself");
            }
            let mut earlier = self.fields.iter().take(place);
            if earlier.any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return refuse(name, "the field is given twice");
            }
        }
        for condition in &self.conditions {
            if let Condition::ContentLengthRange {
                bytes_min,
                bytes_max,
            } = condition
                && bytes_min > bytes_max
            {
                return refuse(
                    "content-length-range",
                    "its smallest size is above its largest",
                );
            }
        }
        Ok(())
    }
}

/// The signed form: what a browser sends before the file, in this order.
#[derive(Clone, PartialEq, Eq)]
pub struct PostFields {
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

impl std::fmt::Debug for PostFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The policy and its signature let whoever has them upload: the names say enough.
        f.debug_list()
            .entries(self.fields.iter().map(|(name, _)| name))
            .finish()
    }
}

/// How a service writes the JSON of a policy.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Between elements.
    pub(crate) comma: &'static str,
    /// Between a name and its value.
    pub(crate) colon: &'static str,
}

/// Writes `{"name": "value"}`.
pub(crate) fn push_equals(out: &mut String, style: Style, name: &str, value: &str) {
    out.push('{');
    push_json(out, name);
    out.push_str(style.colon);
    push_json(out, value);
    out.push('}');
}

/// Writes a condition.
pub(crate) fn push_condition(out: &mut String, style: Style, condition: &Condition) {
    match condition {
        Condition::Equals { field, value } => push_equals(out, style, field, value),
        Condition::StartsWith { field, prefix } => push_starts_with(out, style, field, prefix),
        Condition::ContentLengthRange {
            bytes_min,
            bytes_max,
        } => {
            out.push_str("[\"content-length-range\"");
            for bytes in [bytes_min, bytes_max] {
                out.push_str(style.comma);
                out.push_str(&bytes.to_string());
            }
            out.push(']');
        }
    }
}

/// Writes `["starts-with", "$field", "prefix"]`.
pub(crate) fn push_starts_with(out: &mut String, style: Style, field: &str, prefix: &str) {
    out.push_str("[\"starts-with\"");
    out.push_str(style.comma);
    push_json(out, &format!("${field}"));
    out.push_str(style.comma);
    push_json(out, prefix);
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_with_a_field_of_the_signers_own_is_refused() {
        let key = PostKey::Exact("a");
        for name in ["key", "Policy", "x-amz-signature", "X-Amz-Date", "file", ""] {
            let form = PostForm::new().field(name, "v");
            assert!(form.check(key, "x-amz-").is_err(), "{name}");
        }
        let fine = PostForm::new()
            .field("x-amz-meta-date", "v")
            .field("Content-Type", "image/png");
        assert!(fine.check(key, "x-amz-").is_ok());
        assert!(
            fine.field("content-type", "v")
                .check(key, "x-amz-")
                .is_err()
        );
    }

    #[test]
    fn a_key_that_is_a_template_and_an_empty_range_are_refused() {
        let form = PostForm::new();
        assert!(
            form.check(PostKey::Exact("a/${filename}"), "x-amz-")
                .is_err()
        );
        assert!(
            form.check(PostKey::Prefix("${filename}/"), "x-amz-")
                .is_err()
        );
        let empty = form.content_length_range(2, 1);
        assert!(empty.check(PostKey::Exact("a"), "x-amz-").is_err());
    }

    #[test]
    fn a_signed_form_does_not_show_its_signature() {
        let fields = PostFields {
            fields: vec![("policy".to_owned(), "c2VjcmV0".to_owned())],
        };
        assert_eq!(format!("{fields:?}"), r#"["policy"]"#);
    }
}
