//! The processes that there are.
//!
//! Each tells people how it is by heartbeats ([`beat`]). A worker's row is its lease besides: a job belongs
//! to the process that claimed it, as long as that process renews its lease ([`renew`]). A supervisor that
//! saw the row unchanged for too long declares the process lost ([`declare_lost`]); what ran there is put
//! back then, see [`crate::lease`].

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::schema::processes;
use database::expressions::{now, now_minus};
use database::{Conn, DbError, with};
use model::process::Facts;
use model::{ProcessId, Program, Timestamp};

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

impl Identity {
    /// Of the process that runs this. The version is that of the whole release.
    pub fn of_this_process(program: Program, id: ProcessId) -> Self {
        let host = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            id,
            program: program.name().to_owned(),
            host,
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A process that holds a lease, as a supervisor sees it.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct Watched {
    /// Which.
    pub id: ProcessId,
    /// Rises with each renewal.
    pub renewals: i64,
    /// How long it may be silent, in milliseconds.
    lease_ms: i64,
}

impl Watched {
    /// A process with such a lease.
    pub fn new(id: ProcessId, renewals: i64, lease: Duration) -> Self {
        Self { id, renewals, lease_ms: i64::try_from(lease.as_millis()).unwrap_or(i64::MAX) }
    }

    /// How long it may be silent.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.unsigned_abs())
    }
}

/// A process that wrote a heartbeat.
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

/// Writes a heartbeat: the process's row, with how it is.
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

/// Writes down that a process takes a lease: from now on it may claim jobs, and is watched.
///
/// # Errors
/// Those of the database.
pub async fn take_lease(conn: &mut Conn, identity: &Identity, lease: Duration) -> Result<(), DbError> {
    let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    let nothing_told = serde_json::to_value(Facts::default()).unwrap_or_default();
    with!(conn, |c| {
        diesel::insert_into(processes::table)
            .values((
                identity,
                processes::started_at.eq(now()),
                processes::seen_at.eq(now()),
                processes::facts.eq(nothing_told),
                processes::lease_ms.eq(lease_ms),
            ))
            .on_conflict(processes::id)
            .do_update()
            .set(processes::lease_ms.eq(lease_ms))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Renews a process's lease. `false`: it was declared lost, and its jobs are others' by now.
///
/// # Errors
/// Those of the database.
pub async fn renew(conn: &mut Conn, id: ProcessId) -> Result<bool, DbError> {
    let renewed = with!(conn, |c| {
        let living = processes::table.find(id).filter(processes::lost_at.is_null());
        diesel::update(living)
            .set((processes::renewals.eq(processes::renewals + 1), processes::seen_at.eq(now())))
            .execute(c)
            .await
    })?;
    Ok(renewed > 0)
}

/// Whether a process may claim: it is neither lost nor stopped.
///
/// # Errors
/// Those of the database.
pub async fn is_living(conn: &mut Conn, id: ProcessId) -> Result<bool, DbError> {
    let found: i64 = with!(conn, |c| {
        let living = processes::table
            .find(id)
            .filter(processes::lost_at.is_null())
            .filter(processes::stopped_at.is_null());
        living.count().get_result(c).await
    })?;
    Ok(found > 0)
}

/// The processes whose leases run.
///
/// # Errors
/// Those of the database.
pub async fn watched(conn: &mut Conn) -> Result<Vec<Watched>, DbError> {
    Ok(with!(conn, |c| {
        processes::table
            .filter(processes::lease_ms.is_not_null())
            .filter(processes::lost_at.is_null())
            .filter(processes::stopped_at.is_null())
            .select((processes::id, processes::renewals, processes::lease_ms.assume_not_null()))
            .load(c)
            .await
    })?)
}

/// Declares a process lost that has not renewed its lease since `seen`. Whether it was so.
///
/// # Errors
/// Those of the database.
pub async fn declare_lost(conn: &mut Conn, seen: Watched) -> Result<bool, DbError> {
    let lost = with!(conn, |c| {
        let unchanged = processes::table
            .find(seen.id)
            .filter(processes::renewals.eq(seen.renewals))
            .filter(processes::lost_at.is_null())
            .filter(processes::stopped_at.is_null());
        diesel::update(unchanged).set(processes::lost_at.eq(now().nullable())).execute(c).await
    })?;
    Ok(lost > 0)
}

/// A process that ends orderly says so. It must run nothing any more, and claim nothing later.
///
/// # Errors
/// Those of the database; then it will be shown as silent.
pub async fn stop(conn: &mut Conn, id: ProcessId) -> Result<(), DbError> {
    with!(conn, |c| {
        diesel::update(processes::table.find(id))
            .set(processes::stopped_at.eq(now().nullable()))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Forgets those that were not seen for so long and hold no lease: the clock of the database may have jumped, and what
/// a process runs that lives is put back when its row is gone.
///
/// # Errors
/// Those of the database.
pub async fn forget(conn: &mut Conn, age: Duration) -> Result<usize, DbError> {
    Ok(with!(conn, |c| {
        let over = processes::lease_ms
            .is_null()
            .or(processes::lost_at.is_not_null())
            .or(processes::stopped_at.is_not_null());
        let unseen = processes::table.filter(processes::seen_at.lt(now_minus(age)));
        diesel::delete(unseen.filter(over)).execute(c).await
    })?)
}

/// Those that did not stop, in the order of their start, and the database's time.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &mut Conn) -> Result<(Vec<Process>, Timestamp), DbError> {
    let found = with!(conn, |c| {
        processes::table
            .filter(processes::stopped_at.is_null())
            .order((processes::program, processes::id))
            .select(Process::as_select())
            .load(c)
            .await
    })?;
    let time = with!(conn, |c| diesel::select(now()).get_result(c).await)?;
    Ok((found, time))
}

/// These processes, those of them whose rows are still there.
///
/// # Errors
/// Those of the database.
pub async fn find_many(conn: &mut Conn, ids: &[ProcessId]) -> Result<Vec<Process>, DbError> {
    Ok(with!(conn, |c| {
        let those = processes::table.filter(processes::id.eq_any(ids));
        those.select(Process::as_select()).load(c).await
    })?)
}
