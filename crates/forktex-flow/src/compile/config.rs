// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that are defined at run time: read, checked whole, and lowered to the same declaration that
//! the attributes make. Every fault is found, and each has a JSON pointer (RFC 6901) to where it is.

mod lower;
mod read;

use serde_json::Value;

use crate::definition::Declaration;
use crate::definition::config::{CONFIG_BYTES_MAX, ConfigFault};
use crate::definition::template::Templates;
use crate::identifier::Version;

/// Reads a definition and lowers it.
///
/// # Errors
/// Every fault that was found.
pub(crate) fn declare(
    name: &str,
    version: Version,
    config: &Value,
    templates: &Templates,
) -> Result<Declaration, Vec<ConfigFault>> {
    if serde_json::to_vec(config).map_or(true, |bytes| bytes.len() > CONFIG_BYTES_MAX) {
        let message = format!("it has more than {CONFIG_BYTES_MAX} bytes of JSON");
        return Err(vec![ConfigFault::new("", message)]);
    }
    let mut reader = read::Reader::new(templates);
    let read = reader.definition(config);
    match read {
        Some(definition) if reader.faults.is_empty() => lower::lower(name, version, definition),
        _ => Err(reader.faults),
    }
}

#[cfg(test)]
mod tests;
