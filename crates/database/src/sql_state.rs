//! The codes of PostgreSQL's errors, read as they go by.
//!
//! The server says what went wrong in two ways: a text in its own language (`lc_messages`) and a code, the SQLSTATE.
//! Diesel keeps the text and throws the code away. So the stream between the client and the server (inside TLS,
//! where there is TLS) is watched: of each message only the head is looked at, and of an ErrorResponse the code.
//! The client learns of an error after it went by here, so the last code is always that of the error in hand.
//!
//! The heads tell, too, how much the server is asked to do; that is counted for the metrics.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// The code of an error of PostgreSQL: a class of two characters and three more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// A lock was not to be had within `lock_timeout`.
    pub const LOCK_NOT_AVAILABLE: Self = Self(*b"55P03");

    /// An earlier statement of the transaction failed, and so does every later one.
    const TRANSACTION_FAILED: Self = Self(*b"25P02");

    /// What it means for whoever sent the statement.
    pub fn meaning(self) -> Meaning {
        match &self.0 {
            // Read-only: the old primary after a failover; the next connection may be to the new one.
            // Idle in a transaction for too long, a transaction that took too long: the server closed it.
            b"25006" | b"25P03" | b"25P04" => Meaning::Unavailable,
            b"23505" => Meaning::Duplicate,
            // Deadlock, serialisation.
            [b'4', b'0', ..] => Meaning::Collision,
            // Connection; resources (disk, memory, connections); object in use, lock not available;
            // operator's intervention (shutdown, cancelled by `statement_timeout`); system (I/O).
            [b'0', b'8', ..] | [b'5', b'3' | b'5' | b'7' | b'8', ..] => Meaning::Unavailable,
            _ => Meaning::Other,
        }
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an error means for whoever sent the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Later it may well work.
    Unavailable,
    /// At once it may well work.
    Collision,
    /// The key exists.
    Duplicate,
    /// A mistake of ours, as far as we know.
    Other,
}

/// The code of a connection's last error, shared between the stream and whoever asks.
#[derive(Debug, Clone, Default)]
pub struct LastError(Arc<Mutex<Option<SqlState>>>);

impl LastError {
    pub fn get(&self) -> Option<SqlState> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes now is asked anew.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, state: SqlState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}

/// What a server did, as its answers tell.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Work {
    /// Statements that it parsed.
    parsed: u64,
    /// Statements that it ran.
    run: u64,
    /// Round trips: times that we asked for something when nothing was left to be answered.
    trips: u64,
}

impl Work {
    fn note(&mut self, kind: u8) {
        match kind {
            b'1' => self.parsed += 1,
            b'C' => self.run += 1,
            _ => {}
        }
    }

    /// Adds it to what this process has counted.
    fn count(self) {
        if self.parsed > 0 {
            metrics::counter!("database_statements_parsed_total").increment(self.parsed);
        }
        if self.run > 0 {
            metrics::counter!("database_statements_total").increment(self.run);
        }
        if self.trips > 0 {
            metrics::counter!("database_round_trips_total").increment(self.trips);
        }
    }
}

/// Where the reader is in the stream of messages: a type (1 byte), a length (4, which counts itself), a body.
#[derive(Debug, Default)]
struct Reader {
    /// What went by and was not counted yet.
    work: Work,
    /// What is there of a message's head.
    head: Vec<u8>,
    /// What is still to come of its body.
    left: usize,
    /// The body of an error, gathered.
    error: Option<Vec<u8>>,
    /// Something was asked since the server said last that it is ready.
    asked: bool,
}

const HEAD: usize = 5;

/// The server waits for the next question. Of several that are sent together each is answered so.
const READY: u8 = b'Z';

impl Reader {
    /// Something is asked. What is sent together is one round trip.
    fn asks(&mut self) {
        if !std::mem::replace(&mut self.asked, true) {
            self.work.trips += 1;
        }
    }

    /// Takes what was read; returns the code of the last error that ends in it.
    fn take(&mut self, mut bytes: &[u8]) -> Option<SqlState> {
        let mut found = None;
        while !bytes.is_empty() {
            if self.left > 0 {
                let (body, rest) = bytes.split_at(self.left.min(bytes.len()));
                if let Some(error) = &mut self.error {
                    error.extend_from_slice(body);
                }
                self.left -= body.len();
                bytes = rest;
            } else {
                let (head, rest) = bytes.split_at((HEAD - self.head.len()).min(bytes.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let &[kind, a, b, c, d] = self.head.as_slice() {
                    self.left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                    self.error = (kind == b'E').then(Vec::new);
                    self.work.note(kind);
                    self.asked &= kind != READY;
                    self.head.clear();
                }
            }
            if self.left == 0 {
                let told = self.error.take().and_then(|error| code(&error));
                // That an earlier statement of the transaction failed says nothing: the earlier one's code stays.
                found = told.filter(|code| *code != SqlState::TRANSACTION_FAILED).or(found);
            }
        }
        found
    }
}

/// The field `C` of an ErrorResponse: fields are a letter and a text that ends with a zero.
fn code(error: &[u8]) -> Option<SqlState> {
    let field = error.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'C'))?;
    field[1..].try_into().ok().map(SqlState)
}

/// Makes streams that note the codes of errors.
#[derive(Clone)]
pub struct Watched<T> {
    inner: T,
    last_error: LastError,
}

impl<T> Watched<T> {
    pub fn new(inner: T, last_error: &LastError) -> Self {
        Self { inner, last_error: last_error.clone() }
    }
}

impl<S, T: MakeTlsConnect<S>> MakeTlsConnect<S> for Watched<T>
where
    T::TlsConnect: TlsConnect<S>,
    <T::TlsConnect as TlsConnect<S>>::Future: Send + 'static,
    <T::TlsConnect as TlsConnect<S>>::Error: 'static,
{
    type Stream = WatchedStream<T::Stream>;
    type TlsConnect = Watched<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(Watched::new(self.inner.make_tls_connect(domain)?, &self.last_error))
    }
}

impl<S, T: TlsConnect<S>> TlsConnect<S> for Watched<T>
where
    T::Future: Send + 'static,
{
    type Stream = WatchedStream<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.inner.connect(stream);
        let last_error = self.last_error;
        Box::pin(async move { Ok(WatchedStream::new(connecting.await?, last_error)) })
    }
}

/// A stream whose reader is watched.
pub struct WatchedStream<S> {
    inner: S,
    reader: Reader,
    last_error: LastError,
}

impl<S> WatchedStream<S> {
    fn new(inner: S, last_error: LastError) -> Self {
        Self { inner, reader: Reader::default(), last_error }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(state) = self.reader.take(&buf.filled()[before..]) {
            self.last_error.note(state);
        }
        std::mem::take(&mut self.reader.work).count();
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if polled.is_ready() {
            self.reader.asks();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for WatchedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// In the place of TLS where there is none: the stream as it is.
#[derive(Clone, Copy)]
pub struct NoTls;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for NoTls {
    type Stream = Plain<S>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<Self> {
        Ok(Self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for NoTls {
    type Stream = Plain<S>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Plain<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(Plain(stream)))
    }
}

/// A stream that is not encrypted.
pub struct Plain<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Plain<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    #[test]
    fn a_code_is_found_wherever_the_reads_cut_the_stream() {
        let stream = [
            message(b'R', &[0, 0, 0, 0]),
            message(b'1', b""),
            message(b'C', b"COMMIT\0"),
            message(b'C', b"UPDATE 1\0"),
            message(b'D', b"ECXX000\0 a row that looks like an error"),
            message(b'2', b""),
            message(b'E', b"SFEHLER\0VERROR\0C57014\0MAnfrage abgebrochen\0\0"),
            message(b'Z', b"I"),
        ]
        .concat();
        for size in 1..stream.len() {
            let mut reader = Reader::default();
            let found: Vec<_> = stream.chunks(size).filter_map(|part| reader.take(part)).collect();
            assert_eq!(found, [SqlState(*b"57014")], "read by {size}");
            assert_eq!(reader.work, Work { parsed: 1, run: 2, trips: 0 }, "read by {size}");
        }
    }

    #[test]
    fn of_statements_that_were_sent_together_the_first_error_counts() {
        let error = |code: &str| message(b'E', format!("SERROR\0C{code}\0M…\0\0").as_bytes());
        let stream = [error("55P03"), message(READY, b"E"), error("25P02"), message(READY, b"E")].concat();
        assert_eq!(Reader::default().take(&stream), Some(SqlState::LOCK_NOT_AVAILABLE));
    }

    #[test]
    fn what_is_asked_before_an_answer_is_one_round_trip() {
        let mut reader = Reader::default();
        reader.asks();
        reader.asks();
        let ready = message(READY, b"I");
        reader.take(&[ready.clone(), ready].concat());
        assert_eq!(reader.work.trips, 1);
        reader.asks();
        assert_eq!(reader.work.trips, 2);
    }

    #[test]
    fn a_code_tells_what_may_help() {
        for (codes, meaning) in [
            ("08006 25006 25P03 53100 53200 53300 55P03 57014 57P01 57P03 58030", Meaning::Unavailable),
            ("40001 40P01", Meaning::Collision),
            ("23505", Meaning::Duplicate),
            ("22021 22P05 23502 25P02 26000 42601 42P01 42501 XX000", Meaning::Other),
        ] {
            for code in codes.split(' ') {
                assert_eq!(SqlState(code.as_bytes().try_into().unwrap()).meaning(), meaning, "{code}");
            }
        }
    }
}
