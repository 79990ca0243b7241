// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[pipeline]`.

use std::fmt::Display;

use super::with_help;
use crate::diagnostics::nearest;

pub(crate) fn workflow_is_no_struct(what: &str) -> String {
    format!(
        "a {what} is declared on a struct: write `{}`",
        unit_struct(what)
    )
}

pub(crate) fn workflow_on_tuple(what: &str) -> String {
    with_help(
        format!(
            "a {what} is declared on a unit struct, or on a struct with named fields that is its state"
        ),
        format!("write `{}`", unit_struct(what)),
    )
}

pub(crate) fn generic_workflow(what: &str) -> String {
    format!("a {what} takes no generics, lifetimes or where clause")
}

fn unit_struct(what: &str) -> String {
    let (first, rest) = what.split_at(1);
    format!("pub struct My{}{rest};", first.to_uppercase())
}

pub(crate) const VERSION_OUT_OF_RANGE: &str = "`version` is a whole number from 1";

pub(crate) const NO_STEPS: &str = "a pipeline needs at least one step";

pub(crate) const EMPTY_PARALLEL: &str =
    "a parallel group needs at least one step: write `parallel(one_step, other_step)`";

pub(crate) const NESTED_PARALLEL: &str =
    "a parallel group cannot hold another: put its steps into the one around it";

pub(crate) const OPTION_OF_PARALLEL: &str = "a parallel group takes no options
= help: give them to its steps: `parallel(step(one_step, when = ..), other_step)`";

pub(crate) const STEP_WITHOUT_PATH: &str =
    "`step(..)` begins with the step: write `step(my_step, when = ..)`";

pub(crate) const EXPECTED_STEP: &str =
    "expected a step: `path::to::step`, `step(path, when = ..)` or `parallel(..)`";

pub(crate) fn unknown_word(written: &str) -> String {
    let message = format!("there is no `{written}(..)` here");
    match nearest(written, ["step", "parallel"]) {
        Some(near) => with_help(message, format!("a similar word exists: `{near}(..)`")),
        None => with_help(
            message,
            format!("a step with options is `step({written}, when = ..)`"),
        ),
    }
}

pub(crate) fn state_given_twice(ident: &impl Display) -> String {
    with_help(
        format!("`{ident}` has fields, so it is itself the state: leave `state =` out"),
        format!("or write `struct {ident};` to use another type's state"),
    )
}

pub(crate) fn workflow_name(text: &str) -> String {
    with_help(
        format!("`{text}` is not a valid workflow name"),
        "write 1 to 200 characters: words of letters, digits, `_` and `-`, joined by dots",
    )
}

pub(crate) fn node_name(text: &str) -> String {
    with_help(
        format!("`{text}` is not a valid node name"),
        "write 1 to 100 characters: words of letters, digits, `_` and `-`, joined by dots, and not `__START__` or `__END__`",
    )
}

pub(crate) fn duplicate_node(name: &str, step: &str) -> String {
    with_help(
        format!("two nodes are called `{name}`"),
        format!("give this one another name: `step({step}, name = \"..\")`"),
    )
}
