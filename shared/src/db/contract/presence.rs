//! Signs of life, samples of the queues, and the counts of an operator's overview.

use crate::jobs::queues::{IMAGES, MAIL};
use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::Bench;
use super::promises;
use ::jobs::depths::{self, Depth};
use ::jobs::processes::Identity;
use ::jobs::processes::{self, Process};
use ::jobs::queues;
use ::jobs::samples::{self, Counts};
use model::ProcessId;
use model::Program;
use model::job::{Ending, JobState};
use model::process::Facts;

promises!(both:
    a_process_is_known_from_its_first_sign_of_life_to_its_end,
    a_process_that_is_not_seen_for_a_day_is_forgotten,
    what_workers_count_in_a_minute_is_added_up,
    how_much_there_is_is_written_once_a_minute,
    old_samples_are_removed_in_steps,
    a_day_is_shown_in_buckets_with_gaps_where_nobody_looked,
    jobs_are_counted_by_queue_and_by_what_they_wait_for,
    a_job_counts_where_it_runs_and_what_needs_somebody_is_told,
);

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn known(bench: &Bench) -> Vec<Process> {
    processes::all(&mut bench.db.conn().await.unwrap()).await.unwrap().0
}

async fn a_process_is_known_from_its_first_sign_of_life_to_its_end(bench: &mut Bench) {
    let (worker, web) = (
        Identity::of_this_process(Program::Worker, bench.worker.into()),
        Identity::of_this_process(Program::Web, ProcessId::new()),
    );
    let mut conn = bench.db.conn().await.unwrap();
    let mut facts = Facts { running: 1, ..Facts::default() };
    processes::beat(&mut conn, &worker, &facts).await.unwrap();
    processes::beat(&mut conn, &web, &Facts::default()).await.unwrap();
    drop(conn);
    bench.sql("UPDATE processes SET seen_at = started_at").await;
    let before = known(bench).await;
    facts.running = 2;
    processes::beat(&mut bench.db.conn().await.unwrap(), &worker, &facts).await.unwrap();
    let after = known(bench).await;
    assert_eq!(after.len(), 2);
    assert_eq!((&*after[0].identity.program, &*after[1].identity.program), ("web", "worker"));
    assert_eq!(after[1].started_at, before[1].started_at);
    assert!(after[1].seen_at > before[1].seen_at);
    assert_eq!((&before[1].facts["running"], &after[1].facts["running"]), (&1.into(), &2.into()));
    assert_eq!(after[1].identity.pid.unsigned_abs(), std::process::id());
    processes::stop(&mut bench.db.conn().await.unwrap(), bench.worker.into()).await.unwrap();
    assert_eq!(known(bench).await.len(), 1);
}

async fn a_process_that_is_not_seen_for_a_day_is_forgotten(bench: &mut Bench) {
    let mut conn = bench.db.conn().await.unwrap();
    let facts = Facts::default();
    processes::beat(&mut conn, &Identity::of_this_process(Program::Web, ProcessId::new()), &facts)
        .await
        .unwrap();
    drop(conn);
    let ago = |seconds| match bench.is_postgres() {
        true => format!("UPDATE processes SET seen_at = now() - interval '{seconds} seconds'"),
        false => format!("UPDATE processes SET seen_at = (unixepoch() - {seconds}) * 1000000"),
    };
    bench.sql(&ago(DAY.as_secs() - 60)).await;
    assert_eq!(processes::forget(&mut bench.db.conn().await.unwrap(), DAY).await.unwrap(), 0);
    bench.sql(&ago(DAY.as_secs() + 60)).await;
    // The bench's own holds a lease. Forgotten, what it runs would be put back; and a clock may have jumped.
    assert_eq!(processes::forget(&mut bench.db.conn().await.unwrap(), DAY).await.unwrap(), 1);
    processes::stop(&mut bench.db.conn().await.unwrap(), bench.worker.into()).await.unwrap();
    assert_eq!(processes::forget(&mut bench.db.conn().await.unwrap(), DAY).await.unwrap(), 1);
}

fn counts(queue: &str, ended: i64, longest: i64) -> BTreeMap<String, Counts> {
    let counts = Counts {
        taken: ended,
        succeeded: ended,
        failed: 1,
        wait_ms: longest,
        longest_wait_ms: longest,
        run_ms: 2 * longest,
        longest_run_ms: 2 * longest,
        runs: ended + 1,
        ..Counts::default()
    };
    BTreeMap::from([(queue.to_owned(), counts)])
}

async fn what_workers_count_in_a_minute_is_added_up(bench: &mut Bench) {
    samples::add(&bench.db, &counts("images", 3, 500)).await.unwrap();
    samples::add(&bench.db, &counts("images", 2, 900)).await.unwrap();
    samples::add(&bench.db, &counts("images", 1, 100)).await.unwrap();
    samples::add(&bench.db, &counts("mail", 1, 100)).await.unwrap();
    let (lately, window) = samples::lately(&mut bench.db.conn().await.unwrap(), 5).await.unwrap();
    assert!(window >= Duration::from_secs(300) && window < Duration::from_secs(361), "{window:?}");
    let lately: BTreeMap<String, Counts> = lately.into_iter().collect();
    let images = Counts {
        taken: 6,
        succeeded: 6,
        failed: 3,
        retried: 0,
        wait_ms: 1500,
        longest_wait_ms: 900,
        run_ms: 3000,
        longest_run_ms: 1800,
        runs: 9,
    };
    assert_eq!((lately["images"], lately["mail"].taken), (images, 1));
    move_samples(bench, 7 * 60).await;
    let (lately, _) = samples::lately(&mut bench.db.conn().await.unwrap(), 5).await.unwrap();
    assert!(lately.is_empty(), "{lately:?}");
}

async fn how_much_there_is_is_written_once_a_minute(bench: &mut Bench) {
    // Whoever begins at the end of a minute would write into the next one.
    until_a_minute_has_time(bench).await;
    let depth = |due| BTreeMap::from([("images".to_owned(), Depth { due, ..Depth::default() })]);
    samples::add(&bench.db, &counts("images", 3, 500)).await.unwrap();
    assert!(samples::depths_are_missing(&mut bench.db.conn().await.unwrap()).await.unwrap());
    samples::write_depths(&bench.db, &depth(7), &BTreeMap::new()).await.unwrap();
    assert!(!samples::depths_are_missing(&mut bench.db.conn().await.unwrap()).await.unwrap());
    let messages = BTreeMap::from([("images".to_owned(), 5)]);
    samples::write_depths(&bench.db, &depth(9), &messages).await.unwrap();
    assert_eq!(bench.number("SELECT due FROM queue_samples").await, 7, "the first counts");
    assert_eq!(bench.number("SELECT broker FROM queue_samples").await, 5, "what the first could not say");
    assert_eq!(bench.number("SELECT succeeded FROM queue_samples").await, 3);
    move_samples(bench, 60).await;
    assert!(samples::depths_are_missing(&mut bench.db.conn().await.unwrap()).await.unwrap());
}

async fn old_samples_are_removed_in_steps(bench: &mut Bench) {
    for hours in [1, 49, 50, 52] {
        samples::add(&bench.db, &counts("images", 1, 1)).await.unwrap();
        let at = match bench.is_postgres() {
            true => format!("date_trunc('minute', now()) - interval '{hours} hours'"),
            false => format!("(unixepoch() / 60 * 60 - {hours} * 3600) * 1000000"),
        };
        bench
            .sql(&format!(
                "UPDATE queue_samples SET at = {at} WHERE at = (SELECT MAX(at) FROM queue_samples)"
            ))
            .await;
        // The newest is always the one just added: the others are older.
    }
    let mut removed = Vec::new();
    while let step @ 1.. = samples::forget(&mut bench.db.conn().await.unwrap(), 2 * DAY).await.unwrap() {
        removed.push(step);
    }
    assert_eq!(removed, [1, 1, 1], "an hour of them at a time");
    assert_eq!(bench.number("SELECT count(*) FROM queue_samples").await, 1);
}

async fn a_day_is_shown_in_buckets_with_gaps_where_nobody_looked(bench: &mut Bench) {
    samples::add(&bench.db, &counts("images", 4, 1)).await.unwrap();
    move_samples(bench, 30 * 60).await;
    samples::add(&bench.db, &counts("images", 2, 1)).await.unwrap();
    let depth = BTreeMap::from([("images".to_owned(), Depth { due: 7, ..Depth::default() })]);
    samples::write_depths(&bench.db, &depth, &BTreeMap::new()).await.unwrap();
    let history = samples::history(&mut bench.db.conn().await.unwrap(), 600, 144).await.unwrap();
    let images = &history["images"];
    assert_eq!((history.len(), images.len()), (1, 144));
    assert!(images.windows(2).all(|pair| pair[1].at.since(pair[0].at) == Duration::from_secs(600)));
    let (then, now) = (images[140], images[143]);
    assert_eq!((then.depth, then.done, then.failed), (None, 4, 1));
    assert_eq!((now.depth, now.done, now.failed), (Some(7), 2, 1));
    assert_eq!(images.iter().map(|bucket| bucket.done).sum::<i64>(), 6);
}

async fn jobs_are_counted_by_queue_and_by_what_they_wait_for(bench: &mut Bench) {
    queues::register(&mut bench.db.conn().await.unwrap(), [IMAGES, MAIL]).await.unwrap();
    bench.sql("UPDATE queues SET paused_at = (SELECT MAX(created_at) FROM jobs)").await;
    let (queued, pending, later) = (bench.enqueue().await, bench.enqueue().await, bench.enqueue().await);
    bench.time_passes(90).await;
    bench.put(pending.id, JobState::Pending).await;
    let tomorrow = bench.in_seconds(24 * 3600);
    bench.put(later.id, JobState::Pending).await;
    bench.set(later.id, &format!("run_at = {tomorrow}, due_at = {tomorrow}")).await;
    let running = bench.running().await;
    bench.waiting_for(&[running.id]).await;
    let (done, dead, discarded) = (bench.running().await, bench.running().await, bench.running().await);
    bench.settle(&done, Ending::Succeeded).await;
    bench.settle(&dead, Ending::Exhausted).await;
    bench.settle(&discarded, Ending::Discarded).await;
    let counted = depths::by_queue(&mut bench.db.conn().await.unwrap()).await.unwrap();
    let images = counted["images"];
    assert_eq!((images.due, images.scheduled, images.running, images.waiting), (2, 1, 1, 1), "{images:?}");
    assert_eq!(images.dead, 1, "a job that was discarded is over");
    assert!((90..120).contains(&images.oldest_seconds.unwrap()), "{images:?}");
    assert_eq!(counted["mail"], Depth::default());
    bench.sql("UPDATE queues SET paused_at = (SELECT MIN(created_at) FROM jobs) WHERE name = 'mail'").await;
    let counted = depths::by_queue(&mut bench.db.conn().await.unwrap()).await.unwrap();
    assert_eq!(counted["mail"].paused_at, Some(bench.job(queued.id).await.created_at));
}

async fn a_job_counts_where_it_runs_and_what_needs_somebody_is_told(bench: &mut Bench) {
    let (once, twice, undo) = (bench.enqueue().await, bench.enqueue().await, bench.running().await);
    let foreign = bench.enqueue().await;
    bench.set(once.id, "lapses = 1").await;
    bench.set(twice.id, "lapses = 2").await;
    bench.set(undo.id, "lapses = 5, undoing = true").await;
    bench.set(foreign.id, "kind = 'of_tomorrow'").await;
    let mut conn = bench.db.conn().await.unwrap();
    let counted = depths::by_queue(&mut conn).await.unwrap();
    let (images, quarantine) = (counted["images"], counted["quarantine"]);
    assert_eq!((images.due, images.running, images.crashing, images.unknown), (2, 0, 0, 1), "{images:?}");
    assert_eq!((quarantine.due, quarantine.running, quarantine.crashing), (1, 1, 1), "{quarantine:?}");
    assert_eq!(depths::crashing_undos(&mut conn, 5).await.unwrap(), [undo.id]);
    let by_state = depths::unfinished_by_queue(&mut conn).await.unwrap();
    assert_eq!(by_state[&("quarantine".to_owned(), JobState::Queued)], 1);
}

/// Every sample was taken so many seconds earlier.
async fn move_samples(bench: &Bench, seconds: i64) {
    let offset = match bench.is_postgres() {
        true => format!("interval '{seconds} seconds'"),
        false => format!("{seconds}000000"),
    };
    bench.sql(&format!("UPDATE queue_samples SET at = at - {offset}")).await;
}

async fn until_a_minute_has_time(bench: &Bench) {
    let second = match bench.is_postgres() {
        true => "SELECT CAST(extract(second FROM clock_timestamp()) AS BIGINT)",
        false => "SELECT unixepoch() % 60",
    };
    while bench.number(second).await > 50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
