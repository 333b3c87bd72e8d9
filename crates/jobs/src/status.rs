//! What others may see of a job: the status resource.

use std::sync::LazyLock;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use crate::Job;
use crate::schema::jobs;
use database::{Conn, DbError, with};
use model::JobId;
use model::OwnerId;
use model::job::{Failure, JobState};

/// The query of [`unfinished_of`].
#[macro_export]
macro_rules! counting {
    ($owner:expr, $limit:expr) => {
        diesel::sql_query($crate::status::UNFINISHED_OF.as_str())
            .bind::<model::sql_types::Id, _>($owner)
            .bind::<diesel::sql_types::Text, _>(model::Queue::CALLBACKS.name())
            .bind::<diesel::sql_types::BigInt, _>($limit)
    };
}

/// A job's row.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(with!(conn, |c| jobs::table.find(id).select(Job::as_select()).first(c).await.optional())?)
}

/// Several rows in one look.
///
/// # Errors
/// Those of the database.
pub async fn find_many(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<Job>, DbError> {
    Ok(with!(conn, |c| jobs::table.filter(jobs::id.eq_any(ids)).select(Job::as_select()).load(c).await)?)
}

/// The parts of a job that are not over, newest first.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_children(conn: &mut Conn, parent: JobId) -> Result<Vec<JobId>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(jobs::parent.eq(parent))
            .filter(jobs::state.ne_all(JobState::FINAL))
            .order(jobs::id.desc())
            .select(jobs::id)
            .load(c)
            .await
    })?)
}

/// Where a job is in its life, and why it failed if it did.
pub type Standing = (JobId, JobState, Option<Failure>);

/// The parts of a job that are of one kind, with where each is in its life, in the order of their making.
#[macro_export]
macro_rules! children {
    ($parent:expr, $kind:expr) => {
        jobs::table
            .filter(jobs::parent.eq($parent))
            .filter(jobs::kind.eq_any(model::names_of($kind)))
            .order(jobs::id)
            .select((jobs::id, jobs::state, jobs::failure))
    };
}

/// Work that is there, as opposed to what is planned for later: a review request that goes out tomorrow is
/// nobody's queue today.
const NOT_PLANNED: &str = "NOT (state = 'pending' AND started_at IS NULL AND run_at > created_at)";

/// How many jobs there are.
#[derive(QueryableByName)]
pub struct Counted {
    #[diesel(sql_type = BigInt)]
    /// How many.
    pub jobs: i64,
}

/// Counts the rows that are found in one of these ways, each by an index of its own, and none of them twice.
/// It reads no more of them than `limit`, a parameter, says.
fn count_up_to(limit: &str, ways: &[&str]) -> String {
    let found = |way: &&str| format!("SELECT 1 FROM jobs WHERE {way} AND {NOT_PLANNED}");
    let found: Vec<String> = ways.iter().map(found).collect();
    format!("SELECT count(*) AS jobs FROM ({} LIMIT {limit}) AS counted", found.join(" UNION ALL "))
}

/// How many unfinished jobs a customer has, up to `limit`. Callbacks are left out: that a receiver is away
/// must not keep its owner from ordering. What stands behind another in its line is not counted: of each line
/// there is the one before.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_of(conn: &mut Conn, owner: OwnerId, limit: i64) -> Result<i64, DbError> {
    let counted: Counted = with!(conn, |c| counting!(owner, limit).get_result(c).await)?;
    Ok(counted.jobs)
}

/// The text of [`counting!`].
pub static UNFINISHED_OF: LazyLock<String> = LazyLock::new(|| count_of("$1", "$2", "$3"));

/// Counts the unfinished jobs of this owner, but for those of a queue: each is a word of SQL.
pub fn count_of(owner: &str, but: &str, limit: &str) -> String {
    let due = format!("(CASE WHEN due_at IS NOT NULL THEN owner END) = {owner} AND queue <> {but}");
    let parked = format!(
        "parked IS NOT NULL AND (CASE WHEN parked IS NOT NULL THEN owner END) = {owner} AND queue <> {but}"
    );
    let waiting = format!(
        "waiting_since IS NOT NULL AND (CASE WHEN waiting_since IS NOT NULL THEN owner END) = {owner} \
         AND queue <> {but}"
    );
    count_up_to(limit, &[&due, &parked, &waiting])
}

/// How many jobs are unfinished, up to `limit`.
///
/// # Errors
/// Those of the database.
pub async fn unfinished(conn: &mut Conn, limit: i64) -> Result<i64, DbError> {
    let count = count_up_to(
        "$1",
        &[
            "due_at IS NOT NULL",
            "parked IS NOT NULL",
            "waiting_since IS NOT NULL",
            "ordering_open IS NOT NULL AND due_at IS NULL AND parked IS NULL AND waiting_since IS NULL",
        ],
    );
    let counted: Counted =
        with!(conn, |c| diesel::sql_query(count).bind::<BigInt, _>(limit).get_result(c).await)?;
    Ok(counted.jobs)
}
