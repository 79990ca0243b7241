// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Walks a filter with the path to each part at hand, and what is checked on the way.

use std::fmt;

use super::{
    FILTER_COMPARISONS_MAX, FILTER_DEPTH_MAX, FILTER_LIST_MAX, FilterError, FilterProblem, Node,
    Test,
};

/// A JSON pointer that grows and shrinks with the walk.
#[derive(Default)]
pub(super) struct Path(String);

impl Path {
    /// Runs `inner` with the path longer by `step`.
    pub(super) fn within<T>(
        &mut self,
        step: fmt::Arguments<'_>,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let length = self.push(step);
        let result = inner(self);
        self.truncate(length);
        result
    }

    /// Adds a step, and gives the length before it.
    pub(super) fn push(&mut self, step: fmt::Arguments<'_>) -> usize {
        let length = self.0.len();
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.0, step);
        length
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub(super) fn fault(&self, problem: FilterProblem) -> FilterError {
        FilterError::new(self.0.clone(), problem)
    }
}

/// Shows `visit` every node, from the outside in, with its path and its depth, which starts at 1.
fn visit(
    node: &Node,
    path: &mut Path,
    depth: usize,
    visitor: &mut impl FnMut(&Node, &mut Path, usize) -> Result<(), FilterError>,
) -> Result<(), FilterError> {
    visitor(node, path, depth)?;
    match node {
        Node::Field { .. } => Ok(()),
        Node::Not(inner) => path.within(format_args!("/not"), |path| {
            visit(inner, path, depth + 1, visitor)
        }),
        Node::And(members) | Node::Or(members) => {
            members.iter().enumerate().try_for_each(|(n, member)| {
                path.within(format_args!("/{}/{n}", node.word()), |path| {
                    visit(member, path, depth + 1, visitor)
                })
            })
        }
    }
}

/// Checks depth, lengths and the number of comparisons.
pub(super) fn check_bounds(node: &Node) -> Result<(), FilterError> {
    let mut comparisons = 0;
    visit(node, &mut Path::default(), 1, &mut |node, path, depth| {
        if depth > FILTER_DEPTH_MAX {
            return Err(path.fault(FilterProblem::TooDeep));
        }
        match node {
            Node::Not(_) => Ok(()),
            Node::And(members) | Node::Or(members) => check_length(node.word(), members, path),
            Node::Field { tests, .. } => {
                comparisons += tests.len();
                if comparisons > FILTER_COMPARISONS_MAX {
                    return Err(path.fault(FilterProblem::TooMany));
                }
                tests.iter().try_for_each(|test| match test {
                    Test::In(values) | Test::NotIn(values) => {
                        check_length(test.word(), values, path)
                    }
                    _ => Ok(()),
                })
            }
        }
    })
}

fn check_length<T>(word: &str, members: &[T], path: &mut Path) -> Result<(), FilterError> {
    let length = members.len();
    if length <= FILTER_LIST_MAX {
        return Ok(());
    }
    path.within(format_args!("/{word}"), |path| {
        Err(path.fault(FilterProblem::TooLong { length }))
    })
}

/// Checks that only these fields are named.
pub(super) fn check_names(node: &Node, fields: &[&str]) -> Result<(), FilterError> {
    visit(
        node,
        &mut Path::default(),
        1,
        &mut |node, path, _| match node {
            Node::Field { name, .. } if !fields.contains(&name.as_ref()) => {
                let field = name.clone().into_owned();
                path.within(format_args!("/field"), |path| {
                    Err(path.fault(FilterProblem::NotAllowed { field }))
                })
            }
            _ => Ok(()),
        },
    )
}
