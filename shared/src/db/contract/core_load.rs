//! A crowd: eight tasks do random steps against one database, until so many are done. Whatever they do to
//! each other, each job comes to its end, each run ends once, and each line keeps its order.
//!
//! The steps follow from a seed, which is shown when the test fails; how they interleave does not. So a seed
//! that found something finds it again often, not always: `CORE_LOAD_SEED=… scripts/test crowd`.

use crate::jobs::queues::IMAGES;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::bench::{Bench, LEASE, Settled, begin_process, done, end_lapsed, own, waits};
use super::due::full;
use super::pauses::{open, resume};
use super::promises;
use crate::db::consistency::WHOLE;
use crate::domain::{CustomerId, PhotoId};
use crate::jobs::{KINDS, MakeThumbnails};
use ::jobs::claim::{Claimed, Claims};
use ::jobs::enqueue::{Enqueued, Options, enqueue_kind, enqueue_unique};
use ::jobs::processes::{Watched, declare_lost};
use ::jobs::relay::due as relay;
use ::jobs::schema::jobs;
use ::jobs::settle::{Ended, Note, Progress, Settles, checkpoint, settle_waiting};
use ::jobs::{FencedError, Job, cancel, dead, queues, share, sweep, unpublished};
use database::{Db, DbError, Publication, SignalReceivers, Tx, with};
use model::job::{Ending, JobState};
use model::{JobId, Timestamp, WorkerId};

promises!(both: each_job_of_a_crowd_comes_to_its_end_and_each_run_ends_once);

/// Waits and lines together must have no circle. So whoever stands in one of the first two lines may wait for
/// others, and nobody waits for it; with the last two it is the other way round.
const LINES: [&str; 4] = ["a", "b", "c", "d"];

async fn each_job_of_a_crowd_comes_to_its_end_and_each_run_ends_once(bench: &mut Bench) {
    let given = std::env::var("CORE_LOAD_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("CORE_LOAD_SEED={seed}");
    let steps = if bench.is_postgres() { 80 } else { 15 };
    let load = Arc::new(Load::begin(bench, steps).await);
    for round in 0..6_u64 {
        let rng = |task: u64| StdRng::seed_from_u64(seed.wrapping_add(8 * round + task));
        let walk = |task| tokio::spawn(load.clone().walk(rng(task), steps));
        join_all((0..8).map(walk).map(done)).await;
        load.check(bench).await;
        // What was lost is published again in the next round.
        bench.time_passes(61).await;
    }
    load.drive_to_the_end(bench).await;
    load.check(bench).await;
    println!("refused: {:#?}", load.refused.lock().unwrap());
}

/// What is around the database, and what was seen of it.
struct Load {
    db: Db,
    signals: Mutex<SignalReceivers>,
    workers: Vec<Worker>,
    /// What is with the broker, and what the workers have in hand.
    messages: Mutex<Vec<Publication>>,
    runs: Mutex<Vec<Job>>,
    /// What was enqueued, with its line.
    jobs: Mutex<Vec<(JobId, Option<&'static str>)>>,
    /// What happens once, to which job, under which fence.
    seen: Mutex<HashSet<(&'static str, JobId, i64)>>,
    /// What may have another place in its line than the one in which it began.
    redriven: Mutex<HashSet<JobId>>,
    refused: Mutex<BTreeMap<String, usize>>,
}

/// It dies now and then, and goes on under another id.
type Worker = (Mutex<WorkerId>, Claims, Settles);

impl Load {
    /// One owner's share is full, by messages that are lost, and so many more are parked.
    async fn begin(bench: &Bench, parked: usize) -> Self {
        open(bench).await;
        let (db, signals) = bench.another_process_with_a_relay();
        let (out, parked) = full(bench, CustomerId(uuid::Uuid::nil()), false, parked).await;
        let mut workers = Vec::new();
        for _ in 0..3 {
            let id = begin_process(&db).await;
            workers.push((Mutex::new(id), Claims::new(db.clone()), Settles::new(db.clone())));
        }
        Self {
            db,
            signals: Mutex::new(signals),
            workers,
            messages: Mutex::default(),
            runs: Mutex::default(),
            jobs: Mutex::new(out.iter().chain(&parked).map(|job| (job.id, None)).collect()),
            seen: Mutex::default(),
            redriven: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    async fn walk(self: Arc<Self>, mut rng: StdRng, steps: usize) {
        for _ in 0..steps {
            let worker = &self.workers[rng.random_range(0..self.workers.len())];
            match rng.random_range(0..100_u32) {
                0..20 => self.note("enqueue", self.enqueue(&mut rng).await),
                20..36 => self.note("look", self.look(&mut rng).await),
                36..58 => self.claim(worker, take(&self.messages, 3, &mut rng)).await,
                58..78 => self.settle(worker, take(&self.runs, 3, &mut rng), ending(&mut rng)).await,
                78..86 => self.wait(&mut rng).await,
                86..98 => self.note("change", self.change(&mut rng).await),
                98 => self.note("sweep", sweep::sweep(&self.db).await.map(|_| ()).map_err(FencedError::from)),
                _ => self.note("die", self.die(worker).await),
            }
        }
    }

    /// What may happen to anybody in a crowd is counted. Anything else is a mistake of ours.
    fn note(&self, step: &str, outcome: Result<(), FencedError>) {
        let Err(error) = outcome else { return };
        let passes = match &error {
            FencedError::LostLease(_) => true,
            // Of a unique key; a second head of a line would be another.
            FencedError::Db(DbError::Duplicate(key)) => key.contains("unique"),
            FencedError::Db(error) => error.may_pass(),
        };
        assert!(passes, "{step}: {error:?}");
        *self.refused.lock().unwrap().entry(format!("{step}: {error}")).or_default() += 1;
    }

    fn once(&self, what: &'static str, job: &Job) {
        let first = self.seen.lock().unwrap().insert((what, job.id, job.fence));
        assert!(first, "{} {what} twice under fence {}", job.id, job.fence);
    }

    async fn enqueue(&self, rng: &mut StdRng) -> Result<(), FencedError> {
        let line = LINES.get(rng.random_range(0..6 * LINES.len())).copied();
        let owner = rng.random_range(0..4_u128);
        let options = Options {
            owner: (owner < 3).then(|| CustomerId(uuid::Uuid::from_u128(owner))),
            delay: Duration::from_secs(rng.random_range(0..4_u64) / 3),
            express: rng.random_ratio(1, 6),
            ordering_key: line.map(str::to_owned),
            ..Options::default()
        };
        let args = MakeThumbnails { photo_id: PhotoId::new() };
        let mut tx = self.db.begin().await?;
        let written = match rng.random_range(0..12_usize) {
            key @ 0..2 => enqueue_unique(&mut tx, &format!("crowd {key}"), &args, options).await?,
            // The second of these kinds undoes.
            number => Enqueued::New(enqueue_kind(&mut tx, &KINDS[number % 2], &json!({}), options).await?),
        };
        if let (true, Enqueued::New(job)) = (commit(tx, rng).await?, written) {
            self.jobs.lock().unwrap().push((job.id, line));
        }
        Ok(())
    }

    /// As a relay does. Some rooms are forgotten. Some messages are lost, some come twice, some are said to
    /// have failed, and a part of these come.
    async fn look(&self, rng: &mut StdRng) -> Result<(), FencedError> {
        let rooms = self.signals.lock().unwrap().rooms.take();
        share::promote(&self.db, if rng.random_ratio(3, 4) { &rooms[..] } else { &[] }).await?;
        let mut found = relay::take_due(&self.db, 20).await?;
        found.extend(std::iter::from_fn(|| self.signals.lock().unwrap().publications.try_recv().ok()));
        let mut failed = Vec::new();
        for message in found {
            let fate = rng.random_range(0..12_u32);
            failed.extend(matches!(fate, 1 | 2).then(|| message.clone()));
            let copies = usize::from(fate > 1) + usize::from(fate == 3);
            self.messages.lock().unwrap().extend(std::iter::repeat_n(message, copies));
        }
        Ok(unpublished::not_published(&self.db, &failed, Duration::from_secs(rng.random_range(0..2))).await?)
    }

    async fn claim(&self, (id, claims, _): &Worker, messages: Vec<Publication>) {
        let id = *id.lock().unwrap();
        for answer in join_all(messages.iter().map(|message| claims.claim(message.envelope.job, id))).await {
            match answer {
                Ok(Claimed::Yes(job)) => {
                    self.once("was claimed", &job);
                    self.runs.lock().unwrap().push(*job);
                }
                Ok(Claimed::No | Claimed::NotLiving) => {}
                Err(error) => self.note("claim", Err(error.into())),
            }
        }
    }

    async fn settle(&self, (_, _, settles): &Worker, runs: Vec<Job>, ending: Ending) {
        let answers = join_all(runs.iter().map(|job| {
            let undone = job.undoing && ending == Ending::Succeeded;
            let ended = Ended::by(if undone { Ending::Cancelled } else { ending }, Note::None);
            settles.settle(job, ended)
        }));
        std::iter::zip(answers.await, runs).for_each(|(answer, job)| self.settled("settle", answer, job));
    }

    fn settled(&self, step: &str, answer: Settled, job: Job) {
        match &answer {
            Ok(_) => self.once("ended", &job),
            Err(FencedError::LostLease(_)) => {}
            // Whether it was written is not known: its worker asks again.
            Err(FencedError::Db(_)) => self.runs.lock().unwrap().push(job),
        }
        self.note(step, answer.map(|_| ()));
    }

    /// A run gets on, and waits for one or two younger jobs, or for none: see [`LINES`].
    async fn wait(&self, rng: &mut StdRng) {
        let Some(job) = take(&self.runs, 1, rng).pop() else { return };
        let may_wait = |line: &str| LINES[..2].contains(&line);
        let mut on = Vec::new();
        if job.ordering_key.as_deref().is_none_or(may_wait) {
            let jobs = self.jobs.lock().unwrap();
            let younger = jobs.iter().filter(|(id, line)| *id > job.id && !line.is_some_and(may_wait));
            on = take(&Mutex::new(younger.map(|(id, _)| *id).collect()), 2, rng);
        }
        let answer = async {
            let mut tx = self.db.begin().await?;
            checkpoint(&mut tx, own(&job), &json!({}), job.undoing, &Progress::at(50, "half")).await?;
            let got_on = commit(tx, rng).await?;
            settle_waiting(&self.db, own(&job), &on, Ended { got_on, ..waits() }).await
        };
        self.settled("wait", answer.await, job);
    }

    /// One transaction on one of the newest jobs, or a dead one, or a queue.
    async fn change(&self, rng: &mut StdRng) -> Result<(), FencedError> {
        let newest: Vec<_> = self.jobs.lock().unwrap().iter().rev().take(150).copied().collect();
        let (id, _) = newest[rng.random_range(0..newest.len())];
        let mut tx = self.db.begin().await?;
        match rng.random_range(0..13_u32) {
            0 => _ = queues::pause(&mut tx, IMAGES.name()).await?,
            1..3 => _ = queues::resume(&mut tx, IMAGES.name()).await?,
            3..7 => _ = cancel::cancel(&mut tx, id).await?,
            number @ 7..10 => {
                let all = dead::matching(&mut tx, &Default::default(), None, 50).await?;
                let id = all.get(rng.random_range(0..=all.len())).copied().unwrap_or(id);
                self.redriven.lock().unwrap().insert(id);
                if number == 7 {
                    _ = dead::discard(&mut tx, id).await?;
                } else if let Ok(redriven) = dead::redrive(&mut tx, id, Duration::ZERO).await? {
                    self.redriven.lock().unwrap().extend(redriven.needed);
                }
            }
            _ => {
                // Somebody holds a row for a while, and dies. (On SQLite he holds all of them.)
                let work = "SELECT count(*) FROM generate_series(1, 100000)";
                let hold = format!("SELECT FROM jobs WHERE id = '{id}' FOR UPDATE; {work}");
                return Ok(tx.conn().postgres(&hold).await?);
            }
        }
        Ok(commit(tx, rng).await.map(|_| ())?)
    }

    /// What it has in hand it tries to end later, as if it had been frozen.
    async fn die(&self, (id, ..): &Worker) -> Result<(), FencedError> {
        let successor = begin_process(&self.db).await;
        let died = std::mem::replace(&mut *id.lock().unwrap(), successor);
        declare_lost(&mut self.db.conn().await?, Watched::new(died.into(), 0, LEASE)).await?;
        end_lapsed(&self.db, 1000).await?.iter().for_each(|(job, _)| self.once("ended", job));
        Ok(())
    }

    /// While nobody does anything.
    async fn check(&self, bench: &Bench) {
        use jobs::{id, ordering_key, ordering_seq, started_at};
        let under_way = "due_at IS NOT NULL OR parked IS NOT NULL OR state = 'waiting'";
        let unfinished = "state NOT IN ('succeeded', 'failed', 'cancelled')";
        for (key, which) in [("ordering_key", under_way), ("unique_key", unfinished)] {
            let others = format!("SELECT count({key}) - count(DISTINCT {key}) FROM jobs WHERE {which}");
            assert_eq!(bench.number(&others).await, 0, "{key}");
        }
        // Here SQLite learns that the last transaction was dropped.
        let mut conn = self.db.conn().await.unwrap();
        for check in WHOLE {
            assert_eq!(check.whole(&mut conn).await.unwrap(), []);
        }
        let begun = jobs::table.filter(ordering_key.is_not_null()).filter(started_at.is_not_null());
        let begun = begun.order((ordering_key, ordering_seq)).select((id, ordering_key, started_at));
        let mut begun: Vec<(JobId, Option<String>, Option<Timestamp>)> =
            with!(&mut conn, |c| begun.load(c).await).unwrap();
        begun.retain(|job| !self.redriven.lock().unwrap().contains(&job.0));
        for pair in begun.windows(2) {
            let ((_, line, first), (_, next_line, next)) = (&pair[0], &pair[1]);
            assert!(line != next_line || first <= next, "the second began before the first: {pair:?}");
        }
    }

    async fn drive_to_the_end(&self, bench: &Bench) {
        resume(bench, IMAGES.name()).await;
        // Of some runs nobody knows but the table: the answers to their claims were lost.
        bench.sql("UPDATE processes SET lost_at = started_at WHERE lost_at IS NULL").await;
        self.runs.lock().unwrap().clear();
        let mut idle = 0;
        for _ in 0..20_000 {
            self.claim(&self.workers[0], relay::take_due(&self.db, 50).await.unwrap()).await;
            let runs = std::mem::take(&mut *self.runs.lock().unwrap());
            idle = if runs.is_empty() { idle + 1 } else { 0 };
            self.settle(&self.workers[0], runs, Ending::Succeeded).await;
            if idle > 0 {
                let left = left(bench).await;
                if left.is_empty() {
                    return;
                }
                assert!(idle < 6, "left for ever: {left:#?}");
                self.note("die", self.die(&self.workers[0]).await);
                bench.sweep().await;
                bench.time_passes(2 * 3600).await;
            }
        }
        panic!("there is no end: {:#?}", left(bench).await);
    }
}

/// Id, state, `due_at`, `parked`, `waiting_since`, `ordering_open`, `unique_open`.
type Left =
    (JobId, JobState, Option<Timestamp>, Option<String>, Option<Timestamp>, Option<String>, Option<String>);

async fn left(bench: &Bench) -> Vec<Left> {
    use jobs::{due_at, id, ordering_open, parked, state, unique_open, waiting_since};
    let left = jobs::table.filter(state.ne_all(JobState::FINAL));
    let left = left.select((id, state, due_at, parked, waiting_since, ordering_open, unique_open));
    with!(&mut bench.db.conn().await.unwrap(), |c| left.load(c).await).unwrap()
}

fn ending(rng: &mut StdRng) -> Ending {
    match rng.random_range(0..20_u32) {
        0..10 => Ending::Succeeded,
        10..12 => Ending::Retry(Some(Duration::ZERO)),
        12..14 => Ending::Snooze(Duration::from_secs(rng.random_range(0..2))),
        14 => Ending::Discarded,
        15..17 => Ending::Exhausted,
        _ => Ending::Release,
    }
}

/// Some die before: their transactions are dropped. Returns whether it was committed.
async fn commit(tx: Tx, rng: &mut StdRng) -> Result<bool, DbError> {
    if rng.random_ratio(1, 15) { Ok(false) } else { tx.commit().await.map(|()| true) }
}

/// Takes at least one of them, if there is one.
fn take<T>(from: &Mutex<Vec<T>>, most: usize, rng: &mut StdRng) -> Vec<T> {
    let from = &mut *from.lock().unwrap();
    let some = rng.random_range(1..=most).min(from.len());
    (0..some).map(|_| from.swap_remove(rng.random_range(0..from.len()))).collect()
}
