// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(Model)]` as written.

use proc_macro2::{Ident, TokenStream};
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, DeriveInput, Generics, LitStr, Meta, Path, Token, Type, Visibility, parenthesized,
};

use super::named_fields;
use super::options::{self, CRATE, Keys, Known};
use crate::diagnostics::{Diagnostics, message};

/// The struct.
#[derive(Debug)]
pub(crate) struct ModelSyntax {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) generics: Generics,
    pub(crate) options: ModelOptions,
    pub(crate) fields: Vec<ModelFieldSyntax>,
}

/// What `#[model(..)]` says on the struct.
#[derive(Debug, Default)]
pub(crate) struct ModelOptions {
    pub(crate) table: Option<LitStr>,
    /// `timestamps`, `audit` and so on, as they were written.
    pub(crate) mixins: Vec<(&'static str, Ident)>,
    pub(crate) unique: Vec<Vec<Ident>>,
    pub(crate) new_derives: Vec<Path>,
    pub(crate) root: Option<Path>,
    /// Whether a `table` was written, or meant.
    pub(crate) names_table: bool,
}

/// One field.
#[derive(Debug)]
pub(crate) struct ModelFieldSyntax {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) ty: Type,
    pub(crate) column: Option<LitStr>,
    pub(crate) references: Option<Path>,
    /// `text`, `json` or `encrypted`, as they were written.
    pub(crate) storage: Vec<(&'static str, Ident)>,
}

const MODEL_KNOWN: &[Known] = &[
    ("table", "table = \"schema.table\""),
    ("timestamps", "timestamps"),
    ("audit", "audit"),
    ("org_scoped", "org_scoped"),
    ("soft_delete", "soft_delete"),
    ("versioned", "versioned"),
    ("row_security", "row_security"),
    ("unique", "unique(field, ..)"),
    ("new_derives", "new_derives(Trait, ..)"),
    CRATE,
];

const FIELD_KNOWN: &[Known] = &[
    ("column", "column = \"name\""),
    ("references", "references = OtherModel"),
    ("text", "text"),
    ("json", "json"),
    ("encrypted", "encrypted"),
];

/// Reads the struct; `None` when the item can be no model at all.
pub(crate) fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Option<ModelSyntax> {
    let input: DeriveInput = diagnostics.ok(syn::parse2(input))?;
    let fields = named_fields(input.data, &input.ident, &message::MODEL, diagnostics)?;
    let fields = fields
        .into_iter()
        .filter_map(|field| parse_field(field, diagnostics))
        .collect();
    Some(ModelSyntax {
        options: parse_options(&input.attrs, diagnostics),
        ident: input.ident,
        visibility: input.vis,
        generics: input.generics,
        fields,
    })
}

fn parse_options(attributes: &[Attribute], diagnostics: &mut Diagnostics) -> ModelOptions {
    let mut options = ModelOptions::default();
    each_list(attributes, diagnostics, |input, diagnostics| {
        let keys = options::read_all_with_keys(
            input,
            "#[model(..)]",
            MODEL_KNOWN,
            diagnostics,
            |name, key, input| read_option(name, key, input, &mut options),
        );
        options.names_table |= keys.contains("table");
        keys
    });
    options
}

fn read_option(
    name: &'static str,
    key: &Ident,
    input: ParseStream,
    options: &mut ModelOptions,
) -> syn::Result<()> {
    match name {
        "table" => options.table = Some(options::string(input, MODEL_KNOWN[0].1)?),
        "unique" => options.unique.push(list(input)?),
        "new_derives" => options.new_derives.extend(list(input)?),
        "crate" => options.root = Some(options::root(input)?),
        mixin => options.mixins.push((mixin, key.clone())),
    }
    Ok(())
}

fn parse_field(field: syn::Field, diagnostics: &mut Diagnostics) -> Option<ModelFieldSyntax> {
    let docs = field.attrs.iter();
    let docs = docs.filter(|attribute| attribute.path().is_ident("doc"));
    let mut syntax = ModelFieldSyntax {
        docs: docs.cloned().collect(),
        ident: field.ident?,
        visibility: field.vis,
        ty: field.ty,
        column: None,
        references: None,
        storage: Vec::new(),
    };
    each_list(&field.attrs, diagnostics, |input, diagnostics| {
        options::read_all_with_keys(
            input,
            "#[model(..)] on a field",
            FIELD_KNOWN,
            diagnostics,
            |name, key, input| {
                match name {
                    "column" => {
                        syntax.column = Some(options::string(input, FIELD_KNOWN[0].1)?);
                    }
                    "references" => syntax.references = Some(options::root(input)?),
                    storage => syntax.storage.push((storage, key.clone())),
                }
                Ok(())
            },
        )
    });
    Some(syntax)
}

/// Reads the inside of each `#[model(..)]`.
fn each_list(
    attributes: &[Attribute],
    diagnostics: &mut Diagnostics,
    mut read: impl FnMut(ParseStream, &mut Diagnostics) -> Keys,
) {
    let named = attributes.iter();
    for attribute in named.filter(|attribute| attribute.path().is_ident("model")) {
        let Meta::List(list) = &attribute.meta else {
            diagnostics.error(&attribute.meta, message::write_option("#[model(..)]"));
            continue;
        };
        options::parse_all(list.tokens.clone(), diagnostics, &mut read);
    }
}

/// What stands in brackets, separated by commas.
fn list<T: syn::parse::Parse>(input: ParseStream) -> syn::Result<Vec<T>> {
    let inner;
    parenthesized!(inner in input);
    let items = Punctuated::<T, Token![,]>::parse_terminated(&inner)?;
    if items.is_empty() {
        return Err(inner.error(message::EMPTY_LIST));
    }
    Ok(items.into_iter().collect())
}
