//! The schedule: one job a tick, however many look, and what was missed is counted.

use futures_util::future::join_all;

use super::bench::Bench;
use super::promises;
use crate::jobs::AlsoBought;
use ::jobs::schedule::Entry;
use ::jobs::schedules::{Ticked, due, mirror, tick};
use model::job::Ending;

promises!(both:
    a_tick_is_one_job_however_many_workers_look,
    ticks_that_were_missed_become_one_run_and_are_counted,
    a_tick_that_finds_its_last_job_unfinished_is_left_out,
    an_entry_whose_time_changed_is_computed_anew_and_others_are_not,
    another_versions_entry_is_left_to_it,
);

static HOURLY: [Entry; 1] = [Entry::of::<AlsoBought>("hourly", "0 * * * *")];
static DAILY: [Entry; 1] = [Entry::of::<AlsoBought>("hourly", "0 4 * * *")];

async fn a_tick_is_one_job_however_many_workers_look(bench: &mut Bench) {
    mirror(&bench.db, &HOURLY).await.unwrap();
    assert_eq!(tick(&bench.db, &HOURLY[0]).await.unwrap(), None, "it is not due");
    for round in 1..=3 {
        make_due(bench, 10).await;
        assert_eq!(due(&bench.db).await.unwrap(), ["hourly"]);
        let looks = join_all((0..8).map(|_| tick(&bench.db, &HOURLY[0]))).await;
        let ticked: Vec<Ticked> = looks.into_iter().filter_map(|look| look.unwrap()).collect();
        assert!(matches!(ticked[..], [Ticked { job: Some(_), .. }]), "{ticked:?}");
        assert_eq!(bench.number("SELECT count(*) FROM jobs").await, round);
        finish(bench, &ticked[0]).await;
        assert!(due(&bench.db).await.unwrap().is_empty());
    }
}

async fn ticks_that_were_missed_become_one_run_and_are_counted(bench: &mut Bench) {
    mirror(&bench.db, &HOURLY).await.unwrap();
    make_due(bench, 3 * 3600 + 10).await;
    // A start of a worker in between does not lose the tick.
    mirror(&bench.db, &HOURLY).await.unwrap();
    let ticked = tick(&bench.db, &HOURLY[0]).await.unwrap().unwrap();
    assert!(ticked.job.is_some());
    assert!((3..=4).contains(&ticked.missed), "{ticked:?}");
    assert_eq!(bench.number("SELECT missed FROM schedules").await, i64::from(ticked.missed));
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 1);
    assert_eq!(bench.number("SELECT count(*) FROM schedules WHERE last_at IS NOT NULL").await, 1);
}

async fn a_tick_that_finds_its_last_job_unfinished_is_left_out(bench: &mut Bench) {
    mirror(&bench.db, &HOURLY).await.unwrap();
    make_due(bench, 10).await;
    let first = tick(&bench.db, &HOURLY[0]).await.unwrap().unwrap();
    make_due(bench, 10).await;
    let second = tick(&bench.db, &HOURLY[0]).await.unwrap().unwrap();
    assert_eq!(second.job, None);
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 1);
    assert!(bench.number("SELECT missed FROM schedules").await >= 1);
    finish(bench, &first).await;
    make_due(bench, 10).await;
    assert!(tick(&bench.db, &HOURLY[0]).await.unwrap().unwrap().job.is_some());
}

async fn an_entry_whose_time_changed_is_computed_anew_and_others_are_not(bench: &mut Bench) {
    mirror(&bench.db, &HOURLY).await.unwrap();
    make_due(bench, 10).await;
    mirror(&bench.db, &HOURLY).await.unwrap();
    assert_eq!(due(&bench.db).await.unwrap(), ["hourly"], "unchanged, so its tick is kept");
    mirror(&bench.db, &DAILY).await.unwrap();
    assert!(due(&bench.db).await.unwrap().is_empty());
    assert_eq!(bench.number("SELECT count(*) FROM schedules WHERE cron = '0 4 * * *'").await, 1);
}

async fn another_versions_entry_is_left_to_it(bench: &mut Bench) {
    mirror(&bench.db, &DAILY).await.unwrap();
    make_due(bench, 10).await;
    assert_eq!(tick(&bench.db, &HOURLY[0]).await.unwrap(), None);
    assert!(tick(&bench.db, &DAILY[0]).await.unwrap().is_some());
}

/// The next tick was so long ago.
async fn make_due(bench: &Bench, seconds: i64) {
    let past = match bench.is_postgres() {
        true => format!("now() - interval '{seconds} seconds'"),
        false => format!("unixepoch() * 1000000 - {seconds}000000"),
    };
    bench.sql(&format!("UPDATE schedules SET next_at = {past}")).await;
}

async fn finish(bench: &Bench, ticked: &Ticked) {
    let run = bench.claim(ticked.job.unwrap()).await;
    bench.settle(&run, Ending::Succeeded).await;
}
