//! One connection that comes back by itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tracing::info;

use crate::PublishError;
use crate::rabbitmq::{Context, declare, socket};
use platform::outage::Outage;

/// How long the broker may take to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A look at the state even when no event came.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Publish,
    /// Also declares what is found missing: unlike the other, it is never blocked by an alarm.
    Consume,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        })
    }
}

/// The connection of a role, as it is now.
#[derive(Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
}

#[derive(Clone)]
enum State {
    Down,
    Up(Arc<Connection>),
    Closed,
}

impl Link {
    /// Starts the task that keeps the connection up until the broker is closed.
    pub(super) fn start(context: Arc<Context>, role: Role) -> Self {
        let (sender, state) = watch::channel(State::Down);
        context.tasks.clone().spawn(async move {
            let closing = context.closing.clone();
            closing.run_until_cancelled(keep_up(&context, role, &sender)).await;
            if let State::Up(connection) = sender.send_replace(State::Closed) {
                let _ = timeout(CLOSE_TIMEOUT, connection.close(200, "bye".into())).await;
            }
        });
        Self { state }
    }

    /// The connection, if it is up.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        match &*self.state.borrow() {
            State::Up(connection) if connection.status().connected() => Some(connection.clone()),
            _ => None,
        }
    }

    /// Why nothing can be published by it now, if so.
    pub(super) fn trouble(&self) -> Option<PublishError> {
        match self.connection() {
            None => Some(PublishError::NotConnected),
            Some(connection) if connection.status().blocked() => Some(PublishError::Blocked),
            Some(_) => None,
        }
    }

    /// Waits until it is up and not blocked; for ever once it is closed.
    pub(super) async fn until_usable(&self) {
        let mut state = self.state.clone();
        let usable = state.wait_for(|state| match state {
            State::Up(connection) => connection.status().connected() && !connection.status().blocked(),
            State::Down | State::Closed => false,
        });
        if usable.await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for the connection; `None` when there will be none any more.
    pub(super) async fn wait(&mut self) -> Option<Arc<Connection>> {
        let state = self.state.wait_for(|state| match state {
            State::Down => false,
            State::Up(connection) => connection.status().connected(),
            State::Closed => true,
        });
        match &*state.await.ok()? {
            State::Up(connection) => Some(connection.clone()),
            State::Down | State::Closed => None,
        }
    }
}

async fn keep_up(context: &Context, role: Role, state: &watch::Sender<State>) {
    let mut backoff = crate::rabbitmq::backoff();
    let mut outage = Outage::of(format!("connection to the broker {} ({role})", context.address));
    loop {
        match connect(context, role).await {
            Ok(connection) => {
                backoff.reset();
                outage.over();
                declare::all(context, &connection).await;
                let connection = Arc::new(connection);
                state.send_replace(State::Up(connection.clone()));
                info!(broker = %context.address, %role, "connected to the broker");
                hold(context, role, &connection, state).await;
                state.send_replace(State::Down);
                outage.failed(&"the connection was lost");
            }
            Err(error) => outage.failed(&error),
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

async fn connect(context: &Context, role: Role) -> lapin::Result<Connection> {
    let name = format!("{} ({role})", context.connection_name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    socket::connect(context.address.uri(), properties, context.connect_timeout).await
}

/// Returns when the connection is lost; meanwhile declares again what somebody missed.
async fn hold(context: &Context, role: Role, connection: &Connection, state: &watch::Sender<State>) {
    let mut events = connection.events_listener();
    let mut look = interval(LOOK_EVERY);
    while connection.status().connected() {
        tokio::select! {
            // Any event is a reason to look at the state: here, and for whoever waits for the end of an alarm.
            Some(_) = events.next() => state.send_modify(|_| {}),
            _ = look.tick() => state.send_modify(|_| {}),
            () = context.missing.notified(), if role == Role::Consume => declare::all(context, connection).await,
        }
    }
}
