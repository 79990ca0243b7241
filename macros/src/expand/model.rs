// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `impl Model`, the handles of the columns, and the struct that a row is created from.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::model::{Model, ModelColumn, OWN, Storage};

/// Expands a model.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let (private, ident, new) = (model.root.private(), &model.ident, &model.new_ident);
    let tenancy = if model.is_org_scoped {
        quote!(OrgScoped)
    } else {
        quote!(Shared)
    };
    let shared = (!model.is_org_scoped).then(|| quote!(SharedModel));
    let archivable = model.is_archivable.then(|| quote!(Archivable));
    let markers = shared.into_iter().chain(archivable).map(|marker| {
        quote! {
            #[automatically_derived]
            impl #private::#marker for #ident {}
        }
    });
    let (info, from_row, values) = (info(model), from_row(model), values(model));
    let (handles, new_model) = (handles(model), new_model(model));
    quote! {
        #[automatically_derived]
        impl #private::Model for #ident {
            type New = #new;
            type Tenancy = #private::#tenancy;
            #info
            #from_row
            #values
            fn id(&self) -> #private::Uuid {
                self.id
            }
        }
        #(#markers)*
        #private::inventory::submit! {
            #private::RegisteredModel(<#ident as #private::Model>::INFO)
        }
        #handles
        #new_model
    }
}

fn info(model: &Model) -> TokenStream {
    let private = model.root.private();
    let table = &model.table.name;
    let (schema, name) = match &model.table.schema {
        Some(schema) => (
            quote!(::core::option::Option::Some(#schema)),
            format!("{schema}.{table}"),
        ),
        None => (quote!(::core::option::Option::None), table.clone()),
    };
    let columns = model
        .columns
        .iter()
        .map(|column| column_info(model, column));
    let unique = (!model.unique.is_empty()).then(|| {
        let unique = model.unique.iter().map(|columns| quote!(&[#(#columns),*]));
        quote!(.unique(&[#(#unique),*]))
    });
    let row_security = model.has_row_security.then(|| quote!(.row_security()));
    quote! {
        const INFO: &'static #private::ModelInfo = &#private::ModelInfo::new(
            #schema,
            #table,
            #name,
            &[#(#columns),*],
        )#unique #row_security;
    }
}

fn column_info(model: &Model, column: &ModelColumn) -> TokenStream {
    // At the field's type, so that a type that fits no column is reported there.
    let private = model.root.private_at(column.ty.span());
    let (name, ty) = (&column.name, &column.ty);
    let role = Ident::new(column.role, Span::call_site());
    let references = column.references.as_ref().map(|path| {
        let private = model.root.private_at(path.span());
        quote_spanned!(path.span()=> .references(|| <#path as #private::Model>::INFO))
    });
    let info = match &column.storage {
        Storage::Plain => {
            quote_spanned!(ty.span()=> #private::ColumnInfo::plain::<#ty>(#name, #private::ColumnRole::#role))
        }
        Storage::Text { inner, is_optional } => {
            let text = text_type(&private, inner, *is_optional);
            quote_spanned!(ty.span()=> #private::ColumnInfo::plain::<#text>(#name, #private::ColumnRole::#role))
        }
        Storage::Json { is_optional } => quote!(#private::ColumnInfo::json(#name, #is_optional)),
        Storage::Sealed { is_optional } => {
            quote!(#private::ColumnInfo::sealed(#name, #is_optional))
        }
    };
    quote!(#info #references)
}

fn text_type(private: &TokenStream, inner: &syn::Type, is_optional: bool) -> TokenStream {
    if is_optional {
        quote!(::core::option::Option<#private::AsText<#inner>>)
    } else {
        quote!(#private::AsText<#inner>)
    }
}

fn from_row(model: &Model) -> TokenStream {
    let private = model.root.private();
    let fields = model.columns.iter().enumerate().map(|(position, column)| {
        let (ident, ty) = (&column.ident, &column.ty);
        let read = match &column.storage {
            Storage::Plain => quote!(get::<#ty>),
            Storage::Text {
                inner,
                is_optional: true,
            } => quote!(optional_text::<#inner>),
            Storage::Text { inner, .. } => quote!(text::<#inner>),
            Storage::Json { .. } => quote!(json::<#ty>),
            Storage::Sealed { .. } => quote!(open::<#ty>),
        };
        quote!(#ident: row.#read(#position)?)
    });
    quote! {
        fn from_row(
            row: &#private::Row<'_>,
        ) -> ::core::result::Result<Self, #private::DbError> {
            ::core::result::Result::Ok(Self { #(#fields),* })
        }
    }
}

fn values(model: &Model) -> TokenStream {
    let private = model.root.private();
    let values = model.columns.iter().map(|column| value(model, column));
    quote! {
        fn values(
            &self,
        ) -> ::core::result::Result<::std::vec::Vec<#private::Value>, #private::DbError> {
            ::core::result::Result::Ok(::std::vec![#(#values),*])
        }
    }
}

/// The value of one field of `self`.
fn value(model: &Model, column: &ModelColumn) -> TokenStream {
    let private = model.root.private();
    let (ident, name, ty) = (&column.ident, &column.name, &column.ty);
    match &column.storage {
        Storage::Plain => quote!(<#ty as #private::ColumnType>::to_value(&self.#ident)),
        Storage::Text {
            is_optional: true, ..
        } => quote!(#private::optional_text(&self.#ident)),
        Storage::Text { .. } => quote!(#private::text(&self.#ident)),
        Storage::Json { .. } => quote!(#private::json(#name, &self.#ident)?),
        Storage::Sealed { .. } => quote!(#private::plaintext(#name, &self.#ident)?),
    }
}

fn handles(model: &Model) -> TokenStream {
    let (private, ident) = (model.root.private(), &model.ident);
    let handles = model.columns.iter().map(|column| {
        let (field, visibility, name) = (&column.ident, &column.visibility, &column.name);
        let ty = &column.ty;
        let handle = match &column.storage {
            Storage::Plain => quote!(#private::Column<Self, #ty>),
            Storage::Text { inner, is_optional } => {
                let text = text_type(&private, inner, *is_optional);
                quote!(#private::Column<Self, #text>)
            }
            Storage::Json { .. } => quote!(#private::JsonColumn<Self, #ty>),
            Storage::Sealed { .. } => quote!(#private::SealedColumn<Self, #ty>),
        };
        let constructor = match &column.storage {
            Storage::Plain | Storage::Text { .. } => quote!(#private::Column::new),
            Storage::Json { .. } => quote!(#private::JsonColumn::new),
            Storage::Sealed { .. } => quote!(#private::SealedColumn::new),
        };
        let docs = format!("The column `{name}`.");
        quote! {
            #[doc = #docs]
            #[allow(dead_code)]
            #visibility const fn #field() -> #handle {
                #constructor(#name)
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #ident {
            #(#handles)*
        }
    }
}

fn new_model(model: &Model) -> TokenStream {
    let (private, ident, new) = (model.root.private(), &model.ident, &model.new_ident);
    let visibility = &model.visibility;
    let own: Vec<&ModelColumn> = model
        .columns
        .iter()
        .filter(|column| column.role == OWN)
        .collect();
    let fields = own.iter().map(|column| {
        let (docs, visibility, ident, ty) =
            (&column.docs, &column.visibility, &column.ident, &column.ty);
        let fallback = docs
            .is_empty()
            .then(|| format!("The field `{ident}`."))
            .into_iter();
        quote!(#(#docs)* #(#[doc = #fallback])* #visibility #ident: #ty)
    });
    let values = own.iter().map(|column| value(model, column));
    let derives = (!model.new_derives.is_empty()).then(|| {
        let derives = &model.new_derives;
        quote!(#[derive(#(#derives),*)])
    });
    let docs = format!("What a [`{ident}`] is created from.");
    quote! {
        #[doc = #docs]
        #derives
        #visibility struct #new {
            #(#fields),*
        }

        #[automatically_derived]
        impl #private::NewModel for #new {
            fn values(
                self,
            ) -> ::core::result::Result<::std::vec::Vec<#private::Value>, #private::DbError> {
                ::core::result::Result::Ok(::std::vec![#(#values),*])
            }
        }
    }
}
