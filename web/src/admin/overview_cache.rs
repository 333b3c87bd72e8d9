//! One overview for all who look at it: however many pages are open, the database is asked once in two seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Broker;
use database::Db;
use operations::OperationError;
use operations::overview::{self, Overview, QueueHistory};
use tokio::sync::Mutex;

/// How long an overview is shown.
const OVERVIEW: Duration = Duration::from_secs(2);

/// How long the charts are: a new sample comes once a minute.
const HISTORY: Duration = Duration::from_secs(30);

/// The charts show so much.
const HOURS: usize = 24;

/// What was looked at last. Whoever comes while somebody looks waits for that look.
#[derive(Clone, Default)]
pub struct OverviewCache {
    overview: Arc<Place<Overview>>,
    history: Arc<Place<Vec<QueueHistory>>>,
}

/// What is kept, and since when.
type Place<T> = Mutex<Option<(Instant, Arc<T>)>>;

impl OverviewCache {
    /// How it all is, or was a moment ago.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn overview(&self, db: &Db, broker: &Broker) -> Result<Arc<Overview>, OperationError> {
        let broker = broker.clone();
        let look = db.run(move |db| {
            let broker = broker.clone();
            async move { overview::look(&db, &broker).await }
        });
        kept(&self.overview, OVERVIEW, look).await
    }

    /// How every queue fared in the last day.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn history(&self, db: &Db) -> Result<Arc<Vec<QueueHistory>>, OperationError> {
        let look = db.run(|db| async move { overview::history(&db, HOURS).await });
        kept(&self.history, HISTORY, look).await
    }
}

/// What is kept, if it is young enough; else looks. A look that failed is not kept.
async fn kept<T>(
    place: &Place<T>,
    age: Duration,
    look: impl Future<Output = Result<T, OperationError>>,
) -> Result<Arc<T>, OperationError> {
    let mut kept = place.lock().await;
    if let Some((since, known)) = &*kept
        && since.elapsed() < age
    {
        return Ok(known.clone());
    }
    let new = Arc::new(look.await?);
    *kept = Some((Instant::now(), new.clone()));
    Ok(new)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use database::DbError;

    use super::*;

    #[tokio::test]
    async fn those_who_come_together_share_one_look_and_a_failure_is_not_kept() {
        let (place, looks) = (Mutex::new(None), AtomicU32::new(0));
        let look = |fails: bool| {
            let looks = &looks;
            async move {
                tokio::task::yield_now().await;
                let number = looks.fetch_add(1, Ordering::SeqCst);
                if fails { Err(DbError::Unavailable("away".into()).into()) } else { Ok(number) }
            }
        };
        let hour = Duration::from_secs(3600);
        assert!(kept(&place, hour, look(true)).await.is_err());
        let all = tokio::join!(
            kept(&place, hour, look(false)),
            kept(&place, hour, look(false)),
            kept(&place, hour, look(false))
        );
        assert_eq!((*all.0.unwrap(), *all.1.unwrap(), *all.2.unwrap()), (1, 1, 1));
        assert_eq!(*kept(&place, Duration::ZERO, look(false)).await.unwrap(), 2, "too old");
    }
}
