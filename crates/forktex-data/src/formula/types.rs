// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Checks that the parts of a formula fit together, and finds the kind of its values. It evaluates
//! nothing.

use std::collections::BTreeMap;

use super::error::FormulaProblem;
use super::functions::{self, Function};
use super::lexer::Fault;
use super::parser::{Expression, Node, Operator};
use crate::error::nearest;
use crate::value::ValueKind;

/// What a formula may do with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldUse {
    /// Use its values.
    Kind(ValueKind),
    /// Nothing, for this reason.
    Unusable(&'static str),
}

/// The type of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// `null`: goes with any other.
    Empty,
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
    Datetime,
    /// A UUID or a JSON document: can be asked whether it is empty, and no more.
    Opaque,
}

impl Type {
    fn of(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Text => Self::Text,
            ValueKind::Integer => Self::Integer,
            ValueKind::Decimal => Self::Decimal,
            ValueKind::Boolean => Self::Boolean,
            ValueKind::Date => Self::Date,
            ValueKind::Datetime => Self::Datetime,
            ValueKind::Uuid | ValueKind::Json => Self::Opaque,
        }
    }

    fn kind(self) -> Option<ValueKind> {
        Some(match self {
            Self::Text => ValueKind::Text,
            Self::Integer => ValueKind::Integer,
            Self::Decimal => ValueKind::Decimal,
            Self::Boolean => ValueKind::Boolean,
            Self::Date => ValueKind::Date,
            Self::Datetime => ValueKind::Datetime,
            Self::Empty | Self::Opaque => return None,
        })
    }

    /// The word for messages.
    fn word(self) -> &'static str {
        match self {
            Self::Empty => "always empty",
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Decimal => "a decimal number",
            Self::Boolean => "a condition",
            Self::Date => "a date",
            Self::Datetime => "an instant",
            Self::Opaque => "a value that formulas do not know",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal | Self::Empty)
    }

    /// Whether it can stand as a text: by what people write for it.
    fn is_writable(self) -> bool {
        self != Self::Opaque
    }

    /// The type that holds values of both.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, two) if one == two => Some(one),
            (Self::Empty, some) | (some, Self::Empty) => Some(some),
            (Self::Integer, Self::Decimal) | (Self::Decimal, Self::Integer) => Some(Self::Decimal),
            _ => None,
        }
    }
}

/// The kind of the formula's values.
pub(super) fn check(root: &Node, fields: &BTreeMap<&str, FieldUse>) -> Result<ValueKind, Fault> {
    let found = Checker { fields }.check(root)?;
    if found == Type::Empty {
        return Err((FormulaProblem::AlwaysEmpty, root.span));
    }
    found.kind().ok_or_else(|| {
        let instead = Some("ask `is_empty(..)` of it, or show the field itself");
        wrong(root, "a value of a formula", found, instead)
    })
}

struct Checker<'c> {
    fields: &'c BTreeMap<&'c str, FieldUse>,
}

impl Checker<'_> {
    fn check(&self, node: &Node) -> Result<Type, Fault> {
        match &node.expression {
            Expression::Literal(value) => Ok(Type::of(value.kind())),
            Expression::Empty => Ok(Type::Empty),
            Expression::Field(name) => self.field(node, name),
            Expression::Negate(operand) => self.number(operand),
            Expression::Not(operand) => self.condition(operand),
            Expression::Compare { left, right, .. } => {
                let (one, two) = (self.comparable(left)?, self.comparable(right)?);
                together(node, one, two)?;
                Ok(Type::Boolean)
            }
            Expression::Chain { first, rest } => self.chain(first, rest),
            Expression::Call {
                function,
                arguments,
            } => self.call(node, *function, arguments),
        }
    }

    fn field(&self, node: &Node, name: &str) -> Result<Type, Fault> {
        let problem = match self.fields.get(name) {
            Some(FieldUse::Kind(kind)) => return Ok(Type::of(*kind)),
            Some(FieldUse::Unusable(reason)) => FormulaProblem::UnusableField {
                name: name.to_owned(),
                reason,
            },
            None => FormulaProblem::UnknownField {
                name: name.to_owned(),
                nearest: nearest(&name.to_ascii_lowercase(), self.fields.keys().copied()),
            },
        };
        Err((problem, node.span))
    }

    fn chain(&self, first: &Node, rest: &[(Operator, Node)]) -> Result<Type, Fault> {
        // Operators of one chain are of one strength, so the first tells what they work on.
        match rest.first().map(|(operator, _)| operator) {
            Some(Operator::And | Operator::Or) => {
                self.condition(first)?;
                for (_, node) in rest {
                    self.condition(node)?;
                }
                Ok(Type::Boolean)
            }
            Some(Operator::Concatenate) => {
                self.writable(first)?;
                for (_, node) in rest {
                    self.writable(node)?;
                }
                Ok(Type::Text)
            }
            _ => {
                let mut found = self.number(first)?;
                for (operator, node) in rest {
                    let operand = self.number(node)?;
                    found = match operator {
                        Operator::Divide => Type::Decimal,
                        _ => together(node, found, operand)?,
                    };
                }
                Ok(found)
            }
        }
    }

    fn call(&self, node: &Node, function: Function, arguments: &[Node]) -> Result<Type, Fault> {
        match (function, arguments) {
            (Function::If, [condition, then, otherwise]) => {
                self.condition(condition)?;
                self.alike(node, &[then, otherwise])
            }
            (Function::Coalesce, values) => self.alike(node, &values.iter().collect::<Vec<_>>()),
            (Function::IsEmpty, [value]) => self.check(value).map(|_| Type::Boolean),
            (Function::Concat, values) => {
                for value in values {
                    self.writable(value)?;
                }
                Ok(Type::Text)
            }
            (Function::Text, [value]) => self.writable(value).map(|()| Type::Text),
            (Function::Length, [text]) => self.text(text).map(|()| Type::Integer),
            (Function::Lower | Function::Upper | Function::Trim, [text]) => {
                self.text(text).map(|()| Type::Text)
            }
            (Function::Left | Function::Right, [text, characters]) => {
                self.text(text)?;
                self.whole(characters).map(|()| Type::Text)
            }
            (Function::Contains | Function::StartsWith | Function::EndsWith, [text, part]) => {
                self.text(text)?;
                self.text(part).map(|()| Type::Boolean)
            }
            (Function::Round, [number, digits @ ..]) => {
                self.number(number)?;
                for digits in digits {
                    self.whole(digits)?;
                }
                Ok(Type::Decimal)
            }
            (Function::Abs, [number]) => self.number(number),
            (Function::Min | Function::Max, values) => {
                for value in values {
                    self.comparable(value)?;
                }
                self.alike(node, &values.iter().collect::<Vec<_>>())
            }
            (Function::Date, [instant]) => self.day(instant).map(|()| Type::Date),
            (Function::Date, [year, month, day]) => {
                self.whole(year)?;
                self.whole(month)?;
                self.whole(day).map(|()| Type::Date)
            }
            (Function::Year | Function::Month | Function::Day, [date]) => {
                self.day(date).map(|()| Type::Integer)
            }
            (Function::AddDays, [date, days]) => {
                self.day(date)?;
                self.whole(days).map(|()| Type::Date)
            }
            (Function::DaysBetween, [from, to]) => {
                self.day(from)?;
                self.day(to).map(|()| Type::Integer)
            }
            // The counts were checked, but for the two arguments that `date` does not take.
            _ => {
                let problem = FormulaProblem::ArgumentCount {
                    given: arguments.len(),
                    usage: functions::usage(function),
                };
                Err((problem, node.span))
            }
        }
    }

    fn expect(
        &self,
        node: &Node,
        fits: impl Fn(Type) -> bool,
        expected: &'static str,
        instead: Option<&'static str>,
    ) -> Result<Type, Fault> {
        let found = self.check(node)?;
        if fits(found) {
            return Ok(found);
        }
        Err(wrong(node, expected, found, instead))
    }

    fn number(&self, node: &Node) -> Result<Type, Fault> {
        let instead = Some("join texts with `&`, and count days with `days_between` or `add_days`");
        self.expect(node, Type::is_number, "a number", instead)
    }

    fn whole(&self, node: &Node) -> Result<(), Fault> {
        let fits = |found: Type| matches!(found, Type::Integer | Type::Empty);
        self.expect(node, fits, "a whole number", None).map(drop)
    }

    fn text(&self, node: &Node) -> Result<(), Fault> {
        let fits = |found: Type| matches!(found, Type::Text | Type::Empty);
        let instead = Some("make one of it with `text(..)`");
        self.expect(node, fits, "a text", instead).map(drop)
    }

    fn day(&self, node: &Node) -> Result<(), Fault> {
        let fits = |found: Type| matches!(found, Type::Date | Type::Datetime | Type::Empty);
        let instead = Some("make one with `date(year, month, day)`");
        self.expect(node, fits, "a date or an instant", instead)
            .map(drop)
    }

    fn condition(&self, node: &Node) -> Result<Type, Fault> {
        let fits = |found: Type| matches!(found, Type::Boolean | Type::Empty);
        let instead = Some("compare it, as in `x > 0`");
        self.expect(node, fits, "a condition", instead)?;
        Ok(Type::Boolean)
    }

    fn writable(&self, node: &Node) -> Result<(), Fault> {
        let expected = "something that can be written as a text";
        self.expect(node, Type::is_writable, expected, None)
            .map(drop)
    }

    fn comparable(&self, node: &Node) -> Result<Type, Fault> {
        let fits = |found: Type| found != Type::Opaque;
        let instead = Some("ask `is_empty(..)` of it");
        self.expect(node, fits, "something that can be compared", instead)
    }

    /// The type that holds the values of all of them.
    fn alike(&self, node: &Node, values: &[&Node]) -> Result<Type, Fault> {
        let mut found = Type::Empty;
        for value in values {
            let next = self.comparable(value)?;
            found = together(node, found, next)?;
        }
        Ok(found)
    }
}

fn together(node: &Node, left: Type, right: Type) -> Result<Type, Fault> {
    left.with(right).ok_or_else(|| {
        let problem = FormulaProblem::Mismatch {
            left: left.word(),
            right: right.word(),
        };
        (problem, node.span)
    })
}

fn wrong(node: &Node, expected: &'static str, found: Type, instead: Option<&'static str>) -> Fault {
    let problem = FormulaProblem::WrongType {
        expected,
        found: found.word(),
        instead,
    };
    (problem, node.span)
}
