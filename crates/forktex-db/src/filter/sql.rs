// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters as SQL, checked against the columns of a model on the way.
//!
//! A part may come out as NULL where the vocabulary says false. Under `AND`, `OR` and `WHERE` the two
//! are one; where they are not, at a negation, the SQL asks for `IS NOT TRUE`.

use super::walk::{Path, check_bounds};
use super::{FilterError, FilterProblem, Node, Test};
use crate::identifier::Quoted;
use crate::model::{ColumnInfo, ModelInfo};
use crate::statement::Statement;
use crate::value::{Value, ValueKind};

/// Writes the condition, in brackets where it needs them beside an `AND`.
pub(crate) fn write_filter(
    node: &Node,
    model: &ModelInfo,
    statement: &mut Statement,
) -> Result<(), FilterError> {
    check_bounds(node)?;
    let mut writer = Writer {
        model,
        statement,
        path: Path::default(),
    };
    writer.node(node)
}

struct Writer<'a> {
    model: &'a ModelInfo,
    statement: &'a mut Statement,
    path: Path,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) -> Result<(), FilterError> {
        match node {
            Node::And(members) => self.group(node.word(), members, " AND ", "TRUE"),
            Node::Or(members) => self.group(node.word(), members, " OR ", "FALSE"),
            Node::Not(inner) => {
                self.statement.push("(");
                self.within(format_args!("/not"), |writer| writer.node(inner))?;
                self.statement.push(" IS NOT TRUE)");
                Ok(())
            }
            Node::Field { name, tests } => self.field(name, tests),
        }
    }

    fn group(
        &mut self,
        word: &str,
        members: &[Node],
        separator: &str,
        when_empty: &str,
    ) -> Result<(), FilterError> {
        if members.is_empty() {
            self.statement.push(when_empty);
            return Ok(());
        }
        for (n, member) in members.iter().enumerate() {
            self.statement.push(if n == 0 { "(" } else { separator });
            self.within(format_args!("/{word}/{n}"), |writer| writer.node(member))?;
        }
        self.statement.push(")");
        Ok(())
    }

    fn field(&mut self, name: &str, tests: &[Test]) -> Result<(), FilterError> {
        let Some(column) = self.model.column(name) else {
            let field = name.to_owned();
            return self.within(format_args!("/field"), |writer| {
                Err(writer.path.fault(FilterProblem::UnknownField { field }))
            });
        };
        for (n, test) in tests.iter().enumerate() {
            self.statement.push(if n == 0 { "(" } else { " AND " });
            self.within(format_args!("/{}", test.word()), |writer| {
                writer.test(column, test)
            })?;
        }
        self.statement.push(")");
        Ok(())
    }

    fn test(&mut self, column: &ColumnInfo, test: &Test) -> Result<(), FilterError> {
        self.check_fit(column, test)?;
        self.statement.put(Quoted(column.name));
        match test {
            Test::Eq(Value::Null) | Test::IsNull(true) => {
                self.statement.push(" IS NULL");
            }
            Test::Ne(Value::Null) | Test::IsNull(false) => {
                self.statement.push(" IS NOT NULL");
            }
            Test::Eq(value) => self.compare(" = ", column, test, value)?,
            Test::Ne(value) if column.is_nullable => {
                self.compare(" IS DISTINCT FROM ", column, test, value)?;
            }
            Test::Ne(value) => self.compare(" <> ", column, test, value)?,
            Test::Lt(value) => self.compare(" < ", column, test, value)?,
            Test::Lte(value) => self.compare(" <= ", column, test, value)?,
            Test::Gt(value) => self.compare(" > ", column, test, value)?,
            Test::Gte(value) => self.compare(" >= ", column, test, value)?,
            Test::Between(low, high) => {
                let low = self.coerce_at(0, column, test, low)?;
                let high = self.coerce_at(1, column, test, high)?;
                self.statement.push(" BETWEEN ").bind(column.kind, low);
                self.statement.push(" AND ").bind(column.kind, high);
            }
            Test::In(values) => {
                let values = self.coerce_all(column, test, values)?;
                self.statement.push(" = ANY(");
                self.statement.bind_array(column.kind, values).push(")");
            }
            Test::NotIn(values) => {
                let values = self.coerce_all(column, test, values)?;
                self.statement.push(" <> ALL(");
                self.statement.bind_array(column.kind, values).push(")");
                if column.is_nullable {
                    self.statement.push(" IS NOT FALSE");
                }
            }
            Test::Contains(part) if column.kind == ValueKind::Json => {
                self.compare(" @> ", column, test, part)?;
            }
            Test::Contains(Value::Text(part)) => self.like(" LIKE ", "%", part, "%"),
            Test::Contains(Value::Null) => return Err(self.needs_value(test)),
            Test::Contains(_) => return Err(self.wrong_kind(column)),
            Test::Icontains(part) => self.like(" ILIKE ", "%", part, "%"),
            Test::StartsWith(start) => self.like(" LIKE ", "", start, "%"),
            Test::EndsWith(end) => self.like(" LIKE ", "%", end, ""),
            Test::Fuzzy(part) => {
                self.statement.push(" % ");
                self.statement
                    .bind(ValueKind::Text, Value::Text(part.clone()));
            }
        }
        Ok(())
    }

    /// Whether the operator is one for values of the column's kind.
    fn check_fit(&self, column: &ColumnInfo, test: &Test) -> Result<(), FilterError> {
        let field = || column.name.to_owned();
        let asks_for_null = matches!(
            test,
            Test::IsNull(_) | Test::Eq(Value::Null) | Test::Ne(Value::Null)
        );
        if column.is_sealed && !asks_for_null {
            return Err(self.path.fault(FilterProblem::Sealed { field: field() }));
        }
        let fits = match test {
            Test::Eq(_) | Test::Ne(_) | Test::In(_) | Test::NotIn(_) | Test::IsNull(_) => true,
            Test::Lt(_) | Test::Lte(_) | Test::Gt(_) | Test::Gte(_) | Test::Between(..) => {
                column.kind.is_ordered()
            }
            Test::Contains(_) => matches!(column.kind, ValueKind::Text | ValueKind::Json),
            Test::Icontains(_) | Test::StartsWith(_) | Test::EndsWith(_) | Test::Fuzzy(_) => {
                column.kind == ValueKind::Text
            }
        };
        if fits {
            return Ok(());
        }
        Err(self.path.fault(FilterProblem::Misfit {
            operator: test.word(),
            field: field(),
            kind: column.kind,
        }))
    }

    fn compare(
        &mut self,
        operator: &str,
        column: &ColumnInfo,
        test: &Test,
        value: &Value,
    ) -> Result<(), FilterError> {
        let value = self.coerce(column, test, value)?;
        self.statement.push(operator).bind(column.kind, value);
        Ok(())
    }

    /// `text` is taken letter by letter: the wildcards in it are escaped.
    fn like(&mut self, operator: &str, before: &str, text: &str, after: &str) {
        let mut pattern = String::with_capacity(text.len() + 2);
        pattern.push_str(before);
        for character in text.chars() {
            if matches!(character, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push_str(after);
        self.statement.push(operator);
        self.statement.bind(ValueKind::Text, Value::Text(pattern));
    }

    fn coerce(
        &self,
        column: &ColumnInfo,
        test: &Test,
        value: &Value,
    ) -> Result<Value, FilterError> {
        if value.is_null() {
            return Err(self.needs_value(test));
        }
        value
            .coerce(column.kind)
            .ok_or_else(|| self.wrong_kind(column))
    }

    fn coerce_at(
        &mut self,
        n: usize,
        column: &ColumnInfo,
        test: &Test,
        value: &Value,
    ) -> Result<Value, FilterError> {
        self.within(format_args!("/{n}"), |writer| {
            writer.coerce(column, test, value)
        })
    }

    fn coerce_all(
        &mut self,
        column: &ColumnInfo,
        test: &Test,
        values: &[Value],
    ) -> Result<Vec<Value>, FilterError> {
        let values = values.iter().enumerate();
        values
            .map(|(n, value)| self.coerce_at(n, column, test, value))
            .collect()
    }

    fn needs_value(&self, test: &Test) -> FilterError {
        let operator = test.word();
        self.path.fault(FilterProblem::NeedsValue { operator })
    }

    fn wrong_kind(&self, column: &ColumnInfo) -> FilterError {
        let kind = column.kind;
        self.path.fault(FilterProblem::WrongKind { kind })
    }

    fn within<T>(
        &mut self,
        step: std::fmt::Arguments<'_>,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let length = self.path.push(step);
        let result = inner(self);
        self.path.truncate(length);
        result
    }
}
