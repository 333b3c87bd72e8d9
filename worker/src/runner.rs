//! From a message to a settled job: parse → claim → run → settle → ack.
//!
//! The only place where a job is settled and where the delivery of one is acked. An ack carries no truth, the
//! row does; it comes last so that the broker counts the job as in flight and sends no more than fits.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;
use shared::db::jobs::claim::{self, Claimed};
use shared::db::jobs::settle::{self, Note};
use shared::db::jobs::{Claim, FencedError, Job};
use shared::db::{DbError, dead_messages};
use shared::domain::JobId;
use shared::domain::job::{Ending, JobState, backoff};
use shared::jobs::{Envelope, EnvelopeError, Queue};
use shared::messaging::Delivery;
use tracing::Instrument;

use crate::Worker;
use crate::context::JobContext;
use crate::jobs::undo_at_once;
use crate::leases::Run;
use crate::outcome::{JobError, Outcome};

/// When a newer program is to look at a job that this one can't read.
const UNKNOWN_DELAY: Duration = Duration::from_secs(30);

/// A dependency that stays away longer than this costs attempts.
const MAX_UNAVAILABLE: Duration = Duration::from_secs(24 * 3600);

/// Does everything that a message asks for.
pub async fn handle(worker: &Worker, queue: Queue, delivery: Delivery) {
    let envelope = match Envelope::parse(&delivery.body) {
        Ok(envelope) => envelope,
        Err(EnvelopeError::Newer { job, schema }) => return leave(worker, job, schema, delivery).await,
        Err(error) => return keep_aside(worker, queue, delivery, &error.to_string()).await,
    };
    let span = tracing::info_span!(
        "job",
        job = %envelope.job,
        kind = envelope.kind,
        trace_id = envelope.traceparent.as_deref().and_then(|parent| parent.split('-').nth(1)),
        attempt = tracing::field::Empty,
    );
    async {
        // A worker that is told to stop while it waits for the database keeps the message unacked.
        if let Some(job) = take(worker, &envelope).await {
            run(worker, job).await;
        } else if worker.stop.is_cancelled() && !is_settled(worker, &envelope).await {
            return;
        }
        delivery.ack().await;
    }
    .instrument(span)
    .await;
}

/// Bytes that no program of ours wrote: kept for a person, then acked.
async fn keep_aside(worker: &Worker, queue: Queue, delivery: Delivery, error: &str) {
    tracing::error!(error, bytes = delivery.body.len(), "a message that is no job was put aside");
    metrics::counter!("dead_messages_total").increment(1);
    let kept = patiently(worker, || async {
        let mut conn = worker.services.db.conn().await?;
        dead_messages::keep(&mut conn, queue.name(), &delivery.body, error).await
    });
    if kept.await.is_some() {
        delivery.ack().await;
    }
}

/// A message that only a newer program can read; the job's id is all that this one knows.
async fn leave(worker: &Worker, job: JobId, schema: u32, delivery: Delivery) {
    tracing::info!(%job, schema, "an envelope of a newer program: left to one");
    if put_back(worker, job).await {
        delivery.ack().await;
    }
}

/// Puts a queued job back for a newer program. Whether that is written down.
async fn put_back(worker: &Worker, job: JobId) -> bool {
    metrics::counter!("jobs_of_unknown_kind_total").increment(1);
    let db = &worker.services.db;
    patiently(worker, || claim::put_back_unknown(db, job, UNKNOWN_DELAY)).await.is_some()
}

/// Claims the job, or finds that there is nothing to do for this message.
async fn take(worker: &Worker, envelope: &Envelope) -> Option<Taken> {
    if worker.handler(&envelope.kind, envelope.version).is_none() {
        tracing::info!(version = envelope.version, "not known to this program: left to a newer one");
        put_back(worker, envelope.job).await;
        return None;
    }
    let shared_turn = worker.alone.clone().read_owned().await;
    match claim_patiently(worker, envelope, false).await? {
        Claimed::Yes(job) => Some(Taken { job: *job, _turn: Turn::Shared(shared_turn) }),
        Claimed::No => None,
        Claimed::OnlyAlone => {
            drop(shared_turn);
            tracing::warn!("the job once took its worker down: it runs alone");
            let own_turn = worker.alone.clone().write_owned().await;
            match claim_patiently(worker, envelope, true).await? {
                Claimed::Yes(job) => Some(Taken { job: *job, _turn: Turn::Alone(own_turn) }),
                _ => None,
            }
        }
    }
}

/// A claimed job and its right to run beside others, or alone.
struct Taken {
    job: Job,
    _turn: Turn,
}

#[expect(dead_code, reason = "held for their drop")]
enum Turn {
    Shared(tokio::sync::OwnedRwLockReadGuard<()>),
    Alone(tokio::sync::OwnedRwLockWriteGuard<()>),
}

async fn claim_patiently(worker: &Worker, envelope: &Envelope, alone: bool) -> Option<Claimed> {
    let db = &worker.services.db;
    patiently(worker, || claim::claim(db, envelope.job, worker.id, worker.lease, alone)).await
}

/// Tries until the database answers; the delivery is held meanwhile, and with its slot no more are
/// taken. `None` when the worker stops first, or when the database says that we are wrong.
pub(crate) async fn patiently<T, W: Future<Output = Result<T, DbError>>>(
    worker: &Worker,
    mut work: impl FnMut() -> W,
) -> Option<T> {
    let mut tries = 0;
    loop {
        match work().await {
            Ok(done) => return Some(done),
            Err(DbError::Unavailable(error)) => {
                tracing::warn!(error, "the database is away; the message is held");
            }
            Err(DbError::Collision(_)) => {}
            Err(error) => {
                tracing::error!(%error, "the job's row could not be read or written");
                return None;
            }
        }
        let pause = backoff(tries, rand_unit()).min(Duration::from_secs(10));
        tries = (tries + 1).min(4);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = worker.stop.cancelled() => return None,
        }
    }
}

/// Whether a message that was not taken may be acked all the same: its row does not wait for it.
async fn is_settled(worker: &Worker, envelope: &Envelope) -> bool {
    let Ok(mut conn) = worker.services.db.conn().await else { return false };
    match shared::db::jobs::status::find(&mut conn, envelope.job).await {
        Ok(Some(job)) => job.state != JobState::Queued,
        Ok(None) => true,
        Err(_) => false,
    }
}

async fn run(worker: &Worker, taken: Taken) {
    let Taken { job, _turn } = taken;
    let claim = Claim { job: job.id, fence: job.fence };
    tracing::Span::current().record("attempt", job.attempt);
    // The claim wrote `updated_at`: both times are the database's.
    let since_due = job.updated_at.since(job.run_at);
    metrics::histogram!("job_wait_seconds", "kind" => job.kind_name().to_owned())
        .record(since_due.as_secs_f64());
    worker.tally.taken(&job.queue, since_due);
    let run = worker.running.add(claim, &job);
    let ended = execute(worker, &job, claim, &run).await;
    let took = run.since.elapsed();
    metrics::histogram!("job_run_seconds", "kind" => job.kind_name().to_owned()).record(took.as_secs_f64());
    match ended {
        Some(result) => settle(worker, &job, claim, result, took).await,
        None => tracing::warn!("the lease was lost; somebody else decides"),
    }
    worker.running.remove(claim);
}

/// Runs the handler to its end, to its timeout, or until the worker must stop. `None`: lease lost.
///
/// The handler is a task of its own: a panic ends only it. It is never aborted, only left alone,
/// because a database future must not be dropped half-way; its fence keeps it from writing.
async fn execute(worker: &Worker, job: &Job, claim: Claim, run: &Run) -> Option<Result<Outcome, JobError>> {
    // The row says it for certain; its message may have been older than it.
    let Some(handler) = worker.handler(&job.kind, job.args_version) else {
        tracing::info!(version = job.args_version, "not known to this program: left to a newer one");
        return Some(Ok(Outcome::Snooze(UNKNOWN_DELAY)));
    };
    let context = JobContext {
        services: worker.services.clone(),
        job: job.clone(),
        claim,
        cancel_requested: run.cancel_requested.clone(),
    };
    if job.undoing && !handler.undoes {
        return Some(undo_at_once(&context).await);
    }
    let mut task = tokio::spawn((handler.run)(context).in_current_span());
    tokio::select! {
        ended = &mut task => Some(match ended {
            Ok(outcome) => outcome,
            Err(_) => Err(JobError::failed("the handler panicked")),
        }),
        () = run.lost.cancelled() => None,
        () = tokio::time::sleep(handler.timeout) => {
            Some(Err(JobError::failed(format!("took longer than {} s", handler.timeout.as_secs_f32()))))
        }
        () = worker.release.cancelled() => Some(Ok(Outcome::Snooze(Duration::ZERO))),
    }
}

async fn settle(worker: &Worker, job: &Job, claim: Claim, result: Result<Outcome, JobError>, took: Duration) {
    let mut needed = Vec::new();
    let (ending, note) = match result {
        Ok(Outcome::WaitFor(on)) => return settle_waiting(worker, job, claim, &on, took).await,
        Ok(Outcome::GiveUp { reason, needed: those }) => {
            needed = those;
            (Ending::Exhausted, Note::Failure(reason.into()))
        }
        Ok(outcome) => translate(outcome),
        Err(JobError::LostLease(_)) => return tracing::warn!("the lease was lost; somebody else decides"),
        Err(error) => judge(job, &error),
    };
    let failure = match &note {
        Note::Failure(error) => Some(error.message.clone()),
        _ => None,
    };
    let db = &worker.services.db;
    let settled = settle_patiently(worker, || async {
        match needed.as_slice() {
            [] => settle::settle(db, claim, ending, note.clone()).await,
            needed => settle::settle_given_up(db, claim, needed, note.clone()).await,
        }
    });
    let Some(state) = settled.await else { return };
    worker.tally.ended(&job.queue, state, failure.is_some(), took);
    let (kind, state) = (job.kind_name().to_owned(), state.name());
    metrics::counter!("jobs_ended_total", "kind" => kind, "state" => state).increment(1);
    let duration_ms = took.as_millis();
    match failure {
        None => tracing::info!(state, duration_ms, "the run ended"),
        Some(error) => tracing::warn!(state, duration_ms, error = error.as_str(), "the run failed"),
    }
}

async fn settle_waiting(worker: &Worker, job: &Job, claim: Claim, on: &[JobId], took: Duration) {
    let db = &worker.services.db;
    if let Some(state) = settle_patiently(worker, || settle::settle_waiting(db, claim, on)).await {
        worker.tally.ended(&job.queue, state, false, took);
        tracing::info!(state = state.name(), jobs = on.len(), "the job waits for others");
    }
}

/// Tries while the database is away. If the lease lapses meanwhile, the outcome is lost and the job
/// is done again: at least once.
async fn settle_patiently<W: Future<Output = Result<JobState, FencedError>>>(
    worker: &Worker,
    mut work: impl FnMut() -> W,
) -> Option<JobState> {
    let deadline = tokio::time::Instant::now() + worker.lease * 4;
    let mut tries = 0;
    loop {
        match work().await {
            Ok(state) => return Some(state),
            Err(FencedError::LostLease(_)) => {
                tracing::warn!("the lease was lost before the outcome was written");
                return None;
            }
            Err(FencedError::Db(error)) => {
                tracing::warn!(%error, "the outcome could not be written");
            }
        }
        // A worker that must stop leaves the rest to the lapse of its leases.
        if tokio::time::Instant::now() > deadline || worker.release.is_cancelled() {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff(tries, rand_unit()).min(Duration::from_secs(5))) => {}
            () = worker.release.cancelled() => {}
        }
        tries = (tries + 1).min(4);
    }
}

fn translate(outcome: Outcome) -> (Ending, Note) {
    match outcome {
        Outcome::Done(result) => (Ending::Succeeded, Note::Result(result)),
        Outcome::Discard(reason) => (Ending::Discarded, Note::Failure(reason.into())),
        Outcome::Snooze(Duration::ZERO) => (Ending::Release, Note::None),
        Outcome::Snooze(delay) => (Ending::Snooze(delay), Note::None),
        Outcome::Cancelled => (Ending::Cancelled, Note::Result(Value::Null)),
        // Settled with those that it waits for or needs.
        Outcome::WaitFor(_) => (Ending::Release, Note::None),
        Outcome::GiveUp { reason, .. } => (Ending::Exhausted, Note::Failure(reason.into())),
    }
}

/// A dependency that is away is no fault of the job, unless it stays away.
fn judge(job: &Job, error: &JobError) -> (Ending, Note) {
    let failure = Note::Failure(error.run_error());
    match error {
        // The breaker says when, each job another time.
        JobError::CircuitOpen { retry_after, .. } => (Ending::Snooze(*retry_after), Note::None),
        JobError::Unavailable { dependency, retry_after, .. } => {
            if away_for(job, &format!("{} is unavailable", dependency.name())) > MAX_UNAVAILABLE {
                return (Ending::Retry(None), failure);
            }
            (snooze(retry_after.unwrap_or(FIRST_SNOOZE)), failure)
        }
        JobError::TryAgain { retry_after, .. } => (Ending::Retry(Some(*retry_after)), failure),
        _ => (Ending::Retry(None), failure),
    }
}

/// Since when the newest entries of the job's error log have said so.
fn away_for(job: &Job, complaint: &str) -> Duration {
    let log = job.error_log();
    let first = log.iter().rev().take_while(|entry| entry.message.starts_with(complaint)).last();
    first.map_or(Duration::ZERO, |entry| (chrono::Utc::now() - entry.since).to_std().unwrap_or_default())
}

/// With jitter: jobs that were sent away together don't come back together.
fn snooze(asked: Duration) -> Ending {
    Ending::Snooze(asked.clamp(MIN_SNOOZE, MAX_SNOOZE).mul_f64(1.0 + rand_unit()))
}

/// For a dependency that does not say when to come back.
const FIRST_SNOOZE: Duration = Duration::from_secs(2);

/// A snoozed job comes back no sooner …
const MIN_SNOOZE: Duration = Duration::from_millis(500);

/// … and no later than this, before jitter.
const MAX_SNOOZE: Duration = Duration::from_secs(60);

/// For jitter.
fn rand_unit() -> f64 {
    rand::random()
}
