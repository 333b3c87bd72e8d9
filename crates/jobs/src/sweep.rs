//! The sweep: makes good, now and then, what nobody was told of, or what was locked when its turn came. Without it a
//! parked job, or a line, could be left for ever.

use std::time::{Duration, Instant};

use crate::{order, queues, share};
use database::{Db, DbError};

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

/// Sweeps once. What can't be done keeps nothing else from being done.
///
/// # Errors
/// The first of the database's.
pub async fn sweep(db: &Db) -> Result<Swept, DbError> {
    let promoted = promote(db).await;
    let lines = order::mend_lines(db).await;
    let brought_back = bring_back(db, Duration::MAX).await;
    Ok(Swept { promoted: promoted?, lines: lines?, brought_back: brought_back? })
}

/// So many shares are one statement.
const SHARES: usize = 200;

async fn promote(db: &Db) -> Result<usize, DbError> {
    let parked = share::of_parked(&mut db.conn().await?).await?;
    let mut promoted = 0;
    for shares in parked.chunks(SHARES) {
        promoted += share::promote(db, shares).await?;
    }
    Ok(promoted)
}

/// Makes due what was put off because its queue was paused, and runs again; after this time it begins nothing more.
/// Returns how many.
///
/// # Errors
/// Those of the database.
pub async fn bring_back(db: &Db, limit: Duration) -> Result<usize, DbError> {
    let (begun, mut all) = (Instant::now(), 0);
    while begun.elapsed() < limit {
        let mut tx = db.begin().await?;
        let back = queues::bring_back(&mut tx).await?;
        tx.commit().await?;
        if back == 0 {
            return Ok(all);
        }
        all += back;
    }
    Ok(all)
}
