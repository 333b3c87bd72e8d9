//! Leases of processes: renewed, watched, declared lost; and what becomes of the jobs that ran there.

use std::time::Duration;

use super::bench::{Bench, LEASE, begin_process, end_lapsed, own};
use super::promises;
use ::jobs::lease::{OwnRun, end_all, own_runs, put_back};
use ::jobs::processes::Identity;
use ::jobs::processes::{self, Watched};
use ::jobs::settle::{Ended, Note, Progress, checkpoint, settle};
use ::jobs::{Claim, Job};
use model::Program;
use model::job::{Ending, Failure, JobState, MAX_LAPSES};
use model::{JobId, ProcessId, WorkerId};

promises!(both:
    what_runs_in_a_living_process_does_not_lapse,
    a_renewal_counts_up_and_one_that_is_lost_renews_nothing,
    only_a_process_that_was_seen_unchanged_is_declared_lost,
    a_process_without_a_lease_is_not_watched,
    a_sign_of_life_renews_no_lease,
    the_look_at_the_own_rows_shows_runs_and_cancels_and_changes_nothing,
    a_row_that_nobody_knows_is_put_back_without_a_lapse,
    a_lapsed_job_is_put_back_after_a_backoff_and_counts_a_lapse,
    what_a_stopped_process_left_is_released,
    a_process_that_is_lost_and_stopped_is_lost,
    what_ran_in_a_process_that_is_not_known_lapses,
    a_job_that_keeps_lapsing_is_given_up,
    a_checkpoint_alone_does_not_forget_the_lapses,
    a_success_forgets_the_lapses,
    a_run_that_got_on_and_answers_forgets_the_lapses_and_no_other_does,
    a_look_ends_no_more_runs_than_asked_for,
    all_runs_of_a_process_that_is_gone_are_ended_at_once,
    a_dependency_that_is_away_is_remembered_since_the_first_time,
);

async fn what_runs_in_a_living_process_does_not_lapse(bench: &mut Bench) {
    let job = bench.running().await;
    bench.time_passes(24 * 3600).await;
    assert_eq!(ended(bench).await, [], "however old the run and its row are");
    bench.process_dies().await;
    assert_eq!(ended(bench).await, [(job.id, JobState::Pending)]);
    assert_eq!(ended(bench).await, []);
}

async fn watched(bench: &Bench, id: WorkerId) -> Option<Watched> {
    let all = processes::watched(&mut bench.db.conn().await.unwrap()).await.unwrap();
    all.into_iter().find(|process| process.id == id.into())
}

async fn renew(bench: &Bench, id: WorkerId) -> bool {
    processes::renew(&mut bench.db.conn().await.unwrap(), id.into()).await.unwrap()
}

async fn declare_lost(bench: &Bench, seen: Watched) -> bool {
    processes::declare_lost(&mut bench.db.conn().await.unwrap(), seen).await.unwrap()
}

async fn a_renewal_counts_up_and_one_that_is_lost_renews_nothing(bench: &mut Bench) {
    assert_eq!(
        watched(bench, bench.worker).await.map(|seen| (seen.renewals, seen.lease())),
        Some((0, LEASE))
    );
    for renewals in 1..=2 {
        assert!(renew(bench, bench.worker).await);
        assert_eq!(watched(bench, bench.worker).await.unwrap().renewals, renewals);
    }
    let lost = bench.worker;
    bench.process_dies().await;
    assert!(!renew(bench, lost).await);
    assert!(!renew(bench, WorkerId::new()).await, "a row that is gone");
    assert!(watched(bench, lost).await.is_none());
}

async fn only_a_process_that_was_seen_unchanged_is_declared_lost(bench: &mut Bench) {
    let seen = watched(bench, bench.worker).await.unwrap();
    renew(bench, bench.worker).await;
    assert!(!declare_lost(bench, seen).await, "it renewed meanwhile");
    let seen = watched(bench, bench.worker).await.unwrap();
    assert!(declare_lost(bench, seen).await);
    assert!(!declare_lost(bench, seen).await, "another supervisor did");
    let stopped = begin_process(&bench.db).await;
    let seen = watched(bench, stopped).await.unwrap();
    processes::stop(&mut bench.db.conn().await.unwrap(), stopped.into()).await.unwrap();
    assert!(!declare_lost(bench, seen).await, "it said that it stopped");
}

async fn a_process_without_a_lease_is_not_watched(bench: &mut Bench) {
    let web = Identity::of_this_process(Program::Web, ProcessId::new());
    processes::beat(&mut bench.db.conn().await.unwrap(), &web, &Default::default()).await.unwrap();
    let all = processes::watched(&mut bench.db.conn().await.unwrap()).await.unwrap();
    assert_eq!(all.len(), 1);
}

async fn a_sign_of_life_renews_no_lease(bench: &mut Bench) {
    let itself = Identity::of_this_process(Program::Worker, bench.worker.into());
    processes::beat(&mut bench.db.conn().await.unwrap(), &itself, &Default::default()).await.unwrap();
    let seen = watched(bench, bench.worker).await.unwrap();
    assert_eq!((seen.renewals, seen.lease()), (0, LEASE), "and takes none away");
}

async fn the_look_at_the_own_rows_shows_runs_and_cancels_and_changes_nothing(bench: &mut Bench) {
    let mine = bench.running().await;
    let cancelled = bench.running().await;
    bench.set(cancelled.id, "cancel_requested_at = run_at").await;
    let over = bench.running().await;
    bench.settle(&over, Ending::Succeeded).await;
    let elsewhere = bench.running().await;
    bench.set(elsewhere.id, &format!("worker = '{}'", WorkerId::new())).await;
    let rows = own_runs(&mut bench.db.conn().await.unwrap(), bench.worker).await.unwrap();
    let run = |job: &Job, cancel_requested| OwnRun { claim: own(job), cancel_requested, undoing: false };
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.contains(&run(&mine, false)) && rows.contains(&run(&cancelled, true)));
    assert_eq!(bench.job(mine.id).await.version, mine.version);
}

async fn a_row_that_nobody_knows_is_put_back_without_a_lapse(bench: &mut Bench) {
    let job = bench.running().await;
    let former = Claim { fence: job.fence - 1, ..own(&job) };
    assert!(!put_back(&bench.db, former, Ending::Forgotten).await.unwrap(), "by its fence");
    assert!(put_back(&bench.db, own(&job), Ending::Forgotten).await.unwrap());
    let row = bench.job(job.id).await;
    assert_eq!((row.state, row.attempt, row.lapses), (JobState::Pending, 1, 0));
    assert_eq!((bench.due_in(job.id).await, row.error_log().len()), (0, 0));
    assert!(!put_back(&bench.db, own(&job), Ending::Forgotten).await.unwrap());
}

async fn a_lapsed_job_is_put_back_after_a_backoff_and_counts_a_lapse(bench: &mut Bench) {
    let job = bench.running().await;
    bench.process_dies().await;
    let alive = bench.running().await;
    assert_eq!(ended(bench).await, [(job.id, JobState::Pending)]);
    let row = bench.job(job.id).await;
    assert_eq!((row.lapses, row.attempt, row.fence), (1, 1, 1));
    assert!((1..=3).contains(&bench.due_in(job.id).await));
    assert_eq!(row.error_log()[0].message, "the lease lapsed: the process that ran it is gone");
    assert_eq!(bench.state(alive.id).await, JobState::Running);
}

async fn what_a_stopped_process_left_is_released(bench: &mut Bench) {
    let job = bench.running().await;
    processes::stop(&mut bench.db.conn().await.unwrap(), bench.worker.into()).await.unwrap();
    assert_eq!(ended(bench).await, [(job.id, JobState::Pending)]);
    let row = bench.job(job.id).await;
    assert_eq!((row.lapses, row.attempt, row.error_log().len()), (0, 0, 0));
    assert_eq!(bench.due_in(job.id).await, 0);
}

async fn a_process_that_is_lost_and_stopped_is_lost(bench: &mut Bench) {
    let job = bench.running().await;
    let lost = bench.worker;
    bench.process_dies().await;
    processes::stop(&mut bench.db.conn().await.unwrap(), lost.into()).await.unwrap();
    ended(bench).await;
    assert_eq!(bench.job(job.id).await.lapses, 1);
}

async fn what_ran_in_a_process_that_is_not_known_lapses(bench: &mut Bench) {
    let job = bench.running().await;
    bench.sql("DELETE FROM processes").await;
    assert_eq!(ended(bench).await, [(job.id, JobState::Pending)]);
    assert_eq!(bench.job(job.id).await.lapses, 1);
}

async fn a_job_that_keeps_lapsing_is_given_up(bench: &mut Bench) {
    let job = bench.running().await;
    for lapses in 1..=MAX_LAPSES {
        bench.process_dies().await;
        let state = if lapses < MAX_LAPSES { JobState::Pending } else { JobState::Failed };
        assert_eq!(ended(bench).await, [(job.id, state)]);
        assert_eq!(bench.job(job.id).await.lapses, lapses);
        if lapses < MAX_LAPSES {
            bench.run_again(job.id).await;
        }
    }
    assert_eq!(bench.job(job.id).await.failure, Some(Failure::Crashed));
}

async fn commit_checkpoint(bench: &Bench, job: &Job) {
    let mut tx = bench.db.begin().await.unwrap();
    let position = serde_json::json!({});
    checkpoint(&mut tx, own(job), &position, false, &Progress::default()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_checkpoint_alone_does_not_forget_the_lapses(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "lapses = 3, attempt = 4").await;
    commit_checkpoint(bench, &job).await;
    let row = bench.job(job.id).await;
    assert_eq!((row.lapses, row.attempt), (3, 1));
    bench.process_dies().await;
    ended(bench).await;
    assert_eq!(bench.job(job.id).await.lapses, 4, "it checkpoints, and kills");
}

async fn a_success_forgets_the_lapses(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "lapses = 3").await;
    bench.settle(&job, Ending::Succeeded).await;
    assert_eq!(bench.job(job.id).await.lapses, 0);
}

async fn a_run_that_got_on_and_answers_forgets_the_lapses_and_no_other_does(bench: &mut Bench) {
    let minute = Duration::from_secs(60);
    let away = Ending::Unavailable { delay: minute, too_long: false };
    for (ending, got_on, lapses) in [
        (Ending::Snooze(minute), true, 0),
        (Ending::Retry(None), true, 0),
        (away, true, 0),
        (Ending::Snooze(minute), false, 2),
        (Ending::Retry(None), false, 2),
        (Ending::Release, true, 2),
        (Ending::Forgotten, true, 2),
    ] {
        let job = bench.running().await;
        bench.set(job.id, "lapses = 2").await;
        settle(&bench.db, own(&job), Ended { got_on, ..Ended::by(ending, Note::None) }).await.unwrap();
        assert_eq!(bench.job(job.id).await.lapses, lapses, "{ending:?}, got on: {got_on}");
    }
}

async fn a_look_ends_no_more_runs_than_asked_for(bench: &mut Bench) {
    for _ in 0..3 {
        bench.running().await;
    }
    bench.process_dies().await;
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

async fn a_dependency_that_is_away_is_remembered_since_the_first_time(bench: &mut Bench) {
    let away = Ending::Unavailable { delay: Duration::ZERO, too_long: false };
    let job = bench.running().await;
    assert_eq!(job.unavailable_since, None);
    bench.settle(&job, away).await;
    bench.time_passes(3600).await;
    let first = bench.job(job.id).await.unavailable_since;
    assert!(first.is_some());
    // Neither another time, nor a stop or a crash of the process, says that it is back.
    for ending in [away, Ending::Unavailable { delay: Duration::ZERO, too_long: true }, Ending::Release] {
        let again = bench.run_again(job.id).await;
        bench.settle(&again, ending).await;
        assert_eq!(bench.job(job.id).await.unavailable_since, first, "{ending:?}");
    }
    let again = bench.run_again(job.id).await;
    commit_checkpoint(bench, &again).await;
    assert_eq!(bench.job(job.id).await.unavailable_since, None, "it got on");
    bench.settle(&again, away).await;
    assert!(bench.job(job.id).await.unavailable_since > first, "it begins anew");
    let again = bench.run_again(job.id).await;
    bench.settle(&again, Ending::Snooze(Duration::ZERO)).await;
    assert_eq!(bench.job(job.id).await.unavailable_since, None, "another answer");
}

async fn ended(bench: &Bench) -> Vec<(JobId, JobState)> {
    states(end_lapsed(&bench.db, 100).await.unwrap())
}

fn states(ended: Vec<(Job, JobState)>) -> Vec<(JobId, JobState)> {
    ended.into_iter().map(|(job, state)| (job.id, state)).collect()
}
