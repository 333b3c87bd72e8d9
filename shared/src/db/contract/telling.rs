//! Who asked for it is told when a job is over.

use super::bench::{Bench, own};
use super::promises;
use ::jobs::cancel::cancel;
use ::jobs::replies::when_over;
use ::jobs::settle::{Ended, Note, settle};
use model::JobId;
use model::job::Ending;

promises!(both:
    every_way_into_a_final_state_tells_who_asked_once,
    who_asks_when_it_is_over_is_told_at_once,
);

async fn every_way_into_a_final_state_tells_who_asked_once(bench: &mut Bench) {
    let mut told = 0;
    for ending in [Ending::Succeeded, Ending::Discarded, Ending::Exhausted, Ending::Cancelled] {
        let job = bench.running().await;
        ask(bench, job.id).await;
        ask(bench, job.id).await;
        assert_eq!(replies(bench).await, told);
        settle(&bench.db, own(&job), Ended::by(ending, Note::None)).await.unwrap();
        told += 1;
        assert_eq!(replies(bench).await, told, "{ending:?}");
    }
    let job = bench.enqueue().await;
    ask(bench, job.id).await;
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, job.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(replies(bench).await, told + 1);
}

async fn who_asks_when_it_is_over_is_told_at_once(bench: &mut Bench) {
    let job = bench.running().await;
    bench.settle(&job, Ending::Succeeded).await;
    ask(bench, job.id).await;
    assert_eq!(replies(bench).await, 1);
}

async fn ask(bench: &Bench, job: JobId) {
    let mut tx = bench.db.begin().await.unwrap();
    when_over(&mut tx, job, "reply.1", Some("c-1")).await.unwrap();
    tx.commit().await.unwrap();
}

async fn replies(bench: &Bench) -> i64 {
    bench.number("SELECT count(*) FROM jobs WHERE kind = 'send_reply'").await
}
