//! The relay's look at the table: what is due becomes `queued`; what was published and not taken in
//! time is published again.
//!
//! No transaction is open while the broker is talked to: one takes the rows, another records the
//! confirms. A crash between the two costs a second, harmless message.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::Job;
use crate::db::expressions::{for_update, for_update_skip_locked, now, now_plus};
use crate::db::schema::jobs;
use crate::db::{Db, DbError, Publication, with};
use crate::domain::JobId;
use crate::domain::job::JobState;
use crate::jobs::{Envelope, KindInfo, Queue};

/// An unconfirmed message is published again after this time.
pub const FIRST_REPUBLISH: Duration = Duration::from_secs(15);

/// A confirmed message that nobody took is published again after this time, then after twice as long…
pub const CONFIRMED_REPUBLISH: Duration = Duration::from_secs(300);

/// … and at last every hour.
pub const MAX_REPUBLISH: Duration = Duration::from_secs(3600);

/// When a message that was confirmed for the `published`-th time is published again.
pub fn republish_delay(published: i32) -> Duration {
    let doublings = published.clamp(0, 10).unsigned_abs();
    CONFIRMED_REPUBLISH.saturating_mul(1 << doublings).min(MAX_REPUBLISH)
}

/// The message of a queued job, or `None` if its queue is unknown to this program: a newer one will
/// publish it.
pub fn publication(job: &Job) -> Option<Publication> {
    let version = KindInfo::find(&job.kind).map_or(1, |kind| kind.version);
    Some(Publication {
        queue: Queue::from_name(&job.queue)?,
        envelope: Envelope {
            job: job.id,
            kind: job.kind.clone(),
            version,
            traceparent: job.traceparent.clone(),
            correlation_id: None,
        },
        fence: job.fence,
        published: job.published,
    })
}

/// Moves up to `limit` due rows to `queued` and returns their messages.
///
/// # Errors
/// Those of the database; then nothing was moved.
pub async fn take_due(db: &Db, limit: i64) -> Result<Vec<Publication>, DbError> {
    let mut tx = db.begin().await?;
    // The states are part of the text, not parameters: only so can the partial indexes serve.
    let mut ids: Vec<JobId> = with!(tx.conn(), |c| {
        let due = jobs::table
            .filter(sql::<Bool>("state = 'pending'"))
            .filter(jobs::run_at.le(now()))
            .order(jobs::run_at)
            .limit(limit)
            .select(jobs::id);
        for_update_skip_locked(due).load(c).await
    })?;
    let rest = limit - i64::try_from(ids.len()).unwrap_or(limit);
    let again: Vec<JobId> = with!(tx.conn(), |c| {
        let lost = jobs::table
            .filter(sql::<Bool>("state = 'queued'"))
            .filter(jobs::republish_at.le(now().nullable()))
            .order(jobs::republish_at)
            .limit(rest)
            .select(jobs::id);
        for_update_skip_locked(lost).load(c).await
    })?;
    ids.extend(again);
    if ids.is_empty() {
        tx.rollback().await?;
        return Ok(Vec::new());
    }
    let moved: Vec<Job> = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq_any(&ids)))
            .set((
                jobs::state.eq(JobState::Queued),
                jobs::republish_at.eq(now_plus(FIRST_REPUBLISH).nullable()),
            ))
            .returning(Job::as_returning())
            .get_results(c)
            .await
    })?;
    tx.commit().await?;
    Ok(moved.iter().filter_map(publication).collect())
}

/// Records that the broker has these messages: they are published again much later.
///
/// Only where the row is still in the same life: a late confirm must not push a retry away.
///
/// # Errors
/// Those of the database; then the messages are published again in 15 s.
pub async fn confirmed(db: &Db, messages: &[Publication]) -> Result<(), DbError> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut groups: Vec<((i64, i32), Vec<JobId>)> = Vec::new();
    for message in messages {
        let key = (message.fence, message.published);
        match groups.iter_mut().find(|(group, _)| *group == key) {
            Some((_, ids)) => ids.push(message.envelope.job),
            None => groups.push((key, vec![message.envelope.job])),
        }
    }
    let all: Vec<JobId> = messages.iter().map(|message| message.envelope.job).collect();
    let mut tx = db.begin().await?;
    // In the order in which everybody locks jobs; an UPDATE would lock them in any.
    let _: Vec<JobId> = with!(tx.conn(), |c| {
        let queued = jobs::table
            .filter(jobs::id.eq_any(&all))
            .filter(jobs::state.eq(JobState::Queued))
            .order(jobs::id.desc())
            .select(jobs::id);
        for_update(queued).load(c).await
    })?;
    for ((fence, published), ids) in groups {
        let delay = republish_delay(published);
        with!(tx.conn(), |c| {
            let rows = jobs::table
                .filter(jobs::id.eq_any(&ids))
                .filter(jobs::state.eq(JobState::Queued))
                .filter(jobs::fence.eq(fence));
            diesel::update(rows)
                .set((jobs::published.eq(published + 1), jobs::republish_at.eq(now_plus(delay).nullable())))
                .execute(c)
                .await
        })?;
    }
    tx.commit().await
}

/// Makes every `queued` row of a queue due for publishing at once: the queue is new and empty.
///
/// # Errors
/// Those of the database.
pub async fn queue_was_recreated(db: &Db, queue: Queue) -> Result<usize, DbError> {
    // Too many rows to lock them in order: if PostgreSQL sacrifices this, it is done again.
    db.run(move |db| async move {
        let mut conn = db.read().await?;
        Ok(with!(&mut conn, |c| {
            diesel::update(
                jobs::table.filter(sql::<Bool>("state = 'queued'")).filter(jobs::queue.eq(queue.name())),
            )
            .set(jobs::republish_at.eq(now().nullable()))
            .execute(c)
            .await
        })?)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclaimed_message_comes_again_ever_more_rarely_up_to_an_hour() {
        let minutes: Vec<u64> = (0..6).map(|n| republish_delay(n).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 60, 60]);
        assert_eq!(republish_delay(i32::MAX), MAX_REPUBLISH);
    }
}
