//! Leases: renewed, lapsed, and ended together when a process is gone for certain.

use super::bench::{Bench, LEASE, own};
use super::promises;
use crate::db::jobs::lease::{end_all, end_lapsed, renew};
use crate::db::jobs::{Claim, Job};
use crate::domain::job::{Ending, Failure, JobState, MAX_LAPSES};
use crate::domain::{JobId, WorkerId};

promises!(both:
    a_renewed_lease_does_not_lapse,
    renewing_returns_the_own_runs_only,
    renewing_tells_of_a_cancel_and_is_no_change_that_others_see,
    a_lapsed_job_is_put_back_after_a_backoff_and_counts_a_kill,
    a_job_that_kills_its_workers_is_given_up,
    a_checkpoint_does_not_forget_the_lapses,
    a_look_ends_no_more_leases_than_asked_for,
    all_runs_of_a_process_that_is_gone_are_ended_at_once,
);

async fn a_renewed_lease_does_not_lapse(bench: &mut Bench) {
    let job = bench.running().await;
    for _ in 0..3 {
        bench.time_passes(20).await;
        assert_eq!(ended(bench).await, []);
        let renewed = renew(&bench.db, bench.worker, &[own(&job)], LEASE).await.unwrap();
        assert_eq!(renewed.len(), 1);
    }
    bench.time_passes(31).await;
    assert_eq!(ended(bench).await, [(job.id, JobState::Pending)]);
}

async fn renewing_returns_the_own_runs_only(bench: &mut Bench) {
    let mine = bench.running().await;
    let over = bench.running().await;
    bench.settle(&over, Ending::Succeeded).await;
    let taken_over = bench.running().await;
    bench.set(taken_over.id, &format!("worker = '{}'", WorkerId::new())).await;
    let restarted = bench.running().await;
    let again = bench.run_again(restarted.id).await;
    let unknown = Claim { job: JobId::new(), fence: 1 };
    let claims = [own(&mine), own(&over), own(&taken_over), own(&restarted), unknown];
    let renewed = renew(&bench.db, bench.worker, &claims, LEASE).await.unwrap();
    assert_eq!(renewed.iter().map(|renewed| renewed.claim).collect::<Vec<_>>(), [own(&mine)]);
    let renewed = renew(&bench.db, bench.worker, &[own(&again)], LEASE).await.unwrap();
    assert_eq!(renewed.iter().map(|renewed| renewed.claim).collect::<Vec<_>>(), [own(&again)]);
    assert_eq!(renew(&bench.db, bench.worker, &[], LEASE).await.unwrap().len(), 0);
}

async fn renewing_tells_of_a_cancel_and_is_no_change_that_others_see(bench: &mut Bench) {
    let job = bench.running().await;
    let renewed = renew(&bench.db, bench.worker, &[own(&job)], LEASE).await.unwrap();
    assert!(!renewed[0].cancel_requested);
    bench.set(job.id, "cancel_requested_at = run_at").await;
    let renewed = renew(&bench.db, bench.worker, &[own(&job)], LEASE).await.unwrap();
    assert!(renewed[0].cancel_requested);
    assert_eq!(bench.job(job.id).await.version, job.version);
}

async fn a_lapsed_job_is_put_back_after_a_backoff_and_counts_a_kill(bench: &mut Bench) {
    let alive = bench.running().await;
    let job = bench.running().await;
    bench.set(job.id, "lease_until = run_at").await;
    bench.time_passes(1).await;
    assert_eq!(ended(bench).await, [(job.id, JobState::Pending)]);
    let row = bench.job(job.id).await;
    assert_eq!((row.lapses, row.attempt, row.fence), (1, 1, 1));
    assert!((1..=3).contains(&bench.due_in(job.id).await));
    assert_eq!(row.error_log().len(), 1);
    assert_eq!(bench.state(alive.id).await, JobState::Running);
}

async fn a_job_that_kills_its_workers_is_given_up(bench: &mut Bench) {
    let mut job = bench.running().await;
    for lapses in 1..=MAX_LAPSES {
        bench.time_passes(31).await;
        let state = if lapses < MAX_LAPSES { JobState::Pending } else { JobState::Failed };
        assert_eq!(ended(bench).await, [(job.id, state)]);
        assert_eq!(bench.job(job.id).await.lapses, lapses);
        if lapses < MAX_LAPSES {
            job = bench.run_again(job.id).await;
        }
    }
    assert_eq!(bench.job(job.id).await.failure, Some(Failure::Crashed));
}

async fn a_checkpoint_does_not_forget_the_lapses(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "lapses = 3, attempt = 4").await;
    let mut tx = bench.db.begin().await.unwrap();
    let progress = Default::default();
    let position = serde_json::json!({});
    crate::db::jobs::settle::checkpoint(&mut tx, own(&job), &position, false, &progress).await.unwrap();
    tx.commit().await.unwrap();
    let row = bench.job(job.id).await;
    assert_eq!((row.lapses, row.attempt), (3, 1));
}

async fn a_look_ends_no_more_leases_than_asked_for(bench: &mut Bench) {
    for _ in 0..3 {
        bench.running().await;
    }
    bench.time_passes(31).await;
    assert_eq!(end_lapsed(&bench.db, 2).await.unwrap().len(), 2);
    assert_eq!(end_lapsed(&bench.db, 2).await.unwrap().len(), 1);
}

async fn all_runs_of_a_process_that_is_gone_are_ended_at_once(bench: &mut Bench) {
    let mut running: Vec<JobId> = Vec::new();
    for _ in 0..3 {
        running.push(bench.running().await.id);
    }
    let queued = bench.enqueue().await;
    let mut ended = states(end_all(&bench.db).await.unwrap());
    ended.sort_by_key(|(id, _)| *id);
    assert_eq!(ended, running.iter().map(|id| (*id, JobState::Pending)).collect::<Vec<_>>());
    assert_eq!(bench.job(running[0]).await.lapses, 1);
    assert_eq!(bench.state(queued.id).await, JobState::Queued);
}

async fn ended(bench: &Bench) -> Vec<(JobId, JobState)> {
    states(end_lapsed(&bench.db, 100).await.unwrap())
}

fn states(ended: Vec<(Job, JobState)>) -> Vec<(JobId, JobState)> {
    ended.into_iter().map(|(job, state)| (job.id, state)).collect()
}
