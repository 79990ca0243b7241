// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a step can wait for and have remembered: blocks that run once, sleeps, signals, events.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Ctx;
use super::call::{Ask, Calls, Reply, diverged, given_key};
use crate::definition::topology::WAIT_RANGE;
use crate::error::{StepError, StepResult};
use crate::identifier::SignalName;
use crate::instance::journal::Answer;
use crate::signal::{SIGNAL_BYTES_MAX, Signal};
use crate::state::payload;

/// The most bytes that the answer of a block, or an event, may have.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

impl Ctx {
    /// Runs a block once in this visit of the node: its answer is recorded, and when the body runs
    /// again, after a crash, a retry or a wait, the block is passed over and the answer is there. The
    /// key names the block within the node.
    ///
    /// Only success is recorded: a block that errs runs again with the body. A process that dies
    /// between the block's end and the record runs it again too, so what it does outside should take
    /// [`idempotency_key`](Self::idempotency_key). One commit.
    ///
    /// # Errors
    /// The block's own; fatal where the key is not 1 to 200 characters, the answer exceeds 1 MiB, or
    /// the recorded one has another shape.
    ///
    /// # Cancellation
    /// Dropping the future drops the block; what it did may be done again.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(State, Clone, Serialize, Deserialize)]
    /// struct Order {
    ///     receipt: Option<String>,
    /// }
    ///
    /// async fn charge(_key: String) -> Result<String, std::io::Error> {
    ///     Ok("r-1".to_owned())
    /// }
    ///
    /// #[step]
    /// async fn pay(ctx: &Ctx, _state: &Order) -> StepResult<OrderUpdate> {
    ///     let receipt = ctx.once("charge", charge(ctx.idempotency_key())).await?;
    ///     Ok(Order::update().receipt(receipt))
    /// }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let update = pay(&Ctx::for_test(), &Order { receipt: None }).await.unwrap();
    /// # assert_eq!(Order { receipt: None }.updated(update).unwrap().receipt.as_deref(), Some("r-1"));
    /// # });
    /// ```
    pub async fn once<T, E>(
        &self,
        key: impl AsRef<str>,
        block: impl Future<Output = Result<T, E>>,
    ) -> StepResult<T>
    where
        T: Serialize + DeserializeOwned,
        E: Into<StepError>,
    {
        let key = given_key(key.as_ref())?;
        let Some(calls) = &self.calls else {
            return block.await.map_err(Into::into);
        };
        match calls.answer(&key) {
            Some(Answer::Once(value)) => {
                return serde_json::from_value(value.clone())
                    .map_err(|error| diverged(&key, &error.to_string()));
            }
            Some(_) => return Err(diverged(&key, "it is one of another kind of call")),
            None => {}
        }
        let value = block.await.map_err(Into::into)?;
        let answer = Answer::Once(encoded(&value, ANSWER_BYTES_MAX)?);
        calls.ask(&key, Ask::Record(answer)).await?;
        Ok(value)
    }

    /// Sleeps, by the database's clock, without holding a slot, a task or a connection, and across
    /// restarts: the run gives up its slot, and the body runs again from its beginning when the time
    /// has come. What is joined with the sleep is dropped; put what must not be repeated into
    /// [`once`](Self::once). From 1 ms to 3,650 days; zero does not wait at all.
    ///
    /// In a unit test it returns at once.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    /// use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(State, Clone, Serialize, Deserialize)]
    /// # struct Trial { reminded: bool }
    ///
    /// #[step]
    /// async fn remind(ctx: &Ctx, _state: &Trial) -> StepResult<TrialUpdate> {
    ///     ctx.sleep(Duration::from_hours(14 * 24)).await?;
    ///     Ok(Trial::update().reminded(true))
    /// }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # remind(&Ctx::for_test(), &Trial { reminded: false }).await.unwrap();
    /// # });
    /// ```
    pub fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Sleep {
            ctx: self,
            duration,
            key: None,
        }
    }

    /// Waits for a signal of type `G` and takes the oldest one; one that came before the call counts.
    /// Gives up the run's slot as [`sleep`](Self::sleep) does.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(State, Clone, Serialize, Deserialize)]
    /// # struct Request { approved_by: Option<String> }
    ///
    /// #[derive(Signal, Serialize, Deserialize)]
    /// #[signal("request.approved")]
    /// struct Approved {
    ///     by: String,
    /// }
    ///
    /// #[step]
    /// async fn approve(ctx: &Ctx, _state: &Request) -> StepResult<RequestUpdate> {
    ///     let approved: Approved = ctx.signal().await?;
    ///     Ok(Request::update().approved_by(approved.by))
    /// }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let ctx = Ctx::for_test().with_signal(&Approved { by: "ann".into() }).unwrap();
    /// let state = Request { approved_by: None };
    /// let update = approve(&ctx, &state).await.unwrap();
    /// assert_eq!(state.updated(update).unwrap().approved_by.as_deref(), Some("ann"));
    /// # });
    /// ```
    pub fn signal<G: Signal>(&self) -> AwaitSignal<'_, G> {
        AwaitSignal {
            wait: self.wait_for(G::NAME),
            signal: PhantomData,
        }
    }

    /// As [`signal`](Self::signal), for a signal that is known by its name; its payload as it was sent.
    pub fn signal_named(&self, name: impl Into<String>) -> AwaitSignal<'_, Value> {
        AwaitSignal {
            wait: self.wait_for(name),
            signal: PhantomData,
        }
    }

    fn wait_for(&self, name: impl Into<String>) -> WaitForSignal<'_> {
        WaitForSignal {
            ctx: self,
            name: name.into(),
            key: None,
            timeout: None,
        }
    }

    /// Tells those who follow the run, through [`Run::stream`](crate::Run::stream), something while the
    /// body is still running, such as the next words of a model. Recorded, so that it is told once
    /// however often the body runs again. At most 1 MiB. One commit, shared with those of other runs.
    ///
    /// # Errors
    /// Fatal where it does not serialise or is too large.
    ///
    /// # Cancellation
    /// The event may be told although the future was dropped.
    pub async fn emit<T: Serialize + ?Sized>(&self, event: &T) -> StepResult<()> {
        let event = encoded(event, ANSWER_BYTES_MAX)?;
        let Some(calls) = &self.calls else {
            return Ok(());
        };
        let key = calls.default_key("emit", "", &event);
        match calls.answer(&key) {
            Some(Answer::Emitted(_)) => Ok(()),
            Some(_) => Err(diverged(&key, "it is one of another kind of call")),
            None => {
                calls.ask(&key, Ask::Record(Answer::Emitted(event))).await?;
                Ok(())
            }
        }
    }
}

pub(super) fn encoded<T: Serialize + ?Sized>(value: &T, bytes_max: usize) -> StepResult<Value> {
    let value = payload::to_value(value).map_err(StepError::fatal)?;
    payload::check(&value, bytes_max).map_err(StepError::fatal)?;
    Ok(value)
}

/// The key of a call: the one that was given, or the default.
pub(super) fn key_of(
    given: Option<&str>,
    calls: &Calls,
    kind: &str,
    target: &str,
    arguments: &impl Serialize,
) -> StepResult<String> {
    match given {
        Some(key) => given_key(key),
        None => Ok(calls.default_key(kind, target, arguments)),
    }
}

/// Sleeps; made by [`Ctx::sleep`]. Await it.
#[must_use = "nothing sleeps until this is awaited"]
pub struct Sleep<'a> {
    ctx: &'a Ctx,
    duration: Duration,
    key: Option<String>,
}

impl Sleep<'_> {
    /// Names the sleep within the node. By default its duration and its place among equal sleeps do,
    /// so that a changed duration is another sleep.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    async fn sleep(self) -> StepResult<()> {
        if self.duration.is_zero() {
            return Ok(());
        }
        if !WAIT_RANGE.contains(&self.duration) {
            return Err(StepError::fatal(format!(
                "cannot sleep {:?}: from 1 ms to 3650 days are possible",
                self.duration
            )));
        }
        let Some(calls) = &self.ctx.calls else {
            return Ok(());
        };
        let key = key_of(self.key.as_deref(), calls, "sleep", "", &self.duration)?;
        match calls.ask(&key, Ask::Sleep(self.duration)).await? {
            Reply::Answer(Answer::Until(_)) => Ok(()),
            _ => Err(diverged(&key, "it is one of another kind of call")),
        }
    }
}

impl<'a> IntoFuture for Sleep<'a> {
    type Output = StepResult<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.sleep())
    }
}

/// A wait for a signal, whatever becomes of its payload.
struct WaitForSignal<'a> {
    ctx: &'a Ctx,
    name: String,
    key: Option<String>,
    timeout: Option<Duration>,
}

impl WaitForSignal<'_> {
    /// The payload; `None` once the time is over.
    async fn wait(self) -> StepResult<Option<Value>> {
        let name = SignalName::new(&self.name).map_err(StepError::fatal)?;
        if let Some(timeout) = self.timeout
            && !WAIT_RANGE.contains(&timeout)
        {
            return Err(StepError::fatal(format!(
                "cannot wait {timeout:?} for signal `{name}`: from 1 ms to 3650 days are possible"
            )));
        }
        let Some(calls) = &self.ctx.calls else {
            return self.ctx.test_signal(&self.name);
        };
        let key = key_of(
            self.key.as_deref(),
            calls,
            "signal",
            &self.name,
            &self.timeout,
        )?;
        let ask = Ask::Signal {
            name: self.name,
            timeout: self.timeout,
        };
        match calls.ask(&key, ask).await? {
            Reply::Answer(Answer::Signal { payload, .. }) => Ok(Some(payload)),
            Reply::Answer(Answer::TimedOut) => Ok(None),
            _ => Err(diverged(&key, "it is one of another kind of call")),
        }
    }
}

/// Waits for a signal; made by [`Ctx::signal`]. Await it.
#[must_use = "nothing is waited for until this is awaited"]
pub struct AwaitSignal<'a, G> {
    wait: WaitForSignal<'a>,
    signal: PhantomData<fn() -> G>,
}

impl<'a, G> AwaitSignal<'a, G> {
    /// Names the wait within the node. By default the signal's name and the wait's place among equal
    /// ones do.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.wait.key = Some(key.into());
        self
    }

    /// Waits no longer than so, by the database's clock; from 1 ms to 3,650 days.
    pub fn timeout(mut self, timeout: Duration) -> AwaitSignalWithin<'a, G> {
        self.wait.timeout = Some(timeout);
        AwaitSignalWithin(self)
    }
}

impl<'a, G: DeserializeOwned + Send + 'static> IntoFuture for AwaitSignal<'a, G> {
    type Output = StepResult<G>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let payload = self.wait.wait().await?;
            decoded(payload.unwrap_or(Value::Null))
        })
    }
}

/// Waits for a signal for some time; made by [`AwaitSignal::timeout`]. Await it: `None` once the time
/// is over.
#[must_use = "nothing is waited for until this is awaited"]
pub struct AwaitSignalWithin<'a, G>(AwaitSignal<'a, G>);

impl<'a, G: DeserializeOwned + Send + 'static> IntoFuture for AwaitSignalWithin<'a, G> {
    type Output = StepResult<Option<G>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.0.wait.wait().await?.map(decoded).transpose() })
    }
}

/// A payload that was taken is taken for good: one that does not decode fails the step at once.
fn decoded<G: DeserializeOwned>(payload: Value) -> StepResult<G> {
    serde_json::from_value(payload).map_err(StepError::fatal)
}

impl Ctx {
    /// The same context with a signal that [`signal`](Self::signal) takes, for unit tests. Several of
    /// one name are taken in the order of giving.
    ///
    /// # Errors
    /// Where it does not serialise or exceeds 256 KiB.
    pub fn with_signal<G: Signal>(self, signal: &G) -> StepResult<Self> {
        let payload = encoded(signal, SIGNAL_BYTES_MAX)?;
        self.test_signals().push_back((G::NAME.to_owned(), payload));
        Ok(self)
    }

    fn test_signal(&self, name: &str) -> StepResult<Option<Value>> {
        let mut signals = self.test_signals();
        match signals.iter().position(|(known, _)| known == name) {
            Some(place) => Ok(signals.remove(place).map(|(_, payload)| payload)),
            None => Err(StepError::fatal(format!(
                "no signal `{name}` was given to this test context: add one with `with_signal`"
            ))),
        }
    }
}

macro_rules! debug_call {
    ($($name:ident $(<$generic:ident>)?: $call:ident => $wait:expr;)*) => {$(
        impl $(<$generic>)? fmt::Debug for $name<'_ $(, $generic)?> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $call = self;
                write!(formatter, "{}({})", stringify!($name), $wait)
            }
        }
    )*};
}

debug_call! {
    Sleep: call => format_args!("{:?}", call.duration);
    AwaitSignal<G>: call => call.wait.name;
    AwaitSignalWithin<G>: call => call.0.wait.name;
}
