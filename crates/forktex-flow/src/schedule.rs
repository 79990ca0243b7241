// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! When a workflow starts by itself: a cron expression in a time zone, and what becomes of ticks that
//! were missed or meet an earlier run.
//!
//! Nothing here reads a clock: the next tick is computed from an instant that is given, which is the
//! database's.

pub(crate) mod firing;
pub(crate) mod input;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::identifier::nearest;

pub use input::{DefaultInput, ScheduleInput};

/// The most characters that a cron expression may have.
pub const CRON_CHARACTERS_MAX: usize = 200;

/// The most missed ticks that [`CatchUp::All`] makes up for at a time: the newest ones.
pub const CATCH_UP_MAX: usize = 1_000;

/// How late a tick may be fired and still count as on time, for [`CatchUp::None`]; in seconds.
pub const MISSED_AFTER_SECONDS: i64 = 30;

/// What becomes of a tick while an earlier run of the schedule lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// It starts a run all the same. The default.
    #[default]
    Allow,
    /// It is skipped, and recorded as skipped.
    Skip,
    /// It waits for the earlier run to end, found within a second. One tick waits at most: a newer one
    /// takes its place, and the older one is recorded as skipped.
    Queue,
}

/// What becomes of ticks that came while nobody could fire them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CatchUp {
    /// One run for all of them, of the newest tick. The default.
    #[default]
    One,
    /// A run for each, oldest first, of the newest [`CATCH_UP_MAX`]. An input that fails costs all the
    /// ticks that are fired together with its own, at most 50.
    All,
    /// None, if more than [`MISSED_AFTER_SECONDS`] have passed.
    None,
}

macro_rules! words {
    ($name:ident, $($variant:ident = $word:literal),* $(,)?) => {
        impl $name {
            /// The word for it in attributes and in the tables.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What a stored word means.
            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

words!(Overlap, Allow = "allow", Skip = "skip", Queue = "queue");
words!(CatchUp, One = "one", All = "all", None = "none");

/// A cron expression or a time zone that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// The cron expression is malformed.
    #[error(
        "`{cron}` is not a cron expression: {reason}; write `minute hour day month weekday`, such as \
         `0 2 * * *`, with seconds before them if need be"
    )]
    Cron {
        /// The expression as given.
        cron: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No date matches the cron expression.
    #[error("`{cron}` never fires: no date matches it; change its day or month")]
    NeverFires {
        /// The expression as given.
        cron: String,
    },
    /// There is no such time zone.
    #[error(
        "there is no time zone `{timezone}`{}; write a name of the IANA database, such as `Europe/Berlin`",
        similar(.nearest.as_deref())
    )]
    Timezone {
        /// The name as given.
        timezone: String,
        /// The nearest name that exists.
        nearest: Option<String>,
    },
}

fn similar(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; a similar name is `{name}`"))
}

/// When a workflow starts by itself.
///
/// The expression has five fields, or six with seconds first; names (`MON`, `JAN`), steps (`*/5`),
/// `L`, `#` and `W` are understood, and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Where both
/// a day of the month and a weekday are given, either fires. There is no field for the year.
///
/// The fields are those of the clock on the wall in the time zone, [`UTC`](Self::timezone) by default.
/// Where that clock jumps forward, an expression with a fixed time (`30 2 * * *`) fires at the first
/// instant after the gap, and one with a wildcard or steps in its minutes or hours (`*/10 * * * *`)
/// goes on after it. Where the clock is put back, a fixed time fires once, at its first passing; the
/// others fire in both passings of the hour.
///
/// # Examples
/// ```
/// use forktex_flow::{CatchUp, Overlap, Schedule};
/// use time::macros::datetime;
///
/// let nightly = Schedule::new("0 2 * * *")?
///     .timezone("Europe/Berlin")?
///     .overlap(Overlap::Skip)
///     .catch_up(CatchUp::One);
/// let next = nightly.next_after(datetime!(2026-01-10 12:00 UTC));
/// assert_eq!(next, Some(datetime!(2026-01-11 1:00 UTC)));
/// # Ok::<(), forktex_flow::InvalidSchedule>(())
/// ```
#[derive(Clone)]
#[must_use = "a schedule does nothing until it is given to a workflow"]
pub struct Schedule {
    cron: Cron,
    text: String,
    timezone: Tz,
    overlap: Overlap,
    catch_up: CatchUp,
}

impl Schedule {
    /// A schedule in UTC that catches up with one run and allows overlaps.
    ///
    /// # Errors
    /// [`InvalidSchedule::Cron`] and [`InvalidSchedule::NeverFires`].
    pub fn new(cron: impl Into<String>) -> Result<Self, InvalidSchedule> {
        let text = cron.into();
        let parsed = parse(&text).map_err(|reason| InvalidSchedule::Cron {
            cron: text.clone(),
            reason,
        })?;
        let schedule = Self {
            cron: parsed,
            text,
            timezone: Tz::UTC,
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
        };
        if schedule.next_after(OffsetDateTime::UNIX_EPOCH).is_none() {
            return Err(InvalidSchedule::NeverFires {
                cron: schedule.text,
            });
        }
        Ok(schedule)
    }

    /// The time zone that the expression is read in, by its name in the IANA database, with its case.
    ///
    /// # Errors
    /// [`InvalidSchedule::Timezone`], with the nearest name.
    pub fn timezone(mut self, name: &str) -> Result<Self, InvalidSchedule> {
        self.timezone = Tz::from_str(name).map_err(|_| InvalidSchedule::Timezone {
            timezone: name.to_owned(),
            nearest: nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()))
                .map(str::to_owned),
        })?;
        Ok(self)
    }

    /// What becomes of a tick while an earlier run lives; [`Overlap::Allow`] by default.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// What becomes of missed ticks; [`CatchUp::One`] by default.
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// The first tick after `instant`, in UTC and in whole seconds; `None` where the calendar of the
    /// expression ends, which is after the year 4999.
    #[must_use]
    pub fn next_after(&self, instant: OffsetDateTime) -> Option<OffsetDateTime> {
        let from = self.on_the_wall(instant)?;
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        in_utc(&next).filter(|next| *next > instant)
    }

    /// The last tick that is not after `instant`.
    pub(crate) fn last_until(&self, instant: OffsetDateTime) -> Option<OffsetDateTime> {
        let from = self.on_the_wall(instant)?;
        let last = self.cron.find_previous_occurrence(&from, true).ok()?;
        in_utc(&last).filter(|last| *last <= instant)
    }

    /// The expression as written.
    #[must_use]
    pub fn cron_expression(&self) -> &str {
        &self.text
    }

    /// The name of the time zone.
    #[must_use]
    pub fn timezone_name(&self) -> &'static str {
        self.timezone.name()
    }

    pub(crate) fn overlap_policy(&self) -> Overlap {
        self.overlap
    }

    pub(crate) fn catch_up_policy(&self) -> CatchUp {
        self.catch_up
    }

    /// Ticks are whole seconds, so that what is below a second of `instant` decides nothing.
    fn on_the_wall(&self, instant: OffsetDateTime) -> Option<DateTime<Tz>> {
        let instant = DateTime::<Utc>::from_timestamp(instant.unix_timestamp(), 0)?;
        Some(instant.with_timezone(&self.timezone))
    }
}

fn in_utc(instant: &DateTime<Tz>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(instant.timestamp()).ok()
}

/// The attributes parse by the same rules at compile time: `macros/src/model/schedule.rs`.
fn parse(text: &str) -> Result<Cron, String> {
    if text.chars().count() > CRON_CHARACTERS_MAX {
        return Err(format!("it has more than {CRON_CHARACTERS_MAX} characters"));
    }
    let fields = text.split_whitespace().count();
    if !text.trim_start().starts_with('@') && !matches!(fields, 5 | 6) {
        return Err(format!("it must have five fields or six, not {fields}"));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).map_err(|error| reason(&error))
}

fn reason(error: &CronError) -> String {
    let (CronError::InvalidPattern(text)
    | CronError::IllegalCharacters(text)
    | CronError::ComponentError(text)) = error
    else {
        return "it has no fields that make a date".to_owned();
    };
    let text = text.trim_end_matches('.');
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.timezone, self.overlap, self.catch_up)
            == (&other.text, other.timezone, other.overlap, other.catch_up)
    }
}

impl Eq for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Schedule")
            .field("cron", &self.text)
            .field("timezone", &self.timezone.name())
            .field("overlap", &self.overlap)
            .field("catch_up", &self.catch_up)
            .finish()
    }
}

#[cfg(test)]
mod tests;
