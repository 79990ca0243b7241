// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step template: a step, and the name under which runtime definitions find it.

use syn::{ItemFn, LitStr};

use super::name;
use crate::diagnostics::{Diagnostics, message};
use crate::parse::template::TemplateOptions;

/// Checks a step template. `None` when its name misses or cannot be one.
pub(crate) fn check(
    options: &TemplateOptions,
    function: &ItemFn,
    diagnostics: &mut Diagnostics,
) -> Option<LitStr> {
    let is_step = function.attrs.iter().any(|attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|segment| segment.ident == "step" || segment.ident == "node")
    });
    if !is_step {
        diagnostics.error(&function.sig.ident, message::TEMPLATE_IS_NO_STEP);
    }
    let name = options.name.clone()?;
    if !name::is_node(&name.value()) {
        diagnostics.error(&name, message::template_name(&name.value()));
        return None;
    }
    Some(name)
}
