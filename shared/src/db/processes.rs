//! The processes that there are, by their own signs of life. Nothing depends on these rows: they are for people.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::expressions::{now, now_minus};
use super::schema::processes;
use super::{Conn, DbError, with};
use crate::domain::process::Facts;
use crate::domain::{ProcessId, Timestamp};

/// One start of a program.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = processes)]
pub struct Identity {
    /// New at each start.
    pub id: ProcessId,
    /// `web`, `worker` or `all-in-one`.
    pub program: String,
    /// The machine's name.
    pub host: String,
    /// Its number there.
    pub pid: i32,
    /// The program's version.
    pub version: String,
}

/// A process that gave a sign of life.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = processes)]
pub struct Process {
    /// Which it is.
    #[diesel(embed)]
    pub identity: Identity,
    /// When it was first seen.
    pub started_at: Timestamp,
    /// When it was last seen.
    pub seen_at: Timestamp,
    /// What it told then.
    pub facts: Value,
}

/// A sign of life.
///
/// # Errors
/// Those of the database.
pub async fn beat(conn: &mut Conn, identity: &Identity, facts: &Facts) -> Result<(), DbError> {
    let facts = serde_json::to_value(facts).unwrap_or_default();
    with!(conn, |c| {
        diesel::insert_into(processes::table)
            .values((
                identity,
                processes::started_at.eq(now()),
                processes::seen_at.eq(now()),
                processes::facts.eq(&facts),
            ))
            .on_conflict(processes::id)
            .do_update()
            .set((processes::seen_at.eq(now()), processes::facts.eq(&facts)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// A process that ends orderly takes its row away.
///
/// # Errors
/// Those of the database; then it will be shown as silent.
pub async fn remove(conn: &mut Conn, id: ProcessId) -> Result<(), DbError> {
    with!(conn, |c| diesel::delete(processes::table.find(id)).execute(c).await)?;
    Ok(())
}

/// Forgets those that were not seen for so long.
///
/// # Errors
/// Those of the database.
pub async fn forget(conn: &mut Conn, age: Duration) -> Result<usize, DbError> {
    Ok(with!(conn, |c| {
        diesel::delete(processes::table.filter(processes::seen_at.lt(now_minus(age)))).execute(c).await
    })?)
}

/// All of them, in the order of their start, and the database's time.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &mut Conn) -> Result<(Vec<Process>, Timestamp), DbError> {
    let found = with!(conn, |c| {
        let all = processes::table.order((processes::program, processes::id)).select(Process::as_select());
        all.load(c).await
    })?;
    let time = with!(conn, |c| diesel::select(now()).get_result(c).await)?;
    Ok((found, time))
}

/// These processes, those of them that gave a sign of life lately.
///
/// # Errors
/// Those of the database.
pub async fn find_many(conn: &mut Conn, ids: &[ProcessId]) -> Result<Vec<Process>, DbError> {
    Ok(with!(conn, |c| {
        let those = processes::table.filter(processes::id.eq_any(ids));
        those.select(Process::as_select()).load(c).await
    })?)
}
