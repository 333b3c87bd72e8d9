//! Runs that must stop, leases that are lost, outcomes that can't be stored, and the end of a worker.

use model::WorkerId;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlives_its_time_out_is_shown_until_it_ends_and_hears_why_it_should() {
    static HEARD: Mutex<Option<StopReason>> = Mutex::new(None);
    static END: Notify = Notify::const_new();
    const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, Duration::from_secs(1), |context| {
        Box::pin(async move {
            if context.job.attempt > 1 {
                return Ok(Outcome::Done(json!("again")));
            }
            let why = context.stop.raised().await;
            HEARD.lock().unwrap().replace(why);
            END.notified().await;
            Ok(Outcome::Done(json!("late")))
        })
    })];
    let shop = Shop::open(HANDLERS).await;
    let id = shop.enqueue(&photo()).await;
    let over = shop.job_when(id, |job| job.state.is_final()).await;
    assert_eq!((over.state, over.result), (JobState::Succeeded, Some(json!("again"))));
    assert_eq!(*HEARD.lock().unwrap(), Some(StopReason::TimedOut));
    let shown = shop.worker.running.tasks();
    assert_eq!(shown.iter().filter(|task| task.abandoned).count(), 1, "{shown:?}");
    assert_eq!(shop.worker.running.abandoned(), 1);
    END.notify_one();
    until(|| shop.worker.running.tasks().is_empty()).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_which_too_many_handlers_work_on_drains_and_ends() {
    const HANDLERS: &[Handler] =
        &[does(MakeThumbnails::NAME, Duration::from_millis(10), |_| Box::pin(std::future::pending()))];
    let shop = Shop::open(HANDLERS).await;
    for _ in 0..runtime::MOST_ABANDONED {
        shop.enqueue(&photo()).await;
    }
    let ended = tokio::time::timeout(PATIENCE, shop.running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(WorkerError::WornOut)), "{ended:?}");
}

/// One at a time is in there: a run that is left alone may still bring the process down.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_left_alone_keeps_its_place_in_quarantine() {
    static END: Notify = Notify::const_new();
    const HANDLERS: &[Handler] = &[
        does(MakeThumbnails::NAME, Duration::from_secs(1), |context| {
            Box::pin(async move {
                if context.job.attempt == 1 {
                    END.notified().await;
                }
                Ok(Outcome::Done(Value::Null))
            })
        }),
        does(FulfilOrder::NAME, PATIENCE, |_| Box::pin(async { Ok(Outcome::Done(Value::Null)) })),
    ];
    for is_lost in [false, true] {
        let shop = Shop::open(HANDLERS).await;
        let first = shop.suspected(&photo()).await;
        shop.job_when(first, |job| job.state == JobState::Running).await;
        let second = shop.suspected(&FulfilOrder { order_id: OrderId::new() }).await;
        if is_lost {
            shop.sql("UPDATE processes SET lost_at = seen_at").await;
        }
        until(|| shop.worker.running.abandoned() == 1).await;
        for _ in 0..30 {
            assert_eq!(shop.job(second).await.started_at, None, "lost: {is_lost}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        END.notify_one();
        for job in [first, second] {
            assert_eq!(shop.job_when(job, |job| job.state.is_final()).await.state, JobState::Succeeded);
        }
        shop.close().await;
    }
}

/// Nearly all jobs behind an open circuit are only ever turned away: they must come to an end, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_is_open_for_more_than_a_day_costs_attempts() {
    const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, PATIENCE, |_| {
        Box::pin(async {
            Err(JobError::CircuitOpen {
                dependency: Dependency::BLOBS,
                retry_after: Duration::from_secs(3600),
            })
        })
    })];
    let shop = Shop::open(HANDLERS).await;
    for (hours, attempts) in [(23, 0), (25, 1)] {
        let id = shop.scheduled().await;
        shop.sql(&format!(
            "UPDATE jobs SET unavailable_since = (unixepoch() - {hours} * 3600) * 1000000, \
             run_at = created_at, due_at = created_at WHERE fence = 0"
        ))
        .await;
        let away = shop.job_when(id, |job| job.fence == 1 && job.state == JobState::Pending).await;
        assert_eq!(away.attempt, attempts, "after {hours} hours");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_declared_lost_ends_its_runs_and_goes_on_under_a_new_id() {
    static BEGAN: Notify = Notify::const_new();
    static HEARD: Mutex<Option<(StopReason, bool)>> = Mutex::new(None);
    const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, PATIENCE, |context| {
        Box::pin(async move {
            if context.job.fence > 1 {
                return Ok(Outcome::Done(json!("by the new one")));
            }
            BEGAN.notify_one();
            let why = context.stop.raised().await;
            // The process holds a lease again, but not the one of this run.
            context.lease.until_held().await;
            HEARD.lock().unwrap().replace((why, context.before_effect().is_ok()));
            Err(JobError::Stopped(why))
        })
    })];
    let shop = Shop::open(HANDLERS).await;
    let id = shop.enqueue(&photo()).await;
    BEGAN.notified().await;
    let former = shop.worker.lease.id();
    shop.sql("UPDATE processes SET lost_at = seen_at").await;
    let over = shop.job_when(id, |job| job.state.is_final()).await;
    assert_eq!(*HEARD.lock().unwrap(), Some((StopReason::LeaseLost, false)));
    assert_ne!(shop.worker.lease.id(), former);
    assert_eq!((over.lapses, over.worker), (0, Some(shop.worker.lease.id())), "a success forgets lapses");
    assert_eq!(over.result, Some(json!("by the new one")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_put_back_without_a_lapse() {
    const HANDLERS: &[Handler] =
        &[does(MakeThumbnails::NAME, PATIENCE, |_| Box::pin(async { Ok(Outcome::Done(json!("made"))) }))];
    let shop = Shop::open(HANDLERS).await;
    until(|| shop.worker.lease.is_held()).await;
    // As the server has it that executed a claim, and whose answer never came.
    let id = shop.scheduled().await;
    let worker: WorkerId = shop.worker.lease.id();
    shop.sql(&format!(
        "UPDATE jobs SET state = 'running', fence = 1, attempt = 1, started_at = created_at, worker = '{worker}'"
    ))
    .await;
    let over = shop.job_when(id, |job| job.state.is_final()).await;
    assert_eq!((over.state, over.fence, over.attempt, over.lapses), (JobState::Succeeded, 2, 2, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_can_not_be_stored_is_settled_with_a_plain_note() {
    static RUNS: Mutex<u32> = Mutex::new(0);
    const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, PATIENCE, |_| {
        Box::pin(async {
            *RUNS.lock().unwrap() += 1;
            Ok(Outcome::Done(json!("what no row can hold")))
        })
    })];
    let shop = Shop::open(HANDLERS).await;
    shop.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN NEW.result IS NOT NULL \
         BEGIN SELECT RAISE(ABORT, 'it can not be stored'); END",
    )
    .await;
    let id = shop.enqueue(&photo()).await;
    let over = shop.job_when(id, |job| job.state.is_final()).await;
    assert_eq!((over.state, over.lapses, over.attempt), (JobState::Succeeded, 0, 1));
    assert_eq!(messages(&over), ["the outcome could not be stored; the log says why"]);
    assert_eq!(*RUNS.lock().unwrap(), 1);
    shop.close().await;
}

/// Put back as if nothing had been, it would run for ever, with all its effects.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_outcome_can_not_be_stored_in_any_words_counts_as_failed() {
    static RUNS: Mutex<u32> = Mutex::new(0);
    const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, PATIENCE, |_| {
        Box::pin(async {
            *RUNS.lock().unwrap() += 1;
            Ok(Outcome::Done(Value::Null))
        })
    })];
    let shop = Shop::open(HANDLERS).await;
    shop.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN NEW.state = 'succeeded' AND NEW.attempt = 1 \
         BEGIN SELECT RAISE(ABORT, 'it can not be stored'); END",
    )
    .await;
    let id = shop.enqueue(&photo()).await;
    let over = shop.job_when(id, |job| job.state.is_final()).await;
    assert_eq!((over.state, over.lapses, over.attempt), (JobState::Succeeded, 0, 2));
    assert_eq!(*RUNS.lock().unwrap(), 2);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_handed_over_and_releases_what_is_not() {
    static BEGAN: Notify = Notify::const_new();
    static RELEASED: Notify = Notify::const_new();
    const HANDLERS: &[Handler] = &[
        does(MakeThumbnails::NAME, PATIENCE, |context| {
            Box::pin(async move {
                context.begin_hand_over()?;
                BEGAN.notify_one();
                RELEASED.notified().await;
                Ok(Outcome::Done(json!("handed over")))
            })
        }),
        does(FulfilOrder::NAME, PATIENCE, |_| {
            BEGAN.notify_one();
            Box::pin(std::future::pending())
        }),
    ];
    let shop = Shop::open(HANDLERS).await;
    let mail = shop.enqueue(&photo()).await;
    BEGAN.notified().await;
    let long = shop.enqueue(&FulfilOrder { order_id: OrderId::new() }).await;
    BEGAN.notified().await;
    shop.stop.cancel();
    // After the time that the settings leave for runs to finish.
    let released = shop.job_when(long, |job| job.state != JobState::Running).await;
    assert_eq!((released.attempt, released.lapses), (0, 0));
    assert_eq!(shop.job(mail).await.state, JobState::Running);
    RELEASED.notify_one();
    let handed_over = shop.job_when(mail, |job| job.state.is_final()).await;
    assert_eq!(handed_over.result, Some(json!("handed over")));
    let (db, worker) = (shop.db.clone(), shop.worker.clone());
    shop.close().await;
    let mut conn = db.conn().await.unwrap();
    let living = ::jobs::processes::is_living(&mut conn, worker.lease.id().into()).await.unwrap();
    assert!(!living, "the process's row says that it stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_releases_the_rows_that_nobody_here_knows() {
    let shop = Shop::open(&[]).await;
    until(|| shop.worker.lease.is_held()).await;
    let id = shop.scheduled().await;
    let worker: WorkerId = shop.worker.lease.id();
    shop.sql(&format!("UPDATE jobs SET state = 'running', fence = 1, attempt = 1, worker = '{worker}'"))
        .await;
    shop.stop.cancel();
    let db = shop.db.clone();
    shop.close().await;
    let job = status::find(&mut db.conn().await.unwrap(), id).await.unwrap().unwrap();
    assert_eq!(job.lapses, 0);
    assert_ne!(job.state, JobState::Running);
}

pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}
