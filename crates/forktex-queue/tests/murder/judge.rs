// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is to be so when all is over.

use std::collections::BTreeSet;

use forktex_queue::{DeadReason, JobId, JobRecord, Queue};

use crate::Outcome;
use crate::ledger::Books;
use crate::worker::{POISON_ATTEMPTS, QUEUE};

/// The most violations of a kind that are told one by one.
const TOLD_MAX: usize = 5;

pub(crate) async fn judge(queue: &Queue, books: &Books) -> Outcome<Vec<String>> {
    let mut violations = Vec::new();
    let mut tell = |what: &str, found: Vec<String>| {
        if !found.is_empty() {
            let told: Vec<&str> = found.iter().take(TOLD_MAX).map(String::as_str).collect();
            violations.push(format!("{} {what}: {}", found.len(), told.join("; ")));
        }
    };
    tell("jobs are lost", lost(books));
    tell("jobs were done that nobody put in", unknown(books));
    let repeated = books.repeated();
    if repeated > books.blows {
        let found: Vec<String> = books
            .done
            .iter()
            .filter(|(_, doings)| doings.begins > 1)
            .map(|(number, doings)| format!("{number} ({})", doings.lines.join(", ")))
            .collect();
        let what = format!(
            "jobs were begun again, {repeated} times, over the {} that were under way at the blows",
            books.blows
        );
        tell(&what, found);
    }

    let dead = dead_letters(queue).await?;
    let poison: BTreeSet<JobId> = books.poison.values().copied().collect();
    let unexpected = dead.iter().filter(|record| {
        let is_poison = record.name.as_str() == "murder.poison";
        let is_right =
            record.dead_reason == Some(DeadReason::LeaseLost) && record.attempts == POISON_ATTEMPTS;
        !(is_poison && is_right)
    });
    tell(
        "dead letters are no poison that had its attempts",
        unexpected.map(|record| format!("{record:?}")).collect(),
    );
    let buried: BTreeSet<JobId> = dead.iter().map(|record| record.id).collect();
    let alive = poison.difference(&buried);
    tell(
        "poison jobs are no dead letters",
        alive.map(ToString::to_string).collect(),
    );
    let often = books
        .poisoned
        .iter()
        .filter(|(_, times)| **times > u64::from(POISON_ATTEMPTS));
    tell(
        "poison jobs had more than their attempts",
        often
            .map(|(number, times)| format!("{number}: {times}"))
            .collect(),
    );
    let stats = queue.stats(QUEUE).await?;
    if stats.ready + stats.running + stats.scheduled + stats.held > 0 {
        tell("queues are not empty", vec![format!("{stats:?}")]);
    }
    Ok(violations)
}

fn lost(books: &Books) -> Vec<String> {
    let is_lost = |number: &&u64| books.done.get(number).is_none_or(|doings| doings.ends == 0);
    let lost = books.taken.keys().filter(is_lost);
    lost.map(|number| {
        let lines = books.done.get(number).map(|doings| doings.lines.join(", "));
        format!("{number} ({})", lines.unwrap_or_default())
    })
    .collect()
}

fn unknown(books: &Books) -> Vec<String> {
    let doubtful: BTreeSet<&u64> = books.doubtful.iter().collect();
    let is_unknown =
        |number: &&u64| !books.taken.contains_key(number) && !doubtful.contains(number);
    let unknown = books.done.keys().filter(is_unknown);
    unknown.map(ToString::to_string).collect()
}

/// All dead letters.
async fn dead_letters(queue: &Queue) -> Outcome<Vec<JobRecord>> {
    let mut records = Vec::new();
    let mut after = None;
    loop {
        let page = queue.dead_letters().queue(QUEUE).fetch(after).await?;
        records.extend(page.jobs);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(records),
        }
    }
}
