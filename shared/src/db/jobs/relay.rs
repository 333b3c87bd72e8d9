//! The relay's look at the table: what is due becomes `queued`; what was published and not taken in
//! time is published again.
//!
//! **Order**: a job with an ordering key is moved when no unfinished one of its line stands before it.
//! **Fairness**: of one owner, at most [`MOST_QUEUED_OF_OWNER`] jobs a lane are with the broker, where
//! nothing can overtake them; the others stay `pending`, so that everybody else's are not behind them.
//! **Pause**: what is due in a paused queue stays where it is.
//!
//! No transaction is open while the broker is talked to: one takes the rows, another records the
//! confirms. A crash between the two costs a second, harmless message.

use std::collections::HashMap;
use std::time::Duration;

use diesel::dsl::{count_star, not, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::{Job, callbacks, queues};
use crate::db::expressions::{for_update, for_update_skip_locked, now, now_plus};
use crate::db::schema::jobs;
use crate::db::{Conn, Db, DbError, Publication, Tx, with};
use crate::domain::job::JobState;
use crate::domain::{CustomerId, JobId};
use crate::jobs::{Envelope, Lane, Queue};

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

/// So many jobs of one owner and lane are with the broker at a time.
pub const MOST_QUEUED_OF_OWNER: i64 = 50;

/// The message of a queued job, or `None` if the name of its queue can't be one.
pub fn publication(job: &Job) -> Option<Publication> {
    Some(Publication {
        lane: job.lane()?,
        envelope: Envelope {
            job: job.id,
            kind: job.kind.clone(),
            // The row's, not this program's: whoever wrote the row may be newer.
            version: job.args_version,
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
    let mut ids = due(&mut tx, limit).await?;
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
    let mut moved: Vec<Job> = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq_any(&ids)))
            .set((
                jobs::state.eq(JobState::Queued),
                jobs::republish_at.eq(now_plus(FIRST_REPUBLISH).nullable()),
            ))
            .returning(Job::as_returning())
            .get_results(c)
            .await
    })?;
    for job in moved.iter().filter(|job| job.has_callback) {
        callbacks::is_now(&mut tx, job).await?;
    }
    tx.commit().await?;
    // An UPDATE returns its rows in any order.
    let place: HashMap<JobId, usize> = std::iter::zip(ids, 0..).collect();
    moved.sort_by_key(|job| place.get(&job.id).copied());
    Ok(moved.iter().filter_map(publication).collect())
}

/// Whether no unfinished job stands before it in its line.
pub(super) const ITS_TURN: &str = "(ordering_key IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS earlier \
                                   WHERE earlier.ordering_key = jobs.ordering_key \
                                   AND earlier.ordering_seq < jobs.ordering_seq \
                                   AND earlier.state IN ('pending', 'queued', 'running', 'waiting')))";

/// How many jobs are with the broker, by owner and lane (queue and express).
type WithBroker = HashMap<(CustomerId, String, bool), i64>;

/// Pending rows whose time and turn have come, locked: express ones first, then the longest due.
async fn due(tx: &mut Tx, limit: i64) -> Result<Vec<JobId>, DbError> {
    let mut with_broker = queued_by_owner(tx).await?;
    let mut taken: Vec<JobId> = Vec::new();
    let groups = groups(tx).await?;
    for express in [true, false] {
        for queue in &groups {
            take(tx, express, *queue, limit, &mut taken, &mut with_broker).await?;
        }
    }
    tx.note_held_back(with_broker.values().any(|count| *count >= MOST_QUEUED_OF_OWNER));
    still_their_turn(tx, taken).await
}

/// Adds what a lane of a queue, or of all, has to those taken, until there are `limit`.
async fn take(
    tx: &mut Tx,
    express: bool,
    queue: Option<Queue>,
    limit: i64,
    taken: &mut Vec<JobId>,
    with_broker: &mut WithBroker,
) -> Result<(), DbError> {
    loop {
        let room = limit - i64::try_from(taken.len()).unwrap_or(limit);
        if room <= 0 {
            return Ok(());
        }
        let found = look(tx, express, queue, taken, with_broker, room).await?;
        let all_of_them = i64::try_from(found.len()).unwrap_or(room) < room;
        for (id, owner, queue) in found {
            let share = owner.map(|owner| with_broker.entry((owner, queue, express)).or_default());
            match share {
                // Those behind it, of other owners, are found by the next look.
                Some(count) if *count >= MOST_QUEUED_OF_OWNER => continue,
                Some(count) => *count += 1,
                None => {}
            }
            taken.push(id);
        }
        if all_of_them {
            return Ok(());
        }
    }
}

/// What is looked at in one go: all queues, or, while one is paused, each of the others for itself, because what
/// piles up in the paused one must not be looked through each time. Each of them is the first now and then.
async fn groups(tx: &mut Tx) -> Result<Vec<Option<Queue>>, DbError> {
    let queues = queues::with_pauses(tx).await?;
    if queues.iter().all(|(_, paused)| paused.is_none()) {
        return Ok(vec![None]);
    }
    let mut open: Vec<_> =
        queues.into_iter().filter(|(_, paused)| paused.is_none()).map(|(queue, _)| Some(queue)).collect();
    if !open.is_empty() {
        let first = rand::random_range(0..open.len());
        open.rotate_left(first);
    }
    Ok(open)
}

/// Of these locked rows, those whose turn it is.
///
/// The look may have begun before one of them was redriven, which gives it another place in its line, and have
/// locked it after that: then it compared the new place with the line as it was. This statement sees the line as
/// it is, and the places can't change any more.
pub(crate) async fn still_their_turn(tx: &mut Tx, locked: Vec<JobId>) -> Result<Vec<JobId>, DbError> {
    if locked.is_empty() {
        return Ok(locked);
    }
    let too_early: Vec<JobId> = with!(tx.conn(), |c| {
        jobs::table
            .filter(jobs::id.eq_any(&locked))
            .filter(jobs::ordering_key.is_not_null())
            .filter(not(sql::<Bool>(ITS_TURN)))
            .select(jobs::id)
            .load(c)
            .await
    })?;
    Ok(locked.into_iter().filter(|id| !too_early.contains(id)).collect())
}

/// One look for rows of a lane that may be moved. The states are part of the text, not parameters: only so
/// can the partial indexes serve.
async fn look(
    tx: &mut Tx,
    express: bool,
    queue: Option<Queue>,
    taken: &[JobId],
    with_broker: &WithBroker,
    limit: i64,
) -> Result<Vec<(JobId, Option<CustomerId>, String)>, DbError> {
    let pending = if express { "state = 'pending' AND express" } else { "state = 'pending' AND NOT express" };
    let mut full: HashMap<&str, Vec<CustomerId>> = HashMap::new();
    for ((owner, queue, _), count) in with_broker.iter().filter(|((.., lane), _)| *lane == express) {
        if *count >= MOST_QUEUED_OF_OWNER {
            full.entry(queue).or_default().push(*owner);
        }
    }
    Ok(with!(tx.conn(), |c| {
        let mut rows = jobs::table
            .filter(sql::<Bool>(pending))
            .filter(jobs::run_at.le(now()))
            .filter(sql::<Bool>(ITS_TURN))
            .filter(jobs::id.ne_all(taken))
            .order(jobs::run_at)
            .limit(limit)
            .select((jobs::id, jobs::owner, jobs::queue))
            .into_boxed();
        if let Some(queue) = queue {
            rows = rows.filter(jobs::queue.eq(queue.name()));
        }
        for (queue, owners) in &full {
            let held_back = jobs::queue.eq(*queue).and(jobs::owner.assume_not_null().eq_any(owners));
            rows = rows.filter(jobs::owner.is_null().or(not(held_back)));
        }
        for_update_skip_locked(rows).load(c).await
    })?)
}

async fn queued_by_owner(tx: &mut Tx) -> Result<WithBroker, DbError> {
    let counts: Vec<(CustomerId, String, bool, i64)> = with!(tx.conn(), |c| {
        jobs::table
            .filter(sql::<Bool>("state = 'queued' AND owner IS NOT NULL"))
            .group_by((jobs::owner, jobs::queue, jobs::express))
            .select((jobs::owner.assume_not_null(), jobs::queue, jobs::express, count_star()))
            .load(c)
            .await
    })?;
    Ok(counts.into_iter().map(|(owner, queue, express, count)| ((owner, queue, express), count)).collect())
}

/// How many of an owner's jobs in this lane are with the broker.
pub(super) async fn queued_of_owner(conn: &mut Conn, owner: CustomerId, lane: Lane) -> Result<i64, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>("state = 'queued' AND owner IS NOT NULL"))
            .filter(jobs::owner.eq(owner))
            .filter(jobs::queue.eq(lane.queue.name()))
            .filter(jobs::express.eq(lane.express))
            .count()
            .get_result(c)
            .await
    })?)
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

/// Makes every `queued` row of a lane due for publishing at once: the lane is new and empty.
///
/// # Errors
/// Those of the database.
pub async fn lane_was_recreated(db: &Db, lane: Lane) -> Result<usize, DbError> {
    // Too many rows to lock them in order: if PostgreSQL sacrifices this, it is done again.
    db.run(move |db| async move {
        let mut conn = db.conn().await?;
        Ok(with!(&mut conn, |c| {
            diesel::update(
                jobs::table
                    .filter(sql::<Bool>("state = 'queued'"))
                    .filter(jobs::queue.eq(lane.queue.name()))
                    .filter(jobs::express.eq(lane.express)),
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
