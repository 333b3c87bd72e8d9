//! The TCP connection under a link. It is ours, because an attempt to connect must really end when it is given up.
//!
//! The client drives each connection in a thread of its own. A time-out around its future ends the future; the
//! thread goes on reading from a peer that accepts and says nothing, and keeps its buffers and its descriptor. So
//! we hold a second handle on the same socket, and shut that down: the thread reads the end and ends.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::runtime::default_runtime;
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, Error};
use tokio::time::timeout;

/// How long an attempt may take to end once its socket is shut down.
const END: Duration = Duration::from_secs(5);

/// Connects within `deadline`, TLS and the handshake of AMQP included. After that nothing is left of the attempt:
/// no thread, no descriptor. The same holds when the future is dropped.
pub(crate) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    deadline: Duration,
) -> lapin::Result<Connection> {
    let runtime = default_runtime()?;
    let attempt = Attempt(Arc::default());
    let socket = attempt.0.clone();
    let reactor = runtime.clone();
    let open = async move |uri: AMQPUri, _| {
        let opening = async {
            let host = uri.authority.host.as_str();
            let addresses: Vec<_> = tokio::net::lookup_host((host, uri.authority.port)).await?.collect();
            let stream = AsyncTcpStream::connect(&reactor, addresses).await?;
            if let AsyncTcpStream::Plain(plain) = &stream {
                socket.is_open(plain.get_ref())?;
            }
            match uri.scheme {
                AMQPScheme::AMQP => Ok(stream),
                AMQPScheme::AMQPS => stream.into_tls(host, OwnedTLSConfig::default().as_ref()).await,
            }
        };
        let opened = timeout(deadline, opening).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        opened.map_err(|error: io::Error| Error::from(error))
    };
    let connecting = Connection::connector(uri, runtime, open, properties);
    tokio::pin!(connecting);
    if let Ok(connected) = timeout(deadline, &mut connecting).await {
        if connected.is_ok() {
            attempt.0.is_in_use();
        }
        return connected;
    }
    drop(attempt);
    // One attempt at a time: the next one waits until this one's thread is gone.
    let _ = timeout(END, connecting).await;
    Err(io::Error::new(io::ErrorKind::TimedOut, "the broker does not answer").into())
}

/// Ends when it is dropped, unless it came to a connection.
struct Attempt(Arc<Socket>);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

#[derive(Default)]
struct Socket(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Connecting,
    Open(std::net::TcpStream),
    GivenUp,
}

impl Socket {
    fn is_open(&self, stream: &tokio::net::TcpStream) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::GivenUp) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        *state = State::Open(stream.as_fd().try_clone_to_owned()?.into());
        Ok(())
    }

    /// The connection is the client's own from here on.
    fn is_in_use(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Connecting;
    }

    fn give_up(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(socket) = std::mem::replace(&mut *state, State::GivenUp) {
            // An error says that the other side was quicker.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
