// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a limiter decides by, once its settings are known to be sound: the same for Redis, by a script,
//! and in process, by a function that does no I/O and reads no clock.
//!
//! The form in which a key's value is stored is the same on both, byte for byte.

use fred::types::Value;

use super::counter::{self, CounterRule};
use super::gcra::{self, GcraRule};
use super::sliding_window::{self, SlidingWindowRule};
use crate::store::Script;

/// What is done, as errors say it.
pub(super) const ACTION: &str = "check a rate limit";

/// The largest whole number that a script counts exactly, since its numbers are doubles: 2^53.
pub(super) const EXACT_MAX: u64 = 1 << 53;

/// How much longer than needed a value is kept: Redis reckons expiry from the start of the command, in
/// whole milliseconds. The scripts have the same.
pub(super) const SLACK_MS: u64 = 100;

/// How many bytes a number takes: microseconds since 1970 fit until the year 4253.
pub(super) const NUMBER_BYTES: usize = 7;

/// A rule with its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    SlidingWindow(SlidingWindowRule),
    Gcra(GcraRule),
    Counter(CounterRule),
}

/// One question to a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Whether the cost is taken where it is allowed.
    pub(super) takes: bool,
    /// The time; where there is none, the clock of whoever decides.
    pub(super) now_us: Option<u64>,
}

/// One question, with all that a function needs to answer it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) cost: u64,
    pub(super) takes: bool,
    pub(super) now_us: u64,
}

/// What a script or a function says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    pub(super) remaining: u64,
    /// Zero where it is allowed.
    pub(super) retry_after_us: u64,
    pub(super) reset_us: u64,
}

/// What a function says, and what the value is from now on; none where it stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) verdict: Verdict,
    pub(super) write: Option<Write>,
}

/// A new value and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) value: Vec<u8>,
    pub(super) lives_ms: u64,
}

impl Ask {
    pub(super) fn take() -> Self {
        Self {
            takes: true,
            now_us: None,
        }
    }

    pub(super) fn look() -> Self {
        Self {
            takes: false,
            now_us: None,
        }
    }

    pub(super) fn at(self, now_us: u64) -> Self {
        Self {
            now_us: Some(now_us),
            ..self
        }
    }
}

impl Rule {
    /// How much is allowed at once.
    pub(super) fn limit(self) -> u64 {
        match self {
            Self::SlidingWindow(rule) => rule.limit,
            Self::Gcra(rule) => rule.burst,
            Self::Counter(rule) => rule.limit,
        }
    }

    /// The time in which all of the limit is given back.
    pub(super) fn window_us(self) -> u64 {
        match self {
            Self::SlidingWindow(rule) => rule.window_us,
            Self::Gcra(rule) => (rule.burst * rule.period_us).div_ceil(rule.rate),
            Self::Counter(rule) => rule.window_us,
        }
    }

    /// What the rule says about a stored value, empty where there is none. Mirrors its script.
    pub(super) fn decide(self, stored: &[u8], call: Call) -> Step {
        match self {
            Self::SlidingWindow(rule) => rule.decide(stored, call),
            Self::Gcra(rule) => rule.decide(stored, call),
            Self::Counter(rule) => rule.decide(stored, call),
        }
    }

    pub(super) fn script(self) -> &'static Script {
        static SLIDING_WINDOW: Script = Script::new(ACTION, sliding_window::SOURCE);
        static GCRA: Script = Script::new(ACTION, gcra::SOURCE);
        static COUNTER: Script = Script::new(ACTION, counter::SOURCE);
        match self {
            Self::SlidingWindow(_) => &SLIDING_WINDOW,
            Self::Gcra(_) => &GCRA,
            Self::Counter(_) => &COUNTER,
        }
    }

    /// The text of the script.
    pub(super) fn source(self) -> &'static str {
        match self {
            Self::SlidingWindow(_) => sliding_window::SOURCE,
            Self::Gcra(_) => gcra::SOURCE,
            Self::Counter(_) => counter::SOURCE,
        }
    }

    /// The arguments of the script.
    pub(super) fn arguments(self, cost: u64, ask: Ask) -> Vec<Value> {
        let mut arguments = Vec::with_capacity(6);
        match self {
            Self::SlidingWindow(SlidingWindowRule { limit, window_us })
            | Self::Counter(CounterRule { limit, window_us }) => {
                arguments.extend([integer(limit), integer(window_us)]);
            }
            Self::Gcra(rule) => {
                let GcraRule {
                    rate,
                    period_us,
                    burst,
                } = rule;
                arguments.extend([integer(rate), integer(period_us), integer(burst)]);
            }
        }
        arguments.push(integer(cost));
        if !ask.takes || ask.now_us.is_some() {
            arguments.push(integer(u64::from(!ask.takes)));
        }
        arguments.extend(ask.now_us.map(integer));
        arguments
    }
}

impl Verdict {
    /// What a script answered; none where it is no answer of ours.
    pub(super) fn of_script(answer: Value) -> Option<Self> {
        let numbers: Option<Vec<u64>> = answer
            .into_array()
            .iter()
            .map(|number| number.as_i64().and_then(|number| number.try_into().ok()))
            .collect();
        let [allowed, remaining, retry_after_us, reset_us] = numbers?.try_into().ok()?;
        Some(Self {
            allowed: allowed == 1,
            remaining,
            retry_after_us,
            reset_us,
        })
    }
}

/// A number as it is stored.
pub(super) fn packed(number: u64) -> [u8; NUMBER_BYTES] {
    let [_, bytes @ ..] = number.to_be_bytes();
    bytes
}

/// A number as it was stored.
pub(super) fn unpacked(bytes: [u8; NUMBER_BYTES]) -> u64 {
    let mut whole = [0; 8];
    let [_, end @ ..] = &mut whole;
    *end = bytes;
    u64::from_be_bytes(whole)
}

/// Two numbers as they are stored, and as a value of another length is read: not at all.
pub(super) fn unpacked_pair(stored: &[u8]) -> Option<(u64, u64)> {
    match stored.as_chunks::<NUMBER_BYTES>() {
        ([first, second], []) => Some((unpacked(*first), unpacked(*second))),
        _ => None,
    }
}

/// Two numbers, to be stored.
pub(super) fn packed_pair(first: u64, second: u64) -> Vec<u8> {
    [packed(first), packed(second)].concat()
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_stored_in_seven_bytes_the_largest_first() {
        assert_eq!(packed(0x0001_0203_0405_0607), [1, 2, 3, 4, 5, 6, 7]);
        for number in [0, 1, 1_764_000_000_000_000, EXACT_MAX] {
            assert_eq!(unpacked(packed(number)), number);
        }
        assert_eq!(unpacked_pair(&packed_pair(3, 4)), Some((3, 4)));
        assert_eq!(unpacked_pair(&[0; 13]), None);
        assert_eq!(unpacked_pair(&[]), None);
    }

    #[test]
    fn what_is_no_answer_of_a_script_is_none() {
        let answer = |numbers: &[i64]| {
            let numbers = numbers.iter().map(|number| Value::Integer(*number));
            Verdict::of_script(Value::Array(numbers.collect()))
        };
        let verdict = answer(&[1, 4, 0, 60]).unwrap();
        assert!(verdict.allowed && verdict.remaining == 4 && verdict.reset_us == 60);
        assert_eq!(answer(&[1, 4, 0]), None);
        assert_eq!(answer(&[1, -4, 0, 60]), None);
        assert_eq!(Verdict::of_script(Value::Null), None);
    }
}
