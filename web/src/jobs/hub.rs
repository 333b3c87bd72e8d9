//! Who waits for which job: a map from job to the last row that was read, one entry a job however many
//! clients wait, and one reader for all of them.
//!
//! A hint that a job changed makes the reader read its row, once. Hints may be lost, so every 15 s it
//! reads the rows of all awaited jobs in one look. Those who wait hold no connection.
//!
//! The order of things makes it safe: subscribe, then read the row, then wait. A change after the
//! reading finds the subscription.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::jobs::{Job, status};
use broker::{Broker, HintEvent, StatusHints};
use database::{Db, DbError};
use model::JobId;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often all awaited jobs are read although nobody said that they changed.
const FALLBACK: Duration = Duration::from_secs(15);

/// A look that failed is tried again after this time.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// See the [module's](self) words. Cheap to clone.
#[derive(Clone)]
pub struct StatusHub(Arc<Inner>);

struct Inner {
    db: Db,
    awaited: Mutex<HashMap<JobId, watch::Sender<Option<Arc<Job>>>>>,
    closed: CancellationToken,
}

/// Somebody's wait for a job. Dropping the last one of a job forgets the job.
pub struct Subscription {
    job: JobId,
    hub: StatusHub,
    /// `None` only while it is dropped.
    changes: Option<watch::Receiver<Option<Arc<Job>>>>,
}

impl StatusHub {
    /// A hub in which nobody waits. Nothing is read until [`StatusHub::follow`] runs.
    pub fn new(db: Db) -> Self {
        let inner = Inner { db, awaited: Mutex::default(), closed: CancellationToken::new() };
        Self(Arc::new(inner))
    }

    /// Waits for changes of a job from now on.
    pub fn subscribe(&self, job: JobId) -> Subscription {
        let mut awaited = self.lock();
        let sender = awaited.entry(job).or_insert_with(|| watch::Sender::new(None));
        Subscription { job, hub: self.clone(), changes: Some(sender.subscribe()) }
    }

    /// How many jobs somebody waits for.
    pub fn awaited(&self) -> usize {
        self.lock().len()
    }

    /// Whether the process is stopping.
    pub fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }

    /// Reads the rows of awaited jobs as hints come in, until `stop`; then every wait ends.
    pub async fn follow(self, broker: Broker, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.read_changes(broker.status_hints()) => {}
        }
        stop.cancelled().await;
        self.0.closed.cancel();
    }

    async fn read_changes(&self, mut hints: StatusHints) {
        let mut fallback = interval(FALLBACK);
        fallback.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed: HashSet<JobId> = HashSet::new();
        loop {
            let event = tokio::select! {
                event = hints.next() => match event {
                    Some(event) => event,
                    None => return,
                },
                _ = fallback.tick() => HintEvent::Missed,
            };
            self.note(event, &mut changed);
            // What came in meanwhile is read in the same look.
            while let Some(Some(event)) = futures_util::FutureExt::now_or_never(hints.next()) {
                self.note(event, &mut changed);
            }
            if changed.is_empty() {
                continue;
            }
            match self.read(changed.iter().copied().collect()).await {
                Ok(()) => changed.clear(),
                Err(error) => {
                    tracing::warn!(%error, "awaited jobs could not be read; trying again");
                    tokio::time::sleep(AFTER_ERROR).await;
                    fallback.reset_immediately();
                }
            }
        }
    }

    /// Adds the awaited jobs that the event is about.
    fn note(&self, event: HintEvent, changed: &mut HashSet<JobId>) {
        let awaited = self.lock();
        match event {
            HintEvent::Missed => changed.extend(awaited.keys()),
            HintEvent::Changed(hint) => {
                let news = awaited.get(&hint.job).is_some_and(|sender| {
                    sender.borrow().as_ref().is_none_or(|known| known.version < hint.version)
                });
                if news {
                    changed.insert(hint.job);
                }
            }
        }
    }

    async fn read(&self, ids: Vec<JobId>) -> Result<(), DbError> {
        let rows = self
            .0
            .db
            .run(move |db| {
                let ids = ids.clone();
                async move { status::find_many(&mut db.conn().await?, &ids).await }
            })
            .await?;
        let awaited = self.lock();
        for row in rows {
            if let Some(sender) = awaited.get(&row.id) {
                sender.send_if_modified(|known| {
                    let news = known.as_ref().is_none_or(|known| differs(known, &row));
                    if news {
                        *known = Some(Arc::new(row));
                    }
                    news
                });
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Option<Arc<Job>>>>> {
        self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a later look shows something else to the client.
fn differs(known: &Job, seen: &Job) -> bool {
    seen.version > known.version || (seen.version == known.version && seen.state != known.state)
}

impl Subscription {
    /// The job's row as soon as it differs from `known`; `None` when the process stops.
    pub async fn changed_from(&mut self, known: &Job) -> Option<Arc<Job>> {
        let changes = self.changes.as_mut()?;
        let news = changes.wait_for(|seen| seen.as_ref().is_some_and(|seen| differs(known, seen)));
        tokio::select! {
            biased;
            () = self.hub.0.closed.cancelled() => None,
            seen = news => seen.ok()?.clone(),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut awaited = self.hub.lock();
        self.changes = None;
        if awaited.get(&self.job).is_some_and(|sender| sender.receiver_count() == 0) {
            awaited.remove(&self.job);
        }
    }
}
