// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A cached function: what its key is made of, where its cache is, and how its value is kept.
//!
//! Whether the value can be stored, and whether the function may fail, is seen by the compiler alone,
//! since a return type may be an alias.

mod key;
mod policy;
mod refresh;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Expr, FnArg, ItemFn, LitStr, Pat, PatType, ReturnType, Signature, Type};

use super::types;
use crate::diagnostics::{Diagnostics, message};
use crate::parse::cached::{CachedOptions, NAMESPACE, OWNER};
use crate::root::Root;

use key::KeyModel;
pub(crate) use policy::Policy;
pub(crate) use refresh::{Kept, Loader};

/// The parameter that is the cache where `cache =` does not say otherwise.
const CACHE_PARAMETER: &str = "cache";

/// A checked cached function.
pub(crate) struct Cached {
    pub(crate) namespace: LitStr,
    pub(crate) policy: Policy,
    pub(crate) cache: CachePlace,
    pub(crate) key: KeyModel,
    pub(crate) tags: Vec<Expr>,
    pub(crate) output: Type,
    pub(crate) loader: Loader,
    pub(crate) root: Root,
}

/// Where the function finds its cache.
pub(crate) enum CachePlace {
    /// The parameter `cache`.
    Parameter { ident: Ident, is_reference: bool },
    /// What `cache =` gave. It may lie in something that the body takes over.
    Expression { expression: Expr, is_taken: bool },
}

/// Checks a cached function. `None` when too little of it can be understood; the errors tell why.
pub(crate) fn check(
    options: CachedOptions,
    function: &ItemFn,
    root: Root,
    diagnostics: &mut Diagnostics,
) -> Option<Cached> {
    let signature = &function.sig;
    qualifiers(signature, diagnostics);
    let output = output(signature, diagnostics);
    let policy = policy::check(&options, diagnostics);
    let namespace = namespace(&options, diagnostics);
    let cache = cache(options.cache.as_ref(), signature, diagnostics);
    let key = key::check(&options, signature, diagnostics);
    let loader = refresh::check(&options, signature, diagnostics);
    Some(Cached {
        namespace: namespace?,
        policy: policy?,
        cache: cache?,
        key: key?,
        tags: options.tags,
        output: output?,
        loader,
        root,
    })
}

fn qualifiers(signature: &Signature, diagnostics: &mut Diagnostics) {
    if signature.asyncness.is_none() {
        diagnostics.error(signature.fn_token, message::CACHED_NOT_ASYNC);
    }
    if let Some(word) = &signature.constness {
        diagnostics.error(word, message::plain_cached("const"));
    }
    if let Some(word) = &signature.unsafety {
        diagnostics.error(word, message::plain_cached("unsafe"));
    }
    if let Some(word) = &signature.abi {
        diagnostics.error(word, message::plain_cached("extern"));
    }
    if let Some(dots) = &signature.variadic {
        diagnostics.error(dots, message::plain_cached(".."));
    }
}

fn output(signature: &Signature, diagnostics: &mut Diagnostics) -> Option<Type> {
    match &signature.output {
        ReturnType::Default => {
            diagnostics.error(&signature.ident, message::CACHED_WITHOUT_RESULT);
            None
        }
        ReturnType::Type(_, ty) if types::has_impl_trait(ty) => {
            diagnostics.error(ty, message::CACHED_IMPL_TRAIT);
            None
        }
        ReturnType::Type(_, ty) => Some((**ty).clone()),
    }
}

fn namespace(options: &CachedOptions, diagnostics: &mut Diagnostics) -> Option<LitStr> {
    let Some(namespace) = &options.namespace else {
        if !options.keys.contains(NAMESPACE.0) {
            let message = message::missing_option(OWNER, NAMESPACE.1);
            diagnostics.error_at(proc_macro2::Span::call_site(), message);
        }
        return None;
    };
    if is_namespace(&namespace.value()) {
        return Some(namespace.clone());
    }
    diagnostics.error(namespace, message::NAMESPACE_FORM);
    None
}

/// The same rules as the library's `namespace`.
fn is_namespace(name: &str) -> bool {
    const BYTES_MAX: usize = 100;
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:".contains(&byte);
    name.len() <= BYTES_MAX
        && name.bytes().all(is_allowed)
        && !name.split(['.', ':']).any(str::is_empty)
}

fn cache(
    given: Option<&Expr>,
    signature: &Signature,
    diagnostics: &mut Diagnostics,
) -> Option<CachePlace> {
    if let Some(expression) = given {
        return Some(CachePlace::Expression {
            expression: expression.clone(),
            is_taken: is_taken(expression, signature),
        });
    }
    let parameter = parameters(signature)
        .find(|parameter| plain_name(parameter).is_some_and(|name| name == CACHE_PARAMETER));
    let Some(parameter) = parameter else {
        diagnostics.error(&signature.ident, message::CACHE_MISSING);
        return None;
    };
    Some(CachePlace::Parameter {
        ident: plain_name(parameter)?.clone(),
        is_reference: matches!(&*parameter.ty, Type::Reference(_)),
    })
}

/// Whether the cache lies in a parameter that the function owns, and so may give away.
fn is_taken(cache: &Expr, signature: &Signature) -> bool {
    let tokens = cache.to_token_stream();
    let in_receiver = signature
        .receiver()
        .is_some_and(|receiver| receiver.reference.is_none() && mentions(&tokens, "self"));
    in_receiver
        || parameters(signature).any(|parameter| {
            let is_owned = !matches!(&*parameter.ty, Type::Reference(_));
            let name = plain_name(parameter);
            is_owned && name.is_some_and(|name| mentions(&tokens, &name.to_string()))
        })
}

/// The parameters beside `self`.
fn parameters(signature: &Signature) -> impl Iterator<Item = &PatType> {
    signature
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(parameter) => Some(parameter),
            FnArg::Receiver(_) => None,
        })
}

/// The name of a parameter that has no more of a pattern than that.
pub(crate) fn plain_name(parameter: &PatType) -> Option<&Ident> {
    match &*parameter.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            Some(&pattern.ident)
        }
        _ => None,
    }
}

/// Whether the tokens use `name`, be it inside a format string.
pub(crate) fn mentions(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident.unraw() == name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Literal(literal) => {
            let text = literal.to_string();
            [format!("{{{name}}}"), format!("{{{name}:")]
                .iter()
                .any(|form| text.contains(form))
        }
        TokenTree::Punct(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn checked(options: &str, function: &str) -> (Option<Cached>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let options = parse::cached::parse_options(options.parse().unwrap(), &mut diagnostics);
        let function = syn::parse_str(function).unwrap();
        let cached = check(options, &function, Root::Cache, &mut diagnostics);
        (cached, diagnostics.texts())
    }

    fn parts(cached: &Cached) -> Vec<String> {
        let parts = cached.key.parts.iter();
        parts
            .map(|part| part.to_string().replace(' ', ""))
            .collect()
    }

    #[test]
    fn the_key_is_all_parameters_but_the_cache() {
        let (cached, found) = checked(
            r#"ttl = "5m", namespace = "user""#,
            "async fn user(cache: &Cache, org: u32, id: &str) -> User { todo() }",
        );
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(parts(&cached.unwrap()), ["&org", "&id"]);
    }

    #[test]
    fn a_chosen_key_takes_the_parameters_that_it_mentions() {
        let (cached, found) = checked(
            r#"ttl = "5m", namespace = "user", key = (self.id, org.id, format!("{id}")), cache = self.cache"#,
            "async fn user(&self, ctx: &Ctx, org: &Org, id: &str) -> Result<User, E> { todo() }",
        );
        assert!(found.is_empty(), "{found:?}");
        let cached = cached.unwrap();
        let names = cached.key.parameters.iter().filter_map(plain_name);
        let names: Vec<String> = names.map(ToString::to_string).collect();
        assert_eq!(names, ["org", "id"]);
    }

    #[test]
    fn a_type_that_the_result_names_is_part_of_the_key() {
        let (cached, _) = checked(
            r#"ttl = "5m", namespace = "row""#,
            "async fn row<'a, T, U: Into<u8>>(cache: &'a Cache, id: U) -> Option<T> { todo() }",
        );
        assert_eq!(
            parts(&cached.unwrap()),
            ["&id", "::core::any::type_name::<T>()"]
        );
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let (_, found) = checked(
            r#"ttl = "0s", namespace = "User", skip(contxt), jitter = 2, lease = "1ms", single_flight = "both""#,
            "fn user(&self, context: &Ctx) {}",
        );
        let found = found.join("\n");
        for part in [
            message::CACHED_NOT_ASYNC,
            message::CACHED_WITHOUT_RESULT,
            message::NAMESPACE_FORM,
            message::CACHE_MISSING,
            message::SELF_IN_KEY,
            message::JITTER_RANGE,
            message::LEASE_RANGE,
            "`ttl` must be longer than zero",
            "a similar parameter exists: `context`",
            "`single_flight` cannot be `both`",
        ] {
            assert!(found.contains(part), "{part}\n{found}");
        }
    }

    #[test]
    fn namespaces_are_those_of_the_library() {
        for good in ["user", "user.profile", "user:profile", "a-b_c.9"] {
            assert!(is_namespace(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "user.",
            "a..b",
            "a.:b",
            "User",
            "a b",
            "a*",
            &"a".repeat(101),
        ] {
            assert!(!is_namespace(bad), "{bad}");
        }
    }
}
