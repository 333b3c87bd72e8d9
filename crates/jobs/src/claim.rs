//! Claim: one statement decides who runs a job.

use std::collections::HashMap;
use std::time::Duration;

use diesel::dsl::{case_when, exists};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;

use crate::TOGETHER;
use crate::schema::{jobs, processes as process_rows};
use crate::{Job, callbacks};
use crate::{hot, processes};
use database::expressions::{coalesce, now, now_plus};
use database::gathered::Gathered;
use database::signals::AfterCommit;
use database::{Db, DbError, in_time, with};
use model::job::JobState;
use model::registry;
use model::{JobId, ProcessId, WorkerId};
use model::{KindInfo, Unique};

/// What became of an attempt to claim.
#[derive(Debug)]
pub enum Claimed {
    /// The job is this worker's, as long as the process keeps its lease.
    Yes(Box<Job>),
    /// There is nothing to do for this message: a duplicate, too early, cancelled or done.
    No,
    /// The process was declared lost, or has not begun: the message is for another, or for later.
    NotLiving,
}

/// The claims of a process. Those of the same moment are one statement, on PostgreSQL.
pub struct Claims {
    db: Db,
    gathered: Option<Gathered<(JobId, WorkerId), Job>>,
}

impl Claims {
    /// On the main runtime.
    pub fn new(db: Db) -> Self {
        let asking = db.clone();
        let gathered = db.is_postgres().then(|| {
            Gathered::new(move |asked: Vec<(JobId, WorkerId)>| {
                let db = asking.clone();
                async move {
                    let mut claimed = together(&db, &asked).await;
                    asked.iter().map(|asked| claimed.remove(asked)).collect()
                }
            })
        });
        Self { db, gathered }
    }

    /// As [`claim`].
    ///
    /// # Errors
    /// As [`claim`].
    pub async fn claim(&self, job: JobId, worker: WorkerId) -> Result<Claimed, DbError> {
        if let Some(gathered) = &self.gathered
            && let Some(job) = gathered.ask((job, worker)).await
        {
            return Ok(Claimed::Yes(Box::new(job)));
        }
        claim(&self.db, job, worker).await
    }
}

/// What is named in the answer is claimed. Of the others nothing is known: each is asked for alone.
async fn together(db: &Db, asked: &[(JobId, WorkerId)]) -> HashMap<(JobId, WorkerId), Job> {
    let mut claimed = HashMap::new();
    // A process has one id, but for the moment in which it was found lost and goes on under another.
    let mut workers: Vec<WorkerId> = asked.iter().map(|(_, worker)| *worker).collect();
    workers.sort_unstable();
    workers.dedup();
    for worker in workers {
        let jobs: Vec<JobId> = asked.iter().filter(|(_, of)| *of == worker).map(|(job, _)| *job).collect();
        let kept_unique = unique_until_finished(registry::kinds());
        let answer = async { hot::claim(&mut db.conn().await?, &jobs, worker, &kept_unique).await };
        match in_time(TOGETHER, answer).await {
            Ok(rows) => claimed.extend(rows.into_iter().map(|job| ((job.id, worker), job))),
            Err(error) => tracing::debug!(%error, jobs = jobs.len(), "jobs could not be claimed together"),
        }
    }
    let mut done = AfterCommit::default();
    claimed.values().for_each(|job| done.changed(job.id, job.version));
    db.tell(done);
    claimed
}

/// What a claim makes of a row.
#[macro_export]
macro_rules! claimed {
    ($worker:expr, $kept_unique:expr) => {{
        let turns = jobs::cancel_requested_at.is_not_null().and(jobs::undoing.eq(false));
        (
            jobs::state.eq(JobState::Running),
            jobs::fence.eq(jobs::fence + 1),
            jobs::attempt.eq(case_when(turns, 1.into_sql::<Integer>()).otherwise(jobs::attempt + 1)),
            jobs::undoing.eq(jobs::undoing.or(jobs::cancel_requested_at.is_not_null())),
            jobs::worker.eq($worker),
            jobs::woken.eq(false),
            jobs::started_at.eq(coalesce(jobs::started_at, now()).nullable()),
            // `due_at` stays: the look moves it on when it meets a job that runs.
            jobs::published.eq(0),
            jobs::unique_key.eq(case_when(jobs::kind.eq_any($kept_unique), jobs::unique_key)),
            jobs::unique_open.eq(case_when(jobs::kind.eq_any($kept_unique), jobs::unique_open)),
            jobs::version.eq(jobs::version + 1),
            jobs::updated_at.eq(now()),
        )
    }};
}

/// A process that lives.
#[diesel::dsl::auto_type]
pub(crate) fn living(worker: WorkerId) -> _ {
    let process: ProcessId = worker.into();
    process_rows::table
        .find(process)
        .filter(process_rows::lost_at.is_null())
        .filter(process_rows::stopped_at.is_null())
}

/// Takes a queued job for `worker`, and nothing but a queued one: a pending one is in backoff.
///
/// The statement itself reads that the process lives, without a lock: a share lock would hold up the renewal of
/// its lease. A claim that is committed just when the process is declared lost is found by the next look of any
/// supervisor.
///
/// A job that somebody asked to cancel turns to undo in the same statement, with its attempts anew.
///
/// # Errors
/// Those of the database; the message is kept and the claim tried again.
pub async fn claim(db: &Db, job: JobId, worker: WorkerId) -> Result<Claimed, DbError> {
    let mut tx = db.begin().await?;
    let kept_unique = unique_until_finished(registry::kinds());
    let claimed: Option<Job> = with!(tx.conn(), |c| {
        let queued = jobs::table
            .filter(jobs::id.eq(job))
            .filter(jobs::state.eq(JobState::Queued))
            .filter(exists(living(worker)));
        diesel::update(queued)
            .set(claimed!(worker, &kept_unique))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?;
    if let Some(job) = claimed {
        tx.after_commit().changed(job.id, job.version);
        callbacks::is_now(&mut tx, &job).await?;
        tx.commit().await?;
        return Ok(Claimed::Yes(Box::new(job)));
    }
    let living = processes::is_living(tx.conn(), worker.into()).await?;
    tx.commit().await?;
    Ok(if living { Claimed::No } else { Claimed::NotLiving })
}

/// The names of the kinds that keep their unique key when they are claimed: what is unique until it starts
/// gives it up.
fn unique_until_finished(kinds: &'static [KindInfo]) -> Vec<&'static str> {
    kinds.iter().filter(|kind| kind.unique == Unique::UntilFinished).flat_map(KindInfo::names).collect()
}

/// Puts a job that this program can't read back for a newer one: claimed and snoozed in one
/// statement. The fence rises, so that a late word about this message can't touch the next one; no
/// attempt is burnt.
///
/// # Errors
/// Those of the database.
pub async fn put_back_unknown(db: &Db, job: JobId, delay: Duration) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    with!(&mut conn, |c| {
        let queued = jobs::table.filter(jobs::id.eq(job)).filter(jobs::state.eq(JobState::Queued));
        diesel::update(queued)
            .set((
                jobs::state.eq(JobState::Pending),
                jobs::fence.eq(jobs::fence + 1),
                jobs::run_at.eq(now_plus(delay)),
                jobs::due_at.eq(now_plus(delay).nullable()),
                jobs::woken.eq(false),
                jobs::published.eq(0),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use model::{Kind, Queue};

    #[derive(Serialize, Deserialize)]
    struct Renamed {}

    impl Kind for Renamed {
        const NAME: &'static str = "new_name";
        const ALIASES: &'static [&'static str] = &["old_name"];
        const QUEUE: Queue = Queue::CALLBACKS;
    }

    #[test]
    fn a_kind_is_unique_under_each_of_its_names() {
        const RENAMED: &[KindInfo] = &[KindInfo::of::<Renamed>()];
        assert_eq!(unique_until_finished(RENAMED), ["new_name", "old_name"]);
    }
}
