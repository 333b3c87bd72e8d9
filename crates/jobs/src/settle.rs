//! The end of a run, and the checkpoints on the way. Every statement here is fenced.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TOGETHER;
use crate::hot;
use crate::lease::lock_own;
use crate::redact::redact_text;
use crate::schema::jobs;
use crate::share::MORE;
use crate::{Claim, FencedError, Job, LostLease, Try, callbacks, log_error, order, waits};
use database::expressions::{coalesce, now, now_plus};
use database::gathered::Gathered;
use database::signals::AfterCommit;
use database::{Db, DbError, Tx, in_time, with};
use model::job::{Ending, Failure, JobState, RunError, dead_reason, decide};
use model::stored_text::clean_json;
use model::{JobId, Timestamp};
use model::{Lane, Queue};

/// What is written down beside the new state.
#[derive(Debug, Clone)]
pub enum Note {
    /// Nothing.
    None,
    /// What the job came to.
    Result(Value),
    /// What went wrong; kept in the job's error log.
    Failure(RunError),
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// In which way.
    pub ending: Ending,
    /// What is written down of it.
    pub note: Note,
    /// Whether the run committed a checkpoint: a job that gets on and ends by its own answer is not suspected any
    /// more of having made its process crash.
    pub got_on: bool,
    /// How far the job is, where that is news.
    pub progress: Option<Progress>,
}

impl Ended {
    /// The end of a run that committed no checkpoint.
    pub fn by(ending: Ending, note: Note) -> Self {
        Self { ending, note, got_on: false, progress: None }
    }

    /// The result of a run that succeeded and has nothing else to say. It is written whatever else the row says.
    fn success(&self) -> Option<Option<Value>> {
        match (&self.ending, &self.note, &self.progress) {
            (Ending::Succeeded, Note::Result(result), None) => Some(Some(clean_json(result.clone()))),
            (Ending::Succeeded, Note::None, None) => Some(None),
            _ => None,
        }
    }

    /// Whether the lapses so far are forgotten. A checkpoint alone does not do it (a job that checkpoints and then
    /// kills its process would kill for ever), nor does a snooze or a retry alone.
    fn withdraws_suspicion(&self) -> bool {
        self.ending == Ending::Succeeded || (self.got_on && self.ending.is_an_answer())
    }
}

/// The ends of a process's runs. Successes of the same moment are one statement, on PostgreSQL.
pub struct Settles {
    db: Db,
    gathered: Option<Gathered<(Claim, Option<Value>), ()>>,
}

impl Settles {
    /// On the main runtime.
    pub fn new(db: Db) -> Self {
        let asking = db.clone();
        let gathered = db.is_postgres().then(|| {
            Gathered::new(move |runs: Vec<(Claim, Option<Value>)>| {
                let db = asking.clone();
                async move {
                    let written = succeed_together(&db, &runs).await;
                    runs.iter().map(|(claim, _)| written.contains(claim).then_some(())).collect()
                }
            })
        });
        Self { db, gathered }
    }

    /// As [`settle`]. `job` is its row as it was claimed: one whose end others hear of is asked for alone at once.
    ///
    /// # Errors
    /// As [`settle`].
    pub async fn settle(&self, job: &Job, ended: Ended) -> Result<JobState, FencedError> {
        let claim = Claim { job: job.id, fence: job.fence };
        let concerns_others = job.parent.is_some() || job.ordering_key.is_some() || job.has_callback;
        if let Some(gathered) = &self.gathered
            && !concerns_others
            && let Some(result) = ended.success()
            && gathered.ask((claim, result)).await.is_some()
        {
            return Ok(JobState::Succeeded);
        }
        settle(&self.db, claim, ended).await
    }

    /// Where they are written.
    pub fn db(&self) -> &Db {
        &self.db
    }
}

/// What is named in the answer has ended. Of the others nothing is known: each is asked for alone.
async fn succeed_together(db: &Db, runs: &[(Claim, Option<Value>)]) -> HashSet<Claim> {
    let answer = async { hot::succeed(&mut db.conn().await?, runs).await };
    let rows = match in_time(TOGETHER, answer).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::debug!(%error, runs = runs.len(), "runs could not be ended together");
            return HashSet::new();
        }
    };
    let mut done = AfterCommit::default();
    for row in &rows {
        done.changed(row.id, row.version);
        if row.more
            && let Some((owner, lane)) = row.owner.zip(own_lane(&row.queue, row.express))
        {
            done.made_room(owner, lane);
        }
    }
    db.tell(done);
    rows.into_iter().map(|row| Claim { job: row.id, fence: row.fence }).collect()
}

/// Ends a run as its handler asked.
///
/// # Errors
/// [`FencedError::LostLease`]: somebody else decides by now.
pub async fn settle(db: &Db, claim: Claim, ended: Ended) -> Result<JobState, FencedError> {
    let mut tx = db.begin().await?;
    let state = match ended.success() {
        Some(result) => succeed(&mut tx, claim, result).await?,
        None => {
            let job = lock_own(&mut tx, claim).await?;
            write(&mut tx, &job, ended).await?
        }
    };
    tx.commit().await?;
    Ok(state)
}

/// Ends a run that succeeded, in a transaction that goes on: what the batch of [`Settles`] does for many, for one, and with what
/// follows from it for others. `result` is stored text.
///
/// # Errors
/// [`FencedError::LostLease`].
pub async fn succeed(tx: &mut Tx, claim: Claim, result: Option<Value>) -> Result<JobState, FencedError> {
    let ended: Option<(Job, bool, bool)> = with!(tx.conn(), |c| {
        diesel::update(own(claim))
            .set((
                jobs::state.eq(JobState::Succeeded),
                result.as_ref().map(|result| jobs::result.eq(result)),
                jobs::lapses.eq(0),
                jobs::unavailable_since.eq(None::<Timestamp>),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
                it_is_over(),
            ))
            .returning((Job::as_returning(), sql::<Bool>(MORE), jobs::awaited))
            .get_result(c)
            .await
            .optional()
    })?;
    let (job, more, awaited) = ended.ok_or(LostLease)?;
    tx.after_commit().changed(job.id, job.version);
    left(tx, &job, Left { more, awaited }).await?;
    Ok(JobState::Succeeded)
}

/// Ends a run that sleeps until all of `on` are final; if they are already, it is due at once.
///
/// The awaited rows are locked first, so that none of them can become final between the look and the
/// sleep.
///
/// # Errors
/// [`FencedError::LostLease`].
pub async fn settle_waiting(
    db: &Db,
    claim: Claim,
    on: &[JobId],
    ended: Ended,
) -> Result<JobState, FencedError> {
    let mut tx = db.begin().await?;
    let (unfinished, job) = waits::begin(&mut tx, claim, on).await?;
    let state = write(&mut tx, &job, Ended { ending: Ending::Wait(unfinished > 0), ..ended }).await?;
    tx.commit().await?;
    Ok(state)
}

/// Ends a run that gives up because jobs that it needs failed for good: a redrive of this one redrives them, too.
///
/// # Errors
/// [`FencedError::LostLease`].
pub async fn settle_given_up(
    db: &Db,
    claim: Claim,
    needed: &[JobId],
    ended: Ended,
) -> Result<JobState, FencedError> {
    let mut tx = db.begin().await?;
    let (_, job) = waits::begin(&mut tx, claim, needed).await?;
    let state = write(&mut tx, &job, Ended { ending: Ending::Exhausted, ..ended }).await?;
    tx.commit().await?;
    Ok(state)
}

/// Ends a run in the transaction of its last step, and commits. `job` is the row as [`checkpoint`] returned it. `made` are
/// parts of the job that this transaction has written, and that it sleeps for: nobody else knows them, so none of them
/// is final.
///
/// Who waits for the job is locked after what the step wrote: a kind that is waited for, and ends in its step, must not
/// lock there what its waiters lock before their own rows.
///
/// # Errors
/// Those of the database; then nothing was done, or (when it went away during the commit) it is not known.
pub async fn settle_with_step(
    mut tx: Tx,
    job: &Job,
    made: &[JobId],
    ended: Ended,
) -> Result<JobState, DbError> {
    if !made.is_empty() {
        waits::record(&mut tx, job.id, made).await?;
    }
    let state = write(&mut tx, job, ended).await?;
    tx.commit().await?;
    Ok(state)
}

/// Writes a job's next state and wakes whoever waits for it. `job` is its row, locked by `tx`.
pub(super) async fn write(tx: &mut Tx, job: &Job, ended: Ended) -> Result<JobState, DbError> {
    let lapses = match ended.ending {
        Ending::Lapsed => job.lapses + 1,
        _ if ended.withdraws_suspicion() => 0,
        _ => job.lapses,
    };
    let Ended { ending, note, progress, .. } = ended;
    let verdict = decide(job.facts(), ending, rand::random());
    // What it waited for was final already: it has begun, and goes on before what has not, as if it were woken.
    let goes_on = (ending == Ending::Wait(false)).then(|| jobs::woken.eq(true));
    // Of one that waits it is the time at which it went to sleep: its place when it is woken.
    let put_off = goes_on.is_none() && !verdict.state.is_final();
    // Since when something that it needs is away: from the first such answer on, until another answer.
    let unavailable_since = match ending {
        Ending::Unavailable { .. } => Some(coalesce(jobs::unavailable_since, now()).nullable()),
        _ => None,
    };
    let available = (ending.is_an_answer() && unavailable_since.is_none())
        .then(|| jobs::unavailable_since.eq(None::<Timestamp>));
    let mut log = job.error_log();
    let (result, errors) = match note {
        Note::None => (None, None),
        Note::Result(result) => (Some(clean_json(result)), None),
        Note::Failure(error) => {
            let failed = Try { at: chrono::Utc::now(), attempt: job.attempt, worker: job.worker };
            log_error(&mut log, failed, &error);
            (None, serde_json::to_value(&log).ok())
        }
    };
    let died = verdict.failure.is_some_and(Failure::is_dead).then(|| {
        let last = log.last().map(|entry| entry.message.as_str());
        // The groups of dead letters are shown as they are stored.
        let reason = dead_reason(&redact_text(last.unwrap_or_default()));
        (jobs::dead_reason.eq(reason), jobs::dead_at.eq(now().nullable()))
    });
    let due =
        (verdict.state == JobState::Pending).then(|| jobs::due_at.eq(now_plus(verdict.delay).nullable()));
    let asleep = (verdict.state == JobState::Waiting)
        .then(|| (jobs::due_at.eq(None::<Timestamp>), jobs::waiting_since.eq(now().nullable())));
    let over = verdict.state.is_final().then(it_is_over);
    let (version, more, awaited): (i64, bool, bool) = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq(job.id)))
            .set((
                (
                    jobs::state.eq(verdict.state),
                    jobs::failure.eq(verdict.failure),
                    jobs::attempt.eq(verdict.attempt),
                    jobs::lapses.eq(lapses),
                    put_off.then(|| jobs::run_at.eq(now_plus(verdict.delay))),
                    goes_on,
                    result.as_ref().map(|result| jobs::result.eq(result)),
                    errors.as_ref().map(|errors| jobs::errors.eq(errors)),
                ),
                (
                    // The worker stays: whoever looks into it wants to know where it ran.
                    unavailable_since.map(|since| jobs::unavailable_since.eq(since)),
                    available,
                    jobs::version.eq(jobs::version + 1),
                    jobs::updated_at.eq(now()),
                    progress.as_ref().map(|progress| jobs::progress.eq(progress.to_json())),
                ),
                (due, asleep, over, died),
            ))
            .returning((jobs::version, sql::<Bool>(MORE), jobs::awaited))
            .get_result(c)
            .await
    })?;
    tx.after_commit().changed(job.id, version);
    if verdict.state.is_final() {
        left(tx, job, Left { more, awaited }).await?;
    } else {
        if job.has_callback {
            callbacks::status_changed(tx, job.id).await?;
        }
        made_room(tx, job, more);
        if verdict.state == JobState::Pending {
            tx.after_commit().wake_relay();
        }
    }
    Ok(verdict.state)
}

/// What a job that is over does not hold any more.
#[diesel::dsl::auto_type]
pub(super) fn it_is_over() -> _ {
    let never: Option<Timestamp> = None;
    let nothing: Option<String> = None;
    let none: Option<String> = None;
    let no_key: Option<String> = None;
    (
        jobs::due_at.eq(never),
        jobs::waiting_since.eq(never),
        jobs::parked.eq(nothing),
        jobs::unique_open.eq(no_key),
        jobs::ordering_open.eq(none),
    )
}

/// What the row said when it was written that its job is over.
pub(super) struct Left {
    /// See [`MORE`].
    pub(super) more: bool,
    /// Whether anybody ever began to wait for it.
    pub(super) awaited: bool,
}

/// What follows when a job is over, after its own row was written.
pub(super) async fn left(tx: &mut Tx, job: &Job, Left { more, awaited }: Left) -> Result<(), DbError> {
    made_room(tx, job, more);
    if awaited {
        waits::wake_waiters(tx, job.id).await?;
    }
    // Whoever holds the row of a line waits for no job's row: a callback stands in one, too.
    if job.has_callback {
        callbacks::status_changed(tx, job.id).await?;
    }
    if let Some(key) = &job.ordering_key {
        order::pass_on_turn(tx, key).await?;
    }
    Ok(())
}

fn made_room(tx: &mut Tx, job: &Job, more: bool) {
    if more && let Some((owner, lane)) = job.owner.zip(own_lane(&job.queue, job.express)) {
        tx.after_commit().made_room(owner, lane);
    }
}

/// The lane of whose share a job takes, wherever it runs.
fn own_lane(queue: &str, express: bool) -> Option<Lane> {
    Some(Lane { queue: Queue::named(queue)?, express })
}

/// How far a handler is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What is being done now.
    pub step: String,
    /// While the job waits for others: the percent when all of them are over. Each that ends takes it on
    /// by its share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u8, u8)>,
}

impl Progress {
    /// A point on the way.
    pub fn at(percent: u8, step: impl Into<String>) -> Self {
        Self { percent: percent.min(100), step: step.into(), range: None }
    }

    /// From here to `until`, by what others do.
    pub fn until(self, until: u8) -> Self {
        Self { range: Some((self.percent, until.clamp(self.percent, 100))), ..self }
    }

    /// How far it is when `over` of `all` others are over.
    pub(super) fn share(&self, over: i64, all: i64) -> Option<Self> {
        let (from, until) = self.range?;
        let part = i64::from(until - from) * over.clamp(0, all) / all.max(1);
        Some(Self { percent: from + u8::try_from(part).unwrap_or(0), ..self.clone() })
    }

    pub(super) fn to_json(&self) -> Value {
        clean_json(serde_json::to_value(self).unwrap_or_default())
    }
}

/// The row, as long as the run owns it.
#[diesel::dsl::auto_type]
pub(super) fn own(claim: Claim) -> _ {
    let (job, running, fence): (JobId, JobState, i64) = (claim.job, JobState::Running, claim.fence);
    jobs::table.filter(jobs::id.eq(job)).filter(jobs::state.eq(running)).filter(jobs::fence.eq(fence))
}

/// Records where the handler goes on after a crash, in the transaction of the step's business rows.
/// The attempts begin anew. Returns the job's row, which is locked: whether somebody asked to cancel it stands there.
///
/// # Errors
/// [`FencedError::LostLease`].
pub async fn checkpoint(
    tx: &mut Tx,
    claim: Claim,
    checkpoint: &Value,
    undoing: bool,
    progress: &Progress,
) -> Result<Job, FencedError> {
    let written: Option<Job> = with!(tx.conn(), |c| {
        diesel::update(own(claim))
            .set((
                jobs::checkpoint.eq(clean_json(checkpoint.clone())),
                jobs::undoing.eq(undoing),
                jobs::attempt.eq(1),
                jobs::unavailable_since.eq(None::<Timestamp>),
                jobs::progress.eq(progress.to_json()),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?;
    let job = written.ok_or(LostLease)?;
    tx.after_commit().changed(claim.job, job.version);
    Ok(job)
}
