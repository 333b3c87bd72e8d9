//! "Run now": what waits for its time, in backoff or planned for later, is due at once.

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::Job;
use crate::schema::jobs;
use database::expressions::now;
use database::{DbError, Tx, with};
use model::JobId;
use model::job::JobState;

/// Makes a job due that is pending and not due yet; `None` for any other.
///
/// # Errors
/// Those of the database.
pub async fn run_now(tx: &mut Tx, id: JobId) -> Result<Option<Job>, DbError> {
    let job: Option<Job> = with!(tx.conn(), |c| {
        let later = jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::state.eq(JobState::Pending))
            .filter(jobs::run_at.gt(now()));
        diesel::update(later)
            // One behind another in its line stays there.
            .set((
                jobs::run_at.eq(now()),
                jobs::due_at.eq(case_when(jobs::due_at.is_not_null(), now().nullable())),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?;
    if job.is_some() {
        tx.after_commit().wake_relay();
    }
    Ok(job)
}
