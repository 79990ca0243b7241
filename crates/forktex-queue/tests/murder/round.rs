// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One round: jobs are put in, their workers are murdered, and what is left is judged.

use std::fmt;
use std::time::{Duration, Instant};

use forktex_queue::{JobStatus, Queue};

use crate::Outcome;
use crate::crew::Crew;
use crate::judge::judge;
use crate::ledger::Ledger;
use crate::options::Options;
use crate::place::{Kind, Server};
use crate::producer::produce;
use crate::worker::{LEASE, Orders, QUEUE, Work};

/// How many workers are to be alive.
const HANDS: usize = 4;

/// How often the server is killed.
const CRASHES: usize = 2;

/// How long nothing may move before the round is given up.
const STUCK_AFTER: Duration = Duration::from_mins(1);

const LOOK: Duration = Duration::from_millis(50);

/// How long one that is frozen stays so: past its lease.
const FROZEN: Duration = LEASE.saturating_add(Duration::from_millis(1_500));

/// What a round came to.
pub(crate) struct Report {
    taken: usize,
    doubtful: usize,
    poison: usize,
    repeated: u64,
    allowed: u64,
    kills: u32,
    freezes: u32,
    suicides: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            taken,
            doubtful,
            poison,
            repeated,
            allowed,
            kills,
            freezes,
            suicides,
        } = self;
        write!(
            formatter,
            "{taken} jobs and {poison} poison ones taken ({doubtful} in doubt), none lost; {repeated} begun \
             again of at most {allowed}; {kills} killed, {freezes} frozen, {suicides} by poison, \
             {CRASHES} crashes of the server"
        )
    }
}

pub(crate) async fn play(kind: Kind, options: &Options) -> Outcome<Report> {
    let server = Server::start(kind).await?;
    let queue = kind.queue(server.url()).await?;
    queue.init().await?;
    let ledger = Ledger::default();
    let orders = Orders {
        kind,
        url: server.url().to_owned(),
    };
    let mut crew = Crew::new(&orders, ledger.clone())?;
    late_word(&queue, &ledger, &mut crew, options.jobs).await?;

    let producing = tokio::spawn(produce(
        queue.clone(),
        ledger.clone(),
        options.jobs,
        options.seed,
    ));
    murder(&server, &ledger, &mut crew, options).await?;
    producing.await??;
    settle(&queue, &ledger, &mut crew).await?;
    if !crew.dismiss_all().await {
        return Err("a worker did not drain in time".into());
    }
    let books = std::mem::take(&mut *ledger.books());
    let violations = judge(&queue, &books).await?;
    if !violations.is_empty() {
        return Err(violations.join("\n  ").into());
    }
    Ok(Report {
        taken: books.taken.len(),
        doubtful: books.doubtful.len() + books.doubtful_poison.len(),
        poison: books.poison.len(),
        repeated: books.repeated(),
        allowed: books.blows,
        kills: crew.kills,
        freezes: crew.freezes,
        suicides: crew.suicides,
    })
}

/// What a frozen worker says after its lease changes nothing: the job is another's, and stays until that
/// one is done with it.
async fn late_word(queue: &Queue, ledger: &Ledger, crew: &mut Crew, number: u64) -> Outcome<()> {
    let takes = LEASE + Duration::from_secs(2);
    crew.hire()?;
    let job = Work {
        number,
        takes_ms: u64::try_from(takes.as_millis())?,
    };
    let id = queue.enqueue(job).await?.id();
    ledger.books().taken.insert(number, id);
    let has_said = |word: &str, attempt: u32| {
        let line = format!(": {word} {number} {attempt}");
        let books = ledger.books();
        let doings = books.done.get(&number);
        doings.is_some_and(|doings| doings.lines.iter().any(|said| said.ends_with(&line)))
    };
    until("the first begins", async || has_said("begin", 1)).await?;
    let frozen = crew.freeze_any(&mut fastrand::Rng::with_seed(0));
    crew.hire()?;
    until("another takes it", async || has_said("begin", 2)).await?;
    // By now the first has slept for long enough: it ends at once, and says so if it still may.
    crew.thaw(frozen.as_deref());
    while !has_said("end", 2) {
        let record = queue.job(id).await?;
        let is_running = record
            .as_ref()
            .is_some_and(|record| record.status == JobStatus::Running && record.attempts == 2);
        if !is_running {
            // The second may have ended just now, its word still on the way.
            tokio::time::sleep(LOOK * 4).await;
            if !has_said("end", 2) {
                return Err(format!("a late word has changed the job: {record:?}").into());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    until("it is gone", async || {
        matches!(queue.job(id).await, Ok(None))
    })
    .await
}

/// Kills and freezes workers and the server until all is put in and most is done.
async fn murder(
    server: &Server,
    ledger: &Ledger,
    crew: &mut Crew,
    options: &Options,
) -> Outcome<()> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let jobs = usize::try_from(options.jobs)?;
    let mut crashes = 0;
    let mut frozen: Option<(String, Instant)> = None;
    let mut watch = Watch::new();
    loop {
        crew.fill_up(HANDS).await?;
        let pause = Duration::from_millis(rng.u64(150..600));
        tokio::time::sleep(pause).await;
        if let Some((name, since)) = frozen.take() {
            if since.elapsed() >= FROZEN {
                crew.thaw(Some(&name));
            } else {
                frozen = Some((name, since));
            }
        }
        let (done, known) = {
            let books = ledger.books();
            (books.done_count(), books.taken.len() + books.doubtful.len())
        };
        if known >= jobs && done * 100 >= jobs * 90 {
            break;
        }
        watch.look(done)?;
        if crashes < CRASHES && done * (CRASHES + 1) >= jobs * (crashes + 1) {
            crashes += 1;
            crew.note_blow_to_all();
            server.crash().await?;
            continue;
        }
        if frozen.is_none() && rng.u32(..4) == 0 {
            frozen = crew.freeze_any(&mut rng).map(|name| (name, Instant::now()));
        } else {
            crew.kill_any(&mut rng).await;
        }
    }
    while crashes < CRASHES {
        crashes += 1;
        crew.note_blow_to_all();
        server.crash().await?;
    }
    crew.thaw(None);
    Ok(())
}

/// Waits until nothing is left to be done.
async fn settle(queue: &Queue, ledger: &Ledger, crew: &mut Crew) -> Outcome<()> {
    let mut watch = Watch::new();
    loop {
        crew.fill_up(HANDS).await?;
        let stats = queue.stats(QUEUE).await?;
        let open = stats.ready + stats.running + stats.scheduled + stats.held;
        if open == 0 {
            return Ok(());
        }
        let done = ledger.books().done_count();
        watch.look(done + usize::try_from(stats.dead)?)?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Sees to it that something moves.
struct Watch {
    seen: usize,
    at: Instant,
}

impl Watch {
    fn new() -> Self {
        Self {
            seen: 0,
            at: Instant::now(),
        }
    }

    fn look(&mut self, seen: usize) -> Outcome<()> {
        if seen != self.seen {
            self.seen = seen;
            self.at = Instant::now();
        }
        if self.at.elapsed() > STUCK_AFTER {
            return Err(format!("nothing moves any more, {seen} jobs are done").into());
        }
        Ok(())
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Outcome<()> {
    let deadline = Instant::now() + STUCK_AFTER;
    while !is_so().await {
        if Instant::now() > deadline {
            return Err(format!("{what}: not so after {STUCK_AFTER:?}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
