// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From a record to a draft: which column is which field, and what its text means.
//!
//! Pure. Whether the row as a whole fits, required fields among it, is checked when it is written.

use serde_json::{Map, Value as Json};

use super::ImportError;
use super::csv::CsvField;
use super::reader::{Content, Record};
use super::record::RecordProblem;
use crate::cell::Cell;
use crate::coerce::{self, CellProblem};
use crate::custom_type::TypeRegistry;
use crate::draft::Draft;
use crate::error::{DataError, nearest};
use crate::field_type::FieldType;
use crate::register::{Field, LoadedRegister};
use crate::row::RowId;
use crate::validate::RowProblems;
use crate::value::{Value, ValueKind};

/// What a CSV says for null, when it stands without quotes.
pub(crate) const NULL_WORD: &str = "\\N";
/// Stands between the ids of a reference field.
pub(crate) const REFERENCE_SEPARATOR: char = ';';
/// The member that holds the reference of another system.
pub(crate) const EXTERNAL_REF: &str = "external_ref";
/// What an export writes, and an import cannot set.
const PASSED_OVER: [&str; 5] = ["id", "version", "created_at", "updated_at", "archived_at"];

/// A row that is ready to be written.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) raw: Vec<u8>,
    /// The id that it gets if it is created, however often that is tried: ids are in the order of the
    /// file.
    pub(crate) id: RowId,
    /// By which it is matched; none where rows are only created.
    pub(crate) external_ref: Option<String>,
    pub(crate) draft: Draft,
}

/// A row that failed, with its bytes.
pub(crate) struct Refused {
    pub(crate) line: u64,
    pub(crate) raw: Vec<u8>,
    pub(crate) refusal: Refusal,
}

/// Why a row failed.
pub(crate) enum Refusal {
    Record(RecordProblem),
    Row(RowProblems),
    Write(Box<DataError>),
}

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The field at this index.
    Field(usize),
    ExternalRef,
    Ignored,
}

/// What the columns or members of a file are.
#[derive(Debug)]
pub(crate) struct Columns {
    /// One for each column of a CSV; none for JSON.
    targets: Vec<Target>,
    /// The index of the column of a CSV by which rows are matched.
    matched_index: Option<usize>,
    matched_by: Option<String>,
    ignored: Vec<String>,
}

impl Columns {
    /// Reads the header of a CSV.
    ///
    /// # Errors
    /// When a column is no field, or comes twice, or the one to match by is missing.
    pub(crate) fn of_header(
        register: &LoadedRegister,
        header: Option<Record>,
        matched_by: Option<&str>,
    ) -> Result<Self, ImportError> {
        let header = header.ok_or(ImportError::NoHeader)?;
        let fields = match header.content {
            Ok(Content::Csv(fields)) => fields,
            Ok(Content::Json(_)) => return Err(ImportError::NoHeader),
            Err(problem) => return Err(ImportError::Header { problem }),
        };
        let names: Vec<&str> = fields.iter().map(|field| field.text.trim()).collect();
        let (mut targets, mut ignored) = (Vec::with_capacity(names.len()), Vec::new());
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|other| other == name) {
                return Err(ImportError::DuplicateColumn {
                    column: shortened(name),
                });
            }
            let target = target(register, name)?;
            if target == Target::Ignored {
                ignored.push((*name).to_owned());
            }
            targets.push(target);
        }
        let matched_index = match matched_by {
            Some(column) => {
                let index = names.iter().position(|name| *name == column);
                Some(index.ok_or_else(|| ImportError::NoMatchColumn {
                    column: column.to_owned(),
                })?)
            }
            None => None,
        };
        Ok(Self {
            targets,
            matched_index,
            matched_by: matched_by.map(str::to_owned),
            ignored,
        })
    }

    /// For JSON, where each record names its members itself.
    ///
    /// # Errors
    /// When the member to match by is no field.
    pub(crate) fn of_members(
        register: &LoadedRegister,
        matched_by: Option<&str>,
    ) -> Result<Self, ImportError> {
        if let Some(column) = matched_by {
            target(register, column)?;
        }
        let computed = register
            .fields
            .iter()
            .filter(|field| field.definition().field_type.is_read_only());
        Ok(Self {
            targets: Vec::new(),
            matched_index: None,
            matched_by: matched_by.map(str::to_owned),
            ignored: computed.map(|field| field.name().to_owned()).collect(),
        })
    }

    /// The columns of a CSV that are passed over. The members of JSON differ from record to record.
    pub(crate) fn ignored(&self) -> Vec<String> {
        if self.targets.is_empty() {
            return Vec::new();
        }
        self.ignored.clone()
    }

    /// Makes a draft of a record, for a row of this id.
    pub(crate) fn prepare(
        &self,
        register: &LoadedRegister,
        types: &TypeRegistry,
        record: Record,
        id: RowId,
    ) -> Result<Row, Refused> {
        let Record { line, content, raw } = record;
        let prepared = match content {
            Ok(Content::Csv(fields)) => self.prepare_csv(register, types, fields),
            Ok(Content::Json(members)) => self.prepare_json(members),
            Err(problem) => Err(Refusal::Record(problem)),
        };
        match prepared {
            Ok((external_ref, draft)) => Ok(Row {
                line,
                raw,
                id,
                external_ref,
                draft,
            }),
            Err(refusal) => Err(Refused { line, raw, refusal }),
        }
    }

    fn prepare_csv(
        &self,
        register: &LoadedRegister,
        types: &TypeRegistry,
        fields: Vec<CsvField>,
    ) -> Result<(Option<String>, Draft), Refusal> {
        if fields.len() != self.targets.len() {
            return Err(Refusal::Record(RecordProblem::Columns {
                expected: self.targets.len(),
                found: fields.len(),
            }));
        }
        let external_ref = match self.matched_index {
            Some(index) => Some(matched(fields.get(index).map(|field| field.text.as_str()))?),
            None => None,
        };
        let (mut draft, mut problems) = (Draft::new(), Vec::new());
        for (target, text) in self.targets.iter().zip(fields) {
            match target {
                Target::Ignored => {}
                Target::ExternalRef if self.matched_index.is_some() || is_without_value(&text) => {}
                Target::ExternalRef => draft = draft.external_ref(text.text),
                Target::Field(index) => {
                    let Some(field) = register.fields.get(*index) else {
                        continue;
                    };
                    // Where this one fails, the draft is of no use any more.
                    let before = std::mem::replace(&mut draft, Draft::new());
                    match set(before, field, &text, types) {
                        Ok(changed) => draft = changed,
                        Err(problem) => problems.push((field.name().to_owned(), problem)),
                    }
                }
            }
        }
        if problems.is_empty() {
            return Ok((external_ref, draft));
        }
        Err(Refusal::Row(RowProblems::new(problems)))
    }

    fn prepare_json(
        &self,
        mut members: Map<String, Json>,
    ) -> Result<(Option<String>, Draft), Refusal> {
        let external_ref = match &self.matched_by {
            Some(name) => {
                let text = match members.get(name) {
                    Some(Json::String(text)) => Some(text.clone()),
                    Some(Json::Number(number)) => Some(number.to_string()),
                    _ => None,
                };
                Some(matched(text.as_deref())?)
            }
            None => None,
        };
        for name in PASSED_OVER
            .into_iter()
            .chain(self.ignored.iter().map(String::as_str))
        {
            members.remove(name);
        }
        let own_ref = members.remove(EXTERNAL_REF);
        let draft = Draft::try_from(Json::Object(members))
            .map_err(|error| refuse("row", error.to_string()))?;
        match own_ref {
            Some(Json::String(text)) if external_ref.is_none() => {
                Ok((None, draft.external_ref(text)))
            }
            None | Some(Json::Null | Json::String(_)) => Ok((external_ref, draft)),
            Some(_) => Err(refuse(EXTERNAL_REF, "it must be a text".to_owned())),
        }
    }
}

fn refuse(argument: &'static str, reason: String) -> Refusal {
    Refusal::Write(Box::new(DataError::invalid(argument, reason)))
}

fn target(register: &LoadedRegister, name: &str) -> Result<Target, ImportError> {
    if name == EXTERNAL_REF {
        return Ok(Target::ExternalRef);
    }
    let found = register
        .fields
        .iter()
        .position(|field| field.name() == name);
    match found.and_then(|index| register.fields.get(index).map(|field| (index, field))) {
        Some((_, field)) if field.definition().field_type.is_read_only() => Ok(Target::Ignored),
        Some((index, _)) => Ok(Target::Field(index)),
        None if PASSED_OVER.contains(&name) => Ok(Target::Ignored),
        None => Err(ImportError::UnknownColumn {
            register: register.name.clone(),
            column: shortened(name),
            nearest: nearest(name, register.fields.iter().map(Field::name)),
        }),
    }
}

/// Enough of a column's name to find it: a file may begin with anything.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

fn matched(text: Option<&str>) -> Result<String, Refusal> {
    match text {
        Some(text) if !text.is_empty() && text != NULL_WORD => Ok(text.to_owned()),
        _ => Err(Refusal::Record(RecordProblem::NoExternalRef)),
    }
}

fn is_null(text: &CsvField) -> bool {
    !text.is_quoted && text.text == NULL_WORD
}

fn is_without_value(text: &CsvField) -> bool {
    text.text.is_empty() || is_null(text)
}

/// Puts the text of one field into the draft.
fn set(
    draft: Draft,
    field: &Field,
    text: &CsvField,
    types: &TypeRegistry,
) -> Result<Draft, CellProblem> {
    let name = field.name();
    if is_null(text) {
        return Ok(draft.null(name));
    }
    if text.text.is_empty() {
        let is_text = field.kind() == ValueKind::Text && text.is_quoted;
        let holds_any = matches!(field.definition().field_type, FieldType::Text(_));
        return Ok(if is_text && holds_any {
            draft.set(name, Value::Text(String::new()))
        } else {
            draft
        });
    }
    if field.definition().field_type.is_reference() {
        let parts: Vec<&str> = text
            .text
            .split(REFERENCE_SEPARATOR)
            .map(str::trim)
            .collect();
        let json = match parts.as_slice() {
            [one] => Json::from(*one),
            many => Json::from(many),
        };
        return Ok(draft.references(name, coerce::coerce_references(&json)?));
    }
    Ok(match coerce::coerce_text(field, &text.text, types)? {
        Cell::Absent => draft,
        Cell::Null => draft.null(name),
        Cell::Value(value) => draft.set(name, value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldDefinition;
    use crate::keys::{FieldKey, RegisterKey};
    use crate::register::BuildState;

    fn register() -> LoadedRegister {
        let fields = [
            (FieldDefinition::text("name"), ValueKind::Text),
            (FieldDefinition::integer("age"), ValueKind::Integer),
            (FieldDefinition::number("number"), ValueKind::Integer),
        ];
        let fields = fields
            .into_iter()
            .enumerate()
            .map(|(index, (definition, kind))| Field {
                key: FieldKey(i64::try_from(index).unwrap()),
                definition,
                kind,
                index: BuildState::None,
                unique_state: BuildState::None,
                search: BuildState::None,
            });
        LoadedRegister {
            key: RegisterKey(1),
            name: "people".to_owned(),
            label: None,
            description: None,
            keeps_history: false,
            version: 1,
            fields: fields.collect(),
            relationships: Vec::new(),
        }
    }

    fn record(texts: &[(&str, bool)]) -> Record {
        let fields = texts.iter().map(|(text, is_quoted)| CsvField {
            text: (*text).to_owned(),
            is_quoted: *is_quoted,
        });
        Record {
            line: 1,
            content: Ok(Content::Csv(fields.collect())),
            raw: Vec::new(),
        }
    }

    fn bare(texts: &[&str]) -> Record {
        record(&texts.iter().map(|text| (*text, false)).collect::<Vec<_>>())
    }

    fn prepared(columns: &Columns, record: Record) -> Result<Row, Refused> {
        let id = RowId::from(uuid::Uuid::nil());
        columns.prepare(&register(), &TypeRegistry::default(), record, id)
    }

    fn columns(names: &[&str], matched_by: Option<&str>) -> Result<Columns, ImportError> {
        Columns::of_header(&register(), Some(bare(names)), matched_by)
    }

    #[test]
    fn a_column_that_is_no_field_is_named_with_a_near_one() {
        let error = columns(&["nam"], None).unwrap_err();
        assert!(matches!(
            error,
            ImportError::UnknownColumn { nearest: Some(near), .. } if near == "name"
        ));
        assert!(matches!(
            columns(&["age", " age"], None),
            Err(ImportError::DuplicateColumn { .. })
        ));
        assert!(matches!(
            columns(&["age"], Some("name")),
            Err(ImportError::NoMatchColumn { .. })
        ));
        let ignored = columns(&["id", "name", "number"], None).unwrap().ignored();
        assert_eq!(ignored, ["id", "number"]);
    }

    #[test]
    fn nothing_null_and_the_empty_text_are_told_apart() {
        let columns = columns(&["name", "age"], None).unwrap();
        let drafted = |texts: &[(&str, bool)]| {
            let row = prepared(&columns, record(texts));
            row.map(|row| row.draft).map_err(|_| ()).unwrap()
        };
        assert!(drafted(&[("", false), ("", false)]).get("name").is_none());
        let null = Draft::new().null("name");
        let draft = drafted(&[("\\N", false), ("", false)]);
        assert_eq!(draft.get("name"), null.get("name"));
        let empty = Draft::new().set("name", "");
        assert_eq!(
            drafted(&[("", true), ("", true)]).get("name"),
            empty.get("name")
        );
        let age = Draft::new().set("age", 7);
        assert_eq!(
            drafted(&[("", false), ("7", false)]).get("age"),
            age.get("age")
        );
    }

    #[test]
    fn all_cells_of_a_row_that_do_not_fit_are_told() {
        let columns = columns(&["age", "name"], None).unwrap();
        let long = "x".repeat(20_000);
        let refused = prepared(&columns, bare(&["many", &long]));
        let Err(Refused {
            refusal: Refusal::Row(problems),
            ..
        }) = refused
        else {
            panic!("it was taken");
        };
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn a_row_without_what_it_is_matched_by_is_no_row() {
        let columns = columns(&["name", "age"], Some("name")).unwrap();
        let row = prepared(&columns, bare(&["Ada", "1"]));
        assert_eq!(
            row.map(|row| row.external_ref).ok().flatten().as_deref(),
            Some("Ada")
        );
        let refused = prepared(&columns, bare(&["", "1"]));
        assert!(matches!(
            refused,
            Err(Refused {
                refusal: Refusal::Record(RecordProblem::NoExternalRef),
                ..
            })
        ));
    }
}
