// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The language of formulas: parsed, then typed, then evaluated over the cells of one row.
//!
//! It is pure and bounded. A formula knows no clock, no chance, no loop and no other row, so that the
//! same cells give the same value for ever; and no text, however odd, makes it panic or recurse without
//! end.

mod error;
mod evaluate;
mod functions;
mod lexer;
mod parser;
mod types;

use std::collections::BTreeMap;

use crate::cell::Cell;
use crate::value::ValueKind;

pub use error::{FormulaError, FormulaProblem, Span};
pub(crate) use types::FieldUse;

use parser::{Expression, Node};

/// An expression over the fields of a row, parsed.
///
/// | what | how it is written |
/// |---|---|
/// | a field | `net`, or `{net}` where the name is also a word of the language |
/// | values | `12`, `1.20`, `'text'`, `"text"` (a quote in a text is doubled), `true`, `false`, `null` |
/// | numbers | `+` `-` `*` `/` `%`, `round(x)`, `round(x, digits)`, `abs`, `min`, `max` |
/// | texts | `a & b`, `concat(a, b, ..)`, `text(x)`, `length`, `lower`, `upper`, `trim`, `left(x, n)`, `right(x, n)` |
/// | comparisons | `=` `!=` `<` `<=` `>` `>=`, `contains(x, part)`, `starts_with`, `ends_with` |
/// | conditions | `and`, `or`, `not`, `if(condition, then, otherwise)`, `coalesce(a, b, ..)`, `is_empty(x)` |
/// | days | `date(year, month, day)`, `date(instant)`, `year(x)`, `month(x)`, `day(x)`, `add_days(x, n)`, `days_between(a, b)` |
///
/// Decimals are exact. `/` of two whole numbers gives a decimal. What has no answer is empty: a division
/// by zero, a number beyond 28 digits, a whole number beyond 64 bits, the 31st of February, a text of
/// more than 100,000 characters. An empty operand makes the result empty, but for these: a comparison
/// with an empty operand is false, a condition that is empty counts as false, `concat` leaves empties
/// out, and `coalesce` and `is_empty` are made for them. Instants are taken apart in UTC.
///
/// At most 4,000 characters, nested at most 64 deep.
///
/// # Examples
/// ```
/// use forktex_data::{Cell, Formula, Value, ValueKind};
///
/// let formula = Formula::parse("if(paid, 0, round(net * 1.2, 2))")?;
/// assert_eq!(formula.names(), ["paid", "net"]);
/// let formula = formula.check([("paid", ValueKind::Boolean), ("net", ValueKind::Decimal)])?;
/// assert_eq!(formula.kind(), ValueKind::Decimal);
///
/// let gross = formula.evaluate(&|name| match name {
///     "net" => Cell::Value(Value::from(100)),
///     _ => Cell::Absent,
/// });
/// assert_eq!(gross.value().unwrap().to_json(), "120");
/// # Ok::<(), forktex_data::FormulaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Formula {
    source: String,
    root: Node,
}

impl Formula {
    /// Reads a formula. Pure; takes time in proportion to the text.
    ///
    /// # Errors
    /// [`FormulaError`] with the place of the first fault, and what to write instead.
    ///
    /// # Examples
    /// ```
    /// use forktex_data::Formula;
    ///
    /// let error = Formula::parse("net * (1 + rate").unwrap_err();
    /// assert_eq!(error.span().start, 15);
    /// assert!(error.to_string().contains("`)`"));
    /// ```
    pub fn parse(source: &str) -> Result<Self, FormulaError> {
        let root = parser::parse(source)
            .map_err(|(problem, span)| FormulaError::new(problem, span, source))?;
        Ok(Self {
            source: source.to_owned(),
            root,
        })
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The fields that it names, each once, in the order in which they first appear.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        self.root.visit(&mut |node| {
            if let Expression::Field(name) = &node.expression
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        });
        names
    }

    /// Checks the types, given the fields that may be named and the kinds of their values. Pure.
    ///
    /// # Errors
    /// [`FormulaError`] when a field is unknown or does not fit where it stands.
    ///
    /// # Examples
    /// ```
    /// use forktex_data::{Formula, ValueKind};
    ///
    /// let formula = Formula::parse("nett + 1")?;
    /// let error = formula.check([("net", ValueKind::Integer)]).unwrap_err();
    /// assert!(error.to_string().contains("did you mean `net`"));
    /// # Ok::<(), forktex_data::FormulaError>(())
    /// ```
    pub fn check<'f>(
        &self,
        fields: impl IntoIterator<Item = (&'f str, ValueKind)>,
    ) -> Result<CheckedFormula, FormulaError> {
        let fields = fields
            .into_iter()
            .map(|(name, kind)| (name, FieldUse::Kind(kind)))
            .collect();
        self.check_uses(&fields)
    }

    /// As [`check`](Self::check), where some names are known and cannot be used.
    pub(crate) fn check_uses(
        &self,
        fields: &BTreeMap<&str, FieldUse>,
    ) -> Result<CheckedFormula, FormulaError> {
        let kind = types::check(&self.root, fields)
            .map_err(|(problem, span)| FormulaError::new(problem, span, &self.source))?;
        Ok(CheckedFormula {
            formula: self.clone(),
            kind,
        })
    }

    /// The text of the same formula where the field `from` is called `to`.
    pub(crate) fn rename_field(&self, from: &str, to: &str) -> String {
        let mut places = Vec::new();
        self.root.visit(&mut |node| {
            if matches!(&node.expression, Expression::Field(name) if name == from) {
                places.push(node.span);
            }
        });
        places.sort_unstable_by_key(|span| span.start);
        let mut renamed = String::with_capacity(self.source.len());
        let mut copied = 0;
        for span in places {
            renamed.push_str(self.source.get(copied..span.start).unwrap_or_default());
            let rest = self.source.get(span.start..).unwrap_or_default();
            let is_braced = rest.starts_with('{');
            if is_braced || lexer::is_word(to) {
                renamed.push('{');
                renamed.push_str(to);
                renamed.push('}');
            } else {
                renamed.push_str(to);
            }
            copied = span.end;
        }
        renamed.push_str(self.source.get(copied..).unwrap_or_default());
        renamed
    }
}

/// A formula whose types fit: it can be evaluated.
///
/// # Examples
/// ```
/// use forktex_data::{Cell, Formula};
///
/// let formula = Formula::parse("1 / 0")?.check([])?;
/// assert_eq!(formula.evaluate(&|_| Cell::Absent), Cell::Null);
/// # Ok::<(), forktex_data::FormulaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckedFormula {
    formula: Formula,
    kind: ValueKind,
}

impl CheckedFormula {
    /// The kind of its values.
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// The formula.
    pub fn formula(&self) -> &Formula {
        &self.formula
    }

    /// Its value over the cells that `cell_of` gives for the names: [`Cell::Null`] where there is none,
    /// never [`Cell::Absent`]. Pure.
    ///
    /// A cell of another kind than was checked makes what uses it empty.
    pub fn evaluate(&self, cell_of: &dyn Fn(&str) -> Cell) -> Cell {
        evaluate::evaluate(&self.formula.root, cell_of)
            .and_then(|value| evaluate::result(value, self.kind))
            .map_or(Cell::Null, Cell::Value)
    }
}

#[cfg(test)]
mod tests;
