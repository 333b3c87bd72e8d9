//! What is not with the broker though its row says so: what could not be published, and what was in a queue that is
//! no more. Such a row is due again sooner, and only ever sooner.

use std::collections::HashMap;
use std::time::Duration;

use diesel::dsl::{case_when, not};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;

use crate::schema::jobs;
use database::expressions::{for_update_skip_locked, now, now_plus};
use database::{Conn, Db, DbError, Publication, WHOLE_TABLE, with};
use model::JobId;
use model::job::{JobState, QUARANTINED_LAPSES};
use model::{Lane, Queue};

/// How long rows that are written back each alone may take, all together.
const ALONE: Duration = Duration::from_secs(5);

/// Writes back that these messages are not with the broker: their rows are due again in `delay`, unless they are
/// sooner.
///
/// Only where the row is still in the same life: this may come late. A row that somebody holds, or that can't be
/// written with the others, is written alone, and what is not written in a moment keeps its time: no row holds up
/// the others.
///
/// # Errors
/// Those of the database; then the rows are due when they would be if their messages were lost.
pub async fn not_published(db: &Db, messages: &[Publication], delay: Duration) -> Result<(), DbError> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut rest: HashMap<JobId, i64> =
        messages.iter().map(|message| (message.envelope.job, message.fence)).collect();
    match due_again_together(db, &mut rest, delay).await {
        Ok(()) => {}
        Err(error) if error.may_pass() => return Err(error),
        Err(error) => tracing::warn!(%error, "rows can't be written together: writing each alone"),
    }
    let alone = async {
        for (id, fence) in rest {
            let written = async { due_again(&mut db.conn().await?, &[id], Some(fence), delay).await };
            if let Err(error) = written.await {
                tracing::warn!(job = %id, %error, "a message was not published, and its row could not be written");
            }
        }
    };
    if tokio::time::timeout(ALONE, alone).await.is_err() {
        tracing::warn!("messages were not published, and somebody holds their rows");
    }
    Ok(())
}

/// Those whose rows nobody holds; they are taken out of `messages`, job and fence.
async fn due_again_together(
    db: &Db,
    messages: &mut HashMap<JobId, i64>,
    delay: Duration,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let locked: Vec<(JobId, i64)> = with!(tx.conn(), |c| {
        let queued = jobs::table
            .filter(jobs::id.eq_any(messages.keys()))
            .filter(jobs::state.eq(JobState::Queued))
            .select((jobs::id, jobs::fence));
        for_update_skip_locked(queued).load(c).await
    })?;
    let same_life: Vec<JobId> =
        locked.iter().filter(|(id, fence)| messages.get(id) == Some(fence)).map(|(id, _)| *id).collect();
    due_again(tx.conn(), &same_life, None, delay).await?;
    tx.commit().await?;
    for (id, _) in locked {
        messages.remove(&id);
    }
    Ok(())
}

async fn due_again(
    conn: &mut Conn,
    ids: &[JobId],
    fence: Option<i64>,
    delay: Duration,
) -> Result<(), DbError> {
    let soon = || now_plus(delay).nullable();
    with!(conn, |c| {
        let mut rows = diesel::update(jobs::table)
            .filter(jobs::id.eq_any(ids))
            .filter(jobs::state.eq(JobState::Queued))
            .into_boxed();
        if let Some(fence) = fence {
            rows = rows.filter(jobs::fence.eq(fence));
        }
        let counted = jobs::published.gt(0);
        rows.set((
            jobs::due_at.eq(case_when(jobs::due_at.gt(soon()), soon()).otherwise(jobs::due_at)),
            jobs::published.eq(case_when(counted, jobs::published - 1).otherwise(0.into_sql::<Integer>())),
        ))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Makes every `queued` row of a lane due for publishing at once: the lane is new and empty.
///
/// # Errors
/// Those of the database.
pub async fn lane_was_recreated(db: &Db, lane: Lane) -> Result<usize, DbError> {
    due_at_once(db, Some(lane)).await
}

/// Makes every `queued` row due for publishing at once: the broker is new and has nothing.
///
/// # Errors
/// Those of the database.
pub async fn broker_is_new(db: &Db) -> Result<usize, DbError> {
    due_at_once(db, None).await
}

/// A row that somebody holds is left out: it is claimed just now, or published.
async fn due_at_once(db: &Db, lane: Option<Lane>) -> Result<usize, DbError> {
    let mut tx = db.begin().await?;
    tx.allow(WHOLE_TABLE).await?;
    let queued: Vec<JobId> = with!(tx.conn(), |c| {
        let suspected = || jobs::lapses.ge(QUARANTINED_LAPSES);
        let mut queued = jobs::table
            .filter(jobs::due_at.is_not_null())
            .filter(jobs::state.eq(JobState::Queued))
            .select(jobs::id)
            .into_boxed();
        if let Some(Lane { queue, express }) = lane {
            let own = jobs::queue.eq(queue.name()).and(not(suspected()));
            let own = own.and(jobs::express.or(jobs::woken).eq(express));
            queued = if lane == Some(Lane::ordinary(Queue::QUARANTINE)) {
                queued.filter(own.or(suspected()))
            } else {
                queued.filter(own)
            };
        }
        for_update_skip_locked(queued).load(c).await
    })?;
    let marked = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq_any(&queued)))
            .set(jobs::due_at.eq(now().nullable()))
            .execute(c)
            .await
    })?;
    tx.commit().await?;
    Ok(marked)
}
