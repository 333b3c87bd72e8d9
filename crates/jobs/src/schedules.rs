//! The schedule's rows, and the tick: a compare-and-set on `next_at` in the transaction that enqueues the
//! job. However many workers look, one of them changes the row, so a tick is one job and needs no leader.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::enqueue::Enqueued;
use crate::schedule::{Entry, Tick};
use crate::schema::schedules;
use database::expressions::{for_update, now, now_minus};
use database::{Conn, Db, DbError, Tx, with};
use model::{JobId, Timestamp};

/// Writes the entries down: a new one waits for its first tick, one whose cron expression changed for the
/// first tick of the new one. The others stay as they are, also those whose tick has passed meanwhile.
///
/// # Errors
/// Those of the database.
pub async fn mirror(db: &Db, entries: &[Entry]) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    let time: Timestamp = with!(&mut conn, |c| diesel::select(now()).get_result(c).await)?;
    for entry in entries {
        let Some(next_at) = entry.next_after(time) else { continue };
        with!(&mut conn, |c| {
            diesel::insert_into(schedules::table)
                .values((
                    schedules::name.eq(entry.name),
                    schedules::cron.eq(entry.cron),
                    schedules::next_at.eq(next_at),
                ))
                .on_conflict_do_nothing()
                .execute(c)
                .await
        })?;
        with!(&mut conn, |c| {
            let changed = schedules::table
                .filter(schedules::name.eq(entry.name))
                .filter(schedules::cron.ne(entry.cron));
            diesel::update(changed)
                .set((schedules::cron.eq(entry.cron), schedules::next_at.eq(next_at)))
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

/// The names of the entries whose tick has passed.
///
/// # Errors
/// Those of the database.
pub async fn due(db: &Db) -> Result<Vec<String>, DbError> {
    let mut conn = db.conn().await?;
    Ok(with!(&mut conn, |c| {
        let passed = schedules::table.filter(schedules::next_at.le(now()));
        passed.select(schedules::name).load(c).await
    })?)
}

/// An entry's row.
#[derive(Debug, Clone, Queryable)]
pub struct Row {
    /// The entry's name.
    pub name: String,
    /// Its next tick.
    pub next_at: Timestamp,
    /// Whether that has passed for more than a minute.
    pub overdue: bool,
    /// When it ran last.
    pub last_at: Option<Timestamp>,
    /// The job of that run.
    pub last_job: Option<JobId>,
    /// How many of its ticks were missed.
    pub missed: i32,
}

/// The rows of all entries that were ever written down.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &mut Conn) -> Result<Vec<Row>, DbError> {
    Ok(with!(conn, |c| {
        schedules::table
            .select((
                schedules::name,
                schedules::next_at,
                schedules::next_at.lt(now_minus(OVERDUE)),
                schedules::last_at,
                schedules::last_job,
                schedules::missed,
            ))
            .load(c)
            .await
    })?)
}

/// Workers look each second.
const OVERDUE: Duration = Duration::from_secs(60);

/// Holds an entry's row, so that a tick does not pass meanwhile. Gives when it ran last, and the time.
///
/// # Errors
/// Those of the database.
pub async fn lock(tx: &mut Tx, name: &str) -> Result<(Option<Timestamp>, Timestamp), DbError> {
    let row: Option<Option<Timestamp>> = with!(tx.conn(), |c| {
        let row = schedules::table.filter(schedules::name.eq(name)).select(schedules::last_at);
        for_update(row).get_result(c).await.optional()
    })?;
    // After the wait for the row, which may have been long.
    let time = with!(tx.conn(), |c| diesel::select(now()).get_result(c).await)?;
    Ok((row.flatten(), time))
}

/// Writes down that an entry ran, if its row is there.
///
/// # Errors
/// Those of the database.
pub async fn ran(tx: &mut Tx, name: &str, at: Timestamp, job: JobId) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::update(schedules::table.filter(schedules::name.eq(name)))
            .set((schedules::last_at.eq(at), schedules::last_job.eq(job)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticked {
    /// The job that was enqueued; `None` when the one before was still unfinished.
    pub job: Option<JobId>,
    /// How many ticks before it were missed.
    pub missed: i32,
}

/// Takes an entry's tick, if it is due and nobody else took it. A tick that finds the job of the one before
/// unfinished counts as missed: what it would have covered, the next one will.
///
/// # Errors
/// Those of the database.
pub async fn tick(db: &Db, entry: &'static Entry) -> Result<Option<Ticked>, DbError> {
    let mut tx = db.begin().await?;
    let row: Option<(Timestamp, Option<Timestamp>, Timestamp)> = with!(tx.conn(), |c| {
        // A row of another cron expression is another version's of this program.
        schedules::table
            .filter(schedules::name.eq(entry.name))
            .filter(schedules::cron.eq(entry.cron))
            .select((schedules::next_at, schedules::last_at, now()))
            .first(c)
            .await
            .optional()
    })?;
    let due = row.and_then(|(next_at, last, time)| Some((next_at, last, entry.due(next_at, time)?)));
    let Some((next_at, last, due)) = due else {
        tx.rollback().await?;
        return Ok(None);
    };
    let taken = with!(tx.conn(), |c| {
        let unchanged = schedules::table
            .filter(schedules::name.eq(entry.name))
            .filter(schedules::cron.eq(entry.cron))
            .filter(schedules::next_at.eq(next_at));
        diesel::update(unchanged).set(schedules::next_at.eq(due.next)).execute(c).await
    })?;
    if taken == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    let job = match (entry.enqueue)(&mut tx, entry.name, Tick { last, at: due.tick }).await? {
        Enqueued::New(job) => Some(job.id),
        Enqueued::Existing(_) => None,
    };
    let missed = due.missed + i32::from(job.is_none());
    with!(tx.conn(), |c| {
        let ran = job.map(|job| (schedules::last_at.eq(due.tick), schedules::last_job.eq(job)));
        diesel::update(schedules::table.filter(schedules::name.eq(entry.name)))
            .set((schedules::missed.eq(schedules::missed + missed), ran))
            .execute(c)
            .await
    })?;
    tx.commit().await?;
    Ok(Some(Ticked { job, missed: due.missed }))
}
