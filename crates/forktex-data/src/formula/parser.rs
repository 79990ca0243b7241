// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Makes a tree of the pieces of a formula, by the strength of its operators. It knows no types.
//!
//! Operators of one strength make one flat node, so that a long sum is no deep tree: parentheses,
//! arguments and signs alone make depth, and that is counted.

use super::error::{FormulaProblem, Span};
use super::functions::{self, Function};
use super::lexer::{self, Fault, Token};
use crate::error::nearest;
use crate::limits::FORMULA_DEPTH_MAX;
use crate::value::Value;

/// An expression and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) expression: Expression,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum Expression {
    /// A value as it is.
    Literal(Value),
    /// `null`.
    Empty,
    /// A field, by its name.
    Field(String),
    /// `-x`
    Negate(Box<Node>),
    /// `not x`
    Not(Box<Node>),
    /// `a + b - c`: operators of one strength, from the left.
    Chain {
        first: Box<Node>,
        rest: Vec<(Operator, Node)>,
    },
    /// `a < b`
    Compare {
        left: Box<Node>,
        comparison: Comparison,
        right: Box<Node>,
    },
    /// `round(x, 2)`
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
}

/// What joins two operands and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Concatenate,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What stands between two operands.
#[derive(Clone, Copy)]
enum Infix {
    Operator(Operator),
    Comparison(Comparison),
}

/// The strength of a comparison; `not` takes one with all that is stronger.
const COMPARISON: u8 = 3;

impl Infix {
    /// How strongly it binds, from `or` up.
    fn strength(self) -> u8 {
        match self {
            Self::Operator(Operator::Or) => 1,
            Self::Operator(Operator::And) => 2,
            Self::Comparison(_) => COMPARISON,
            Self::Operator(Operator::Concatenate) => 4,
            Self::Operator(Operator::Add | Operator::Subtract) => 5,
            Self::Operator(Operator::Multiply | Operator::Divide | Operator::Remainder) => 6,
        }
    }
}

impl Node {
    /// Calls `see` for this node and all below it, in the order in which they stand.
    pub(super) fn visit<'n>(&'n self, see: &mut dyn FnMut(&'n Node)) {
        see(self);
        match &self.expression {
            Expression::Literal(_) | Expression::Empty | Expression::Field(_) => {}
            Expression::Negate(operand) | Expression::Not(operand) => operand.visit(see),
            Expression::Chain { first, rest } => {
                first.visit(see);
                for (_, node) in rest {
                    node.visit(see);
                }
            }
            Expression::Compare { left, right, .. } => {
                left.visit(see);
                right.visit(see);
            }
            Expression::Call { arguments, .. } => {
                for argument in arguments {
                    argument.visit(see);
                }
            }
        }
    }
}

/// Reads a whole formula.
pub(super) fn parse(source: &str) -> Result<Node, Fault> {
    let tokens = lexer::tokens(source)?;
    let end = Span::new(source.len(), source.len());
    if tokens.is_empty() {
        return Err((FormulaProblem::Empty, end));
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        end,
    };
    let root = parser.expression(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(root),
        Some((_, span)) => Err((FormulaProblem::LeftOver, *span)),
    }
}

struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
    /// The place behind the last character.
    end: Span,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// The place of the next token.
    fn span(&self) -> Span {
        self.tokens.get(self.at).map_or(self.end, |(_, span)| *span)
    }

    fn next_is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    fn expect(&mut self, sign: &str, expected: &'static str) -> Result<Span, Fault> {
        let span = self.span();
        if self.next_is(sign) {
            self.at += 1;
            return Ok(span);
        }
        Err((FormulaProblem::Expected { expected }, span))
    }

    /// Runs `part` one level deeper.
    fn nested<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= FORMULA_DEPTH_MAX {
            return Err((FormulaProblem::TooDeep, self.span()));
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    /// An operand, and what follows it as long as that binds at least as strongly.
    fn expression(&mut self, strength_min: u8) -> Result<Node, Fault> {
        let mut left = self.operand()?;
        // Each turn takes an operator, or ends.
        while let Some(infix) = self.infix() {
            if infix.strength() < strength_min {
                break;
            }
            left = match infix {
                Infix::Comparison(comparison) => self.comparison(left, comparison)?,
                Infix::Operator(_) => self.chain(left, infix.strength())?,
            };
        }
        Ok(left)
    }

    fn infix(&self) -> Option<Infix> {
        let operator = |operator| Some(Infix::Operator(operator));
        let comparison = |comparison| Some(Infix::Comparison(comparison));
        match self.peek()? {
            Token::Word(word) if word.eq_ignore_ascii_case("and") => operator(Operator::And),
            Token::Word(word) if word.eq_ignore_ascii_case("or") => operator(Operator::Or),
            Token::Sign(sign) => match *sign {
                "&" => operator(Operator::Concatenate),
                "+" => operator(Operator::Add),
                "-" => operator(Operator::Subtract),
                "*" => operator(Operator::Multiply),
                "/" => operator(Operator::Divide),
                "%" => operator(Operator::Remainder),
                "=" => comparison(Comparison::Equal),
                "!=" => comparison(Comparison::Different),
                "<" => comparison(Comparison::Less),
                "<=" => comparison(Comparison::LessOrEqual),
                ">" => comparison(Comparison::Greater),
                ">=" => comparison(Comparison::GreaterOrEqual),
                _ => None,
            },
            _ => None,
        }
    }

    fn comparison(&mut self, left: Node, comparison: Comparison) -> Result<Node, Fault> {
        self.at += 1;
        let right = self.expression(COMPARISON + 1)?;
        if let Some(Infix::Comparison(_)) = self.infix() {
            return Err((FormulaProblem::ChainedComparison, self.span()));
        }
        let span = left.span.to(right.span);
        let expression = Expression::Compare {
            left: Box::new(left),
            comparison,
            right: Box::new(right),
        };
        Ok(Node { expression, span })
    }

    fn chain(&mut self, first: Node, strength: u8) -> Result<Node, Fault> {
        let mut span = first.span;
        let mut rest = Vec::new();
        while let Some(Infix::Operator(operator)) = self.infix()
            && Infix::Operator(operator).strength() == strength
        {
            self.at += 1;
            let operand = self.expression(strength + 1)?;
            span = span.to(operand.span);
            rest.push((operator, operand));
        }
        let expression = Expression::Chain {
            first: Box::new(first),
            rest,
        };
        Ok(Node { expression, span })
    }

    fn operand(&mut self) -> Result<Node, Fault> {
        let span = self.span();
        let expected = FormulaProblem::Expected {
            expected: "a field, a value or a function",
        };
        let Some(token) = self.peek().cloned() else {
            return Err((expected, span));
        };
        self.at += 1;
        let expression = match token {
            Token::Literal(value) => Expression::Literal(value),
            Token::Field(name) => Expression::Field(name),
            Token::Word(word) => return self.word(word, span),
            Token::Sign("(") => {
                let inner = self.nested(|parser| parser.expression(0))?;
                let close = self.expect(")", "`)`")?;
                return Ok(Node {
                    span: span.to(close),
                    ..inner
                });
            }
            Token::Sign("-") => {
                let operand = self.nested(Self::operand)?;
                return Ok(Node {
                    span: span.to(operand.span),
                    expression: Expression::Negate(Box::new(operand)),
                });
            }
            Token::Sign(_) => return Err((expected, span)),
        };
        Ok(Node { expression, span })
    }

    /// A word where an operand stands: of the language, a function with its arguments, or a field.
    fn word(&mut self, word: String, span: Span) -> Result<Node, Fault> {
        if self.next_is("(") && !lexer::is_word(&word) {
            return self.call(&word, span);
        }
        let expression = match word.to_ascii_lowercase().as_str() {
            "true" => Expression::Literal(Value::Boolean(true)),
            "false" => Expression::Literal(Value::Boolean(false)),
            "null" => Expression::Empty,
            "not" => {
                let operand = self.nested(|parser| parser.expression(COMPARISON))?;
                return Ok(Node {
                    span: span.to(operand.span),
                    expression: Expression::Not(Box::new(operand)),
                });
            }
            "and" | "or" => {
                let expected = "a condition before and after `and` and `or`";
                return Err((FormulaProblem::Expected { expected }, span));
            }
            _ => Expression::Field(word),
        };
        Ok(Node { expression, span })
    }

    fn call(&mut self, name: &str, span: Span) -> Result<Node, Fault> {
        let Some(signature) = functions::find(name) else {
            let problem = FormulaProblem::UnknownFunction {
                nearest: nearest(&name.to_ascii_lowercase(), functions::names()),
                name: name.to_owned(),
            };
            return Err((problem, span));
        };
        // The parenthesis that was seen.
        self.at += 1;
        let mut arguments = Vec::new();
        if !self.next_is(")") {
            loop {
                arguments.push(self.nested(|parser| parser.expression(0))?);
                if !self.next_is(",") {
                    break;
                }
                self.at += 1;
            }
        }
        let close = self.expect(")", "`,` or `)`")?;
        let span = span.to(close);
        if !signature.counts.contains(&arguments.len()) {
            let problem = FormulaProblem::ArgumentCount {
                given: arguments.len(),
                usage: signature.usage,
            };
            return Err((problem, span));
        }
        let expression = Expression::Call {
            function: signature.function,
            arguments,
        };
        Ok(Node { expression, span })
    }
}
