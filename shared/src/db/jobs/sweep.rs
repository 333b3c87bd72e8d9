//! The sweep: makes good, now and then, what nobody was told of, or what was locked when its turn came. Without it a
//! parked job, or a line, could be left for ever.

use super::{order, queues, share};
use crate::db::{Db, DbError};

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Parked jobs for which there was room.
    pub promoted: usize,
    /// Lines without a head.
    pub lines: usize,
    /// Jobs that were put off although their queue is not paused.
    pub brought_back: usize,
}

/// Sweeps once.
///
/// # Errors
/// Those of the database.
pub async fn sweep(db: &Db) -> Result<Swept, DbError> {
    let parked = share::of_parked(&mut db.conn().await?).await?;
    let promoted = share::promote(db, &parked).await?;
    let lines = order::mend_lines(db).await?;
    let mut tx = db.begin().await?;
    let brought_back = queues::bring_back(&mut tx).await?;
    tx.commit().await?;
    Ok(Swept { promoted, lines, brought_back })
}
