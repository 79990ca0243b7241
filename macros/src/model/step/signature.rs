// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The signature of a step: `async fn name(ctx: &Ctx, state: &S, resource: Resource<T>, ..) -> R`.

use std::fmt::Write as _;

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{FnArg, Pat, PatType, ReturnType, Signature, Type, TypeReference};

use super::StateForm;
use crate::diagnostics::{Diagnostics, message};
use crate::model::types;

/// What a signature says.
#[derive(Debug)]
pub(crate) struct StepSignature {
    pub(crate) state: Type,
    pub(crate) form: StateForm,
    pub(crate) resources: Vec<Type>,
    pub(crate) output: Type,
}

/// Checks all parts of the signature.
pub(crate) fn check(
    signature: &Signature,
    update: Option<&Ident>,
    diagnostics: &mut Diagnostics,
) -> Option<StepSignature> {
    let mut check = Check {
        expected: expected(signature, update),
        diagnostics,
    };
    check.qualifiers(signature);
    let mut parameters = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => check.error(receiver, message::STEP_WITH_SELF),
            FnArg::Typed(parameter) => parameters.push(parameter),
        }
    }
    let output = check.output(signature);
    if parameters.is_empty() {
        check.error_at_end(signature, message::STEP_WITHOUT_PARAMETERS);
        return None;
    }
    let rest = check.context(parameters[0]);
    let mut parameters = parameters.into_iter().skip(rest);
    let state = parameters.next();
    if state.is_none() {
        check.error_at_end(signature, message::STEP_WITHOUT_STATE);
    }
    let state = state.and_then(|parameter| check.state(parameter));
    let resources = parameters
        .filter_map(|parameter| check.resource(parameter))
        .collect();
    let (state, form) = state?;
    Some(StepSignature {
        state,
        form,
        resources,
        output: output?,
    })
}

struct Check<'a> {
    expected: String,
    diagnostics: &'a mut Diagnostics,
}

impl Check<'_> {
    fn error(&mut self, culprit: impl ToTokens, what: impl std::fmt::Display) {
        let message = message::signature(what, &self.expected);
        self.diagnostics.error(culprit, message);
    }

    /// Reports what is missing where it would stand.
    fn error_at_end(&mut self, signature: &Signature, what: &str) {
        let message = message::signature(what, &self.expected);
        let place = signature.paren_token.span.join();
        self.diagnostics.error_at(place, message);
    }

    fn qualifiers(&mut self, signature: &Signature) {
        if signature.asyncness.is_none() {
            self.error(signature.fn_token, message::STEP_NOT_ASYNC);
        }
        if let Some(word) = &signature.constness {
            self.error(word, message::plain_function("const"));
        }
        if let Some(word) = &signature.unsafety {
            self.error(word, message::plain_function("unsafe"));
        }
        if let Some(word) = &signature.abi {
            self.error(word, message::plain_function("extern"));
        }
        if let Some(dots) = &signature.variadic {
            self.error(dots, message::plain_function(".."));
        }
        if !signature.generics.params.is_empty() {
            self.error(&signature.generics.params, message::GENERIC_STEP);
        } else if let Some(clause) = &signature.generics.where_clause {
            self.error(clause, message::GENERIC_STEP);
        }
    }

    fn output(&mut self, signature: &Signature) -> Option<Type> {
        match &signature.output {
            ReturnType::Default => {
                self.error_at_end(signature, message::STEP_WITHOUT_RESULT);
                None
            }
            ReturnType::Type(_, ty) if types::has_impl_trait(ty) => {
                self.error(ty, message::IMPL_TRAIT);
                None
            }
            ReturnType::Type(_, ty) => Some((**ty).clone()),
        }
    }

    /// Checks the first parameter, and returns how many parameters it stands for.
    fn context(&mut self, parameter: &PatType) -> usize {
        self.pattern(parameter);
        match &*parameter.ty {
            Type::Reference(reference) if types::is_named(&reference.elem, "Ctx") => {
                self.reference(reference);
                1
            }
            ty if types::is_named(ty, "Ctx") => {
                self.error(ty, message::CTX_BY_VALUE);
                1
            }
            ty => {
                self.error(ty, message::CTX_MISSING);
                0
            }
        }
    }

    fn state(&mut self, parameter: &PatType) -> Option<(Type, StateForm)> {
        self.pattern(parameter);
        let (ty, form) = match &*parameter.ty {
            Type::Reference(reference) => {
                self.reference(reference);
                (&*reference.elem, StateForm::Reference)
            }
            ty => match types::argument_of(ty, "Arc") {
                Some(inner) => (inner, StateForm::Shared),
                None => (ty, StateForm::Owned),
            },
        };
        if types::has_impl_trait(ty) {
            self.error(ty, message::IMPL_TRAIT);
            return None;
        }
        if types::argument_of(ty, "Resource").is_some() {
            self.error(ty, message::STATE_IS_RESOURCE);
            return None;
        }
        Some((ty.clone(), form))
    }

    fn resource(&mut self, parameter: &PatType) -> Option<Type> {
        self.pattern(parameter);
        let ty = &*parameter.ty;
        if types::has_impl_trait(ty) {
            self.error(ty, message::IMPL_TRAIT);
            return None;
        }
        let resource = types::argument_of(ty, "Resource");
        if resource.is_none() {
            let (name, inner) = (pattern_name(parameter), resource_type(ty));
            self.error(ty, message::not_a_resource(&name, &inner));
        }
        resource.cloned()
    }

    /// A reference is shared and has no lifetime of its own.
    fn reference(&mut self, reference: &TypeReference) {
        if let Some(word) = &reference.mutability {
            self.error(word, message::MUTABLE_PARAMETER);
        }
        if let Some(lifetime) = &reference.lifetime
            && lifetime.ident == "static"
        {
            self.error(lifetime, message::STATIC_PARAMETER);
        }
    }

    fn pattern(&mut self, parameter: &PatType) {
        match &*parameter.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {}
            Pat::Wild(_) => {}
            pattern => self.error(pattern, message::PATTERN_PARAMETER),
        }
    }
}

/// The signature as it should be, as near to the written one as can be told.
fn expected(signature: &Signature, update: Option<&Ident>) -> String {
    let typed = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(parameter) => Some(parameter),
            FnArg::Receiver(_) => None,
        });
    let mut parameters = typed
        .filter(|parameter| {
            let ty = referent(&parameter.ty);
            !types::is_named(ty, "Ctx")
        })
        .peekable();
    let is_state = |parameter: &&PatType| types::argument_of(&parameter.ty, "Resource").is_none();
    let state = parameters.next_if(is_state).map_or_else(
        || "MyState".to_owned(),
        |parameter| {
            let ty = referent(&parameter.ty);
            let ty = types::argument_of(ty, "Arc").unwrap_or(ty);
            if types::has_impl_trait(ty) {
                "MyState".to_owned()
            } else {
                types::as_written(ty)
            }
        },
    );
    let mut resources = String::new();
    for parameter in parameters {
        let (name, ty) = (pattern_name(parameter), resource_type(&parameter.ty));
        let _ = write!(resources, ", {name}: Resource<{ty}>");
    }
    let name = &signature.ident;
    let update = update.map_or_else(|| format!("{state}Update"), ToString::to_string);
    format!("async fn {name}(ctx: &Ctx, state: &{state}{resources}) -> StepResult<{update}>")
}

fn referent(ty: &Type) -> &Type {
    match ty {
        Type::Reference(reference) => &reference.elem,
        ty => ty,
    }
}

/// The `T` of the `Resource<T>` that a parameter should be.
fn resource_type(ty: &Type) -> String {
    let ty = referent(ty);
    let ty = types::argument_of(ty, "Resource").unwrap_or(ty);
    let ty = types::argument_of(ty, "Arc").unwrap_or(ty);
    if types::has_impl_trait(ty) {
        "MyResource".to_owned()
    } else {
        types::as_written(ty)
    }
}

fn pattern_name(parameter: &PatType) -> String {
    match &*parameter.pat {
        Pat::Ident(pattern) => pattern.ident.to_string(),
        _ => "resource".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(signature: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        let signature = syn::parse_str(signature).unwrap();
        check(&signature, None, &mut diagnostics);
        diagnostics.texts()
    }

    #[test]
    fn the_three_forms_of_the_state_are_taken() {
        for (state, form) in [
            ("&Order", StateForm::Reference),
            ("Order", StateForm::Owned),
            ("std::sync::Arc<Order>", StateForm::Shared),
        ] {
            let text = format!("async fn pay(_: &Ctx, state: {state}) -> StepResult<()>");
            let signature = check(
                &syn::parse_str(&text).unwrap(),
                None,
                &mut Diagnostics::default(),
            )
            .unwrap();
            assert_eq!(signature.form, form);
            assert_eq!(types::as_written(&signature.state), "Order");
        }
    }

    #[test]
    fn every_deviation_is_found_at_once() {
        let found = found("unsafe fn pay<T>(ctx: Ctx, state: &mut Order, bank: &Bank)").join("\n");
        for part in [
            message::STEP_NOT_ASYNC,
            message::GENERIC_STEP,
            message::CTX_BY_VALUE,
            message::MUTABLE_PARAMETER,
            message::STEP_WITHOUT_RESULT,
            "write `bank: Resource<Bank>`",
            "async fn pay(ctx: &Ctx, state: &Order, bank: Resource<Bank>) -> StepResult<OrderUpdate>",
        ] {
            assert!(found.contains(part), "{part}\n{found}");
        }
    }
}
