//! Fairness: of one owner, so many jobs of a lane are with the broker or at workers at a time. What is due above that
//! share is parked: out of the look's way, so that nobody's long line delays another's first job.
//!
//! Whoever makes room (each way out of `queued` and `running`) says so when something of the owner is parked, and the
//! relay of its process promotes. A sweep does the same for all owners, now and then: the one who made room may have
//! died, or seen the table as it was before something was parked.
//!
//! Promoted means due now, and no more: the relay's look decides and publishes, as for everything else.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::hot;
use database::ask;
use database::prepared::Preparing;
use database::{Conn, Db, DbError, with};
use model::Lane;
use model::OwnerId;
use model::sql_types::Id;

use crate::insert::{self, Place};
use crate::placing;

/// An owner's share of a lane: so many jobs that are queued or run. Each statement counts in the table as it sees it: of
/// those who decide at the same moment, each may give out all that is left.
pub const SHARE: i64 = 50;

/// Whether more of this row's owner and lane is parked. Part of the statement that makes room.
pub const MORE: &str = "(jobs.owner IS NOT NULL AND EXISTS (SELECT 1 FROM jobs AS behind \
                               WHERE (CASE WHEN behind.parked IS NOT NULL THEN behind.owner END) = jobs.owner \
                               AND behind.parked IS NOT NULL AND behind.parked = CASE WHEN jobs.express \
                               THEN jobs.queue || '.express' ELSE jobs.queue END))";

/// Whose share of what.
pub type Share = (OwnerId, Lane);

/// How much of its share an owner has taken; no more than the share is counted.
pub async fn taken(conn: &mut Conn, (owner, lane): Share) -> Result<i64, DbError> {
    let text = insert::place_text(conn);
    let place: Place = with!(conn, |c| placing!(text, lane, Some(owner)).get_result(c).await)?;
    Ok(place.taken())
}

/// Makes parked jobs of these owners due, the oldest first, as many as there is room for; those that were woken before
/// all others. Returns how many.
///
/// # Errors
/// Those of the database.
pub async fn promote(db: &Db, shares: &[(OwnerId, Lane)]) -> Result<usize, DbError> {
    if shares.is_empty() {
        return Ok(0);
    }
    hot::promote(&mut db.conn().await?, shares).await
}

/// Every owner of whom something is parked, with the lanes.
pub(super) async fn of_parked(conn: &mut Conn) -> Result<Vec<Share>, DbError> {
    // PostgreSQL would read every parked row to find the few owners; so it is led from one to the next.
    const POSTGRES: &str = "WITH RECURSIVE found (owner, parked) AS ( \
         (SELECT owner, parked FROM jobs WHERE parked IS NOT NULL \
             ORDER BY (CASE WHEN parked IS NOT NULL THEN owner END), parked LIMIT 1) \
         UNION ALL SELECT next.owner, next.parked FROM found CROSS JOIN LATERAL ( \
             SELECT jobs.owner, jobs.parked FROM jobs WHERE jobs.parked IS NOT NULL \
             AND ((CASE WHEN jobs.parked IS NOT NULL THEN jobs.owner END), jobs.parked) \
                 > (found.owner, found.parked) \
             ORDER BY (CASE WHEN jobs.parked IS NOT NULL THEN jobs.owner END), jobs.parked LIMIT 1) AS next) \
         SELECT owner, parked FROM found";
    const SQLITE: &str = "SELECT DISTINCT owner, parked FROM jobs WHERE parked IS NOT NULL";
    let rows: Vec<Parked> =
        ask!(conn, |c| diesel::sql_query(POSTGRES).load(&mut Preparing(c)).await, |c| diesel::sql_query(
            SQLITE
        )
        .load(c)
        .await)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.owner, Lane::named(&row.parked)?))).collect())
}

#[derive(QueryableByName)]
struct Parked {
    #[diesel(sql_type = Id)]
    owner: OwnerId,
    #[diesel(sql_type = Text)]
    parked: String,
}
