//! How the queues fared, a row a queue and minute: what ended is added up by every worker, how much there was is
//! written by whoever looks first. The minute is the database's.
//!
//! Figures for people: they may be a little too small (a worker that is killed takes its last seconds with it), and
//! nothing is decided by them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use crate::depths::Depth;
use crate::schema::queue_samples;
use database::expressions::{minutes_ago, now, now_minus, this_minute};
use database::{Conn, Db, DbError, with};
use model::Timestamp;

/// So many minutes of rows are removed in one step.
const MINUTES_OF_A_STEP: i64 = 60;

/// What came of a queue's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Queryable)]
pub struct Counts {
    /// Claimed.
    pub taken: i64,
    /// Ended well.
    pub succeeded: i64,
    /// Ended badly, for good.
    pub failed: i64,
    /// Failed, and will be tried again.
    pub retried: i64,
    /// How long those taken had been due, added up.
    pub wait_ms: i64,
    /// The longest of these.
    pub longest_wait_ms: i64,
    /// How long the runs that ended took, added up.
    pub run_ms: i64,
    /// The longest of these.
    pub longest_run_ms: i64,
    /// How many they are. More than those above: a run that ends with a snooze is none of them.
    pub runs: i64,
}

impl Counts {
    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.retried += other.retried;
        self.wait_ms += other.wait_ms;
        self.longest_wait_ms = self.longest_wait_ms.max(other.longest_wait_ms);
        self.run_ms += other.run_ms;
        self.longest_run_ms = self.longest_run_ms.max(other.longest_run_ms);
        self.runs += other.runs;
    }
}

/// Adds what a worker counted to this minute. All of it or, when the database fails, none.
///
/// # Errors
/// Those of the database.
pub async fn add(db: &Db, counted: &BTreeMap<String, Counts>) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    // In the order of the names, as everybody's: two workers can't lock each other out.
    for (queue, counts) in counted {
        with!(tx.conn(), |c| {
            diesel::insert_into(queue_samples::table)
                .values((
                    queue_samples::queue.eq(queue),
                    queue_samples::at.eq(this_minute()),
                    queue_samples::taken.eq(counts.taken),
                    queue_samples::succeeded.eq(counts.succeeded),
                    queue_samples::failed.eq(counts.failed),
                    queue_samples::retried.eq(counts.retried),
                    queue_samples::wait_ms.eq(counts.wait_ms),
                    queue_samples::longest_wait_ms.eq(counts.longest_wait_ms),
                    queue_samples::run_ms.eq(counts.run_ms),
                    queue_samples::longest_run_ms.eq(counts.longest_run_ms),
                    queue_samples::runs.eq(counts.runs),
                ))
                .on_conflict((queue_samples::queue, queue_samples::at))
                .do_update()
                .set((
                    queue_samples::taken.eq(queue_samples::taken + excluded(queue_samples::taken)),
                    queue_samples::succeeded
                        .eq(queue_samples::succeeded + excluded(queue_samples::succeeded)),
                    queue_samples::failed.eq(queue_samples::failed + excluded(queue_samples::failed)),
                    queue_samples::retried.eq(queue_samples::retried + excluded(queue_samples::retried)),
                    queue_samples::wait_ms.eq(queue_samples::wait_ms + excluded(queue_samples::wait_ms)),
                    queue_samples::longest_wait_ms.eq(sql::<BigInt>(LONGER_WAIT)),
                    queue_samples::run_ms.eq(queue_samples::run_ms + excluded(queue_samples::run_ms)),
                    queue_samples::longest_run_ms.eq(sql::<BigInt>(LONGER_RUN)),
                    queue_samples::runs.eq(queue_samples::runs + excluded(queue_samples::runs)),
                ))
                .execute(c)
                .await
        })?;
    }
    tx.commit().await
}

/// The two databases have different names for the greater of two.
const LONGER_WAIT: &str = "CASE WHEN excluded.longest_wait_ms > queue_samples.longest_wait_ms \
                           THEN excluded.longest_wait_ms ELSE queue_samples.longest_wait_ms END";
const LONGER_RUN: &str = "CASE WHEN excluded.longest_run_ms > queue_samples.longest_run_ms \
                          THEN excluded.longest_run_ms ELSE queue_samples.longest_run_ms END";

/// Whether nobody has written yet how much there is in this minute.
///
/// # Errors
/// Those of the database.
pub async fn depths_are_missing(conn: &mut Conn) -> Result<bool, DbError> {
    let written: i64 = with!(conn, |c| {
        queue_samples::table
            .filter(queue_samples::at.eq(this_minute()))
            .filter(queue_samples::due.is_not_null())
            .count()
            .get_result(c)
            .await
    })?;
    Ok(written == 0)
}

/// Writes how much there is of each queue, and how many messages the broker has, where nobody did in this minute.
///
/// # Errors
/// Those of the database.
pub async fn write_depths(
    db: &Db,
    depths: &BTreeMap<String, Depth>,
    in_broker: &BTreeMap<String, u64>,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    for (queue, depth) in depths {
        let broker = in_broker.get(queue).map(|messages| signed(*messages));
        with!(tx.conn(), |c| {
            diesel::insert_into(queue_samples::table)
                .values((
                    queue_samples::queue.eq(queue),
                    queue_samples::at.eq(this_minute()),
                    queue_samples::due.eq(depth.due),
                    queue_samples::scheduled.eq(depth.scheduled),
                    queue_samples::running.eq(depth.running),
                    queue_samples::waiting.eq(depth.waiting),
                    queue_samples::broker.eq(broker),
                    queue_samples::oldest_seconds.eq(depth.oldest_seconds.map(signed)),
                ))
                .on_conflict((queue_samples::queue, queue_samples::at))
                .do_update()
                .set((
                    queue_samples::due.eq(first("COALESCE(queue_samples.due, excluded.due)")),
                    queue_samples::scheduled
                        .eq(first("COALESCE(queue_samples.scheduled, excluded.scheduled)")),
                    queue_samples::running.eq(first("COALESCE(queue_samples.running, excluded.running)")),
                    queue_samples::waiting.eq(first("COALESCE(queue_samples.waiting, excluded.waiting)")),
                    queue_samples::broker.eq(first("COALESCE(queue_samples.broker, excluded.broker)")),
                    queue_samples::oldest_seconds
                        .eq(first("COALESCE(queue_samples.oldest_seconds, excluded.oldest_seconds)")),
                ))
                .execute(c)
                .await
        })?;
    }
    tx.commit().await
}

fn first(text: &str) -> diesel::expression::SqlLiteral<Nullable<BigInt>> {
    sql(text)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Removes some of the rows that are older than `age`, the oldest first. Returns how many.
///
/// # Errors
/// Those of the database.
pub async fn forget(conn: &mut Conn, age: Duration) -> Result<usize, DbError> {
    let oldest: Option<Timestamp> = with!(conn, |c| {
        let first = queue_samples::table.order(queue_samples::at).select(queue_samples::at);
        first.first(c).await.optional()
    })?;
    let Some(oldest) = oldest else { return Ok(0) };
    let step = Timestamp(oldest.0 + chrono::TimeDelta::minutes(MINUTES_OF_A_STEP));
    Ok(with!(conn, |c| {
        let old = queue_samples::table
            .filter(queue_samples::at.lt(step))
            .filter(queue_samples::at.lt(now_minus(age)));
        diesel::delete(old).execute(c).await
    })?)
}

/// What came of the runs of the last `minutes` full minutes and of the present one, by queue, and how long that is.
///
/// # Errors
/// Those of the database.
pub async fn lately(conn: &mut Conn, minutes: i64) -> Result<(Vec<(String, Counts)>, Duration), DbError> {
    let rows = with!(conn, |c| {
        queue_samples::table
            .filter(queue_samples::at.ge(minutes_ago(minutes)))
            .group_by(queue_samples::queue)
            .select((
                queue_samples::queue,
                (
                    // A sum of integers is no integer on PostgreSQL.
                    sql::<BigInt>("CAST(SUM(taken) AS BIGINT)"),
                    sql::<BigInt>("CAST(SUM(succeeded) AS BIGINT)"),
                    sql::<BigInt>("CAST(SUM(failed) AS BIGINT)"),
                    sql::<BigInt>("CAST(SUM(retried) AS BIGINT)"),
                    sql::<BigInt>("CAST(SUM(wait_ms) AS BIGINT)"),
                    sql::<BigInt>("MAX(longest_wait_ms)"),
                    sql::<BigInt>("CAST(SUM(run_ms) AS BIGINT)"),
                    sql::<BigInt>("MAX(longest_run_ms)"),
                    sql::<BigInt>("CAST(SUM(runs) AS BIGINT)"),
                ),
            ))
            .load(c)
            .await
    })?;
    let (since, time): (Timestamp, Timestamp) =
        with!(conn, |c| diesel::select((minutes_ago(minutes), now())).get_result(c).await)?;
    Ok((rows, time.since(since)))
}

/// How many jobs ended for good within the last full minute and the present one, and how long that is.
///
/// # Errors
/// Those of the database.
pub async fn ended_lately(conn: &mut Conn) -> Result<(i64, Duration), DbError> {
    let (counts, window) = lately(conn, 1).await?;
    Ok((counts.iter().map(|(_, counts)| counts.succeeded + counts.failed).sum(), window))
}

/// Ten minutes of a queue, or however long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins.
    pub at: Timestamp,
    /// The most jobs that were due; `None` when nobody looked.
    pub depth: Option<i64>,
    /// What ended well in it.
    pub done: i64,
    /// What ended badly.
    pub failed: i64,
}

/// The last `count` buckets of so many seconds, the oldest first, of every queue with a sample.
///
/// # Errors
/// Those of the database.
pub async fn history(
    conn: &mut Conn,
    seconds: i64,
    count: usize,
) -> Result<BTreeMap<String, Vec<Bucket>>, DbError> {
    let time: Timestamp = with!(conn, |c| diesel::select(now()).get_result(c).await)?;
    let length = i64::try_from(count).unwrap_or(1).max(1);
    let first = time.0.timestamp() / seconds - (length - 1);
    let begin =
        |number: i64| Timestamp(DateTime::from_timestamp((first + number) * seconds, 0).unwrap_or(time.0));
    // In the text and not parameters: the same expression must stand in both lists.
    let number = match conn {
        Conn::Postgres(_) => format!("(CAST(extract(epoch FROM at) AS BIGINT) / {seconds} - {first})"),
        Conn::Sqlite(_) => format!("(at / {seconds}000000 - {first})"),
    };
    let rows: Vec<(String, i64, Option<i64>, i64, i64)> = with!(conn, |c| {
        queue_samples::table
            .filter(queue_samples::at.ge(begin(0)))
            .group_by((sql::<Text>("queue"), sql::<BigInt>(&number)))
            .select((
                sql::<Text>("queue"),
                sql::<BigInt>(&number),
                sql::<Nullable<BigInt>>("MAX(due)"),
                sql::<BigInt>("CAST(SUM(succeeded) AS BIGINT)"),
                sql::<BigInt>("CAST(SUM(failed) AS BIGINT)"),
            ))
            .load(c)
            .await
    })?;
    let empty = || (0..length).map(|number| Bucket { at: begin(number), depth: None, done: 0, failed: 0 });
    let mut all: BTreeMap<String, Vec<Bucket>> = BTreeMap::new();
    for (queue, number, depth, done, failed) in rows {
        let buckets = all.entry(queue).or_insert_with(|| empty().collect());
        let bucket = usize::try_from(number).ok().and_then(|number| buckets.get_mut(number));
        if let Some(bucket) = bucket {
            *bucket = Bucket { at: bucket.at, depth, done, failed };
        }
    }
    Ok(all)
}
