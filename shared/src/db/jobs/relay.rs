//! The relay's look at the table: what is due becomes `queued`; what was published and not taken in
//! time is published again.
//!
//! **Order**: a job with an ordering key is moved when no unfinished one of its line stands before it.
//! **Fairness**: of one owner, at most [`MOST_QUEUED_OF_OWNER`] jobs a lane are with the broker, where
//! nothing can overtake them; the others stay `pending`, so that everybody else's are not behind them.
//! **Pause**: what is due in a paused queue stays where it is, and what was published is not published again. A job
//! in quarantine is held by a pause of the quarantine and by one of its own queue: whoever pauses a queue does not
//! want its work to be done.
//!
//! No transaction is open while the broker is talked to: one takes the rows and counts on their messages; a confirm
//! writes nothing. Only what was not published is written back. A crash between the two costs a minute, or more
//! for what was published before: the row is due again when it would be if its message had been lost.

use std::collections::HashMap;
use std::time::Duration;

use diesel::dsl::{case_when, count_star, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use diesel_async::RunQueryDsl;

use super::{callbacks, lane_of, queues};
use crate::db::expressions::{for_update_skip_locked, now, now_plus};
use crate::db::schema::jobs;
use crate::db::{Conn, Db, DbError, Publication, Tx, with};
use crate::domain::job::{JobState, QUARANTINED_LAPSES};
use crate::domain::{CustomerId, JobId};
use crate::jobs::{Envelope, Lane, Queue};

/// A message that nobody took is published again after this time, then after twice as long…
///
/// What a process that dies had in hand waits so long. Behind a backlog each job has one more message for each time
/// that passes: the doubling keeps them few.
pub const FIRST_REPUBLISH: Duration = Duration::from_secs(60);

/// … and at last every hour.
pub const MAX_REPUBLISH: Duration = Duration::from_secs(3600);

/// When a message that was published so often before is published once more.
pub fn republish_delay(published: i32) -> Duration {
    let doublings = published.clamp(0, 10).unsigned_abs();
    FIRST_REPUBLISH.saturating_mul(1 << doublings).min(MAX_REPUBLISH)
}

/// How long rows that are written back each alone may take, all together.
const ALONE: Duration = Duration::from_secs(5);

/// So many jobs of one owner and lane are with the broker at a time.
pub const MOST_QUEUED_OF_OWNER: i64 = 50;

/// What a message is made of.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
struct Row {
    id: JobId,
    kind: String,
    queue: String,
    express: bool,
    woken: bool,
    lapses: i32,
    // The row's, not this program's: whoever wrote the row may be newer.
    args_version: i32,
    traceparent: Option<String>,
    fence: i64,
    has_callback: bool,
}

impl Row {
    /// `None` if the name of its queue can't be one.
    fn publication(self) -> Option<Publication> {
        Some(Publication {
            lane: lane_of(&self.queue, self.express, self.woken, self.lapses)?,
            envelope: Envelope {
                job: self.id,
                kind: self.kind,
                version: self.args_version,
                traceparent: self.traceparent,
                correlation_id: None,
            },
            fence: self.fence,
        })
    }
}

/// The message of a queued job, or `None` if the name of its queue can't be one.
pub fn publication(job: &super::Job) -> Option<Publication> {
    let row = Row {
        id: job.id,
        kind: job.kind.clone(),
        queue: job.queue.clone(),
        express: job.express,
        woken: job.woken,
        lapses: job.lapses,
        args_version: job.args_version,
        traceparent: job.traceparent.clone(),
        fence: job.fence,
        has_callback: job.has_callback,
    };
    row.publication()
}

/// Moves up to `limit` due rows to `queued`, counts on their messages, and returns those: what is not published
/// must be told to [`not_published`].
///
/// # Errors
/// Those of the database; then nothing was moved.
pub async fn take_due(db: &Db, limit: i64) -> Result<Vec<Publication>, DbError> {
    let mut tx = db.begin().await?;
    let ids = due_and_lost(&mut tx, limit).await?;
    match take(tx, &ids).await {
        // What may pass concerns all of them; anything else, one that is bad.
        Err(error) if !ids.is_empty() && !error.may_pass() => {
            tracing::error!(%error, rows = ids.len(), "due jobs can't be moved together: moving each alone");
            Ok(take_each(db, ids).await)
        }
        taken => taken,
    }
}

/// What is due for the first time, then what is due again; all of it locked.
async fn due_and_lost(tx: &mut Tx, limit: i64) -> Result<Vec<JobId>, DbError> {
    let pauses = Pauses::read(tx).await?;
    let mut ids = due(tx, &pauses, limit).await?;
    let rest = limit - i64::try_from(ids.len()).unwrap_or(limit);
    let again: Vec<JobId> = with!(tx.conn(), |c| {
        let mut lost = jobs::table
            .filter(sql::<Bool>("state = 'queued'"))
            .filter(jobs::republish_at.le(now().nullable()))
            .order(jobs::republish_at)
            .limit(rest)
            .select(jobs::id)
            .into_boxed();
        if !pauses.paused.is_empty() {
            lost = lost.filter(jobs::queue.ne_all(&pauses.paused));
        }
        if pauses.quarantine {
            lost = lost.filter(jobs::lapses.lt(QUARANTINED_LAPSES));
        }
        for_update_skip_locked(lost).load(c).await
    })?;
    ids.extend(again);
    Ok(ids)
}

/// Moves these rows, which `tx` has locked.
async fn take(mut tx: Tx, ids: &[JobId]) -> Result<Vec<Publication>, DbError> {
    if ids.is_empty() {
        tx.rollback().await?;
        return Ok(Vec::new());
    }
    let after = |published: i32| now_plus(republish_delay(published)).nullable();
    let republish_at = case_when(jobs::published.le(0), after(0))
        .when(jobs::published.eq(1), after(1))
        .when(jobs::published.eq(2), after(2))
        .when(jobs::published.eq(3), after(3))
        .when(jobs::published.eq(4), after(4))
        .when(jobs::published.eq(5), after(5))
        .otherwise(now_plus(MAX_REPUBLISH).nullable());
    let mut moved: Vec<Row> = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq_any(ids)))
            .set((
                jobs::state.eq(JobState::Queued),
                jobs::published.eq(jobs::published + 1),
                jobs::republish_at.eq(republish_at),
            ))
            .returning(Row::as_returning())
            .get_results(c)
            .await
    })?;
    for row in moved.iter().filter(|row| row.has_callback) {
        callbacks::status_changed(&mut tx, row.id).await?;
    }
    tx.commit().await?;
    // An UPDATE returns its rows in any order.
    let place: HashMap<JobId, usize> = std::iter::zip(ids.iter().copied(), 0..).collect();
    moved.sort_by_key(|row| place.get(&row.id).copied());
    Ok(moved.into_iter().filter_map(|row| {
        let (job, queue) = (row.id, row.queue.clone());
        let publication = row.publication();
        if publication.is_none() {
            tracing::error!(%job, queue, "the job can't be published: its queue has a name that can't be one");
        }
        publication
    }).collect())
}

/// One row that can't be moved must not keep all others from their workers: it is looked at again in an hour.
async fn take_each(db: &Db, ids: Vec<JobId>) -> Vec<Publication> {
    let mut taken = Vec::new();
    for id in ids {
        let moved = async {
            let mut tx = db.begin().await?;
            let due = jobs::table
                .filter(jobs::id.eq(id))
                .filter(jobs::state.eq_any([JobState::Pending, JobState::Queued]))
                .select(jobs::id);
            let due: Vec<JobId> = with!(tx.conn(), |c| for_update_skip_locked(due).load(c).await)?;
            let due = still_their_turn(&mut tx, due).await?;
            take(tx, &due).await
        };
        match moved.await {
            Ok(publications) => taken.extend(publications),
            Err(error) => {
                tracing::error!(job = %id, %error, "the job can't be published");
                if let Err(error) = set_aside(db, id).await {
                    tracing::error!(job = %id, %error, "and could not be set aside");
                }
            }
        }
    }
    taken
}

async fn set_aside(db: &Db, id: JobId) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    let later = || now_plus(MAX_REPUBLISH);
    with!(&mut conn, |c| {
        let open = jobs::table.find(id).filter(jobs::state.eq_any([JobState::Pending, JobState::Queued]));
        let pending = jobs::state.eq(JobState::Pending);
        diesel::update(open)
            .set((
                jobs::run_at.eq(case_when(pending, later()).otherwise(jobs::run_at)),
                jobs::republish_at.eq(case_when(jobs::state.eq(JobState::Queued), later().nullable())),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

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
            jobs::republish_at
                .eq(case_when(jobs::republish_at.gt(soon()), soon()).otherwise(jobs::republish_at)),
            jobs::published.eq(case_when(counted, jobs::published - 1).otherwise(0.into_sql::<Integer>())),
        ))
        .execute(c)
        .await
    })?;
    Ok(())
}

/// Whether no unfinished job stands before it in its line.
pub(super) const ITS_TURN: &str = "(ordering_key IS NULL OR NOT EXISTS (SELECT 1 FROM jobs AS earlier \
                                   WHERE earlier.ordering_key = jobs.ordering_key \
                                   AND earlier.ordering_seq < jobs.ordering_seq \
                                   AND earlier.state IN ('pending', 'queued', 'running', 'waiting')))";

/// How many jobs are with the broker, by owner and lane.
type WithBroker = HashMap<(CustomerId, Lane), i64>;

/// Pending rows whose time and turn have come, locked: those for the express lanes first, then the longest due.
async fn due(tx: &mut Tx, pauses: &Pauses, limit: i64) -> Result<Vec<JobId>, DbError> {
    let mut with_broker = queued_by_owner(tx).await?;
    let mut taken: Vec<JobId> = Vec::new();
    for express in [true, false] {
        for queue in &pauses.groups {
            let look = Look { express, queue: *queue, quarantine: !pauses.quarantine };
            take_from(tx, look, limit, &mut taken, &mut with_broker).await?;
        }
    }
    tx.note_held_back(with_broker.values().any(|count| *count >= MOST_QUEUED_OF_OWNER));
    still_their_turn(tx, taken).await
}

/// Which rows are looked at in one go.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Those that are express or woken, or the others.
    express: bool,
    /// Of one queue, or of all.
    queue: Option<Queue>,
    /// Whether those in quarantine, too.
    quarantine: bool,
}

/// Adds what a look finds to those taken, until there are `limit`.
async fn take_from(
    tx: &mut Tx,
    at: Look,
    limit: i64,
    taken: &mut Vec<JobId>,
    with_broker: &mut WithBroker,
) -> Result<(), DbError> {
    loop {
        let room = limit - i64::try_from(taken.len()).unwrap_or(limit);
        if room <= 0 {
            return Ok(());
        }
        let found = look(tx, at, taken, with_broker, room).await?;
        let all_of_them = i64::try_from(found.len()).unwrap_or(room) < room;
        for (id, owner, queue, lapses) in found {
            // It is taken even if its queue has a name that can't be one: the look would find it for ever.
            let lane = lane_of(&queue, at.express, false, lapses);
            let share = owner.zip(lane).map(|of| with_broker.entry(of).or_default());
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

/// What may not be published now.
struct Pauses {
    /// What is looked at in one go: all queues, or, while one is paused, each of the others for itself, because what
    /// piles up in the paused one must not be looked through each time. Each of them is the first now and then.
    groups: Vec<Option<Queue>>,
    /// The names of the paused queues.
    paused: Vec<&'static str>,
    /// Whether the quarantine is one of them.
    quarantine: bool,
}

impl Pauses {
    async fn read(tx: &mut Tx) -> Result<Self, DbError> {
        let queues = queues::with_pauses(tx).await?;
        let of = |wanted: bool| {
            queues.iter().filter(move |(_, since)| since.is_some() == wanted).map(|(queue, _)| *queue)
        };
        let paused: Vec<&'static str> = of(true).map(Queue::name).collect();
        let mut groups: Vec<Option<Queue>> = vec![None];
        if !paused.is_empty() {
            groups = of(false).map(Some).collect();
            if !groups.is_empty() {
                let first = rand::random_range(0..groups.len());
                groups.rotate_left(first);
            }
        }
        let quarantine = paused.contains(&Queue::QUARANTINE.name());
        Ok(Self { groups, paused, quarantine })
    }
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

/// One look for rows that may be moved. The states are part of the text, not parameters: only so
/// can the partial indexes serve.
async fn look(
    tx: &mut Tx,
    at: Look,
    taken: &[JobId],
    with_broker: &WithBroker,
    limit: i64,
) -> Result<Vec<(JobId, Option<CustomerId>, String, i32)>, DbError> {
    let pending = if at.express {
        "state = 'pending' AND (express OR woken)"
    } else {
        "state = 'pending' AND NOT (express OR woken)"
    };
    let mut full: HashMap<Queue, Vec<CustomerId>> = HashMap::new();
    for ((owner, lane), count) in with_broker {
        let concerned = lane.express == at.express || lane.queue == Queue::QUARANTINE;
        if concerned && *count >= MOST_QUEUED_OF_OWNER {
            full.entry(lane.queue).or_default().push(*owner);
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
            .select((jobs::id, jobs::owner, jobs::queue, jobs::lapses))
            .into_boxed();
        if let Some(queue) = at.queue {
            rows = rows.filter(jobs::queue.eq(queue.name()));
        }
        if !at.quarantine {
            rows = rows.filter(jobs::lapses.lt(QUARANTINED_LAPSES));
        }
        for (queue, owners) in &full {
            let of_owner = jobs::owner.assume_not_null().eq_any(owners);
            let suspected = jobs::lapses.ge(QUARANTINED_LAPSES);
            rows = if *queue == Queue::QUARANTINE {
                let in_lane = jobs::queue.eq(queue.name()).or(suspected);
                rows.filter(jobs::owner.is_null().or(not(in_lane.and(of_owner))))
            } else {
                let in_lane = jobs::queue.eq(queue.name()).and(not(suspected));
                rows.filter(jobs::owner.is_null().or(not(in_lane.and(of_owner))))
            };
        }
        for_update_skip_locked(rows).load(c).await
    })?)
}

async fn queued_by_owner(tx: &mut Tx) -> Result<WithBroker, DbError> {
    let counts: Vec<(CustomerId, String, bool, bool, i32, i64)> = with!(tx.conn(), |c| {
        jobs::table
            .filter(sql::<Bool>("state = 'queued' AND owner IS NOT NULL"))
            .group_by((jobs::owner, jobs::queue, jobs::express, jobs::woken, jobs::lapses))
            .select((
                jobs::owner.assume_not_null(),
                jobs::queue,
                jobs::express,
                jobs::woken,
                jobs::lapses,
                count_star(),
            ))
            .load(c)
            .await
    })?;
    let mut with_broker = WithBroker::new();
    for (owner, queue, express, woken, lapses, count) in counts {
        if let Some(lane) = lane_of(&queue, express, woken, lapses) {
            *with_broker.entry((owner, lane)).or_default() += count;
        }
    }
    Ok(with_broker)
}

/// How many of an owner's jobs in this lane of a queue are with the broker.
pub(super) async fn queued_of_owner(conn: &mut Conn, owner: CustomerId, lane: Lane) -> Result<i64, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>("state = 'queued' AND owner IS NOT NULL"))
            .filter(jobs::owner.eq(owner))
            .filter(jobs::queue.eq(lane.queue.name()))
            .filter(jobs::lapses.lt(QUARANTINED_LAPSES))
            .filter(jobs::express.or(jobs::woken).eq(lane.express))
            .count()
            .get_result(c)
            .await
    })?)
}

/// Makes every `queued` row of a lane due for publishing at once: the lane is new and empty.
///
/// # Errors
/// Those of the database.
pub async fn lane_was_recreated(db: &Db, lane: Lane) -> Result<usize, DbError> {
    let name = lane.queue.name();
    // Too many rows to lock them in order: if PostgreSQL sacrifices this, it is done again.
    db.run(move |db| async move {
        let mut conn = db.conn().await?;
        let suspected = || jobs::lapses.ge(QUARANTINED_LAPSES);
        Ok(with!(&mut conn, |c| {
            let mut rows = diesel::update(jobs::table).filter(sql::<Bool>("state = 'queued'")).into_boxed();
            let express = jobs::express.or(jobs::woken).eq(lane.express);
            let own = jobs::queue.eq(name).and(not(suspected())).and(express);
            rows = if lane == Lane::ordinary(Queue::QUARANTINE) {
                rows.filter(own.or(suspected()))
            } else {
                rows.filter(own)
            };
            rows.set(jobs::republish_at.eq(now().nullable())).execute(c).await
        })?)
    })
    .await
}

/// Makes every `queued` row due for publishing at once: the broker is new and has nothing.
///
/// # Errors
/// Those of the database.
pub async fn broker_is_new(db: &Db) -> Result<usize, DbError> {
    db.run(move |db| async move {
        let mut conn = db.conn().await?;
        Ok(with!(&mut conn, |c| {
            diesel::update(jobs::table.filter(sql::<Bool>("state = 'queued'")))
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
        let minutes: Vec<u64> = (0..8).map(|n| republish_delay(n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(republish_delay(i32::MAX), MAX_REPUBLISH);
    }
}
