//! The statement that writes jobs. It decides by the tables as it sees them what becomes of those that are due at once:
//! out to the broker, or parked, or left to the relay, because their queue is paused or somebody is before them in their
//! line.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use crate::Job;
use crate::relay::due::{FIRST_REPUBLISH, MAX_REPUBLISH};
use crate::schema::jobs;
use crate::share::SHARE;
use database::{Conn, DbError, with};
use model::OwnerId;
use model::job::JobState;
use model::sql_types::Instant;
use model::{JobId, Timestamp};
use model::{KindInfo, Lane};

/// What jobs that are to be written have in common.
#[derive(Debug)]
pub struct NewJobs<'a> {
    /// Their kind.
    pub kind: &'a KindInfo,
    /// Where they go.
    pub lane: Lane,
    /// How long they wait before they are due.
    pub delay: Duration,
    /// Whose they are.
    pub owner: Option<OwnerId>,
    /// The job that they are parts of.
    pub parent: Option<JobId>,
    /// Trace Context of the request that causes them.
    pub traceparent: Option<&'a str>,
    /// The line that one stands in, and its place there.
    pub place: Option<(&'a str, i64)>,
    /// Of one.
    pub unique_key: Option<&'a str>,
    /// Whether somebody is told how they go on.
    pub has_callback: bool,
}

/// What there is of a queue and of an owner's share of it; no more than the share is counted. What is in quarantine is
/// not counted and not held to the share: there is little of it, and it runs one at a time. What is planned for later
/// than any message is published again is neither queued nor does it run.
///
/// The databases spell the time in different words, and one has no parameters for times.
macro_rules! place {
    (now: $now:literal, microseconds: $microseconds:literal) => {
        concat!(
            "SELECT ",
            $now,
            " AS now, EXISTS (SELECT 1 FROM queues WHERE name = $1 AND paused_at IS NOT NULL) AS paused, \
               (SELECT count(*) FROM (SELECT 1 FROM jobs AS held WHERE held.queue = $1 \
                   AND (CASE WHEN held.due_at IS NOT NULL THEN held.owner END) = $2 \
                   AND (CASE WHEN held.owner IS NOT NULL THEN held.due_at END) <= ",
            $now,
            " + $3",
            $microseconds,
            " AND held.state IN ('queued', 'running') AND held.express = $4 AND held.lapses < $5 LIMIT $6) \
                   AS counted) AS taken"
        )
    };
}

/// SQLite numbers the parameters as they come in the text.
macro_rules! insert {
    (now: $now:literal, microseconds: $microseconds:literal, each: $each:literal, taken: $taken:literal) => {
        concat!(
            "WITH place AS MATERIALIZED (",
            place!(now: $now, microseconds: $microseconds),
            ", EXISTS (SELECT 1 FROM jobs AS open WHERE open.ordering_open = $7) AS behind), \
             each AS (SELECT place.*, each.id, each.args, $8 AND NOT paused AND NOT behind AS at_once, \
                 ($2 IS NULL OR taken + each.number <= $6) AS room FROM place CROSS JOIN ",
            $each,
            ") INSERT INTO jobs (queue, owner, express, ordering_key, ordering_open, id, kind, args, args_version, \
                 max_attempts, parent, traceparent, ordering_seq, unique_key, unique_open, has_callback, awaited, \
                 errors, created_at, updated_at, run_at, state, published, due_at, parked) \
             SELECT $1, $2, $4, $7, $7, id, $10, args, $11, $12, $13, $14, $15, $16, $16, $17, $18, $19, now, now, \
                 now + $20",
            $microseconds,
            ", CASE WHEN at_once AND room THEN 'queued' ELSE 'pending' END, \
               CASE WHEN at_once AND room THEN 1 ELSE 0 END, \
               CASE WHEN behind THEN NULL WHEN NOT at_once THEN now + $20",
            $microseconds,
            " WHEN room THEN now + $21",
            $microseconds,
            " END, \
               CASE WHEN at_once AND NOT room THEN $22 END \
             FROM each WHERE true",
            $taken,
            " RETURNING id, state, run_at, created_at"
        )
    };
}

macro_rules! insert_postgres {
    (taken: $taken:literal) => {
        insert!(
            now: "statement_timestamp()",
            microseconds: " * interval '1 microsecond'",
            each: "(SELECT id, COALESCE(args, 'null') AS args, number \
                   FROM jsonb_to_recordset($9) AS one (id uuid, args jsonb, number bigint)) AS each",
            taken: $taken
        )
    };
}

macro_rules! insert_sqlite {
    (taken: $taken:literal) => {
        insert!(
            now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            microseconds: "",
            each: "(SELECT value ->> 'id' AS id, jsonb(value -> 'args') AS args, value ->> 'number' AS number \
                   FROM json_each($9)) AS each",
            taken: $taken
        )
    };
}

const POSTGRES: &str = insert_postgres!(taken: " ON CONFLICT DO NOTHING");
const SQLITE: &str = insert_sqlite!(taken: " ON CONFLICT DO NOTHING");
const CERTAIN_POSTGRES: &str = insert_postgres!(taken: "");
const CERTAIN_SQLITE: &str = insert_sqlite!(taken: "");
const PLACE_POSTGRES: &str =
    place!(now: "statement_timestamp()", microseconds: " * interval '1 microsecond'");
const PLACE_SQLITE: &str = place!(now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", microseconds: "");

/// What decides where a new job goes, as it was read before the job is written.
///
/// Whoever needs the job as it will be before it writes it reads this first, and then writes the job by
/// [`decided!`](crate::decided): where an answer is kept under a key, it is written together with the job
/// that it tells of.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Place {
    #[diesel(sql_type = Instant)]
    now: Timestamp,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = BigInt)]
    taken: i64,
}

impl Place {
    /// When it was read.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How much of the share is taken.
    pub fn taken(&self) -> i64 {
        self.taken
    }
}

/// The text of the query for a [`Place`]; see `place!` for its parameters.
pub fn place_text(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => PLACE_POSTGRES,
        Conn::Sqlite(_) => PLACE_SQLITE,
    }
}

/// The query for a [`Place`].
#[macro_export]
macro_rules! placing {
    ($text:expr, $lane:expr, $owner:expr) => {
        diesel::sql_query($text)
            .bind::<diesel::sql_types::Text, _>($lane.queue.name())
            .bind::<diesel::sql_types::Nullable<model::sql_types::Id>, _>($owner)
            .bind::<diesel::sql_types::BigInt, _>($crate::insert::HORIZON_MICROS)
            .bind::<diesel::sql_types::Bool, _>($lane.express)
            .bind::<diesel::sql_types::Integer, _>(model::job::QUARANTINED_LAPSES)
            .bind::<diesel::sql_types::BigInt, _>($crate::share::SHARE)
    };
}

/// What is queued or runs is looked at before so long.
pub const HORIZON_MICROS: i64 = MAX_REPUBLISH.as_micros() as i64;

/// A job as it is written, and what only its row has.
#[derive(Debug)]
pub struct Decided {
    /// The job.
    pub job: Job,
    /// When somebody looks at it.
    pub due_at: Option<Timestamp>,
    /// The lane in which its owner has no room for it.
    pub parked: Option<String>,
}

impl NewJobs<'_> {
    /// One that is due at once and stands in no line.
    pub fn decide(&self, id: JobId, args: Value, place: Place) -> Decided {
        let room = place.taken < SHARE;
        let goes_out = room && !place.paused;
        let state = if goes_out { JobState::Queued } else { JobState::Pending };
        let parked = (!room && !place.paused).then(|| self.lane.to_string());
        let due_at = match (goes_out, &parked) {
            (true, _) => Some(Timestamp(place.now.0 + FIRST_REPUBLISH)),
            (false, None) => Some(place.now),
            (false, Some(_)) => None,
        };
        let written = Written { id, state, run_at: place.now, created_at: place.now };
        Decided { job: self.written(args, written), due_at, parked }
    }
}

/// Writes a job that was decided.
#[macro_export]
macro_rules! decided {
    ($new:expr) => {
        diesel::insert_into(jobs::table).values((
            (
                jobs::id.eq($new.job.id),
                jobs::kind.eq(&$new.job.kind),
                jobs::queue.eq(&$new.job.queue),
                jobs::args.eq(&$new.job.args),
                jobs::args_version.eq($new.job.args_version),
                jobs::state.eq($new.job.state),
                jobs::max_attempts.eq($new.job.max_attempts),
                jobs::errors.eq(&$new.job.errors),
            ),
            (
                jobs::run_at.eq($new.job.run_at),
                jobs::created_at.eq($new.job.created_at),
                jobs::updated_at.eq($new.job.updated_at),
                jobs::due_at.eq($new.due_at),
                jobs::parked.eq(&$new.parked),
                jobs::published.eq($new.job.published),
            ),
            (
                jobs::owner.eq($new.job.owner),
                jobs::parent.eq($new.job.parent),
                jobs::awaited.eq($new.job.parent.is_some()),
                jobs::traceparent.eq(&$new.job.traceparent),
                jobs::express.eq($new.job.express),
                jobs::has_callback.eq($new.job.has_callback),
            ),
        ))
    };
}

/// The text of [`inserting!`](crate::inserting) that leaves out a job whose id or unique key is taken.
fn text(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => POSTGRES,
        Conn::Sqlite(_) => SQLITE,
    }
}

/// The text of [`inserting!`](crate::inserting) that fails where an id or a unique key is taken: for
/// whoever commits in the same round trip, and would learn too late that a job was left out.
pub fn certain_text(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => CERTAIN_POSTGRES,
        Conn::Sqlite(_) => CERTAIN_SQLITE,
    }
}

/// What [`inserting!`](crate::inserting) takes of each job.
pub fn rows(each: &[(JobId, Value)]) -> Value {
    let row =
        |(number, (id, args)): (i64, &(JobId, Value))| json!({"id": id, "args": args, "number": number});
    Value::Array((1..).zip(each).map(row).collect())
}

/// The statement that writes jobs: its text, what they have in common, and their [`rows`].
#[macro_export]
macro_rules! inserting {
    ($text:expr, $new:expr, $rows:expr) => {
        $crate::placing!($text, $new.lane, $new.owner)
            .bind::<diesel::sql_types::Nullable<diesel::sql_types::Text>, _>($new.place.map(|(key, _)| key))
            .bind::<diesel::sql_types::Bool, _>($new.delay.is_zero())
            .bind::<diesel::sql_types::Jsonb, _>(&$rows)
            .bind::<diesel::sql_types::Text, _>($new.kind.name)
            .bind::<diesel::sql_types::Integer, _>($new.kind.version)
            .bind::<diesel::sql_types::Integer, _>($new.kind.max_attempts)
            .bind::<diesel::sql_types::Nullable<model::sql_types::Id>, _>($new.parent)
            .bind::<diesel::sql_types::Nullable<diesel::sql_types::Text>, _>($new.traceparent)
            .bind::<diesel::sql_types::Nullable<diesel::sql_types::BigInt>, _>(
                $new.place.map(|(_, place)| place),
            )
            .bind::<diesel::sql_types::Nullable<diesel::sql_types::Text>, _>($new.unique_key)
            .bind::<diesel::sql_types::Bool, _>($new.has_callback)
            // Whoever has parts waits for them.
            .bind::<diesel::sql_types::Bool, _>($new.parent.is_some())
            .bind::<diesel::sql_types::Jsonb, _>(serde_json::Value::Array(Vec::new()))
            .bind::<diesel::sql_types::BigInt, _>($crate::insert::micros($new.delay))
            .bind::<diesel::sql_types::BigInt, _>($crate::insert::micros($crate::relay::due::FIRST_REPUBLISH))
            .bind::<diesel::sql_types::Text, _>($new.lane.to_string())
    };
}

/// What the statement decided.
#[derive(QueryableByName)]
#[diesel(table_name = jobs)]
pub struct Written {
    id: JobId,
    state: JobState,
    run_at: Timestamp,
    created_at: Timestamp,
}

/// Writes them, in one statement, and gives those that were written; one whose id or unique key is taken is not.
pub(super) async fn insert(
    conn: &mut Conn,
    new: NewJobs<'_>,
    each: Vec<(JobId, Value)>,
) -> Result<Vec<Job>, DbError> {
    let (text, rows) = (text(conn), rows(&each));
    let written: Vec<Written> = with!(conn, |c| inserting!(text, new, rows).load(c).await)?;
    let mut written: HashMap<JobId, Written> = written.into_iter().map(|row| (row.id, row)).collect();
    let job = |(id, args)| Some(new.written(args, written.remove(&id)?));
    Ok(each.into_iter().filter_map(job).collect())
}

/// As many as the databases can count.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

impl NewJobs<'_> {
    /// A job as its row was written.
    pub fn written(&self, args: Value, Written { id, state, run_at, created_at }: Written) -> Job {
        Job {
            id,
            kind: self.kind.name.to_owned(),
            queue: self.lane.queue.name().to_owned(),
            args,
            state,
            failure: None,
            fence: 0,
            attempt: 0,
            max_attempts: self.kind.max_attempts,
            lapses: 0,
            woken: false,
            published: i32::from(state == JobState::Queued),
            run_at,
            unavailable_since: None,
            worker: None,
            started_at: None,
            undoing: false,
            checkpoint: None,
            progress: None,
            result: None,
            errors: json!([]),
            cancel_requested_at: None,
            owner: self.owner,
            traceparent: self.traceparent.map(str::to_owned),
            version: 1,
            created_at,
            updated_at: created_at,
            express: self.lane.express,
            parent: self.parent,
            ordering_key: self.place.map(|(key, _)| key.to_owned()),
            has_callback: self.has_callback,
            args_version: self.kind.version,
        }
    }
}
