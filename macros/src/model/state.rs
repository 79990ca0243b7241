// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A state: its fields, their names in JSON, their reducers, and what their setters take.

use std::collections::HashSet;

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::{Attribute, Path, Type, Visibility};

use super::types;
use crate::diagnostics::{Diagnostics, message, nearest};
use crate::parse::state::{FieldSyntax, ReducerSyntax, StateSyntax};
use crate::root::Root;

mod json;

/// A checked state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) update: Ident,
    pub(crate) fields: Vec<Field>,
    pub(crate) root: Root,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) ty: Type,
    pub(crate) type_name: String,
    pub(crate) json_name: String,
    pub(crate) reducer: Reducer,
    pub(crate) setter: Setter,
}

/// How a field takes a new value.
#[derive(Debug, Clone)]
pub(crate) enum Reducer {
    Set,
    Append,
    Add,
    Max,
    Min,
    Union,
    Merge,
    With(Path),
}

/// What a setter takes.
#[derive(Debug)]
pub(crate) enum Setter {
    /// The type itself.
    Value,
    /// All that converts into the type.
    Into,
    /// A value of this type, or an `Option` of it.
    Option(Box<Type>),
    /// Items that convert into those of the collection.
    ItemsInto,
    /// Items of the collection, or entries of the map.
    Items,
}

/// The words of `#[reduce(..)]`.
const WORDS: [&str; 7] = ["append", "add", "max", "min", "merge", "union", "with"];

/// Checks a state. `None` when its expansion would make no sense; otherwise what was understood,
/// beside the errors.
pub(crate) fn check(
    syntax: StateSyntax,
    root: Root,
    diagnostics: &mut Diagnostics,
) -> Option<State> {
    let generics = &syntax.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        if generics.params.is_empty() {
            diagnostics.error(&generics.where_clause, message::GENERIC_STATE);
        } else {
            diagnostics.error(&generics.params, message::GENERIC_STATE);
        }
        return None;
    }
    let container = json::container(&syntax.serde, diagnostics);
    let fields: Vec<Field> = syntax
        .fields
        .into_iter()
        .map(|field| check_field(field, &container, diagnostics))
        .collect();
    let mut names = HashSet::new();
    for field in &fields {
        if !names.insert(&field.json_name) {
            diagnostics.error(&field.ident, message::duplicate_json_name(&field.json_name));
        }
    }
    Some(State {
        update: format_ident!("{}Update", syntax.ident.unraw(), span = syntax.ident.span()),
        ident: syntax.ident,
        visibility: syntax.visibility,
        fields,
        root: root.or_given(syntax.root),
    })
}

fn check_field(
    field: FieldSyntax,
    container: &json::Container,
    diagnostics: &mut Diagnostics,
) -> Field {
    let reducer = reducer(field.reducers, diagnostics);
    let name = field.ident.unraw().to_string();
    let json_name = json::field(&field.serde, &name, container.rename, diagnostics);
    let has_default = container.has_default
        || types::argument_of(&field.ty, "Option").is_some()
        || matches!(
            reducer,
            Reducer::Append | Reducer::Union | Reducer::Merge | Reducer::Add
        );
    json::check_absence(&field.serde, &name, has_default, diagnostics);
    Field {
        setter: setter(&field.ty, &reducer),
        type_name: types::as_written(&field.ty),
        ident: field.ident,
        visibility: field.visibility,
        docs: field.docs,
        ty: field.ty,
        json_name,
        reducer,
    }
}

fn setter(ty: &Type, reducer: &Reducer) -> Setter {
    match reducer {
        Reducer::Append | Reducer::Union if types::has_primitive_items(ty) => Setter::Items,
        Reducer::Append | Reducer::Union => Setter::ItemsInto,
        Reducer::Merge => Setter::Items,
        _ if types::is_named(ty, "String") => Setter::Into,
        _ => match types::argument_of(ty, "Option") {
            Some(inner) => Setter::Option(Box::new(inner.clone())),
            None => Setter::Value,
        },
    }
}

/// The reducer of a field. A misspelt one is taken for what it was meant to be.
fn reducer(reducers: Vec<ReducerSyntax>, diagnostics: &mut Diagnostics) -> Reducer {
    let mut reducers = reducers.into_iter();
    let Some(first) = reducers.next() else {
        return Reducer::Set;
    };
    for second in reducers {
        diagnostics.error_at(second.span, message::ONE_REDUCER);
    }
    let written = first.word.to_string();
    let word = WORDS.iter().find(|word| **word == written);
    let word = word.copied().unwrap_or_else(|| {
        let near = nearest(&written, WORDS);
        diagnostics.error(&first.word, message::unknown_reducer(&written, near));
        near.unwrap_or("set")
    });
    match (word, first.function) {
        ("with", Some(function)) => Reducer::With(function),
        ("with", None) => {
            diagnostics.error(&first.word, message::WITH_NEEDS_PATH);
            Reducer::Set
        }
        (word, Some(function)) => {
            diagnostics.error(function, message::reducer_takes_nothing(word));
            named(word)
        }
        (word, None) => named(word),
    }
}

fn named(word: &str) -> Reducer {
    match word {
        "append" => Reducer::Append,
        "add" => Reducer::Add,
        "max" => Reducer::Max,
        "min" => Reducer::Min,
        "merge" => Reducer::Merge,
        "union" => Reducer::Union,
        _ => Reducer::Set,
    }
}

impl Reducer {
    /// The variant of the library's `Reducer`.
    pub(crate) fn variant(&self) -> &'static str {
        match self {
            Self::Set => "Set",
            Self::Append => "Append",
            Self::Add => "Add",
            Self::Max => "Max",
            Self::Min => "Min",
            Self::Union => "Union",
            Self::Merge => "Merge",
            Self::With(_) => "With",
        }
    }
}
