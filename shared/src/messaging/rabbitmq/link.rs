//! One connection that comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tracing::{debug, info, warn};

use super::backoff::Backoff;
use super::{Context, declare};

/// How long connecting may take, TLS and the handshake included. A peer that accepts and then says
/// nothing costs a waiting thread in the client for each try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

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
    let mut backoff = Backoff::default();
    let mut said = String::new();
    loop {
        match connect(context, role).await {
            Ok(connection) => {
                backoff.reset();
                said.clear();
                declare::all(context, &connection).await;
                let connection = Arc::new(connection);
                state.send_replace(State::Up(connection.clone()));
                info!(broker = %context.address, ?role, "connected to the broker");
                hold(context, role, &connection).await;
                state.send_replace(State::Down);
                warn!(broker = %context.address, ?role, "lost the connection to the broker");
            }
            // A long outage is one line, not one every few seconds.
            Err(error) if error.to_string() == said => debug!(?role, %error, "still can't connect"),
            Err(error) => {
                warn!(broker = %context.address, ?role, %error, "can't connect to the broker");
                said = error.to_string();
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn connect(context: &Context, role: Role) -> lapin::Result<Connection> {
    let role = match role {
        Role::Publish => "publish",
        Role::Consume => "consume",
    };
    let name = format!("{} ({role})", context.connection_name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(context.address.uri(), properties);
    declare::within(CONNECT_TIMEOUT, connecting).await
}

/// Returns when the connection is lost; meanwhile declares again what somebody missed.
async fn hold(context: &Context, role: Role, connection: &Connection) {
    let mut events = connection.events_listener();
    let mut look = interval(LOOK_EVERY);
    while connection.status().connected() {
        tokio::select! {
            // Any event is a reason to look at the state.
            Some(_) = events.next() => {}
            _ = look.tick() => {}
            () = context.missing.notified(), if role == Role::Consume => declare::all(context, connection).await,
        }
    }
}
