//! Claim: one statement decides who runs a job.

use std::time::Duration;

use diesel::dsl::{case_when, exists};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;

use super::{Job, callbacks};
use crate::db::expressions::{coalesce, now, now_plus};
use crate::db::schema::{jobs, processes as process_rows};
use crate::db::{Db, DbError, processes, with};
use crate::domain::job::JobState;
use crate::domain::{JobId, ProcessId, WorkerId};
use crate::jobs::{KINDS, KindInfo, Unique};

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
    let kept_unique = unique_until_finished(KINDS);
    let claimed: Option<Job> = with!(tx.conn(), |c| {
        let living = process_rows::table
            .find(ProcessId::from(worker))
            .filter(process_rows::lost_at.is_null())
            .filter(process_rows::stopped_at.is_null());
        let queued = jobs::table
            .filter(jobs::id.eq(job))
            .filter(jobs::state.eq(JobState::Queued))
            .filter(exists(living));
        let turns = jobs::cancel_requested_at.is_not_null().and(jobs::undoing.eq(false));
        diesel::update(queued)
            .set((
                jobs::state.eq(JobState::Running),
                jobs::fence.eq(jobs::fence + 1),
                jobs::attempt.eq(case_when(turns, 1.into_sql::<Integer>()).otherwise(jobs::attempt + 1)),
                jobs::undoing.eq(jobs::undoing.or(jobs::cancel_requested_at.is_not_null())),
                jobs::worker.eq(worker),
                jobs::woken.eq(false),
                jobs::started_at.eq(coalesce(jobs::started_at, now()).nullable()),
                jobs::republish_at.eq(None::<crate::domain::Timestamp>),
                jobs::published.eq(0),
                jobs::unique_key.eq(case_when(jobs::kind.eq_any(kept_unique), jobs::unique_key)),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?;
    if let Some(job) = claimed {
        tx.after_commit().changed(job.id, job.version);
        callbacks::is_now(&mut tx, &job).await?;
        if job.owner.is_some() && tx.some_are_held_back() {
            // There is room for another of the owner's.
            tx.after_commit().wake_relay();
        }
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
                jobs::woken.eq(false),
                jobs::republish_at.eq(None::<crate::domain::Timestamp>),
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
    use crate::jobs::{Kind, Queue};

    #[derive(Serialize, Deserialize)]
    struct Renamed {}

    impl Kind for Renamed {
        const NAME: &'static str = "new_name";
        const ALIASES: &'static [&'static str] = &["old_name"];
        const QUEUE: Queue = Queue::IO;
    }

    #[test]
    fn a_kind_is_unique_under_each_of_its_names() {
        const RENAMED: &[KindInfo] = &[KindInfo::of::<Renamed>()];
        assert_eq!(unique_until_finished(RENAMED), ["new_name", "old_name"]);
    }
}
