// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job handler: `async fn name(job: J, ctx: &JobContext, resource: Resource<T>, ..) -> Result<(), E>`.
//! The signature is checked part by part, and each message shows the whole of what is expected.

use std::fmt::Write as _;

use quote::ToTokens;
use syn::{FnArg, ItemFn, Pat, PatType, ReturnType, Signature, Type};

use super::types;
use crate::diagnostics::{Diagnostics, message};
use crate::root::Root;

/// A checked handler.
#[derive(Debug)]
pub(crate) struct JobHandler {
    pub(crate) job: Type,
    /// What comes after the job, in order.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Type,
    pub(crate) root: Root,
}

/// A parameter after the job.
#[derive(Debug)]
pub(crate) enum Parameter {
    Context,
    /// `Resource<T>`
    Resource(Box<Type>),
}

/// Checks a handler. `None` when its signature is of no use; the errors tell why.
pub(crate) fn check(
    function: &ItemFn,
    root: Root,
    diagnostics: &mut Diagnostics,
) -> Option<JobHandler> {
    let signature = &function.sig;
    let mut check = Check {
        expected: expected(signature),
        diagnostics,
    };
    check.qualifiers(signature);
    let mut parameters = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => check.error(receiver, message::HANDLER_WITH_SELF),
            FnArg::Typed(parameter) => parameters.push(parameter),
        }
    }
    let output = check.output(signature);
    let mut parameters = parameters.into_iter();
    let job = if let Some(parameter) = parameters.next() {
        check.job(parameter)
    } else {
        check.error_at_end(signature, message::HANDLER_WITHOUT_JOB);
        None
    };
    let mut checked = Vec::new();
    for parameter in parameters {
        let is_context = |parameter: &Parameter| matches!(parameter, Parameter::Context);
        match check.parameter(parameter) {
            Some(Parameter::Context) if checked.iter().any(is_context) => {
                check.error(&parameter.ty, message::HANDLER_CTX_TWICE);
            }
            Some(parameter) => checked.push(parameter),
            None => {}
        }
    }
    Some(JobHandler {
        job: job?,
        parameters: checked,
        output: output?,
        root,
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
            self.error(signature.fn_token, message::HANDLER_NOT_ASYNC);
        }
        if let Some(word) = &signature.constness {
            self.error(word, message::plain_handler("const"));
        }
        if let Some(word) = &signature.unsafety {
            self.error(word, message::plain_handler("unsafe"));
        }
        if let Some(word) = &signature.abi {
            self.error(word, message::plain_handler("extern"));
        }
        if let Some(dots) = &signature.variadic {
            self.error(dots, message::plain_handler(".."));
        }
        if !signature.generics.params.is_empty() {
            self.error(&signature.generics.params, message::GENERIC_HANDLER);
        } else if let Some(clause) = &signature.generics.where_clause {
            self.error(clause, message::GENERIC_HANDLER);
        }
    }

    fn output(&mut self, signature: &Signature) -> Option<Type> {
        match &signature.output {
            ReturnType::Default => {
                self.error_at_end(signature, message::HANDLER_WITHOUT_RESULT);
                None
            }
            ReturnType::Type(_, ty) if types::has_impl_trait(ty) => {
                self.error(ty, message::HANDLER_IMPL_TRAIT);
                None
            }
            ReturnType::Type(_, ty) => Some((**ty).clone()),
        }
    }

    fn job(&mut self, parameter: &PatType) -> Option<Type> {
        let ty = &*parameter.ty;
        let is_other = |ty: &Type| {
            types::is_named(ty, "JobContext") || types::argument_of(ty, "Resource").is_some()
        };
        if is_other(referent(ty)) {
            self.error(ty, message::HANDLER_WITHOUT_JOB);
            return None;
        }
        if let Type::Reference(_) = ty {
            self.error(ty, message::HANDLER_JOB_REFERENCE);
            return None;
        }
        if types::has_impl_trait(ty) {
            self.error(ty, message::HANDLER_IMPL_TRAIT);
            return None;
        }
        Some(ty.clone())
    }

    fn parameter(&mut self, parameter: &PatType) -> Option<Parameter> {
        self.pattern(parameter);
        let ty = &*parameter.ty;
        if types::has_impl_trait(ty) {
            self.error(ty, message::HANDLER_IMPL_TRAIT);
            return None;
        }
        if types::is_named(ty, "JobContext") {
            self.error(ty, message::HANDLER_CTX_BY_VALUE);
            return None;
        }
        if let Type::Reference(reference) = ty
            && reference.mutability.is_none()
            && types::is_named(&reference.elem, "JobContext")
        {
            return Some(Parameter::Context);
        }
        let resource = types::argument_of(ty, "Resource");
        if resource.is_none() {
            let (name, inner) = (pattern_name(parameter), resource_type(ty));
            self.error(ty, message::not_a_handler_parameter(&name, &inner));
        }
        resource.map(|ty| Parameter::Resource(Box::new(ty.clone())))
    }

    fn pattern(&mut self, parameter: &PatType) {
        match &*parameter.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {}
            Pat::Wild(_) => {}
            pattern => self.error(pattern, message::HANDLER_PATTERN),
        }
    }
}

/// The signature as it should be, as near to the written one as can be told.
fn expected(signature: &Signature) -> String {
    let mut job = "MyJob".to_owned();
    let mut resources = String::new();
    let typed = signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(parameter) => Some(parameter),
            FnArg::Receiver(_) => None,
        });
    for (position, parameter) in typed.enumerate() {
        let ty = referent(&parameter.ty);
        if types::is_named(ty, "JobContext") {
            continue;
        }
        if position == 0 && types::argument_of(ty, "Resource").is_none() {
            if !types::has_impl_trait(ty) {
                job = types::as_written(ty);
            }
            continue;
        }
        let (name, ty) = (pattern_name(parameter), resource_type(&parameter.ty));
        let _ = write!(resources, ", {name}: Resource<{ty}>");
    }
    let name = &signature.ident;
    let output = match &signature.output {
        ReturnType::Type(_, ty) => Some(types::as_written(ty)),
        ReturnType::Default => None,
    };
    let output = output.filter(|output| output.contains("Result"));
    let output = output.unwrap_or_else(|| "Result<(), MyError>".to_owned());
    format!("async fn {name}(job: {job}, ctx: &JobContext{resources}) -> {output}")
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

    fn found(item: &str) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        let function = syn::parse_str(item).unwrap();
        check(&function, Root::Queue, &mut diagnostics);
        diagnostics.texts()
    }

    #[test]
    fn the_context_is_optional_and_stands_anywhere_after_the_job() {
        for signature in [
            "async fn send(job: Mail) -> Result<(), E> {}",
            "async fn send(Mail { to }: Mail, _: &JobContext) -> JobResult {}",
            "async fn send(job: Mail, m: Resource<Mailer>, ctx: &forktex_queue::JobContext) -> R {}",
        ] {
            assert_eq!(found(signature), [""; 0], "{signature}");
        }
    }

    #[test]
    fn every_deviation_is_found_at_once() {
        let found = found(
            "unsafe fn send<T>(job: &Mail, ctx: JobContext, mailer: &Mailer, a: &JobContext, b: &JobContext) {}",
        );
        let found = found.join("\n");
        for part in [
            message::HANDLER_NOT_ASYNC,
            message::GENERIC_HANDLER,
            message::HANDLER_JOB_REFERENCE,
            message::HANDLER_CTX_BY_VALUE,
            message::HANDLER_CTX_TWICE,
            message::HANDLER_WITHOUT_RESULT,
            "write `mailer: Resource<Mailer>`",
            "async fn send(job: Mail, ctx: &JobContext, mailer: Resource<Mailer>) -> Result<(), MyError>",
        ] {
            assert!(found.contains(part), "{part}\n{found}");
        }
    }
}
