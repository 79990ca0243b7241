// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Step templates: the steps that workflows defined at run time are made of.

use std::collections::BTreeMap;

use super::binding::Node;
use crate::identifier::{InvalidName, NodeName, nearest};
use crate::state::json::JsonState;
use crate::step::Step;

/// A step template that a linked crate offers.
#[derive(Debug, Clone, Copy)]
pub struct TemplateRegistration {
    name: &'static str,
    node: fn() -> Node<JsonState>,
    module: &'static str,
}

impl TemplateRegistration {
    /// The registration of the step `T` under a name, offered in `module`.
    pub const fn of<T: Step<JsonState>>(name: &'static str, module: &'static str) -> Self {
        Self {
            name,
            node: Node::of::<T>,
            module,
        }
    }
}

inventory::collect!(TemplateRegistration);

/// The templates of this process, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Templates(BTreeMap<&'static str, TemplateRegistration>);

/// What is wrong with the templates of the linked crates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateFault {
    Name(InvalidName),
    Duplicate {
        name: &'static str,
        modules: [&'static str; 2],
    },
}

/// Why a text names no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The template with the nearest name, if one is near.
    Name(Option<&'static str>),
    /// Several templates end with it.
    Several(Vec<&'static str>),
}

impl Templates {
    /// Those of the linked crates.
    pub(crate) fn linked() -> (Self, Vec<TemplateFault>) {
        let (mut templates, mut faults) = (Self::default(), Vec::new());
        for registration in inventory::iter::<TemplateRegistration> {
            if let Err(error) = NodeName::new(registration.name) {
                faults.push(TemplateFault::Name(error));
            }
            if let Some(other) = templates.0.insert(registration.name, *registration) {
                faults.push(TemplateFault::Duplicate {
                    name: registration.name,
                    modules: [other.module, registration.module],
                });
            }
        }
        (templates, faults)
    }

    /// The template of that name, or the one whose last segment it is.
    pub(crate) fn node(&self, name: &str) -> Result<Node<JsonState>, Unknown> {
        if let Some(registration) = self.0.get(name) {
            return Ok((registration.node)());
        }
        let last = |known: &&&str| known.rsplit('.').next() == Some(name);
        let ending: Vec<&'static str> = self.0.keys().filter(last).copied().collect();
        match &*ending {
            [only] => self.node(only),
            [] => Err(Unknown::Name(self.nearest(name))),
            _ => Err(Unknown::Several(ending)),
        }
    }

    /// The template that is near by its name, or by its last segment.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        let last = |known: &'static str| known.rsplit('.').next().unwrap_or(known);
        let whole = nearest(name, self.0.keys().copied());
        let near = whole.or_else(|| nearest(name, self.0.keys().copied().map(last)));
        let is_it = |known: &&&'static str| near == Some(**known) || near == Some(last(known));
        self.0.keys().find(is_it).copied()
    }
}
