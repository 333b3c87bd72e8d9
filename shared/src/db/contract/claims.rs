//! Who runs a job.

use std::time::Duration;

use super::bench::{Bench, begin_process, own};
use super::promises;
use ::jobs::cancel::cancel;
use ::jobs::claim::{Claimed, put_back_unknown};
use ::jobs::relay::due::take_due;
use ::jobs::settle::{Progress, checkpoint};
use ::jobs::unpublished::not_published;
use model::WorkerId;
use model::job::{Ending, JobState};

promises!(both:
    only_a_queued_job_can_be_claimed,
    a_claim_raises_the_fence_and_counts_the_attempt,
    a_second_message_for_a_job_finds_nothing_to_do,
    a_job_whose_lease_lapsed_is_claimed_like_any_other,
    a_process_that_is_lost_stopped_or_unknown_claims_nothing,
    a_job_of_an_unknown_kind_is_put_back_under_a_new_fence_and_burns_nothing,
    only_a_queued_job_is_put_back_as_unknown,
    the_claim_of_a_job_that_was_asked_to_cancel_turns_it_to_undo_with_its_attempts_anew,
    a_claim_does_not_renew_the_attempts_of_an_undo_that_is_under_way,
);

async fn only_a_queued_job_can_be_claimed(bench: &mut Bench) {
    for state in JobState::ALL.into_iter().filter(|state| *state != JobState::Queued) {
        let job = bench.enqueue().await;
        bench.put(job.id, state).await;
        let claimed = bench.try_claim(job.id).await;
        assert!(matches!(claimed, Claimed::No), "{state:?}: {claimed:?}");
        assert_eq!((bench.job(job.id).await.fence, bench.job(job.id).await.version), (0, 1), "{state:?}");
    }
}

async fn a_claim_raises_the_fence_and_counts_the_attempt(bench: &mut Bench) {
    let first = bench.running().await;
    assert_eq!((first.state, first.fence, first.attempt, first.version), (JobState::Running, 1, 1, 2));
    assert_eq!(bench.signals.changes.try_recv().unwrap().version, 2);
    assert!(bench.looked_at_again_in(first.id).await > Some(0), "not at once: it runs");
    bench.settle(&first, Ending::Retry(None)).await;
    bench.time_passes(60).await;
    take_due(&bench.db, 1).await.unwrap();
    let second = bench.claim(first.id).await;
    assert_eq!((second.fence, second.attempt), (2, 2));
    assert_eq!(second.started_at, first.started_at);
}

async fn a_second_message_for_a_job_finds_nothing_to_do(bench: &mut Bench) {
    let job = bench.running().await;
    assert!(matches!(bench.try_claim(job.id).await, Claimed::No));
    bench.settle(&job, Ending::Succeeded).await;
    assert!(matches!(bench.try_claim(job.id).await, Claimed::No));
    let unknown = model::JobId::new();
    assert!(matches!(bench.try_claim(unknown).await, Claimed::No));
}

async fn a_job_whose_lease_lapsed_is_claimed_like_any_other(bench: &mut Bench) {
    for lapses in [1, 4] {
        let job = bench.enqueue().await;
        bench.set(job.id, &format!("lapses = {lapses}")).await;
        assert!(matches!(bench.try_claim(job.id).await, Claimed::Yes(_)));
    }
}

async fn a_process_that_is_lost_stopped_or_unknown_claims_nothing(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let living = bench.worker;
    for end in ["lost_at", "stopped_at"] {
        bench.worker = begin_process(&bench.db).await;
        bench.sql(&format!("UPDATE processes SET {end} = seen_at WHERE id = '{}'", bench.worker)).await;
        assert!(matches!(bench.try_claim(job.id).await, Claimed::NotLiving), "{end}");
    }
    bench.worker = WorkerId::new();
    assert!(matches!(bench.try_claim(job.id).await, Claimed::NotLiving), "no row");
    assert_eq!((bench.job(job.id).await.fence, bench.state(job.id).await), (0, JobState::Queued));
    bench.worker = living;
    assert!(matches!(bench.try_claim(job.id).await, Claimed::Yes(_)), "the job is as it was");
}

async fn a_job_of_an_unknown_kind_is_put_back_under_a_new_fence_and_burns_nothing(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    put_back_unknown(&bench.db, job.id, Duration::from_secs(30)).await.unwrap();
    let back = bench.job(job.id).await;
    assert_eq!((back.state, back.fence, back.attempt), (JobState::Pending, 1, 0));
    assert_eq!(back.started_at, None);
    assert_eq!(bench.due_in(job.id).await, 30);
    bench.time_passes(31).await;
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 1);
    not_published(&bench.db, &[message], Duration::ZERO).await.unwrap();
    assert_eq!(bench.looked_at_again_in(job.id).await, Some(60));
}

async fn only_a_queued_job_is_put_back_as_unknown(bench: &mut Bench) {
    let job = bench.running().await;
    put_back_unknown(&bench.db, job.id, Duration::from_secs(30)).await.unwrap();
    let same = bench.job(job.id).await;
    assert_eq!((same.state, same.fence), (JobState::Running, job.fence));
}

async fn the_claim_of_a_job_that_was_asked_to_cancel_turns_it_to_undo_with_its_attempts_anew(
    bench: &mut Bench,
) {
    let job = bench.running().await;
    bench.set(job.id, "attempt = 7").await;
    bench.settle(&job, Ending::Retry(None)).await;
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, job.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 1);
    let claimed = bench.claim(job.id).await;
    assert_eq!((claimed.undoing, claimed.attempt), (true, 1));
}

async fn a_claim_does_not_renew_the_attempts_of_an_undo_that_is_under_way(bench: &mut Bench) {
    let job = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    checkpoint(&mut tx, own(&job), &serde_json::json!({}), true, &Progress::default()).await.unwrap();
    tx.commit().await.unwrap();
    bench.settle(&job, Ending::Retry(None)).await;
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, job.id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(bench.due_in(job.id).await >= 1, "an undo keeps its backoff");
    let again = bench.run_again(job.id).await;
    assert_eq!((again.undoing, again.attempt), (true, 2));
}
