// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signals: messages from outside to one run. Nothing here sends one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::state::State;

/// The most bytes that the payload of a signal may have.
pub const SIGNAL_BYTES_MAX: usize = 256 * 1024;

/// How many signals that nobody has taken a run keeps; one more is refused.
pub const MAILBOX_MAX: u32 = 10_000;

/// A signal that is known by its type. Made by `#[derive(Signal)]`.
///
/// Where an edge of a graph waits for it, `From` of the signal for the state's update says what it
/// does to the state.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a signal",
    label = "not a signal",
    note = "write `#[derive(Signal, Serialize, Deserialize)]` and `#[signal(\"a.name\")]` on the struct"
)]
pub trait Signal: Serialize + DeserializeOwned + Send + 'static {
    /// Its name, such as `email.verified`.
    const NAME: &'static str;
}

/// A signal that an edge of a graph on states of type `S` can wait for: `From` of the signal for the
/// state's update says what it does to the state. Implemented wherever that is.
#[diagnostic::on_unimplemented(
    message = "the signal `{Self}` cannot be merged into the state `{S}`",
    label = "`{S}Update` is not made of this signal",
    note = "write `impl From<{Self}> for {S}Update` to say what the signal does to the state"
)]
pub trait MergesInto<S: State> {
    /// What the signal changes.
    fn into_update(self) -> S::Update;
}

#[diagnostic::do_not_recommend]
impl<S: State, G> MergesInto<S> for G
where
    S::Update: From<G>,
{
    fn into_update(self) -> S::Update {
        self.into()
    }
}
