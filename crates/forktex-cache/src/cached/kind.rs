// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The four kinds of return types: a value, one that may be absent, and either in a `Result`.
//!
//! An expansion finds the kind by method resolution, which sees through aliases where a macro cannot:
//! `(&&&Probe::<R>::of_output()).kind()` takes the first of the traits below that has an impl for `R`.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CacheError;

/// What a call gave.
#[derive(Debug)]
pub enum View<'a, T> {
    /// A value, to be kept.
    Value(&'a T),
    /// That there is none.
    Nothing,
    /// An error, which is never kept.
    Failed,
}

/// A kind of return type.
pub trait Kind: Copy + Send + Sync {
    /// The return type.
    type Output;
    /// What is kept of it.
    type Value: Serialize + DeserializeOwned;

    /// What an answer says.
    fn view(output: &Self::Output) -> View<'_, Self::Value>;

    /// The answer that says this: a value, or that there is none. `None` where the type cannot say it.
    fn answer(value: Option<Self::Value>) -> Option<Self::Output>;
}

/// A kind that can say that there is nothing.
#[diagnostic::on_unimplemented(
    message = "`negative_ttl` keeps that there is nothing, which this function never says",
    label = "only for a function that returns an `Option`, or a `Result` of one",
    note = "return an `Option`, or leave `negative_ttl` out"
)]
pub trait MayBeAbsent: Kind {}

/// A kind that can say that loading failed.
#[diagnostic::on_unimplemented(
    message = "`stale_if_error` answers for a load that fails, and this function never does",
    label = "only for a function that returns a `Result`",
    note = "return a `Result`, or leave `stale_if_error` out"
)]
pub trait MayFail: Kind {}

/// A kind that can say that the cache cannot be used.
#[diagnostic::on_unimplemented(
    message = "`fail_closed` refuses with an error of the cache, which this function cannot return",
    label = "only for a function that returns `Result<_, E>` with `E: From<CacheError>`",
    note = "make the error take a `CacheError`, or leave `fail_closed` out"
)]
pub trait FailClosed: Kind {
    /// The answer that says so.
    fn refuse(error: CacheError) -> Self::Output;
}

/// Checks that a function can say that there is nothing.
pub fn may_be_absent<K: MayBeAbsent>(_: K) {}

/// Checks that a function can fail.
pub fn may_fail<K: MayFail>(_: K) {}

/// How a function says that the cache cannot be used.
pub fn refusal<K: FailClosed>(_: K) -> fn(CacheError) -> K::Output {
    K::refuse
}

/// Asks for the kind of a return type.
pub struct Probe<R>(PhantomData<fn() -> R>);

impl<R> Probe<R> {
    /// The question.
    pub const fn of_output() -> Self {
        Self(PhantomData)
    }
}

/// Defines a kind, and the trait that finds it at its depth of references.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $kind:ident<$($param:ident),+> by $finder:ident at $probe:ty;
    )+) => {$(
        $(#[$doc])*
        pub struct $kind<$($param),+>(PhantomData<fn() -> ($($param,)+)>);

        impl<$($param),+> Clone for $kind<$($param),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($param),+> Copy for $kind<$($param),+> {}

        impl<$($param),+> fmt::Debug for $kind<$($param),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($kind))
            }
        }

        /// Finds the kind of a return type.
        pub trait $finder {
            /// The kind.
            type Kind;

            /// Finds it.
            fn kind(self) -> Self::Kind;
        }

        impl<$($param),+> $finder for $probe {
            type Kind = $kind<$($param),+>;

            fn kind(self) -> Self::Kind {
                $kind(PhantomData)
            }
        }
    )+};
}

kinds! {
    /// A value, or none, or an error.
    FallibleOptional<T, E> by FallibleOptionalKind at &&&Probe<Result<Option<T>, E>>;
    /// A value or an error.
    Fallible<T, E> by FallibleKind at &&Probe<Result<T, E>>;
    /// A value or none.
    Optional<T> by OptionalKind at &Probe<Option<T>>;
    /// A value.
    Plain<T> by PlainKind at Probe<T>;
}

// The last of the finders takes the probe itself, out of the references to it.
impl<R> Clone for Probe<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Probe<R> {}

impl<R> fmt::Debug for Probe<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl<T: Serialize + DeserializeOwned> Kind for Plain<T> {
    type Output = T;
    type Value = T;

    fn view(output: &T) -> View<'_, T> {
        View::Value(output)
    }

    fn answer(value: Option<T>) -> Option<T> {
        value
    }
}

impl<T: Serialize + DeserializeOwned> Kind for Optional<T> {
    type Output = Option<T>;
    type Value = T;

    fn view(output: &Option<T>) -> View<'_, T> {
        output.as_ref().map_or(View::Nothing, View::Value)
    }

    fn answer(value: Option<T>) -> Option<Option<T>> {
        Some(value)
    }
}

impl<T: Serialize + DeserializeOwned, E> Kind for Fallible<T, E> {
    type Output = Result<T, E>;
    type Value = T;

    fn view(output: &Result<T, E>) -> View<'_, T> {
        output.as_ref().map_or(View::Failed, View::Value)
    }

    fn answer(value: Option<T>) -> Option<Result<T, E>> {
        value.map(Ok)
    }
}

impl<T: Serialize + DeserializeOwned, E> Kind for FallibleOptional<T, E> {
    type Output = Result<Option<T>, E>;
    type Value = T;

    fn view(output: &Result<Option<T>, E>) -> View<'_, T> {
        match output {
            Ok(Some(value)) => View::Value(value),
            Ok(None) => View::Nothing,
            Err(_) => View::Failed,
        }
    }

    fn answer(value: Option<T>) -> Option<Result<Option<T>, E>> {
        Some(Ok(value))
    }
}

impl<T> MayBeAbsent for Optional<T> where Self: Kind {}
impl<T, E> MayBeAbsent for FallibleOptional<T, E> where Self: Kind {}
impl<T, E> MayFail for Fallible<T, E> where Self: Kind {}
impl<T, E> MayFail for FallibleOptional<T, E> where Self: Kind {}

impl<T: Serialize + DeserializeOwned, E: From<CacheError>> FailClosed for Fallible<T, E> {
    fn refuse(error: CacheError) -> Result<T, E> {
        Err(error.into())
    }
}

impl<T: Serialize + DeserializeOwned, E: From<CacheError>> FailClosed for FallibleOptional<T, E> {
    fn refuse(error: CacheError) -> Result<Option<T>, E> {
        Err(error.into())
    }
}

#[cfg(test)]
#[allow(
    clippy::needless_borrow,
    reason = "the finders are at depths of references, and an expansion writes all of them"
)]
mod tests {
    use super::*;

    type Answer<T> = Result<T, std::fmt::Error>;

    fn kind_of_generic<T>() -> String {
        format!("{:?}", (&&&Probe::<Answer<T>>::of_output()).kind())
    }

    #[test]
    fn the_kind_is_seen_through_aliases_and_generics() {
        assert_eq!(
            format!("{:?}", (&&&Probe::<u8>::of_output()).kind()),
            "Plain"
        );
        assert_eq!(
            format!("{:?}", (&&&Probe::<Option<u8>>::of_output()).kind()),
            "Optional"
        );
        assert_eq!(
            format!("{:?}", (&&&Probe::<Answer<u8>>::of_output()).kind()),
            "Fallible"
        );
        let probe = Probe::<Answer<Option<u8>>>::of_output();
        assert_eq!(format!("{:?}", (&&&probe).kind()), "FallibleOptional");
        assert_eq!(kind_of_generic::<Vec<u8>>(), "Fallible");
    }

    #[test]
    fn what_a_type_cannot_say_is_no_answer() {
        assert_eq!(<Plain<u8> as Kind>::answer(None), None);
        assert_eq!(<Optional<u8> as Kind>::answer(None), Some(None));
        assert_eq!(<Fallible<u8, ()> as Kind>::answer(None), None);
        assert_eq!(
            <FallibleOptional<u8, ()> as Kind>::answer(None),
            Some(Ok(None))
        );
    }
}
