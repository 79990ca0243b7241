// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs that are put in by the clock: a cron expression in a time zone.
//!
//! Nothing here reads a clock: a tick is computed from an instant that is given, which is the backend's.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use time::OffsetDateTime;

use crate::backend::NewJob;
use crate::error::QueueError;
use crate::identifier::{InvalidName, JobName, nearest};
use crate::job::Job;
use crate::queue::Queue;
use crate::queue::prepare::{EnqueueOptions, prepare};

/// The most characters that a cron expression may have.
pub const CRON_CHARACTERS_MAX: usize = 200;

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

/// A schedule that puts a job in at each tick.
///
/// However many workers have it, each tick puts one job in: the backend notes the last tick of each name
/// and refuses it a second time. A tick that came while no worker ran is made up for up to half a minute
/// later; of several that were missed, the last one counts.
///
/// The expression has five fields, or six with seconds first; names (`MON`, `JAN`), steps (`*/5`), `L`, `#`
/// and `W` are understood, and `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Its fields are those of
/// the clock on the wall in the time zone, UTC by default. Where that clock jumps forward, a fixed time in
/// the gap fires right after it; where it is put back, a fixed time fires once.
///
/// # Examples
/// ```
/// use forktex_queue::{Cron, Job};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Job, Clone, Serialize, Deserialize)]
/// #[job("report.build")]
/// struct BuildReport { format: String }
///
/// let nightly = Cron::new("report.daily", "0 2 * * *")
///     .timezone("Europe/Berlin")
///     .job(BuildReport { format: "pdf".into() });
/// # let _ = nightly;
/// ```
#[derive(Clone)]
#[must_use = "a schedule does nothing until it is given to a worker"]
pub struct Cron {
    schedule: CronSchedule,
    make: Make,
}

/// Makes the job of a tick, for a queue.
type Make = Arc<dyn Fn(&Queue, OffsetDateTime) -> Result<NewJob, QueueError> + Send + Sync>;

impl Cron {
    /// A schedule of that name: 1 to 100 characters, words of letters, digits, `_` and `-`, joined by dots.
    /// What is wrong with it or with the expression is told by the start of its worker.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a schedule is whole once it has its job, which `job` gives"
    )]
    pub fn new(name: impl Into<String>, cron: impl Into<String>) -> CronSchedule {
        CronSchedule {
            name: name.into(),
            cron: cron.into(),
            timezone: "UTC".to_owned(),
        }
    }

    /// The name of the schedule.
    pub fn name(&self) -> &str {
        &self.schedule.name
    }

    /// Checks the name, the expression and the time zone.
    pub(crate) fn check(&self) -> Result<CheckedCron, QueueError> {
        let CronSchedule {
            name,
            cron,
            timezone,
        } = &self.schedule;
        // The rule of the names of jobs; only what the text is meant to be differs.
        JobName::new(name).map_err(|fault| InvalidName {
            what: "schedule name",
            ..fault
        })?;
        Ok(CheckedCron {
            name: name.clone(),
            ticks: Ticks::new(cron, timezone)?,
            make: Arc::clone(&self.make),
        })
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Cron").field(&self.schedule).finish()
    }
}

/// A schedule that lacks its job.
#[derive(Debug, Clone)]
#[must_use = "a schedule has no job until `job` or `job_at` gives it one"]
pub struct CronSchedule {
    name: String,
    cron: String,
    timezone: String,
}

impl CronSchedule {
    /// The time zone that the expression is read in, by its name in the IANA database, with its case.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timezone = name.into();
        self
    }

    /// Puts a copy of `job` in at each tick.
    pub fn job<J: Job + Clone + Sync>(self, job: J) -> Cron {
        self.job_at(move |_| job.clone())
    }

    /// Puts in what `job` makes of the instant of the tick.
    pub fn job_at<J: Job>(self, job: impl Fn(OffsetDateTime) -> J + Send + Sync + 'static) -> Cron {
        Cron {
            schedule: self,
            make: Arc::new(move |queue, tick| {
                prepare(queue, &job(tick), &EnqueueOptions::default())
            }),
        }
    }
}

/// A schedule that is well formed.
pub(crate) struct CheckedCron {
    pub(crate) name: String,
    pub(crate) ticks: Ticks,
    make: Make,
}

impl CheckedCron {
    /// The job of a tick.
    pub(crate) fn job(&self, queue: &Queue, tick: OffsetDateTime) -> Result<NewJob, QueueError> {
        (self.make)(queue, tick)
    }
}

/// The instants that an expression names.
pub(crate) struct Ticks {
    cron: croner::Cron,
    timezone: Tz,
}

impl Ticks {
    fn new(text: &str, timezone: &str) -> Result<Self, InvalidSchedule> {
        let cron = parse(text).map_err(|reason| InvalidSchedule::Cron {
            cron: text.to_owned(),
            reason,
        })?;
        let timezone = Tz::from_str(timezone).map_err(|_| InvalidSchedule::Timezone {
            timezone: timezone.to_owned(),
            nearest: nearest(
                timezone,
                chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()),
            )
            .map(str::to_owned),
        })?;
        let ticks = Self { cron, timezone };
        if ticks.next_after(OffsetDateTime::UNIX_EPOCH).is_none() {
            return Err(InvalidSchedule::NeverFires {
                cron: text.to_owned(),
            });
        }
        Ok(ticks)
    }

    /// The first tick after `instant`, in whole seconds.
    pub(crate) fn next_after(&self, instant: OffsetDateTime) -> Option<OffsetDateTime> {
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
fn parse(text: &str) -> Result<croner::Cron, String> {
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ticks_are_those_of_the_clock_on_the_wall() {
        let ticks = Ticks::new("0 2 * * *", "Europe/Berlin").unwrap();
        let noon = datetime!(2026-01-10 12:00 UTC);
        assert_eq!(ticks.next_after(noon), Some(datetime!(2026-01-11 1:00 UTC)));
        assert_eq!(ticks.last_until(noon), Some(datetime!(2026-01-10 1:00 UTC)));
        // On 29 March 2026 the clock goes from 2:00 to 3:00, which is 1:00 UTC.
        let spring = datetime!(2026-03-28 12:00 UTC);
        assert_eq!(
            ticks.next_after(spring),
            Some(datetime!(2026-03-29 1:00 UTC))
        );
        assert_eq!(
            ticks.last_until(datetime!(2026-01-11 1:00:00.9 UTC)),
            Some(datetime!(2026-01-11 1:00 UTC))
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        for (cron, timezone, expected) in [
            ("0 2 * *", "UTC", "five fields"),
            ("0 2 * * FUN", "UTC", "is not a cron expression"),
            ("0 0 30 2 *", "UTC", "never fires"),
            ("@daily", "Europe/Berlim", "`Europe/Berlin`"),
        ] {
            let refused = Ticks::new(cron, timezone).err().unwrap().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
