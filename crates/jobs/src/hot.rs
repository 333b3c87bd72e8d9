//! What PostgreSQL does for many rows in one statement, each beside the portable way that SQLite keeps. Both are run
//! by the contract suite. Nowhere else is there SQL for one database alone but where their words differ.
//!
//! An array is always in a SELECT of its own, so that its length is no part of the plan: see
//! [`is_one_of`](database::expressions::is_one_of).

use diesel::dsl::{case_when, exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::claim::living;
use crate::claimed;
use crate::insert::HORIZON_MICROS;
use crate::schema::jobs;
use crate::share::{self, SHARE};
use crate::{Claim, Job};
use database::ask_postgres;
use database::expressions::{coalesce, now};
use database::prepared::Preparing;
use database::{Conn, DbError, with};
use model::Lane;
use model::OwnerId;
use model::job::{JobState, QUARANTINED_LAPSES};
use model::sql_types::Id;
use model::{JobId, WorkerId};

/// It waits for no lock, and what it has locked is still parked: a row that was cancelled meanwhile is left out.
const PROMOTE: &str = "WITH wanted AS MATERIALIZED (SELECT DISTINCT owner, queue, express FROM \
         unnest((SELECT $1), (SELECT $2), (SELECT $3)) AS w (owner, queue, express)), \
     room AS MATERIALIZED (SELECT owner, CASE WHEN express THEN queue || '.express' ELSE queue END AS lane, \
         $4 - (SELECT count(*) FROM (SELECT FROM jobs AS held \
             WHERE (CASE WHEN held.due_at IS NOT NULL THEN held.owner END) = wanted.owner \
             AND held.queue = wanted.queue \
             AND (CASE WHEN held.owner IS NOT NULL THEN held.due_at END) <= statement_timestamp() + $6 * interval '1 microsecond' \
             AND held.state IN ('queued', 'running') AND held.express = wanted.express \
             AND held.lapses < $5 LIMIT $4) AS counted) AS places FROM wanted), \
     next AS MATERIALIZED (SELECT found.id FROM room CROSS JOIN LATERAL (SELECT id FROM jobs \
         WHERE (CASE WHEN jobs.parked IS NOT NULL THEN jobs.owner END) = room.owner \
         AND jobs.parked = room.lane AND jobs.parked IS NOT NULL \
         ORDER BY jobs.woken DESC, jobs.id LIMIT greatest(room.places, 0) FOR UPDATE SKIP LOCKED) AS found) \
     UPDATE jobs SET parked = NULL, due_at = statement_timestamp() \
     WHERE id = ANY (ARRAY (SELECT id FROM next))";

/// See [`share::promote`].
pub(super) async fn promote(conn: &mut Conn, shares: &[(OwnerId, Lane)]) -> Result<usize, DbError> {
    let Conn::Postgres(object) = conn else { return promote_one_by_one(conn, shares).await };
    let promote = diesel::sql_query(PROMOTE)
        .bind::<Array<Id>, _>(shares.iter().map(|(owner, _)| *owner).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(shares.iter().map(|(_, lane)| lane.queue.name()).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(shares.iter().map(|(_, lane)| lane.express).collect::<Vec<_>>())
        .bind::<BigInt, _>(SHARE)
        .bind::<Integer, _>(QUARANTINED_LAPSES)
        .bind::<BigInt, _>(HORIZON_MICROS);
    ask_postgres!(object, |c| promote.execute(&mut Preparing(c)).await)
}

async fn promote_one_by_one(conn: &mut Conn, shares: &[(OwnerId, Lane)]) -> Result<usize, DbError> {
    let mut promoted = 0;
    for (owner, lane) in shares {
        let room = (SHARE - share::taken(conn, (*owner, *lane)).await?).max(0);
        let next: Vec<JobId> = with!(conn, |c| {
            jobs::table
                .filter(jobs::owner.eq(owner))
                .filter(jobs::parked.eq(lane.to_string()))
                .order((jobs::woken.desc(), jobs::id))
                .limit(room)
                .select(jobs::id)
                .load(c)
                .await
        })?;
        promoted += with!(conn, |c| {
            diesel::update(jobs::table.filter(jobs::id.eq_any(next)).filter(jobs::parked.is_not_null()))
                .set((jobs::parked.eq(None::<String>), jobs::due_at.eq(now().nullable())))
                .execute(c)
                .await
        })?;
    }
    Ok(promoted)
}

/// Claims those of these jobs that are queued, and returns them; nothing is known of the others. Rows that somebody
/// holds are left out, and so are those of whose changes somebody is told: that takes a transaction.
///
/// SQLite claims each alone, see [`crate::claim::claim`].
pub(super) async fn claim(
    conn: &mut Conn,
    ids: &[JobId],
    worker: WorkerId,
    kept_unique: &[&str],
) -> Result<Vec<Job>, DbError> {
    let Conn::Postgres(object) = conn else { return Ok(Vec::new()) };
    ask_postgres!(object, |c| {
        let free = sql::<Bool>(
            "jobs.id = ANY (ARRAY (SELECT free.id FROM jobs AS free WHERE free.id = ANY (ARRAY (SELECT unnest(",
        )
        .bind::<Array<Id>, _>(ids)
        .sql("))) AND free.state = 'queued' AND NOT free.has_callback FOR NO KEY UPDATE SKIP LOCKED))");
        let queued =
            jobs::table.filter(free).filter(jobs::state.eq(JobState::Queued)).filter(exists(living(worker)));
        let claim = diesel::update(queued).set(claimed!(worker, kept_unique)).returning(Job::as_returning());
        claim.get_results(&mut Preparing(c)).await
    })
}

/// Whoever is awaited, stands in a line, or has somebody told of it, ends in a transaction: there is more to do.
const SUCCEED: &str = "WITH done AS MATERIALIZED (SELECT * FROM unnest((SELECT $1), (SELECT $2), (SELECT $3)) AS done (id, fence, result)), \
     free AS MATERIALIZED (SELECT jobs.id FROM jobs JOIN done ON done.id = jobs.id WHERE jobs.id = ANY (ARRAY (SELECT id FROM done)) \
         AND jobs.state = 'running' AND jobs.fence = done.fence AND NOT jobs.awaited \
         AND jobs.ordering_open IS NULL AND NOT jobs.has_callback FOR NO KEY UPDATE OF jobs SKIP LOCKED) \
     UPDATE jobs SET state = 'succeeded', result = COALESCE(done.result, jobs.result), lapses = 0, \
         unavailable_since = NULL, due_at = NULL, unique_open = NULL, version = version + 1, \
         updated_at = statement_timestamp() \
     FROM done WHERE jobs.id = ANY (ARRAY (SELECT id FROM free)) AND done.id = jobs.id \
         AND jobs.state = 'running' AND jobs.fence = done.fence AND NOT jobs.awaited \
     RETURNING jobs.id, jobs.fence, jobs.version, jobs.owner, jobs.queue, jobs.express, ";

/// A run that succeeded, as the statement answers.
#[derive(Debug, QueryableByName)]
pub(super) struct Succeeded {
    #[diesel(sql_type = Id)]
    pub(super) id: JobId,
    #[diesel(sql_type = BigInt)]
    pub(super) fence: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) version: i64,
    #[diesel(sql_type = Nullable<Id>)]
    pub(super) owner: Option<OwnerId>,
    #[diesel(sql_type = Text)]
    pub(super) queue: String,
    #[diesel(sql_type = Bool)]
    pub(super) express: bool,
    /// See [`share::MORE`].
    #[diesel(sql_type = Bool)]
    pub(super) more: bool,
}

/// Ends those of these runs that succeeded and of which nobody needs to hear, and returns them; nothing is known of
/// the others. Rows that somebody holds are left out.
///
/// SQLite ends each alone, see [`crate::settle::settle`].
pub(super) async fn succeed(
    conn: &mut Conn,
    runs: &[(Claim, Option<Value>)],
) -> Result<Vec<Succeeded>, DbError> {
    let Conn::Postgres(object) = conn else { return Ok(Vec::new()) };
    let (ids, fences): (Vec<JobId>, Vec<i64>) = runs.iter().map(|(run, _)| (run.job, run.fence)).unzip();
    let results: Vec<Option<&Value>> = runs.iter().map(|(_, result)| result.as_ref()).collect();
    let succeed = diesel::sql_query(format!("{SUCCEED}{} AS more", share::MORE))
        .bind::<Array<Id>, _>(ids)
        .bind::<Array<BigInt>, _>(fences)
        .bind::<Array<Nullable<Jsonb>>, _>(results);
    ask_postgres!(object, |c| succeed.get_results(&mut Preparing(c)).await)
}
