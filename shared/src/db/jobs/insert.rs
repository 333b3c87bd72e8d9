//! The statement that writes a job. It decides by the tables as it sees them what becomes of one that is due at once:
//! out to the broker, or parked, or left to the relay, because its queue is paused or it stands in a line.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use super::Job;
use super::relay::{FIRST_REPUBLISH, MAX_REPUBLISH};
use super::share::SHARE;
use crate::db::schema::jobs;
use crate::db::sql_types::{Id, Instant};
use crate::db::{Conn, DbError, with};
use crate::domain::job::{JobState, QUARANTINED_LAPSES};
use crate::domain::{CustomerId, JobId, Timestamp};
use crate::jobs::{KindInfo, Lane};

/// A job that is to be written.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    pub(crate) id: JobId,
    pub(crate) kind: &'a KindInfo,
    pub(crate) lane: Lane,
    pub(crate) args: &'a Value,
    pub(crate) delay: Duration,
    pub(crate) owner: Option<CustomerId>,
    pub(crate) parent: Option<JobId>,
    pub(crate) traceparent: Option<&'a str>,
    /// Its line, and its place in it.
    pub(crate) place: Option<(&'a str, i64)>,
    pub(crate) unique_key: Option<&'a str>,
    pub(crate) has_callback: bool,
}

/// What there is of a queue and of an owner's share of it. The databases spell the time in different words, and one has
/// no parameters for times.
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
                   AS counted) < $6 AS room"
        )
    };
}

macro_rules! insert {
    (now: $now:literal, microseconds: $microseconds:literal) => {
        concat!(
            "WITH place AS MATERIALIZED (",
            place!(now: $now, microseconds: $microseconds),
            ", EXISTS (SELECT 1 FROM jobs AS open WHERE open.ordering_open = $7) AS behind) \
             INSERT INTO jobs (queue, owner, express, ordering_key, ordering_open, id, kind, args, args_version, \
                 max_attempts, parent, traceparent, ordering_seq, unique_key, unique_open, has_callback, awaited, \
                 errors, created_at, updated_at, run_at, state, published, due_at, parked) \
             SELECT $1, $2, $4, $7, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $17, $18, $19, now, now, \
                 now + $20",
            $microseconds,
            ", CASE WHEN $21 AND room AND NOT paused THEN 'queued' ELSE 'pending' END, \
               CASE WHEN $21 AND room AND NOT paused THEN 1 ELSE 0 END, \
               CASE WHEN behind THEN NULL WHEN NOT $21 OR paused THEN now + $20",
            $microseconds,
            " WHEN room THEN now + $22",
            $microseconds,
            " END, \
               CASE WHEN $21 AND NOT room AND NOT paused THEN $23 END \
             FROM place WHERE true ON CONFLICT DO NOTHING RETURNING state, run_at, created_at"
        )
    };
}

const POSTGRES: &str = insert!(now: "statement_timestamp()", microseconds: " * interval '1 microsecond'");
const SQLITE: &str = insert!(now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", microseconds: "");
const PLACE_POSTGRES: &str =
    place!(now: "statement_timestamp()", microseconds: " * interval '1 microsecond'");
const PLACE_SQLITE: &str = place!(now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", microseconds: "");

/// What decides where a new job goes, as it was read before the job is written.
///
/// Whoever needs the job as it will be before it writes it reads this first, and then writes the job by [`decided!`]:
/// in the transaction of an order, the answer that is kept is written together with the job that it tells of.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub(crate) struct Place {
    #[diesel(sql_type = Instant)]
    now: Timestamp,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = Bool)]
    room: bool,
}

impl Place {
    /// When it was read.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// The text of the query for a [`Place`]; see [`place!`] for its parameters.
pub(crate) fn place_text(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => PLACE_POSTGRES,
        Conn::Sqlite(_) => PLACE_SQLITE,
    }
}

/// The query for a [`Place`].
macro_rules! placing {
    ($text:expr, $lane:expr, $owner:expr) => {
        diesel::sql_query($text)
            .bind::<diesel::sql_types::Text, _>($lane.queue.name())
            .bind::<diesel::sql_types::Nullable<$crate::db::sql_types::Id>, _>($owner)
            .bind::<diesel::sql_types::BigInt, _>($crate::db::jobs::insert::HORIZON_MICROS)
            .bind::<diesel::sql_types::Bool, _>($lane.express)
            .bind::<diesel::sql_types::Integer, _>($crate::domain::job::QUARANTINED_LAPSES)
            .bind::<diesel::sql_types::BigInt, _>($crate::db::jobs::share::SHARE)
    };
}
pub(crate) use placing;

/// What is queued or runs is looked at before so long.
pub(crate) const HORIZON_MICROS: i64 = MAX_REPUBLISH.as_micros() as i64;

/// A job as it is written, and what only its row has.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) job: Job,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) parked: Option<String>,
}

impl NewJob<'_> {
    /// One that is due at once and stands in no line.
    pub(crate) fn decide(self, place: Place) -> Decided {
        let goes_out = place.room && !place.paused;
        let state = if goes_out { JobState::Queued } else { JobState::Pending };
        let parked = (!place.room && !place.paused).then(|| self.lane.to_string());
        let due_at = match (goes_out, &parked) {
            (true, _) => Some(Timestamp(place.now.0 + FIRST_REPUBLISH)),
            (false, None) => Some(place.now),
            (false, Some(_)) => None,
        };
        let written = Written { state, run_at: place.now, created_at: place.now };
        Decided { job: self.written(written), due_at, parked }
    }
}

/// Writes a job that was decided.
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
pub(crate) use decided;

/// What the statement decided.
#[derive(QueryableByName)]
#[diesel(table_name = jobs)]
struct Written {
    state: JobState,
    run_at: Timestamp,
    created_at: Timestamp,
}

/// Writes it; `None` where its id or its unique key is taken.
pub(super) async fn insert(conn: &mut Conn, new: NewJob<'_>) -> Result<Option<Job>, DbError> {
    let text = match conn {
        Conn::Postgres(_) => POSTGRES,
        Conn::Sqlite(_) => SQLITE,
    };
    // One that stands in a line is moved by the relay alone.
    let at_once = new.delay.is_zero() && new.place.is_none();
    let insert = diesel::sql_query(text)
        .bind::<Text, _>(new.lane.queue.name())
        .bind::<Nullable<Id>, _>(new.owner)
        .bind::<BigInt, _>(HORIZON_MICROS)
        .bind::<Bool, _>(new.lane.express)
        .bind::<Integer, _>(QUARANTINED_LAPSES)
        .bind::<BigInt, _>(SHARE)
        .bind::<Nullable<Text>, _>(new.place.map(|(key, _)| key))
        .bind::<Id, _>(new.id)
        .bind::<Text, _>(new.kind.name)
        .bind::<Jsonb, _>(new.args)
        .bind::<Integer, _>(new.kind.version)
        .bind::<Integer, _>(new.kind.max_attempts)
        .bind::<Nullable<Id>, _>(new.parent)
        .bind::<Nullable<Text>, _>(new.traceparent)
        .bind::<Nullable<BigInt>, _>(new.place.map(|(_, place)| place))
        .bind::<Nullable<Text>, _>(new.unique_key)
        .bind::<Bool, _>(new.has_callback)
        // Whoever has parts waits for them.
        .bind::<Bool, _>(new.parent.is_some())
        .bind::<Jsonb, _>(json!([]))
        .bind::<BigInt, _>(micros(new.delay))
        .bind::<Bool, _>(at_once)
        .bind::<BigInt, _>(micros(FIRST_REPUBLISH))
        .bind::<Text, _>(new.lane.to_string());
    let written: Vec<Written> = with!(conn, |c| insert.load(c).await)?;
    Ok(written.into_iter().next().map(|written| new.written(written)))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

impl NewJob<'_> {
    fn written(self, Written { state, run_at, created_at }: Written) -> Job {
        Job {
            id: self.id,
            kind: self.kind.name.to_owned(),
            queue: self.lane.queue.name().to_owned(),
            args: self.args.clone(),
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
