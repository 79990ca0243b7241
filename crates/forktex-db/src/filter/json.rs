// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters from and to JSON.
//!
//! `{"field": "age", "gte": 18, "lt": 65}` is a comparison, with all its operators to hold;
//! `{"and": [..]}`, `{"or": [..]}` and `{"not": ..}` combine.

use serde_json::{Map, Value as Json, json};

use super::walk::check_bounds;
use super::{Filter, FilterError, FilterProblem, Node, Test};
use crate::value::Value;

impl<M> Filter<M> {
    /// Reads a filter. Which fields there are, and whether the values fit them, is checked when the
    /// filter is used.
    ///
    /// Strings stand for whatever the field holds: a UUID, a date as `2026-01-31`, a time as
    /// `2026-01-31T13:45:00Z`.
    ///
    /// # Errors
    /// [`FilterError`] with the path of the first fault. The bounds are
    /// [`FILTER_DEPTH_MAX`](super::FILTER_DEPTH_MAX), [`FILTER_LIST_MAX`](super::FILTER_LIST_MAX) and
    /// [`FILTER_COMPARISONS_MAX`](super::FILTER_COMPARISONS_MAX).
    pub fn from_json(json: &Json) -> Result<Self, FilterError> {
        let mut reader = Reader {
            path: String::new(),
        };
        let node = reader.node(json)?;
        check_bounds(&node)?;
        Ok(Self::from_node(node))
    }

    /// The filter as JSON, which [`from_json`](Self::from_json) reads.
    pub fn to_json(&self) -> Json {
        write(&self.node)
    }
}

struct Reader {
    path: String,
}

impl Reader {
    fn node(&mut self, json: &Json) -> Result<Node, FilterError> {
        let object = json
            .as_object()
            .filter(|object| !object.is_empty())
            .ok_or_else(|| self.fault(FilterProblem::Shape))?;
        if let Some(name) = object.get("field") {
            return self.comparison(name, object);
        }
        let mut words = object.iter();
        match (words.next(), words.next()) {
            (Some((word, inner)), None) => match word.as_str() {
                "and" => self.members("and", inner).map(Node::And),
                "or" => self.members("or", inner).map(Node::Or),
                "not" => self
                    .within("/not", |reader| reader.node(inner))
                    .map(|node| Node::Not(Box::new(node))),
                _ => Err(self.fault(FilterProblem::Shape)),
            },
            _ => Err(self.fault(FilterProblem::Shape)),
        }
    }

    fn members(&mut self, word: &str, json: &Json) -> Result<Vec<Node>, FilterError> {
        self.within(&format!("/{word}"), |reader| {
            let members = json
                .as_array()
                .ok_or_else(|| reader.fault(FilterProblem::Shape))?;
            let members = members.iter().enumerate();
            members
                .map(|(n, member)| reader.within(&format!("/{n}"), |reader| reader.node(member)))
                .collect()
        })
    }

    fn comparison(&mut self, name: &Json, object: &Map<String, Json>) -> Result<Node, FilterError> {
        let name = name.as_str().ok_or_else(|| {
            self.fault_at(
                "/field",
                FilterProblem::Operand {
                    operator: "field",
                    expected: "the name of a field",
                },
            )
        })?;
        let mut tests = Vec::with_capacity(object.len() - 1);
        for (word, operand) in object.iter().filter(|(word, _)| *word != "field") {
            let step = format!("/{}", escape(word));
            tests.push(self.within(&step, |reader| reader.test(word, operand))?);
        }
        if tests.is_empty() {
            return Err(self.fault(FilterProblem::Shape));
        }
        Ok(Node::Field {
            name: name.to_owned().into(),
            tests,
        })
    }

    fn test(&mut self, word: &str, operand: &Json) -> Result<Test, FilterError> {
        let value = || Value::infer_from_json(operand);
        Ok(match word {
            "eq" => Test::Eq(value()),
            "ne" => Test::Ne(value()),
            "lt" => Test::Lt(value()),
            "lte" => Test::Lte(value()),
            "gt" => Test::Gt(value()),
            "gte" => Test::Gte(value()),
            "between" => match operand.as_array().map(Vec::as_slice) {
                Some([low, high]) => {
                    Test::Between(Value::infer_from_json(low), Value::infer_from_json(high))
                }
                _ => return Err(self.operand("between", "a list of two bounds")),
            },
            "in" => Test::In(self.list("in", operand)?),
            "not_in" => Test::NotIn(self.list("not_in", operand)?),
            "contains" => Test::Contains(value()),
            "icontains" => Test::Icontains(self.text("icontains", operand)?),
            "starts_with" => Test::StartsWith(self.text("starts_with", operand)?),
            "ends_with" => Test::EndsWith(self.text("ends_with", operand)?),
            "fuzzy" => Test::Fuzzy(self.text("fuzzy", operand)?),
            "is_null" => match operand {
                Json::Bool(yes) => Test::IsNull(*yes),
                _ => return Err(self.operand("is_null", "true or false")),
            },
            _ => {
                return Err(self.fault(FilterProblem::UnknownOperator {
                    word: word.chars().take(60).collect(),
                }));
            }
        })
    }

    fn list(&mut self, operator: &'static str, operand: &Json) -> Result<Vec<Value>, FilterError> {
        let members = operand
            .as_array()
            .ok_or_else(|| self.operand(operator, "a list"))?;
        Ok(members.iter().map(Value::infer_from_json).collect())
    }

    fn text(&mut self, operator: &'static str, operand: &Json) -> Result<String, FilterError> {
        let text = operand.as_str().map(str::to_owned);
        text.ok_or_else(|| self.operand(operator, "a text"))
    }

    fn within<T>(&mut self, step: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let result = run(self);
        self.path.truncate(length);
        result
    }

    fn operand(&self, operator: &'static str, expected: &'static str) -> FilterError {
        self.fault(FilterProblem::Operand { operator, expected })
    }

    fn fault(&self, problem: FilterProblem) -> FilterError {
        FilterError::new(self.path.clone(), problem)
    }

    fn fault_at(&self, step: &str, problem: FilterProblem) -> FilterError {
        FilterError::new(format!("{}{step}", self.path), problem)
    }
}

/// One step of a JSON pointer (RFC 6901), cut where a word is too long to be one.
fn escape(word: &str) -> String {
    let word: String = word.chars().take(60).collect();
    word.replace('~', "~0").replace('/', "~1")
}

fn write(node: &Node) -> Json {
    match node {
        Node::And(members) | Node::Or(members) => {
            json!({ node.word(): members.iter().map(write).collect::<Vec<_>>() })
        }
        Node::Not(inner) => json!({ "not": write(inner) }),
        Node::Field { name, tests } => {
            // Two tests with one word have no place in one object.
            let mut objects: Vec<Map<String, Json>> = Vec::new();
            for test in tests {
                let word = test.word();
                let free = objects.iter().position(|object| !object.contains_key(word));
                let place = free.unwrap_or(objects.len());
                if place == objects.len() {
                    objects.push(Map::from_iter([("field".to_owned(), json!(name))]));
                }
                objects[place].insert(word.to_owned(), operand(test));
            }
            match objects.len() {
                1 => Json::Object(objects.remove(0)),
                _ => json!({ "and": objects }),
            }
        }
    }
}

fn operand(test: &Test) -> Json {
    match test {
        Test::Eq(value)
        | Test::Ne(value)
        | Test::Lt(value)
        | Test::Lte(value)
        | Test::Gt(value)
        | Test::Gte(value)
        | Test::Contains(value) => value.to_json(),
        Test::Between(low, high) => json!([low.to_json(), high.to_json()]),
        Test::In(values) | Test::NotIn(values) => values.iter().map(Value::to_json).collect(),
        Test::Icontains(part)
        | Test::StartsWith(part)
        | Test::EndsWith(part)
        | Test::Fuzzy(part) => json!(part),
        Test::IsNull(yes) => json!(yes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &Json) -> Result<Filter, FilterError> {
        Filter::from_json(json)
    }

    fn nested(depth: usize) -> Json {
        (1..depth).fold(
            json!({"field": "a", "eq": 1}),
            |inner, _| json!({"not": inner}),
        )
    }

    #[test]
    fn every_operator_is_read_and_written_alike() {
        for json in [
            json!({"field": "a", "eq": "x"}),
            json!({"field": "a", "ne": null}),
            json!({"field": "a", "gte": 1, "lt": 2.5}),
            json!({"field": "a", "between": [1, 2]}),
            json!({"field": "a", "in": [1, "b", true]}),
            json!({"field": "a", "not_in": []}),
            json!({"field": "a", "contains": {"b": 1}}),
            json!({"field": "a", "icontains": "x", "starts_with": "x", "ends_with": "x", "fuzzy": "x"}),
            json!({"field": "a", "is_null": false}),
            json!({"and": [{"field": "a", "eq": 1}, {"or": []}, {"not": {"field": "b", "lte": 1}}]}),
        ] {
            assert_eq!(read(&json).unwrap().to_json(), json);
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
            assert_eq!(read(&json).unwrap_err().path(), path, "{json}");
        }
    }

    #[test]
    fn the_bounds_hold() {
        assert!(read(&nested(50)).is_ok());
        let error = read(&nested(51)).unwrap_err();
        assert_eq!(error.problem(), &FilterProblem::TooDeep);
        assert_eq!(error.path(), "/not".repeat(50));

        assert!(read(&json!({"field": "a", "in": vec![1; 1_000]})).is_ok());
        let error = read(&json!({"field": "a", "in": vec![1; 1_001]})).unwrap_err();
        assert_eq!(error.problem(), &FilterProblem::TooLong { length: 1_001 });
        assert_eq!(error.path(), "/in");

        let leaf = json!({"field": "a", "eq": 1});
        let group = json!({"or": vec![leaf.clone(); 501]});
        let error = read(&json!({"and": [group, group]})).unwrap_err();
        assert_eq!(error.problem(), &FilterProblem::TooMany);
        let error = read(&json!({"or": vec![leaf; 1_001]})).unwrap_err();
        assert_eq!(error.path(), "/or");
    }
}
