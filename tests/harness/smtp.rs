//! A mail server that takes everything and keeps it: just enough of SMTP (RFC 5321) for a client that behaves.
//!
//! Own code, because the servers on crates.io are frameworks with threads or TLS of their own; this is one loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

type Mails = Arc<Mutex<Vec<Vec<u8>>>>;

/// A mail server of one test, on loopback. It ends with the test's runtime.
#[derive(Clone)]
pub struct SmtpServer {
    port: u16,
    mails: Mails,
    away: Arc<AtomicBool>,
    answers: watch::Sender<bool>,
}

impl SmtpServer {
    /// Starts to listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Mails::default();
        let away = Arc::new(AtomicBool::new(false));
        let (answers, answering) = watch::channel(true);
        let (kept, closed) = (mails.clone(), away.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                // A client that hangs up in the middle has sent no mail.
                tokio::spawn(talk(stream, kept.clone(), answering.clone()));
            }
        });
        Self { port, mails, away, answers }
    }

    /// The value for `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on hangs up on everybody, or is there again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// From now on keeps what comes and does not say so, or says so again, also of what came meanwhile.
    pub fn set_silent(&self, silent: bool) {
        self.answers.send_replace(!silent);
    }

    /// What came in so far, in that order.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        self.mails.lock().unwrap().clone()
    }
}

async fn talk(stream: TcpStream, mails: Mails, mut answering: watch::Receiver<bool>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    writer.write_all(b"220 mail.test ready\r\n").await?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-mail.test\r\n250 8BITMIME\r\n",
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await?;
                let mail = read_message(&mut reader).await?;
                mails.lock().unwrap().push(mail);
                if answering.wait_for(|answering| *answering).await.is_err() {
                    return Ok(());
                }
                b"250 kept\r\n"
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 fine\r\n",
        };
        writer.write_all(reply).await?;
    }
}

/// Up to the line with a lone dot; a dot that was put in front of another is taken away again.
async fn read_message(reader: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
