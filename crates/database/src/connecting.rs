//! Connections are made to the end, even if whoever wanted one has given up by then.
//!
//! Far from the server, or while it is slow, a connection takes longer to make than a caller waits. If it were dropped
//! with the caller, the next would begin anew, and none would ever be made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::{ConnectionError, ConnectionResult};
use tokio::sync::{Notify, Semaphore, oneshot};

/// A connection that takes longer is not made.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes connections, at most so many at a time.
pub struct Connecting<C> {
    shared: Arc<Shared<C>>,
    at_a_time: Arc<Semaphore>,
}

struct Shared<C> {
    /// Made, and wanted by nobody any more.
    ready: Mutex<Vec<C>>,
    /// One is ready, or another may be made.
    news: Notify,
}

impl<C: Send + 'static> Connecting<C> {
    pub fn new(at_a_time: usize) -> Self {
        let shared = Shared { ready: Mutex::default(), news: Notify::new() };
        Self { shared: Arc::new(shared), at_a_time: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// One that is ready, or else what becomes of `make`.
    pub async fn get<M>(&self, make: impl FnOnce() -> M) -> ConnectionResult<C>
    where
        M: Future<Output = ConnectionResult<C>> + Send + 'static,
    {
        let permit = loop {
            let mut news = std::pin::pin!(self.shared.news.notified());
            news.as_mut().enable();
            if let Some(conn) = self.shared.lock().pop() {
                return Ok(conn);
            }
            if let Ok(permit) = self.at_a_time.clone().try_acquire_owned() {
                break permit;
            }
            news.await;
        };
        let (wanted, made) = oneshot::channel();
        let (shared, making) = (self.shared.clone(), make());
        tokio::spawn(async move {
            let late = || ConnectionError::BadConnection("the server did not answer in time".into());
            let made = tokio::time::timeout(PATIENCE, making).await.unwrap_or_else(|_| Err(late()));
            if let Err(Ok(conn)) = wanted.send(made) {
                shared.lock().push(conn);
            }
            drop(permit);
            shared.news.notify_waiters();
        });
        let died = |_| Err(ConnectionError::BadConnection("what made the connection ended".into()));
        made.await.unwrap_or_else(died)
    }
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, Vec<C>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_one_did_not_wait_for_is_the_next_ones() {
        let connecting = Connecting::new(1);
        let (finish, finished) = oneshot::channel::<()>();
        let make = || async {
            let _ = finished.await;
            Ok(1)
        };
        let mut first = Box::pin(connecting.get(make));
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(first);
        let never = || std::future::pending::<ConnectionResult<i32>>();
        let mut second = Box::pin(connecting.get(never));
        assert!(futures_util::poll!(&mut second).is_pending(), "one at a time is made");
        finish.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_error_is_its_callers_alone() {
        let connecting = Connecting::<i32>::new(1);
        let refused = || async { Err(ConnectionError::BadConnection("refused".into())) };
        assert!(connecting.get(refused).await.is_err());
        // The permit comes back a moment later.
        assert_eq!(connecting.get(|| async { Ok(2) }).await.unwrap(), 2);
    }
}
