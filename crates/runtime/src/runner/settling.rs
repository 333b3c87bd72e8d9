//! What a handler's answer makes of its job, and how that gets into the row.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ::jobs::settle::{self, Ended, Note, Settles};
use ::jobs::{Claim, FencedError, Job};
use database::DbError;
use model::JobId;
use model::job::{Ending, Failure, JobState};
use platform::backoff::Backoff;
use serde_json::Value;

use crate::Worker;
use crate::outcome::{JobError, Outcome};
use crate::runner::ANSWER;
use crate::running::RunGuard;

/// A dependency that stays away longer than this costs attempts.
const MAX_UNAVAILABLE: Duration = Duration::from_secs(24 * 3600);

/// The pauses before an outcome is written again.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));

/// For a dependency that does not say when to come back.
const FIRST_SNOOZE: Duration = Duration::from_secs(2);

/// A snoozed job comes back no sooner …
const MIN_SNOOZE: Duration = Duration::from_millis(500);

/// … and no later than this, before jitter.
const MAX_SNOOZE: Duration = Duration::from_secs(60);

/// What is to be written of a run.
struct Settlement {
    ended: Ended,
    others: Others,
}

/// The other jobs that are a part of it.
enum Others {
    None,
    /// It sleeps until these are over.
    WaitedFor(Vec<JobId>),
    /// It can't be without these, which failed.
    Needed(Vec<JobId>),
}

/// Ends a run as its handler answered.
pub(super) async fn settle(worker: &Worker, job: &Job, guard: &RunGuard, answer: Result<Outcome, JobError>) {
    let (mut settlement, is_an_answer) = match answer {
        Err(JobError::LostLease(_)) => return tracing::warn!("the lease was lost; somebody else decides"),
        Ok(outcome) => match translate(outcome) {
            Ok(settlement) => (settlement, true),
            Err(written) => {
                return tell(worker, job, guard, &Ended::by(Ending::Succeeded, Note::None), written);
            }
        },
        Err(error) => {
            let (ending, note) = judge(job, &error, guard.run().since.elapsed());
            // A panic is no answer: what it got on with before tells nothing of it.
            (Settlement::alone(ending, note), !matches!(error, JobError::Panicked))
        }
    };
    settlement.ended.got_on = is_an_answer && guard.run().got_on.load(Ordering::Acquire);
    settle_as(worker, job, guard, settlement).await;
}

/// Writes the end of a run into its row.
pub(super) async fn write(worker: &Worker, job: &Job, guard: &RunGuard, ended: Ended) {
    settle_as(worker, job, guard, Settlement { ended, others: Others::None }).await;
}

async fn settle_as(worker: &Worker, job: &Job, guard: &RunGuard, settlement: Settlement) {
    let ended = settlement.ended.clone();
    if let Some(state) = patiently(&worker.settles, job, settlement).await {
        tell(worker, job, guard, &ended, state);
    }
}

impl Settlement {
    fn alone(ending: Ending, note: Note) -> Self {
        Self { ended: Ended::by(ending, note), others: Others::None }
    }

    async fn write(&self, settles: &Settles, job: &Job) -> Result<JobState, FencedError> {
        let (ended, db) = (self.ended.clone(), settles.db());
        let claim = Claim { job: job.id, fence: job.fence };
        match &self.others {
            Others::None => settles.settle(job, ended).await,
            Others::WaitedFor(on) => settle::settle_waiting(db, claim, on, ended).await,
            Others::Needed(needed) => settle::settle_given_up(db, claim, needed, ended).await,
        }
    }
}

/// `ended` is how the run was to end, `state` what that made of the job.
pub(super) fn tell(worker: &Worker, job: &Job, guard: &RunGuard, ended: &Ended, state: JobState) {
    let took = guard.run().since.elapsed();
    let failure = match &ended.note {
        Note::Failure(error) => Some(error.message.as_str()),
        _ => None,
    };
    worker.tally.ended(&job.queue, state, failure.is_some(), took);
    let (kind, outcome) = (job.kind_name().to_owned(), outcome(state, ended.ending, failure.is_some()));
    metrics::counter!("jobs_ended_total", "kind" => kind, "outcome" => outcome).increment(1);
    let state = state.name();
    let duration_ms = took.as_millis();
    match failure {
        None => tracing::info!(state, duration_ms, "the run ended"),
        Some(error) => tracing::warn!(state, duration_ms, error, "the run failed"),
    }
}

/// The word of the metric for the end of a run.
fn outcome(state: JobState, ending: Ending, failed: bool) -> &'static str {
    match state {
        JobState::Failed if ending == Ending::Discarded => Failure::Discarded.name(),
        JobState::Failed => Failure::Exhausted.name(),
        JobState::Pending | JobState::Queued if failed => "retried",
        JobState::Pending | JobState::Queued => "put_back",
        JobState::Succeeded | JobState::Cancelled | JobState::Waiting | JobState::Running => state.name(),
    }
}

/// Asks under the run's fence until the database answers: an outcome that is undecided is not forgotten. That no
/// row fits means that it was written before, or that the row is somebody else's; either way it is decided.
///
/// What the database refuses for good is written once more with a plain note in its place; and what it refuses even
/// then, as a failed attempt without a word: the job must come to an end, whatever its outcome looks like.
async fn patiently(settles: &Settles, job: &Job, mut settlement: Settlement) -> Option<JobState> {
    let (mut pauses, mut told, mut refused) = (PAUSES, false, 0);
    loop {
        let written = tokio::time::timeout(ANSWER, settlement.write(settles, job)).await;
        let error = match written {
            Ok(Ok(state)) => return Some(state),
            Ok(Err(FencedError::LostLease(_))) => {
                tracing::warn!("the outcome was written before, or the row is somebody else's");
                return None;
            }
            Ok(Err(FencedError::Db(error))) => error,
            Err(_) => DbError::Unavailable("no answer within 10 s".into()),
        };
        match (error.may_pass(), refused) {
            (true, _) if !told => tracing::warn!(%error, "the outcome is not written yet"),
            (true, _) => tracing::debug!(%error, "the outcome is still not written"),
            (false, 0) => {
                tracing::error!(%error, "the outcome can't be stored; a plain note takes its place");
                settlement.ended.note =
                    Note::Failure("the outcome could not be stored; the log says why".into());
                refused = 1;
                continue;
            }
            (false, 1) => {
                tracing::error!(%error, "the outcome can't be stored: the run counts as failed");
                settlement = Settlement::alone(Ending::Retry(None), Note::None);
                refused = 2;
                continue;
            }
            (false, _) => {
                tracing::error!(%error, "no outcome can be stored: the job is put back");
                return None;
            }
        }
        told = true;
        tokio::time::sleep(pauses.pause()).await;
    }
}

/// `Err`: the state that its step wrote.
fn translate(outcome: Outcome) -> Result<Settlement, JobState> {
    Ok(match outcome {
        Outcome::Ended(state) => return Err(state),
        Outcome::Done(result) => Settlement::alone(Ending::Succeeded, Note::Result(result)),
        Outcome::Discard(reason) => Settlement::alone(Ending::Discarded, Note::Failure(reason.into())),
        Outcome::Snooze(delay) => Settlement::alone(Ending::Snooze(delay), Note::None),
        Outcome::Cancelled => Settlement::alone(Ending::Cancelled, Note::Result(Value::Null)),
        Outcome::WaitFor(on, progress) => {
            let ended = Ended { progress, ..Ended::by(Ending::Wait(true), Note::None) };
            Settlement { ended, others: Others::WaitedFor(on) }
        }
        Outcome::GiveUp { reason, needed } => {
            let ended = Ended::by(Ending::Exhausted, Note::Failure(reason.into()));
            Settlement { ended, others: Others::Needed(needed) }
        }
    })
}

/// A dependency that is away is no fault of the job, unless it stays away. `ran` is for how long the run took: the
/// claim's time is the database's.
fn judge(job: &Job, error: &JobError, ran: Duration) -> (Ending, Note) {
    let failure = Note::Failure(error.run_error());
    let too_long =
        || job.unavailable_since.is_some_and(|since| job.updated_at.since(since) + ran > MAX_UNAVAILABLE);
    match error {
        JobError::CircuitOpen { retry_after, .. } => {
            // The breaker says when, each job another time. It asked nothing: there is nothing to note, unless it has
            // waited for too long.
            let too_long = too_long();
            let note = if too_long { failure } else { Note::None };
            (Ending::Unavailable { delay: *retry_after, too_long }, note)
        }
        JobError::Unavailable { retry_after, .. } => {
            let delay = spread(retry_after.unwrap_or(FIRST_SNOOZE));
            (Ending::Unavailable { delay, too_long: too_long() }, failure)
        }
        JobError::Stopped(_) => (Ending::Release, Note::None),
        JobError::TryAgain { retry_after, .. } => (Ending::Retry(Some(*retry_after)), failure),
        _ => (Ending::Retry(None), failure),
    }
}

/// With jitter: jobs that were sent away together don't come back together.
fn spread(asked: Duration) -> Duration {
    asked.clamp(MIN_SNOOZE, MAX_SNOOZE).mul_f64(1.0 + rand::random::<f64>())
}
