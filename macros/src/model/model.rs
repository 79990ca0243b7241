// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a model means: its table, and for each field the column, who fills it in, and how it is
//! stored.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{Attribute, LitStr, Path, Type, Visibility};

use super::types::{argument_of, is_named};
use crate::diagnostics::{Diagnostics, message};
use crate::parse::model::{ModelFieldSyntax, ModelOptions, ModelSyntax};
use crate::root::Root;

/// A model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) root: Root,
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) table: Table,
    pub(crate) columns: Vec<ModelColumn>,
    /// Names of columns.
    pub(crate) unique: Vec<Vec<String>>,
    pub(crate) is_org_scoped: bool,
    pub(crate) is_archivable: bool,
    pub(crate) has_row_security: bool,
    pub(crate) new_ident: Ident,
    pub(crate) new_derives: Vec<Path>,
}

/// Where the rows are.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

/// A field and its column.
#[derive(Debug)]
pub(crate) struct ModelColumn {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) ty: Type,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) storage: Storage,
    pub(crate) references: Option<Path>,
}

/// Who fills a column in: the names of `ColumnRole`.
pub(crate) type Role = &'static str;

pub(crate) const OWN: Role = "Own";

/// How a field becomes the value of its column.
#[derive(Debug)]
pub(crate) enum Storage {
    Plain,
    /// By `Display` and `FromStr` of this type, which may be missing.
    Text {
        inner: Box<Type>,
        is_optional: bool,
    },
    Json {
        is_optional: bool,
    },
    Sealed {
        is_optional: bool,
    },
}

/// A field that a mixin, or every model, has.
struct Managed {
    mixin: &'static str,
    field: &'static str,
    ty: &'static str,
    role: Role,
}

/// The fields that the repository fills in.
const MANAGED: [Managed; 8] = [
    managed("", "id", "Uuid", "Id"),
    managed("org_scoped", "org_id", "Uuid", "OrgId"),
    managed("timestamps", "created_at", "OffsetDateTime", "CreatedAt"),
    managed("timestamps", "updated_at", "OffsetDateTime", "UpdatedAt"),
    managed("audit", "created_by", "Option<Uuid>", "CreatedBy"),
    managed("audit", "updated_by", "Option<Uuid>", "UpdatedBy"),
    managed(
        "soft_delete",
        "archived_at",
        "Option<OffsetDateTime>",
        "ArchivedAt",
    ),
    managed("versioned", "version", "i64", "Version"),
];

const fn managed(
    mixin: &'static str,
    field: &'static str,
    ty: &'static str,
    role: Role,
) -> Managed {
    Managed {
        mixin,
        field,
        ty,
        role,
    }
}

impl Managed {
    fn has_type(&self, ty: &Type) -> bool {
        match self.ty.strip_prefix("Option<") {
            Some(inner) => argument_of(ty, "Option")
                .is_some_and(|argument| is_named(argument, inner.trim_end_matches('>'))),
            None => is_named(ty, self.ty),
        }
    }
}

/// Checks a model; `None` when it lacks what every expansion needs.
pub(crate) fn check(
    syntax: ModelSyntax,
    root: Root,
    diagnostics: &mut Diagnostics,
) -> Option<Model> {
    let ModelSyntax {
        ident,
        visibility,
        generics,
        options,
        fields,
    } = syntax;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        diagnostics.error(&generics, message::GENERIC_MODEL);
        return None;
    }
    if !options.names_table {
        diagnostics.error(&ident, message::NEEDS_TABLE);
    }
    let table = options.table.as_ref();
    let table = table.map_or_else(Table::default, |table| check_table(table, diagnostics));
    check_mixins(&options, &fields, &ident, diagnostics);
    let has_id = fields.iter().any(|field| field.ident == "id");
    let has = |mixin| options.mixins.iter().any(|(name, _)| *name == mixin);
    let columns: Vec<ModelColumn> = fields
        .into_iter()
        .map(|field| check_field(field, &has, diagnostics))
        .collect();
    check_columns(&columns, diagnostics);
    let unique = check_unique(&options, &columns, diagnostics);
    if !has_id || !are_managed_well(&columns) {
        return None;
    }
    let mixin_is_whole = |mixin: &'static str, role: Role| {
        has(mixin) && columns.iter().any(|column| column.role == role)
    };
    Some(Model {
        is_org_scoped: has("org_scoped"),
        is_archivable: mixin_is_whole("soft_delete", "ArchivedAt"),
        has_row_security: mixin_is_whole("row_security", "OrgId"),
        root: root.or_given(options.root),
        new_ident: format_ident!("New{ident}"),
        new_derives: options.new_derives,
        ident,
        visibility,
        table,
        columns,
        unique,
    })
}

fn check_table(table: &LitStr, diagnostics: &mut Diagnostics) -> Table {
    let text = table.value();
    let mut parts = text.split('.');
    let (schema, name) = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => (None, name),
        (Some(schema), Some(name), None) => (Some(schema), name),
        _ => (None, ""),
    };
    let fits = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    if !fits(name) || schema.is_some_and(|schema| !fits(schema)) {
        diagnostics.error(table, message::TABLE_FORM);
        return Table::default();
    }
    for part in schema.iter().copied().chain([name]) {
        check_name(part, table, diagnostics);
    }
    Table {
        schema: schema.map(str::to_owned),
        name: name.to_owned(),
    }
}

fn check_name(name: &str, culprit: impl quote::ToTokens, diagnostics: &mut Diagnostics) {
    if name.is_empty() || name.len() > 63 || name.contains('\0') {
        diagnostics.error(culprit, message::name_too_long(name));
    }
}

/// Each mixin has its fields, and each field that looks like one has its mixin.
fn check_mixins(
    options: &ModelOptions,
    fields: &[ModelFieldSyntax],
    ident: &Ident,
    diagnostics: &mut Diagnostics,
) {
    let field = |name: &str| fields.iter().find(|field| field.ident == name);
    if field("id").is_none() {
        diagnostics.error(ident, message::NEEDS_ID);
    }
    for (mixin, key) in &options.mixins {
        let missing: Vec<_> = MANAGED
            .iter()
            .filter(|managed| managed.mixin == *mixin && field(managed.field).is_none())
            .map(|managed| format!("`{}: {}`", managed.field, managed.ty))
            .collect();
        if !missing.is_empty() {
            diagnostics.error(key, message::mixin_needs_fields(mixin, &missing));
        }
    }
    let mixin = |name| options.mixins.iter().find(|(mixin, _)| *mixin == name);
    if mixin("org_scoped").is_none() {
        if let Some(field) = field("org_id") {
            diagnostics.error(&field.ident, message::FORGOTTEN_ORG);
        } else if let Some((_, key)) = mixin("row_security") {
            diagnostics.error(key, message::ROW_SECURITY_NEEDS_ORG);
        }
    }
}

fn check_field(
    field: ModelFieldSyntax,
    has_mixin: &impl Fn(&'static str) -> bool,
    diagnostics: &mut Diagnostics,
) -> ModelColumn {
    let managed = MANAGED.iter().find(|managed| {
        field.ident == managed.field && (managed.mixin.is_empty() || has_mixin(managed.mixin))
    });
    if let Some(managed) = managed {
        if !managed.has_type(&field.ty) {
            let message = message::managed_type(managed.field, managed.ty);
            diagnostics.error(&field.ty, message);
        }
        if let Some((_, key)) = field.storage.first() {
            diagnostics.error(key, message::managed_storage(managed.field));
        }
    }
    if let Some((_, second)) = field.storage.get(1) {
        diagnostics.error(second, message::ONE_STORAGE);
    }
    let optional = argument_of(&field.ty, "Option");
    let is_optional = optional.is_some();
    let storage = match field.storage.first() {
        Some(_) if managed.is_some() => Storage::Plain,
        Some(("text", _)) => Storage::Text {
            inner: Box::new(optional.unwrap_or(&field.ty).clone()),
            is_optional,
        },
        Some(("json", _)) => Storage::Json { is_optional },
        Some(("encrypted", _)) => Storage::Sealed { is_optional },
        _ => Storage::Plain,
    };
    let name = if let Some(column) = &field.column {
        check_name(&column.value(), column, diagnostics);
        column.value()
    } else {
        let name = field.ident.to_string();
        name.strip_prefix("r#").unwrap_or(&name).to_owned()
    };
    ModelColumn {
        ident: field.ident,
        visibility: field.visibility,
        docs: field.docs,
        ty: field.ty,
        name,
        role: managed.map_or(OWN, |managed| managed.role),
        storage,
        references: field.references,
    }
}

/// Whether the fields that are filled in have their types. Without them nothing that is made would
/// compile, and say so in words that are no help.
fn are_managed_well(columns: &[ModelColumn]) -> bool {
    columns.iter().all(|column| {
        let mut managed = MANAGED.iter();
        let managed = managed.find(|managed| managed.role == column.role);
        managed.is_none_or(|managed| managed.has_type(&column.ty))
    })
}

fn check_columns(columns: &[ModelColumn], diagnostics: &mut Diagnostics) {
    for (n, column) in columns.iter().enumerate() {
        let before = &columns[..n];
        if before.iter().any(|other| other.name == column.name) {
            diagnostics.error(&column.ident, message::duplicate_column(&column.name));
        }
    }
}

fn check_unique(
    options: &ModelOptions,
    columns: &[ModelColumn],
    diagnostics: &mut Diagnostics,
) -> Vec<Vec<String>> {
    let mut resolve = |field: &Ident| {
        let Some(column) = columns.iter().find(|column| column.ident == *field) else {
            let fields: Vec<String> = columns.iter().map(|c| c.ident.to_string()).collect();
            let fields = fields.iter().map(String::as_str);
            diagnostics.error(field, message::no_such_field(&field.to_string(), fields));
            return None;
        };
        if matches!(column.storage, Storage::Sealed { .. }) {
            diagnostics.error(field, message::UNIQUE_SEALED);
        }
        Some(column.name.clone())
    };
    let unique = options.unique.iter();
    unique
        .map(|fields| fields.iter().filter_map(&mut resolve).collect())
        .collect()
}
