// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The options of an enum.
//!
//! Rows hold the key of an option; its label can change at any time without touching a row.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The options of an enum, in the order in which they are shown: 1 to 1,000, with keys that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EnumOptions {
    /// The options.
    pub options: Vec<EnumOption>,
}

impl EnumOptions {
    /// These options.
    pub fn new(options: impl IntoIterator<Item = impl Into<EnumOption>>) -> Self {
        Self {
            options: options.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether one of them has this key.
    pub fn has(&self, key: &str) -> bool {
        self.options.iter().any(|option| option.key == key)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|option| option.key.as_str())
    }
}

/// One option of an enum. As JSON it is its key, or `{"key": "paid", "label": "Paid"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnumOption {
    /// What rows hold: 1 to 100 characters.
    pub key: String,
    /// What people see; the key, if there is none.
    pub label: Option<String>,
}

impl EnumOption {
    /// An option with a label of its own.
    pub fn labelled(key: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            label: Some(label.into()),
        }
    }
}

impl From<&str> for EnumOption {
    fn from(key: &str) -> Self {
        key.to_owned().into()
    }
}

impl From<String> for EnumOption {
    fn from(key: String) -> Self {
        Self { key, label: None }
    }
}

impl Serialize for EnumOption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.label {
            None => self.key.serialize(serializer),
            Some(label) => WrittenOption {
                key: self.key.clone(),
                label: Some(label.clone()),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EnumOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match KeyOrOption::deserialize(deserializer)? {
            KeyOrOption::Key(key) => key.into(),
            KeyOrOption::Option(WrittenOption { key, label }) => Self { key, label },
        })
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an option must be its key, or {\"key\": .., \"label\": ..}"
)]
enum KeyOrOption {
    Key(String),
    Option(WrittenOption),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOption {
    key: String,
    label: Option<String>,
}
