//! The queues that exist, so that a worker on `*` learns of one that was named after it started.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::queues;
use crate::db::{Conn, DbError, with};
use crate::jobs::Queue;

/// Writes down that these queues exist.
///
/// # Errors
/// Those of the database.
pub async fn register(conn: &mut Conn, names: &[Queue]) -> Result<(), DbError> {
    for queue in names {
        with!(conn, |c| {
            diesel::insert_into(queues::table)
                .values(queues::name.eq(queue.name()))
                .on_conflict_do_nothing()
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

/// Every queue that exists.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &mut Conn) -> Result<Vec<Queue>, DbError> {
    let names: Vec<String> =
        with!(conn, |c| queues::table.order(queues::name).select(queues::name).load(c).await)?;
    Ok(names.iter().filter_map(|name| Queue::named(name)).collect())
}
