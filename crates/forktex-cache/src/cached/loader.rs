// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The body of a cached function, as something to run: by the caller, or in a task of its own.
//!
//! It is made when it is to be run, and on the heap: the future of a call that finds its value has no
//! room for it, and those around a load hold a pointer to it.

use std::pin::Pin;

use tracing::Instrument as _;

use super::flight::RefreshTurn;
use super::kind::Kind;
use super::lead;
use super::site::OwnedSite;

/// What loads a value.
pub trait Loader<K: Kind>: Sized {
    /// The load.
    type Load: Future<Output = K::Output>;

    /// Begins to load. Nothing of the body is run before.
    fn load(self) -> Self::Load;

    /// Loads in a task of its own, or gives back what it was given where it cannot.
    fn refresh(self, refresh: Refresh) -> Option<(Self, Refresh)>;
}

/// A value that is to be loaded anew.
pub struct Refresh {
    pub(super) site: OwnedSite,
    pub(super) seen: lead::Seen,
    pub(super) turn: RefreshTurn,
}

/// A body that only the caller runs, since it borrows from it.
#[derive(Debug)]
pub struct InLine<M>(M);

impl<M, F> InLine<M>
where
    M: FnOnce() -> F,
    F: Future,
{
    /// What makes the body.
    pub fn new(make: M) -> Self {
        Self(make)
    }
}

impl<K, M, F> Loader<K> for InLine<M>
where
    K: Kind,
    M: FnOnce() -> F,
    F: Future<Output = K::Output>,
{
    type Load = Pin<Box<F>>;

    fn load(self) -> Self::Load {
        Box::pin((self.0)())
    }

    fn refresh(self, refresh: Refresh) -> Option<(Self, Refresh)> {
        Some((self, refresh))
    }
}

/// A body that a task can run, made of what it needs when it is to be run.
#[derive(Debug)]
pub struct Behind<M>(M);

impl<M, F> Behind<M>
where
    M: FnOnce() -> F,
    F: Future + Send + 'static,
{
    /// What makes the body.
    pub fn new(make: M) -> Self {
        Self(make)
    }
}

impl<K, M, F> Loader<K> for Behind<M>
where
    K: Kind<Output: Send + 'static> + 'static,
    M: FnOnce() -> F,
    F: Future<Output = K::Output> + Send + 'static,
{
    type Load = Pin<Box<F>>;

    fn load(self) -> Self::Load {
        Box::pin((self.0)())
    }

    fn refresh(self, refresh: Refresh) -> Option<(Self, Refresh)> {
        let load = Box::pin((self.0)());
        let refreshing = async move {
            let Refresh { site, seen, turn } = refresh;
            lead::refresh::<K, Pin<Box<F>>>(site.site(), seen, load).await;
            drop(turn);
        };
        tokio::spawn(refreshing.in_current_span());
        None
    }
}

/// What a refresh can hold of an argument that is a reference.
#[diagnostic::on_unimplemented(
    message = "a refresh behind the caller cannot hold a `{Self}`",
    label = "not `Clone`, or not `Send + 'static`",
    note = "let one caller wait for the load: `refresh = \"in_line\"`"
)]
pub trait Keep: ToOwned {}

impl<T: ToOwned<Owned: Send + 'static> + ?Sized> Keep for T {}

/// Makes an argument last as long as a refresh.
pub fn keep<T: Keep + ?Sized>(argument: &T) -> T::Owned {
    argument.to_owned()
}
