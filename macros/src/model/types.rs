// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can be seen of a type without resolving it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, PathArguments, PathSegment, Type};

/// The last segment of a path type.
fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// Whether the type is called `name`, wherever it lives, and takes no arguments.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == name && segment.arguments.is_empty())
}

/// The `T` of `name<T>`.
pub(crate) fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    last_segment(ty)
        .filter(|segment| segment.ident == name)
        .and_then(only_argument)
}

fn only_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match (arguments.args.first(), arguments.args.len()) {
        (Some(GenericArgument::Type(ty)), 1) => Some(ty),
        _ => None,
    }
}

/// Whether the items of this collection are numbers, whose literals need their type to be known.
pub(crate) fn has_primitive_items(ty: &Type) -> bool {
    const PRIMITIVES: [&str; 16] = [
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16",
        "u32", "u64", "u128", "usize",
    ];
    last_segment(ty)
        .and_then(only_argument)
        .is_some_and(|item| PRIMITIVES.iter().any(|primitive| is_named(item, primitive)))
}

/// Whether the type has an `impl Trait` in it.
pub(crate) fn has_impl_trait(ty: &Type) -> bool {
    fn search(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == "impl",
            TokenTree::Group(group) => search(group.stream()),
            _ => false,
        })
    }
    search(ty.to_token_stream())
}

/// The type as it is written, the same whatever the white space, line breaks and trailing commas.
pub(crate) fn as_written(ty: &Type) -> String {
    let mut text = String::new();
    write(ty.to_token_stream(), &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                ',' => {
                    let next = tokens.peek();
                    let closes = |token: &TokenTree| token.to_string() == ">";
                    if next.is_some_and(|token| !closes(token)) {
                        text.push_str(", ");
                    }
                }
                ';' => text.push_str("; "),
                '+' => text.push_str(" + "),
                '=' => text.push_str(" = "),
                '-' => text.push_str(" -"),
                '>' if text.ends_with(" -") => text.push_str("> "),
                other => text.push(other),
            },
            word => {
                let word = word.to_string();
                let is_part = |character: char| character.is_alphanumeric() || character == '_';
                if text.ends_with(is_part) && word.starts_with(is_part) {
                    text.push(' ');
                }
                text.push_str(&word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_str;

    #[test]
    fn white_space_and_trailing_commas_are_folded() {
        for (written, expected) in [
            ("Option < String >", "Option<String>"),
            (
                "std :: collections :: HashMap<\n  String,\n  u8,\n>",
                "std::collections::HashMap<String, u8>",
            ),
            ("(u8, [i64;4])", "(u8, [i64; 4])"),
            ("Box<dyn A+B>", "Box<dyn A + B>"),
            ("fn(u8)->u8", "fn(u8) -> u8"),
            ("&'static str", "&'static str"),
        ] {
            let ty: Type = parse_str(written).unwrap();
            assert_eq!(as_written(&ty), expected);
        }
    }

    #[test]
    fn known_types_are_seen_through_their_paths() {
        let ty: Type = parse_str("std::option::Option<Vec<u8>>").unwrap();
        let inner = argument_of(&ty, "Option").unwrap();
        assert!(has_primitive_items(inner));
        assert!(!has_primitive_items(&ty));
        assert!(is_named(
            &parse_str("std::string::String").unwrap(),
            "String"
        ));
        assert!(has_impl_trait(&parse_str("Resource<impl Clone>").unwrap()));
    }
}
