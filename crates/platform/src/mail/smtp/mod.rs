//! Mail to a mail server (RFC 5321), over connections that are used again.
//!
//! The idle connections are kept here and not by lettre's pool. That pool takes a connection back when
//! a send is given up half-way (a timeout, a lost lease), and whoever borrows it next reads the answers
//! to the mail before. Here a connection is owned by the send that uses it and put back only after a
//! clean end, so giving up closes it.

mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Category;
use tokio::time::timeout;

use crate::mail::message::compose;
pub use crate::mail::smtp::url::{InvalidSmtpUrl, Security, SmtpUrl};
use crate::mail::{MailError, OutgoingMail, Sender};

/// How long the two halves of a send may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Name lookup, TCP, TLS, greeting, `EHLO`, `AUTH`.
    connect: Duration,
    /// From `MAIL` to the answer after the last byte.
    send: Duration,
}

const LIMITS: Limits = Limits { connect: Duration::from_secs(10), send: Duration::from_secs(30) };

/// The most connections that are kept open without work.
const MAX_IDLE: usize = 4;

/// How long one may be idle: below the five minutes that a server must wait (RFC 5321 §4.5.3.2.7).
const IDLE_FOR: Duration = Duration::from_secs(60);

/// The reply with which a server says that it closes the connection, at any point.
const CLOSING: u16 = 421;

/// Sends mail through one server.
pub struct SmtpMailer {
    server: SmtpUrl,
    tls: Option<TlsParameters>,
    ehlo_name: ClientId,
    sender: Sender,
    limits: Limits,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

/// A connection that a mail can go through.
struct Connected {
    connection: AsyncSmtpConnection,
    /// Whether mails went through it before.
    reused: bool,
}

/// Why a mail was not handed over.
enum Fault {
    /// The server said so, or the connection broke.
    Smtp(Error),
    /// The server says nothing any more.
    Silence,
}

impl SmtpMailer {
    /// A mailer for `server`; connects when there is a mail to send.
    ///
    /// A server's certificate is checked against the authorities that this machine trusts;
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
    ///
    /// # Errors
    /// [`InvalidSmtpUrl::Tls`] when these can't be read.
    pub fn new(server: SmtpUrl, sender: Sender) -> Result<Self, InvalidSmtpUrl> {
        let tls = match server.security {
            Security::Plain => None,
            Security::Opportunistic | Security::Required | Security::Wrapped => Some(
                TlsParameters::new(server.host.clone())
                    .map_err(|error| InvalidSmtpUrl::Tls(error.to_string()))?,
            ),
        };
        let ehlo_name = server.ehlo_name.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Self { server, tls, ehlo_name, sender, limits: LIMITS, idle: Mutex::default() })
    }

    /// Sends one mail; when this returns, the server has taken it.
    ///
    /// # Errors
    /// See [`MailError`].
    pub async fn send(&self, mail: &OutgoingMail) -> Result<(), MailError> {
        let message = compose(mail, &self.sender, SystemTime::now())?;
        let mut connection = self.connection().await?;
        let mut sent = self.hand_over(&mut connection.connection, &message).await;
        if connection.reused && matches!(&sent, Err(Fault::Smtp(error)) if is_closing(error)) {
            // It was at this connection that the server had enough, and it took nothing: another one may do.
            connection = self.fresh_connection().await?;
            sent = self.hand_over(&mut connection.connection, &message).await;
        }
        match sent {
            Ok(()) => self.put_back(connection.connection),
            Err(Fault::Smtp(error)) => return Err(send_error(&error)),
            Err(Fault::Silence) => {
                return Err(MailError::Unanswered(too_slow("sending", self.limits.send)));
            }
        }
        Ok(())
    }

    async fn hand_over(&self, connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), Fault> {
        let bytes = message.formatted();
        match timeout(self.limits.send, connection.send(message.envelope(), &bytes)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Fault::Smtp(error)),
            Err(_) => Err(Fault::Silence),
        }
    }

    /// Connects, says `EHLO`, logs in if it has credentials, and hangs up politely, as a check of the settings.
    ///
    /// # Errors
    /// See [`MailError`].
    pub async fn probe(&self) -> Result<(), MailError> {
        let talk = async { self.connect().await?.quit().await };
        match timeout(self.limits.connect, talk).await {
            Ok(said) => said.map(|_| ()).map_err(|error| connect_error(&error)),
            Err(_) => Err(MailError::Unavailable(too_slow("connecting", self.limits.connect))),
        }
    }

    /// An idle connection that still answers, or a new one.
    async fn connection(&self) -> Result<Connected, MailError> {
        let idle = async {
            while let Some(mut connection) = self.take_idle() {
                if connection.test_connected().await {
                    return Some(connection);
                }
            }
            None
        };
        match timeout(self.limits.connect, idle).await {
            Ok(Some(connection)) => Ok(Connected { connection, reused: true }),
            // None is left, or one has fallen silent.
            Ok(None) | Err(_) => self.fresh_connection().await,
        }
    }

    async fn fresh_connection(&self) -> Result<Connected, MailError> {
        match timeout(self.limits.connect, self.connect()).await {
            Ok(Ok(connection)) => Ok(Connected { connection, reused: false }),
            Ok(Err(error)) => Err(connect_error(&error)),
            Err(_) => Err(MailError::Unavailable(too_slow("connecting", self.limits.connect))),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.server.host.as_str(), self.server.port);
        let wrapped = self.tls.clone().filter(|_| self.server.security == Security::Wrapped);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, None, &self.ehlo_name, wrapped, None).await?;
        let upgrade = match self.server.security {
            Security::Plain | Security::Wrapped => false,
            Security::Opportunistic => connection.can_starttls(),
            // Where the server does not offer it, asking for it is the error that we want.
            Security::Required => true,
        };
        if let (true, Some(tls)) = (upgrade, self.tls.clone()) {
            connection.starttls(tls, &self.ehlo_name).await?;
        }
        if let Some((user, password)) = &self.server.credentials {
            let credentials = Credentials::new(user.clone(), password.clone());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    /// The connection that was used last, once those that idled for too long are closed.
    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE_FOR);
        idle.pop().map(|idle| idle.connection)
    }

    fn put_back(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }
}

/// Without the password, which the server's description hides.
impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("SmtpMailer");
        fields.field("server", &self.server).field("sender", &self.sender).finish_non_exhaustive()
    }
}

fn too_slow(doing: &str, limit: Duration) -> String {
    format!("{doing} took longer than {} s", limit.as_secs_f32())
}

/// Before a mail was offered: nothing that goes wrong here is that mail's fault.
fn connect_error(error: &Error) -> MailError {
    if error.is_permanent() || error.is_client() {
        // Wrong credentials, no common way to log in, no STARTTLS: a setting to mend, not an outage.
        MailError::Other(error.to_string())
    } else {
        MailError::Unavailable(error.to_string())
    }
}

/// Whether the server closes the connection, whatever it was told.
fn is_closing(error: &Error) -> bool {
    error.status().is_some_and(|code| u16::from(code) == CLOSING)
}

/// While a mail was offered.
fn send_error(error: &Error) -> MailError {
    let reason = error.to_string();
    match error.status() {
        Some(_) if is_closing(error) => MailError::Unavailable(reason),
        // x5y speaks of the mail: no such mailbox, too large, taken for spam. Other permanent replies (530
        // log in first, 503 bad sequence) speak of us and must not throw mails away.
        Some(code) if error.is_permanent() && code.category == Category::MailSystem => {
            MailError::Rejected(reason)
        }
        // 45x: this mailbox is full or greylists us, while others may well be open.
        Some(_) => MailError::Other(reason),
        // The address can't be written in what this server speaks (RFC 6531).
        None if error.is_client() => MailError::Rejected(reason),
        // The connection broke: before the message, in it, or after its last byte.
        None => MailError::Unanswered(reason),
    }
}
