//! What several ask at the same moment, asked in one statement.
//!
//! Nobody waits for others to come: while one statement is under way, what is asked meanwhile gathers for the next. So
//! a process with little to do asks for each at once, and one with much to do asks for many together.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

/// The most that one statement asks.
const MOST: usize = 64;

/// A line of questions that are answered together. Dropped: what is under way is still answered.
#[derive(Debug)]
pub struct Gathered<A, R> {
    asks: mpsc::Sender<(A, oneshot::Sender<R>)>,
}

impl<A: Send + 'static, R: Send + 'static> Gathered<A, R> {
    /// `answer` gives an answer to each, in order; what it leaves out has none. On the current runtime.
    pub fn new<W>(answer: impl Fn(Vec<A>) -> W + Send + 'static) -> Self
    where
        W: Future<Output = Vec<Option<R>>> + Send,
    {
        let (asks, mut asked) = mpsc::channel::<(A, oneshot::Sender<R>)>(MOST);
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MOST);
            while asked.recv_many(&mut batch, MOST).await > 0 {
                // Who has gone away meanwhile is not asked for.
                let (asks, replies): (Vec<A>, Vec<_>) =
                    batch.drain(..).filter(|(_, reply)| !reply.is_closed()).unzip();
                if asks.is_empty() {
                    continue;
                }
                for (reply, answer) in std::iter::zip(replies, answer(asks).await) {
                    if let Some(answer) = answer {
                        let _ = reply.send(answer);
                    }
                }
            }
        });
        Self { asks }
    }

    /// `None`: it was not answered with the others, and is to be asked alone.
    pub async fn ask(&self, ask: A) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        if self.asks.send((ask, reply)).await.is_err() {
            // Its task died: each goes alone from now on.
            tracing::debug!("nothing is asked together any more");
            return None;
        }
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_is_asked_while_a_statement_is_under_way_is_the_next_one() {
        let (may_answer, statements) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (may, count) = (may_answer.clone(), statements.clone());
        let gathered = Arc::new(Gathered::new(move |asks: Vec<usize>| {
            let (may, count) = (may.clone(), count.clone());
            async move {
                count.fetch_add(1, Ordering::Relaxed);
                may.acquire().await.unwrap().forget();
                // What is odd is not answered with the others.
                asks.into_iter().map(|ask| (ask % 2 == 0).then_some(ask)).collect()
            }
        }));
        let ask = |number| {
            let gathered = gathered.clone();
            tokio::spawn(async move { gathered.ask(number).await })
        };
        let first = ask(0);
        while statements.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let rest: Vec<_> = (1..=10).map(ask).collect();
        while gathered.asks.capacity() != MOST - rest.len() {
            tokio::task::yield_now().await;
        }
        may_answer.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(0));
        for (number, answer) in std::iter::zip(1.., rest) {
            assert_eq!(answer.await.unwrap(), (number % 2 == 0).then_some(number));
        }
        assert_eq!(statements.load(Ordering::Relaxed), 2);
    }
}
