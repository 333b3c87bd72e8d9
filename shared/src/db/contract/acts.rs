//! What operators do to one job.

use crate::jobs::queues::IMAGES;
use std::time::Duration;

use super::bench::{Bench, own};
use super::promises;
use ::jobs::enqueue::Options;
use ::jobs::settle::{Ended, Note, settle};
use ::jobs::{Job, queues};
use model::JobId;
use model::job::{Ending, JobState};
use operations::OperationError;
use operations::act::{self, Done};
use operations::db::audit;
use operations::operator::{Actor, Via};

promises!(both:
    a_retry_redrives_the_dead_and_makes_what_is_in_backoff_due,
    a_cancel_ends_what_never_ran_and_discards_the_dead,
    run_now_is_for_what_waits_for_its_time,
    whoever_may_only_look_changes_nothing,
    each_act_is_in_the_audit_with_what_came_of_it,
);

fn ada() -> Actor {
    Actor { name: "ada".into(), via: Via::Api, read_only: false }
}

async fn ended(bench: &Bench, ending: Ending) -> Job {
    let run = bench.running().await;
    settle(&bench.db, own(&run), Ended::by(ending, Note::Failure("no route to host".into()))).await.unwrap();
    run
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, OperationError>) -> String {
    match outcome {
        Err(OperationError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn a_retry_redrives_the_dead_and_makes_what_is_in_backoff_due(bench: &mut Bench) {
    let dead = ended(bench, Ending::Exhausted).await;
    assert_eq!(act::retry(&bench.db, &ada(), dead.id).await.unwrap().done, Done::Redriven);
    assert_eq!(bench.state(dead.id).await, JobState::Pending);
    let later = ended(bench, Ending::Retry(Some(Duration::from_secs(60)))).await;
    assert_eq!(act::retry(&bench.db, &ada(), later.id).await.unwrap().done, Done::Due);
    assert!(bench.due_in(later.id).await <= 0);
    assert_eq!(refusal(act::retry(&bench.db, &ada(), later.id).await), "the job is due already");

    let running = bench.running().await;
    assert!(refusal(act::retry(&bench.db, &ada(), running.id).await).ends_with("this one is running"));
    let hopeless = ended(bench, Ending::Discarded).await;
    assert!(refusal(act::retry(&bench.db, &ada(), hopeless.id).await).contains("no retry can help"));
    let unknown = act::retry(&bench.db, &ada(), JobId::new()).await;
    assert!(matches!(unknown, Err(OperationError::Unknown("job"))));
}

async fn a_cancel_ends_what_never_ran_and_discards_the_dead(bench: &mut Bench) {
    let queued = bench.enqueue().await;
    assert_eq!(act::cancel(&bench.db, &ada(), queued.id).await.unwrap().done, Done::Cancelling);
    assert_eq!(bench.state(queued.id).await, JobState::Cancelled);
    assert_eq!(refusal(act::cancel(&bench.db, &ada(), queued.id).await), "the job is cancelled already");

    let running = bench.running().await;
    act::cancel(&bench.db, &ada(), running.id).await.unwrap();
    assert!(bench.job(running.id).await.cancel_requested_at.is_some());
    let again = refusal(act::cancel(&bench.db, &ada(), running.id).await);
    assert_eq!(again, "the job is being cancelled already");

    let dead = ended(bench, Ending::Exhausted).await;
    act::cancel(&bench.db, &ada(), dead.id).await.unwrap();
    assert_eq!(bench.state(dead.id).await, JobState::Cancelled);
}

async fn run_now_is_for_what_waits_for_its_time(bench: &mut Bench) {
    let delay = Duration::from_secs(3600);
    let planned = bench.enqueue_with(Options { delay, ..Options::default() }).await;
    let mut tx = bench.db.begin().await.unwrap();
    queues::register(&mut tx, [IMAGES]).await.unwrap();
    queues::pause(&mut tx, "images").await.unwrap();
    tx.commit().await.unwrap();
    assert!(refusal(act::run(&bench.db, &ada(), planned.id).await).contains("images, which is paused"));
    let mut tx = bench.db.begin().await.unwrap();
    queues::resume(&mut tx, "images").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(act::run(&bench.db, &ada(), planned.id).await.unwrap().done, Done::Due);
    assert!(bench.due_in(planned.id).await <= 0);

    let awaited = bench.running().await;
    let waiting = bench.waiting_for(&[awaited.id]).await;
    assert_eq!(refusal(act::run(&bench.db, &ada(), waiting.id).await), "the job is waiting");
}

async fn whoever_may_only_look_changes_nothing(bench: &mut Bench) {
    let looker = Actor { read_only: true, ..ada() };
    let later = ended(bench, Ending::Retry(Some(Duration::from_secs(60)))).await;
    for outcome in [
        act::retry(&bench.db, &looker, later.id).await,
        act::cancel(&bench.db, &looker, later.id).await,
        act::run(&bench.db, &looker, later.id).await,
    ] {
        assert!(matches!(outcome, Err(OperationError::ReadOnly(_))), "{outcome:?}");
    }
    assert!(bench.due_in(later.id).await > 50);
    assert_eq!(bench.number("SELECT count(*) FROM audit").await, 0);
}

async fn each_act_is_in_the_audit_with_what_came_of_it(bench: &mut Bench) {
    let later = ended(bench, Ending::Retry(Some(Duration::from_secs(60)))).await;
    act::run(&bench.db, &ada(), later.id).await.unwrap();
    refusal(act::run(&bench.db, &ada(), later.id).await);
    act::cancel(&bench.db, &ada(), later.id).await.unwrap();
    let dead = ended(bench, Ending::Exhausted).await;
    act::retry(&bench.db, &ada(), dead.id).await.unwrap();
    let entries = audit::page(&mut bench.db.conn().await.unwrap(), None, 9).await.unwrap();
    let told: Vec<_> =
        entries.iter().rev().map(|entry| (entry.action.as_str(), entry.done, entry.refused)).collect();
    assert_eq!(
        told,
        [
            ("job.run", Some(1), Some(0)),
            ("job.run", Some(0), Some(1)),
            ("job.cancel", Some(1), Some(0)),
            ("dead.redrive", Some(1), Some(0)),
        ]
    );
    assert_eq!(entries[3].subject, serde_json::json!({"job": later.id}));
    assert!(entries.iter().all(|entry| entry.operator == "ada" && entry.via == Via::Api));
}
