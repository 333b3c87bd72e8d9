//! The broker of the all-in-one program: one line of messages a lane, in memory.
//!
//! Volatile on purpose. A message is a job's id; the rows are on disk, and at the start the broker
//! reports itself as new, so that the relay publishes what is queued. Nothing is bounded but by what
//! the relay has published: small bodies, whose rows are bounded by the disk already.
//!
//! It keeps RabbitMQ's contract, so that the consumer has one code: a subscription is a channel with a
//! prefetch; deliveries that are not acked belong to it, and go back to the front of the line when the
//! channel is gone, that is when the subscription and its last delivery are dropped.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use crate::delivery::{Delivery, Settled};
use crate::hints::{self, HintEvent, StatusHint, StatusHints};
use crate::recreated::{Recreated, Reports};
use crate::{Properties, PublishError, delivery};
use model::{Envelope, Lane};

/// See the [module's](self) words.
#[derive(Clone)]
pub struct InProcess(Arc<Inner>);

struct Inner {
    lines: Mutex<HashMap<Lane, Arc<Line>>>,
    hints: Mutex<Option<broadcast::Sender<HintEvent>>>,
    recreated: Reports,
    closed: CancellationToken,
}

/// The messages that are ready, in order.
#[derive(Debug, Default)]
struct Line {
    ready: Mutex<VecDeque<Message>>,
    added: Notify,
}

#[derive(Debug)]
struct Message {
    body: Vec<u8>,
    redelivered: bool,
}

/// A consumer of one lane.
pub struct Subscription {
    channel: Arc<Channel>,
    closed: CancellationToken,
}

/// What a subscription and its deliveries share. Dropped with the last of them.
#[derive(Debug)]
struct Channel {
    line: Arc<Line>,
    /// By the order of delivery.
    unacked: Mutex<BTreeMap<u64, Vec<u8>>>,
    last_tag: AtomicU64,
    prefetch: Semaphore,
}

/// A delivery's place in its channel.
#[derive(Debug)]
pub(super) struct Unacked {
    channel: Arc<Channel>,
    tag: u64,
}

impl Default for InProcess {
    fn default() -> Self {
        Self(Arc::new(Inner {
            lines: Mutex::default(),
            hints: Mutex::new(Some(broadcast::Sender::new(hints::CAPACITY))),
            recreated: Reports::of_a_new_broker(),
            closed: CancellationToken::new(),
        }))
    }
}

impl InProcess {
    pub(super) fn publish(&self, lane: Lane, envelope: &Envelope) -> Result<(), PublishError> {
        self.push(lane, envelope.to_bytes())
    }

    pub(super) fn push(&self, lane: Lane, body: Vec<u8>) -> Result<(), PublishError> {
        if self.0.closed.is_cancelled() {
            return Err(PublishError::NotConnected);
        }
        let line = self.line(lane);
        lock(&line.ready).push_back(Message { body, redelivered: false });
        line.added.notify_one();
        Ok(())
    }

    pub(super) fn subscribe(&self, lane: Lane, prefetch: u16) -> Subscription {
        Subscription { channel: Arc::new(self.channel(lane, prefetch)), closed: self.0.closed.clone() }
    }

    /// A message that is ready, if there is one.
    pub(super) fn take(&self, lane: Lane) -> Option<Delivery> {
        let channel = Arc::new(self.channel(lane, 1));
        let message = lock(&channel.line.ready).pop_front()?;
        Some(channel.hand_out(message))
    }

    fn channel(&self, lane: Lane, prefetch: u16) -> Channel {
        Channel {
            line: self.line(lane),
            unacked: Mutex::default(),
            last_tag: AtomicU64::new(0),
            prefetch: Semaphore::new(usize::from(prefetch.max(1))),
        }
    }

    pub(super) fn publish_status(&self, hint: StatusHint) {
        if let Some(hints) = &*lock(&self.0.hints) {
            // An error only says that nobody listens.
            let _ = hints.send(HintEvent::Changed(hint));
        }
    }

    pub(super) fn status_hints(&self) -> StatusHints {
        match &*lock(&self.0.hints) {
            Some(hints) => StatusHints::registered(hints.subscribe()),
            None => StatusHints::registered(broadcast::channel(1).1),
        }
    }

    pub(super) fn connected(&self) -> bool {
        !self.0.closed.is_cancelled()
    }

    pub(super) async fn recreated(&self) -> Recreated {
        self.0.recreated.next().await
    }

    pub(super) fn depth(&self, lane: Lane) -> u64 {
        lock(&self.line(lane).ready).len() as u64
    }

    pub(super) fn close(&self) {
        self.0.closed.cancel();
        lock(&self.0.hints).take();
    }

    fn line(&self, lane: Lane) -> Arc<Line> {
        lock(&self.0.lines).entry(lane).or_default().clone()
    }
}

impl Subscription {
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            delivery = self.channel.next() => delivery,
        }
    }

    pub(super) fn is_consuming(&self) -> bool {
        !self.closed.is_cancelled()
    }
}

impl Channel {
    async fn next(self: &Arc<Self>) -> Option<Delivery> {
        let permit = self.prefetch.acquire().await.ok()?;
        let message = self.line.take().await;
        permit.forget();
        Some(self.hand_out(message))
    }

    fn hand_out(self: &Arc<Self>, message: Message) -> Delivery {
        let tag = self.last_tag.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.unacked).insert(tag, message.body.clone());
        Delivery {
            body: message.body,
            redelivered: message.redelivered,
            properties: Properties::default(),
            unacked: delivery::Unacked::InProcess(Unacked { channel: self.clone(), tag }),
        }
    }
}

impl Line {
    /// To the front: it was delivered before whatever is ready now.
    fn put_back(&self, body: Vec<u8>) {
        lock(&self.ready).push_front(Message { body, redelivered: true });
        self.added.notify_one();
    }

    async fn take(&self) -> Message {
        loop {
            // Registered before looking, so that what is added in between wakes us.
            let added = self.added.notified();
            tokio::pin!(added);
            added.as_mut().enable();
            if let Some(message) = lock(&self.ready).pop_front() {
                return message;
            }
            added.await;
        }
    }
}

impl Unacked {
    pub(super) fn ack(self) -> Settled {
        lock(&self.channel.unacked).remove(&self.tag);
        self.channel.prefetch.add_permits(1);
        Settled::Acked
    }

    pub(super) fn give_back(self) -> Settled {
        let body = lock(&self.channel.unacked).remove(&self.tag);
        if let Some(body) = body {
            self.channel.line.put_back(body);
        }
        self.channel.prefetch.add_permits(1);
        Settled::GivenBack
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let unacked = std::mem::take(self.unacked.get_mut().unwrap_or_else(PoisonError::into_inner));
        for (_, body) in unacked.into_iter().rev() {
            self.line.put_back(body);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
