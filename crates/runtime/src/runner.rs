//! From a message to a settled job: parse → claim → run → settle → ack.
//!
//! The only place where a handler's answer is settled and where the delivery of a job is acked. An ack carries no
//! truth, the row does; it comes last so that the broker counts the job as in flight and sends no more than fits. (A
//! run that is left alone is acked before it ends: its job is decided on without it.)

mod settling;

use std::sync::Arc;
use std::time::Duration;

use ::jobs::Job;
use ::jobs::claim::{self, Claimed};
use ::jobs::dead_messages;
use ::jobs::settle::{Ended, Note};
use broker::Delivery;
use database::{DbError, in_time};
use model::JobId;
use model::job::Ending;
use model::{Envelope, EnvelopeError, Lane, Queue};
use platform::backoff::Backoff;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::Worker;
use crate::context::JobContext;
use crate::handler::{Handler, undo_at_once};
use crate::outcome::{JobError, Outcome};
use crate::running::RunGuard;
use crate::stop::StopReason;

/// When a newer program is to look at a job that this one can't read.
const UNKNOWN_DELAY: Duration = Duration::from_secs(30);

/// How long the database may take for a claim, or for an outcome; after that the answer is unknown, and asked for
/// again.
const ANSWER: Duration = Duration::from_secs(10);

/// A claim that the database refuses so often in a row is given up: the row is published again later.
const MOST_REFUSALS: u32 = 5;

/// How long a message is held that the database refuses for good.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// The pauses before the database is asked again.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// Does everything that a message asks for. Returns when its slot is free.
pub async fn handle(worker: &Arc<Worker>, lane: Lane, delivery: Delivery) {
    let envelope = match Envelope::parse(&delivery.body) {
        Ok(envelope) => envelope,
        Err(EnvelopeError::Newer { job, schema }) => return leave(worker, job, schema, delivery).await,
        Err(error) => return keep_aside(worker, lane.queue, delivery, &error.to_string()).await,
    };
    let span = tracing::info_span!(
        "job",
        job = %envelope.job,
        kind = envelope.kind,
        trace_id = envelope.traceparent.as_deref().and_then(|parent| parent.split('-').nth(1)),
        attempt = tracing::field::Empty,
    );
    async {
        match take(worker, &envelope).await {
            Taken::Job(job, guard) => run(worker, lane, *job, guard, delivery).await,
            Taken::Nothing => {
                delivery.ack().await;
            }
            Taken::NotNow => {
                delivery.give_back().await;
            }
        }
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
    acked_if(kept.await.is_ok(), delivery).await;
}

/// A message that only a newer program can read; the job's id is all that this one knows.
async fn leave(worker: &Worker, job: JobId, schema: u32, delivery: Delivery) {
    tracing::info!(%job, schema, "an envelope of a newer program: left to one");
    acked_if(put_back(worker, job).await, delivery).await;
}

/// A message is acked only when what follows from it is decided.
async fn acked_if(decided: bool, delivery: Delivery) {
    match decided {
        true => delivery.ack().await,
        false => delivery.give_back().await,
    };
}

/// Puts a queued job back for a newer program. Whether that is written down.
async fn put_back(worker: &Worker, job: JobId) -> bool {
    metrics::counter!("jobs_of_unknown_kind_total").increment(1);
    let db = &worker.services.db;
    patiently(worker, || claim::put_back_unknown(db, job, UNKNOWN_DELAY)).await.is_ok()
}

/// What became of a message.
enum Taken {
    /// The job is ours.
    Job(Box<Job>, RunGuard),
    /// There is nothing to do for it.
    Nothing,
    /// It is not decided, and this process claims nothing any more, or not yet.
    NotNow,
}

/// Claims the job, or finds that there is nothing to do for this message.
///
/// While the database does not answer, the message is held, and with its slot no more are taken. The claim that is
/// sent again accepts `queued` only: if an earlier one was granted without our hearing of it, the look at the own
/// rows puts the job back. (To take such a row for ours would make two runs under one fence of a doubled message.)
async fn take(worker: &Arc<Worker>, envelope: &Envelope) -> Taken {
    if worker.handler(&envelope.kind, envelope.version).is_none() {
        tracing::info!(version = envelope.version, "not known to this program: left to a newer one");
        return if put_back(worker, envelope.job).await { Taken::Nothing } else { Taken::NotNow };
    }
    let (mut pauses, mut refusals) = (PAUSES, 0);
    loop {
        tokio::select! {
            () = worker.lease.until_held() => {}
            () = worker.stop.cancelled() => return Taken::NotNow,
        }
        let Some(under_way) = worker.running.claim(envelope.job) else { return Taken::NotNow };
        let id = worker.lease.id();
        match in_time(ANSWER, worker.claims.claim(envelope.job, id)).await {
            Ok(Claimed::Yes(job)) => {
                let guard = under_way.granted(&job);
                if id != worker.lease.id() {
                    guard.run().stop.raise(StopReason::LeaseLost);
                }
                return Taken::Job(job, guard);
            }
            Ok(Claimed::No) => return Taken::Nothing,
            Ok(Claimed::NotLiving) => {
                worker.lease.doubt();
                return Taken::NotNow;
            }
            Err(error) if error.may_pass() => {
                tracing::debug!(%error, "the claim is undecided; the message is held");
            }
            Err(error) if refusals + 1 < MOST_REFUSALS => {
                tracing::error!(%error, "the job could not be claimed");
                refusals += 1;
            }
            // Refused, so the row is as it was: it is published again at its time.
            Err(_) => return Taken::Nothing,
        }
        drop(under_way);
        if !pause(worker, &mut pauses).await {
            return Taken::NotNow;
        }
    }
}

/// It is not written down: the worker stops, or the database refuses it. The message is to be given back.
#[derive(Debug)]
pub(crate) struct NotWritten;

/// Tries until the database answers. What it refuses is held for a while before it may come again: it would come at
/// once, and again.
pub(crate) async fn patiently<T, W: Future<Output = Result<T, DbError>>>(
    worker: &Worker,
    mut work: impl FnMut() -> W,
) -> Result<T, NotWritten> {
    let mut pauses = PAUSES;
    loop {
        match in_time(ANSWER, work()).await {
            Ok(done) => return Ok(done),
            Err(error) if error.may_pass() => {
                tracing::debug!(%error, "the database does not answer; the message is held");
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be dealt with");
                let mut longest = Backoff::new(REFUSED_PAUSE, REFUSED_PAUSE);
                pause(worker, &mut longest).await;
                return Err(NotWritten);
            }
        }
        if !pause(worker, &mut pauses).await {
            return Err(NotWritten);
        }
    }
}

/// Waits before the database is asked again; `false` when the worker stops.
async fn pause(worker: &Worker, pauses: &mut Backoff) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pauses.pause()) => true,
        () = worker.stop.cancelled() => false,
    }
}

/// Runs a job that was claimed, settles it and acks its message. The slot is free when this returns.
async fn run(worker: &Arc<Worker>, lane: Lane, job: Job, guard: RunGuard, delivery: Delivery) {
    tracing::Span::current().record("attempt", job.attempt);
    // One that was woken goes by the express lane, whatever it is, and is served first. It keeps the time at which it
    // went to sleep: how long it was due, nobody knows any more.
    let woken = lane.express && !job.express;
    // The claim wrote `updated_at`: both times are the database's.
    let since_due = if woken { Duration::ZERO } else { job.updated_at.since(job.run_at) };
    if !woken {
        metrics::histogram!("job_wait_seconds", "kind" => job.kind_name().to_owned())
            .record(since_due.as_secs_f64());
    }
    worker.tally.taken(&job.queue, since_due);
    let queue = lane.queue;
    let came = execute(worker, &job, &guard).await;
    let took = guard.run().since.elapsed();
    metrics::histogram!("job_run_seconds", "kind" => job.kind_name().to_owned()).record(took.as_secs_f64());
    match came {
        Came::Answer(answer) => {
            settling::settle(worker, &job, &guard, answer).await;
            delivery.ack().await;
        }
        Came::Released => {
            settling::write(worker, &job, &guard, Ended::by(Ending::Release, Note::None)).await;
            delivery.ack().await;
        }
        Came::Lost(task) => {
            tracing::warn!("the lease was lost; somebody else decides");
            delivery.ack().await;
            outlast(worker, queue, &job, guard, task).await;
        }
        Came::TooLate(task) => {
            guard.abandon();
            worker.count_abandoned();
            // The row says what is to happen, and while this process lives nobody else touches it.
            delivery.ack().await;
            in_its_place(queue, end_late(worker.clone(), job, guard, task)).await;
        }
    }
}

/// How a run came to its end.
enum Came {
    /// The handler answered.
    Answer(Result<Outcome, JobError>),
    /// The process stops, and the run is not waited for.
    Released,
    /// The row is somebody else's.
    Lost(JoinHandle<Result<Outcome, JobError>>),
    /// The handler did not answer within its kind's time.
    TooLate(JoinHandle<Result<Outcome, JobError>>),
}

/// Runs the handler to its end, to its timeout, or until the worker must stop.
///
/// The handler is a task of its own: a panic ends only it. It is never aborted, only told to stop and left alone,
/// because a database future must not be dropped half-way; its fence keeps it from writing.
async fn execute(worker: &Worker, job: &Job, guard: &RunGuard) -> Came {
    let run = guard.run();
    // The row says it for certain; its message may have been older than it.
    let Some(handler) = worker.handler(&job.kind, job.args_version) else {
        tracing::info!(version = job.args_version, "not known to this program: left to a newer one");
        return Came::Answer(Ok(Outcome::Snooze(UNKNOWN_DELAY)));
    };
    let context = JobContext {
        services: worker.services.clone(),
        lease: worker.lease.clone(),
        job: job.clone(),
        claim: guard.claim(),
        stop: run.stop.clone(),
        hand_over: run.hand_over.clone(),
        got_on: run.got_on.clone(),
    };
    if worker.running.is_closed() {
        // Claimed while the process began to stop.
        return Came::Answer(Err(JobError::Stopped(StopReason::ShuttingDown)));
    }
    if job.undoing && !handler.undoes {
        return Came::Answer(undo_at_once(&context).await);
    }
    let mut task = tokio::spawn((handler.run)(context).in_current_span());
    let too_late = tokio::time::sleep(handler.timeout);
    let lost = run.stop.raised_so(|reason| reason == StopReason::LeaseLost);
    let released = async {
        worker.release.cancelled().await;
        if !run.hand_over.release() {
            tracing::info!("something is being handed over: it is waited for");
            std::future::pending::<()>().await;
        }
    };
    let stopping = async {
        worker.stop.cancelled().await;
        run.stop.raise(StopReason::ShuttingDown);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = &mut task => Came::Answer(answer(ended)),
        _ = lost => Came::Lost(task),
        () = too_late => {
            run.stop.raise(StopReason::TimedOut);
            Came::TooLate(task)
        }
        () = released => Came::Released,
        () = stopping => Came::Released,
    }
}

fn answer(ended: Result<Result<Outcome, JobError>, tokio::task::JoinError>) -> Result<Outcome, JobError> {
    ended.unwrap_or(Err(JobError::Panicked))
}

/// A run whose row is somebody else's keeps its slot until it really ends, or its kind's time is over: two of a
/// process would be too many for the machine.
async fn outlast(
    worker: &Arc<Worker>,
    queue: Queue,
    job: &Job,
    guard: RunGuard,
    task: JoinHandle<Result<Outcome, JobError>>,
) {
    let mut task = task;
    let left = time_left(worker.handler(&job.kind, job.args_version), &guard);
    let ended = tokio::time::timeout(left, &mut task).await;
    // The row was not its own any more because it was over.
    if let Ok(Ok(Ok(Outcome::Ended(state)))) = ended {
        settling::tell(worker, job, &guard, &Ended::by(Ending::Succeeded, Note::None), state);
    }
    if ended.is_err() {
        guard.abandon();
        worker.count_abandoned();
        let rest = async move {
            let _ = task.await;
            drop(guard);
        };
        in_its_place(queue, rest).await;
    }
}

/// What is left of a run whose handler is left alone. It gives its slot away, but in quarantine: one at a time is in
/// there, those that are left alone included.
async fn in_its_place(queue: Queue, rest: impl Future<Output = ()> + Send + 'static) {
    let rest = rest.in_current_span();
    match queue {
        Queue::QUARANTINE => rest.await,
        _ => drop(tokio::spawn(rest)),
    }
}

fn time_left(handler: Option<&Handler>, guard: &RunGuard) -> Duration {
    handler.map_or(Duration::ZERO, |handler| handler.timeout).saturating_sub(guard.run().since.elapsed())
}

/// Settles a job whose handler took too long, and sees that handler to its end. It may hold the job's row: so the
/// outcome is written beside it, as soon as that is possible.
async fn end_late(
    worker: Arc<Worker>,
    job: Job,
    guard: RunGuard,
    task: JoinHandle<Result<Outcome, JobError>>,
) {
    let timeout =
        worker.handler(&job.kind, job.args_version).map_or(Duration::ZERO, |handler| handler.timeout);
    let note = Note::Failure(format!("took longer than {} s", timeout.as_secs_f32()).into());
    settling::write(&worker, &job, &guard, Ended::by(Ending::Retry(None), note)).await;
    let _ = task.await;
    tracing::info!(after_seconds = guard.run().since.elapsed().as_secs(), "a run that took too long ended");
}
