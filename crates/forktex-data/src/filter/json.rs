// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters from and to JSON, and their bounds. Which fields there are is not known here.

use serde_json::{Map, Value as Json, json};

use crate::limits::{FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_LIST_MAX};
use crate::operator::{OperandShape, Operator};
use crate::query::{FilterProblem, QueryError};

use super::{Filter, Operand};

/// A word of a caller is repeated in an error up to here.
const WORD_CHARS_MAX: usize = 64;

impl Filter {
    /// Reads a filter.
    ///
    /// `{"field": "age", "gte": 18, "lt": 65}` is a comparison, all of whose operators are to hold;
    /// `{"and": [..]}`, `{"or": [..]}` and `{"not": ..}` combine;
    /// `{"related": "client", "where": ..}` asks the rows at the other end of a relationship.
    /// `is_empty`, `is_null` and `is_absent` take `true`, or `false` for the complement. Which fields
    /// there are, and whether the operands fit them, is checked when the filter is used.
    ///
    /// # Errors
    /// [`QueryError::Filter`] with the path of the first fault. The bounds are
    /// [`FILTER_DEPTH_MAX`], [`FILTER_LIST_MAX`] and [`FILTER_COMPARISONS_MAX`].
    ///
    /// # Examples
    /// ```
    /// use forktex_data::{Filter, field};
    /// use serde_json::json;
    ///
    /// let filter = Filter::from_json(&json!({"field": "note", "is_empty": true}))?;
    /// assert!(filter == field("note").is_empty());
    ///
    /// let wrong = json!({"and": [{"field": "age", "above": 18}]});
    /// assert_eq!(Filter::from_json(&wrong).unwrap_err().path(), Some("/and/0/above"));
    /// # Ok::<(), forktex_data::QueryError>(())
    /// ```
    pub fn from_json(json: &Json) -> Result<Self, QueryError> {
        let mut reader = Reader {
            path: Path::default(),
        };
        let filter = reader.filter(json, 1)?;
        check_bounds(&filter)?;
        Ok(filter)
    }

    /// The filter as JSON, which [`from_json`](Self::from_json) reads.
    pub fn to_json(&self) -> Json {
        if let Some(tests) = one_object(self) {
            return write_object(tests);
        }
        if complemented(self).is_some() {
            return write_object(std::slice::from_ref(self));
        }
        match self {
            Self::And(members) => {
                json!({ "and": members.iter().map(Self::to_json).collect::<Vec<_>>() })
            }
            Self::Or(members) => {
                json!({ "or": members.iter().map(Self::to_json).collect::<Vec<_>>() })
            }
            Self::Not(inner) => json!({ "not": inner.to_json() }),
            Self::Comparison { .. } => write_object(std::slice::from_ref(self)),
            Self::Related {
                relationship,
                filter,
            } => json!({ "related": relationship, "where": filter.to_json() }),
        }
    }
}

/// A JSON pointer that grows and shrinks with the walk.
#[derive(Default)]
pub(super) struct Path(String);

impl Path {
    /// Runs `inner` with the path longer by a step, which is written as it is.
    pub(super) fn within<T>(&mut self, step: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push_str(step);
        let result = inner(self);
        self.0.truncate(length);
        result
    }

    pub(super) fn fault(&self, problem: FilterProblem) -> QueryError {
        QueryError::filter(self.0.clone(), problem)
    }

    pub(super) fn fault_at(&self, step: &str, problem: FilterProblem) -> QueryError {
        QueryError::filter(format!("{}{step}", self.0), problem)
    }
}

/// The comparisons that came from one JSON object, or would go into one: they are kept in an `and`
/// that is the only member of an `and`, so that a path leads to where they stand in the JSON.
pub(super) fn one_object(filter: &Filter) -> Option<&[Filter]> {
    let Filter::And(outer) = filter else {
        return None;
    };
    let [Filter::And(tests)] = outer.as_slice() else {
        return None;
    };
    let mut name = None;
    let mut seen = Vec::with_capacity(tests.len());
    for test in tests {
        let Filter::Comparison {
            field, operator, ..
        } = complemented(test).unwrap_or(test)
        else {
            return None;
        };
        if seen.contains(operator) || name.is_some_and(|name| name != field) {
            return None;
        }
        name = Some(field);
        seen.push(*operator);
    }
    (tests.len() > 1).then_some(tests.as_slice())
}

/// The comparison whose complement is asked for by `false`, as in `{"field": "a", "is_null": false}`: it
/// is kept in an `and` within a `not`, for the same reason.
pub(super) fn complemented(filter: &Filter) -> Option<&Filter> {
    let Filter::Not(inner) = filter else {
        return None;
    };
    let Filter::And(tests) = inner.as_ref() else {
        return None;
    };
    match tests.as_slice() {
        [test @ Filter::Comparison { operator, .. }]
            if operator.operands() == OperandShape::Nothing =>
        {
            Some(test)
        }
        _ => None,
    }
}

/// Checks depth, lengths and the number of comparisons.
///
/// # Errors
/// The first bound that is passed, from the outside in.
pub(super) fn check_bounds(filter: &Filter) -> Result<(), QueryError> {
    let mut comparisons = 0;
    bounds(filter, &mut Path::default(), 1, &mut comparisons)
}

fn bounds(
    filter: &Filter,
    path: &mut Path,
    depth: usize,
    comparisons: &mut usize,
) -> Result<(), QueryError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(path.fault(FilterProblem::TooDeep));
    }
    if let Some(tests) = one_object(filter) {
        return tests
            .iter()
            .try_for_each(|test| bounds(test, path, depth, comparisons));
    }
    if let Some(test) = complemented(filter) {
        return bounds(test, path, depth, comparisons);
    }
    match filter {
        Filter::And(members) => members_bounds("/and", members, path, depth, comparisons),
        Filter::Or(members) => members_bounds("/or", members, path, depth, comparisons),
        Filter::Not(inner) => {
            path.within("/not", |path| bounds(inner, path, depth + 1, comparisons))
        }
        Filter::Related { filter, .. } => path.within("/where", |path| {
            bounds(filter, path, depth + 1, comparisons)
        }),
        Filter::Comparison {
            operator, operands, ..
        } => {
            *comparisons += 1;
            if *comparisons > FILTER_COMPARISONS_MAX {
                return Err(path.fault(FilterProblem::TooMany));
            }
            check_length(operands.len(), &format!("/{operator}"), path)
        }
    }
}

fn members_bounds(
    step: &str,
    members: &[Filter],
    path: &mut Path,
    depth: usize,
    comparisons: &mut usize,
) -> Result<(), QueryError> {
    check_length(members.len(), step, path)?;
    members.iter().enumerate().try_for_each(|(n, member)| {
        path.within(&format!("{step}/{n}"), |path| {
            bounds(member, path, depth + 1, comparisons)
        })
    })
}

fn check_length(length: usize, step: &str, path: &Path) -> Result<(), QueryError> {
    if length <= FILTER_LIST_MAX {
        return Ok(());
    }
    Err(path.fault_at(step, FilterProblem::TooLong { length }))
}

struct Reader {
    path: Path,
}

impl Reader {
    /// Stops at the bound by itself, so that no document makes it recurse further.
    fn filter(&mut self, json: &Json, depth: usize) -> Result<Filter, QueryError> {
        if depth > FILTER_DEPTH_MAX {
            return Err(self.path.fault(FilterProblem::TooDeep));
        }
        let object = json
            .as_object()
            .filter(|object| !object.is_empty())
            .ok_or_else(|| self.path.fault(FilterProblem::Shape))?;
        if let Some(name) = object.get("field") {
            return self.comparison(name, object);
        }
        if let Some(name) = object.get("related") {
            return self.related(name, object, depth);
        }
        let mut words = object.iter();
        match (words.next(), words.next()) {
            (Some((word, inner)), None) => match word.as_str() {
                "and" => self.members("/and", inner, depth).map(Filter::And),
                "or" => self.members("/or", inner, depth).map(Filter::Or),
                "not" => self
                    .within("/not", |reader| reader.filter(inner, depth + 1))
                    .map(|filter| Filter::Not(Box::new(filter))),
                _ => Err(self.path.fault(FilterProblem::Shape)),
            },
            _ => Err(self.path.fault(FilterProblem::Shape)),
        }
    }

    fn members(
        &mut self,
        step: &str,
        json: &Json,
        depth: usize,
    ) -> Result<Vec<Filter>, QueryError> {
        let members = json
            .as_array()
            .ok_or_else(|| self.path.fault_at(step, FilterProblem::Shape))?;
        check_length(members.len(), step, &self.path)?;
        let members = members.iter().enumerate();
        members
            .map(|(n, member)| {
                self.within(&format!("{step}/{n}"), |reader| {
                    reader.filter(member, depth + 1)
                })
            })
            .collect()
    }

    fn related(
        &mut self,
        name: &Json,
        object: &Map<String, Json>,
        depth: usize,
    ) -> Result<Filter, QueryError> {
        let relationship = self.name(name, "related", "the name of a relationship")?;
        let (Some(inner), 2) = (object.get("where"), object.len()) else {
            return Err(self.path.fault(FilterProblem::Shape));
        };
        let filter = self.within("/where", |reader| reader.filter(inner, depth + 1))?;
        Ok(Filter::Related {
            relationship,
            filter: Box::new(filter),
        })
    }

    fn comparison(
        &mut self,
        name: &Json,
        object: &Map<String, Json>,
    ) -> Result<Filter, QueryError> {
        let field = self.name(name, "field", "the name of a field")?;
        let mut tests = Vec::with_capacity(object.len());
        for (word, operand) in object.iter().filter(|(word, _)| *word != "field") {
            let step = format!("/{}", escape(word));
            tests.push(self.within(&step, |reader| reader.test(&field, word, operand))?);
        }
        match tests.len() {
            0 => Err(self.path.fault(FilterProblem::Shape)),
            1 => Ok(tests.remove(0)),
            _ => Ok(Filter::And(vec![Filter::And(tests)])),
        }
    }

    fn test(&mut self, field: &str, word: &str, operand: &Json) -> Result<Filter, QueryError> {
        let Some(operator) = Operator::from_word(word) else {
            let word = word.chars().take(WORD_CHARS_MAX).collect();
            return Err(self.path.fault(FilterProblem::UnknownOperator { word }));
        };
        let shape = operator.operands();
        let mut is_complement = false;
        let operands = match (shape, operand) {
            (OperandShape::One, json) => vec![json.clone()],
            (OperandShape::Two, Json::Array(bounds)) if bounds.len() == 2 => bounds.clone(),
            (OperandShape::List, Json::Array(list)) => {
                check_length(list.len(), "", &self.path)?;
                list.clone()
            }
            // What a text cannot be part of is only known with the field: JSON has parts too.
            (OperandShape::Text, json) if operator == Operator::Contains || json.is_string() => {
                vec![json.clone()]
            }
            (OperandShape::Nothing, Json::Bool(yes)) => {
                is_complement = !yes;
                Vec::new()
            }
            _ => {
                return Err(self.path.fault(FilterProblem::Operand {
                    operator: operator.word(),
                    expected: shape.expected(),
                }));
            }
        };
        let test = Filter::Comparison {
            field: field.to_owned(),
            operator,
            operands: operands.into_iter().map(Operand::Json).collect(),
        };
        Ok(if is_complement {
            !Filter::And(vec![test])
        } else {
            test
        })
    }

    fn name(
        &self,
        json: &Json,
        operator: &'static str,
        expected: &'static str,
    ) -> Result<String, QueryError> {
        json.as_str().map(str::to_owned).ok_or_else(|| {
            let problem = FilterProblem::Operand { operator, expected };
            self.path.fault_at(&format!("/{operator}"), problem)
        })
    }

    fn within<T>(&mut self, step: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.0.len();
        self.path.0.push_str(step);
        let result = run(self);
        self.path.0.truncate(length);
        result
    }
}

/// One step of a JSON pointer (RFC 6901), cut where a word is too long to be one.
fn escape(word: &str) -> String {
    let word: String = word.chars().take(WORD_CHARS_MAX).collect();
    word.replace('~', "~0").replace('/', "~1")
}

/// Comparisons of one field by different operators, as one object.
fn write_object(tests: &[Filter]) -> Json {
    let mut object = Map::new();
    for test in tests {
        if let Filter::Comparison {
            field,
            operator,
            operands,
        } = complemented(test).unwrap_or(test)
        {
            let operand = match complemented(test) {
                Some(_) => Json::Bool(false),
                None => write_operands(*operator, operands),
            };
            object.insert("field".to_owned(), json!(field));
            object.insert(operator.word().to_owned(), operand);
        }
    }
    Json::Object(object)
}

fn write_operands(operator: Operator, operands: &[Operand]) -> Json {
    match operator.operands() {
        OperandShape::Nothing => Json::Bool(true),
        OperandShape::One | OperandShape::Text => {
            operands.first().map_or(Json::Null, Operand::to_json)
        }
        OperandShape::Two | OperandShape::List => operands.iter().map(Operand::to_json).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Json {
        (1..depth).fold(
            json!({"field": "a", "eq": 1}),
            |inner, _| json!({"not": inner}),
        )
    }

    fn problem(json: &Json) -> FilterProblem {
        match Filter::from_json(json).unwrap_err() {
            QueryError::Filter { problem, .. } => problem,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_operator_is_read_and_written_alike() {
        for json in [
            json!({"field": "a", "eq": "x"}),
            json!({"field": "a", "gte": 1, "lt": 2.5}),
            json!({"field": "a", "between": [1, 2]}),
            json!({"field": "a", "in": [1, "b", true]}),
            json!({"field": "a", "not_in": []}),
            json!({"field": "a", "contains": {"b": 1}}),
            json!({"field": "a", "icontains": "x", "starts_with": "x", "ends_with": "x", "fuzzy": "x"}),
            json!({"field": "a", "is_empty": true}),
            json!({"field": "a", "is_null": false}),
            json!({"field": "a", "is_null": false, "gt": 1}),
            json!({"not": {"field": "a", "is_null": true}}),
            json!({"related": "client", "where": {"field": "name", "eq": "Acme"}}),
            json!({"and": [{"field": "a", "eq": 1}, {"or": []}, {"not": {"field": "b", "lte": 1}}]}),
        ] {
            assert_eq!(Filter::from_json(&json).unwrap().to_json(), json);
        }
    }

    #[test]
    fn a_fault_is_told_with_its_path() {
        for (json, path) in [
            (json!([]), ""),
            (json!({}), ""),
            (json!({"and": [], "or": []}), ""),
            (json!({"field": "a"}), ""),
            (json!({"field": 1, "eq": 1}), "/field"),
            (json!({"related": 1, "where": {}}), "/related"),
            (json!({"related": "a"}), ""),
            (json!({"related": "a", "where": {}}), "/where"),
            (json!({"and": {"field": "a"}}), "/and"),
            (
                json!({"and": [{"or": [{"field": "a", "x/y": 1}]}]}),
                "/and/0/or/0/x~1y",
            ),
            (
                json!({"not": {"field": "a", "between": [1]}}),
                "/not/between",
            ),
            (json!({"field": "a", "in": 1}), "/in"),
            (json!({"field": "a", "fuzzy": 1}), "/fuzzy"),
            (json!({"field": "a", "is_null": 1}), "/is_null"),
        ] {
            let error = Filter::from_json(&json).unwrap_err();
            assert_eq!(error.path(), Some(path), "{json}");
        }
    }

    #[test]
    fn the_bounds_hold() {
        assert!(Filter::from_json(&nested(FILTER_DEPTH_MAX)).is_ok());
        assert_eq!(
            problem(&nested(FILTER_DEPTH_MAX + 1)),
            FilterProblem::TooDeep
        );

        assert!(Filter::from_json(&json!({"field": "a", "in": vec![1; 1_000]})).is_ok());
        let long = json!({"field": "a", "in": vec![1; 1_001]});
        assert_eq!(problem(&long), FilterProblem::TooLong { length: 1_001 });
        assert_eq!(Filter::from_json(&long).unwrap_err().path(), Some("/in"));

        let leaf = json!({"field": "a", "eq": 1});
        assert!(Filter::from_json(&json!({"or": vec![leaf.clone(); 200]})).is_ok());
        let group = json!({"or": vec![leaf; 101]});
        let both = json!({"and": [group, group]});
        assert_eq!(problem(&both), FilterProblem::TooMany);
    }
}
