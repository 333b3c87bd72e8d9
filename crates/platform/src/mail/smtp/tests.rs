//! The mailer against a small scripted server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::mail::smtp::*;
use crate::mail::testing::{mail, sender};

/// What the server says to a line; the empty line is the moment of connecting, a lone dot the end of a
/// message. `None` is silence.
type Script = fn(&str) -> Option<&'static str>;

fn friendly(line: &str) -> Option<&'static str> {
    Some(match line.split(' ').next().unwrap_or_default() {
        "" => "220 mail.example ready",
        "EHLO" => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
        "AUTH" => "235 welcome",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 fine",
    })
}

struct Server {
    mailer: SmtpMailer,
    connections: Arc<AtomicUsize>,
    taken: mpsc::UnboundedReceiver<String>,
}

async fn server(script: Script) -> Server {
    server_at("smtp://ada:secret@127.0.0.1", script).await
}

async fn server_at(url: &str, script: Script) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url: SmtpUrl = url.parse().unwrap();
    url.port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let (mails, taken) = mpsc::unbounded_channel();
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(talk(stream, script, mails.clone()));
        }
    });
    let mut mailer = SmtpMailer::new(url, sender()).unwrap();
    mailer.limits = Limits { connect: Duration::from_millis(300), send: Duration::from_millis(300) };
    Server { mailer, connections, taken }
}

/// One conversation; ends when either side hangs up or a reply says so.
async fn talk(
    stream: TcpStream,
    script: Script,
    mails: mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut message: Option<String> = None;
    let mut line = String::new();
    loop {
        let in_message = message.as_mut().filter(|_| line != ".");
        let reply = match in_message {
            Some(message) => {
                message.push_str(&line);
                message.push('\n');
                None
            }
            None => script(&line),
        };
        if let Some(reply) = reply {
            writer.write_all(format!("{reply}\r\n").as_bytes()).await?;
            match &reply[..3] {
                "354" => message = Some(String::new()),
                "421" | "221" => return Ok(()),
                _ if line == "." => {
                    let _ = mails.send(message.take().unwrap_or_default());
                }
                _ => {}
            }
        }
        match lines.next_line().await? {
            Some(next) => line = next,
            None => return Ok(()),
        }
    }
}

#[tokio::test]
async fn mails_arrive_and_share_a_connection() {
    let mut server = server(friendly).await;
    let (first, second) = (mail(), mail());
    server.mailer.send(&first).await.unwrap();
    server.mailer.send(&second).await.unwrap();
    for mail in [first, second] {
        let taken = server.taken.recv().await.unwrap();
        assert!(taken.contains(&format!("Message-ID: <{}@notes.example>", mail.message_id_of)), "{taken}");
        // The lone dot in the text has been doubled on the wire (RFC 5321 §4.5.2).
        assert!(taken.contains("\n..\n"), "{taken}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_the_server_says_decides_what_becomes_of_the_mail() {
    let unavailable: [Script; 3] = [
        |line| if line.is_empty() { Some("421 too busy") } else { friendly(line) },
        |line| if line.is_empty() { None } else { friendly(line) },
        |line| if line.starts_with("MAIL") { Some("421 closing down") } else { friendly(line) },
    ];
    for (number, script) in unavailable.into_iter().enumerate() {
        let error = server(script).await.mailer.send(&mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Unavailable(_)), "{number}: {error}");
    }
    let unanswered: [Script; 2] = [
        |line| if line.starts_with("RCPT") { None } else { friendly(line) },
        |line| if line == "." { None } else { friendly(line) },
    ];
    for (number, script) in unanswered.into_iter().enumerate() {
        let error = server(script).await.mailer.send(&mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Unanswered(_)), "{number}: {error}");
    }
    let rejected: [Script; 2] = [
        |line| if line.starts_with("RCPT") { Some("550 no such user") } else { friendly(line) },
        |line| if line == "." { Some("554 that is spam") } else { friendly(line) },
    ];
    for (number, script) in rejected.into_iter().enumerate() {
        let error = server(script).await.mailer.send(&mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Rejected(_)), "{number}: {error}");
    }
    let other: [Script; 4] = [
        |line| if line.starts_with("RCPT") { Some("450 greylisted") } else { friendly(line) },
        |line| if line.starts_with("MAIL") { Some("530 log in first") } else { friendly(line) },
        |line| if line.starts_with("AUTH") { Some("535 wrong password") } else { friendly(line) },
        |line| if line.is_empty() { Some("554 no service for you") } else { friendly(line) },
    ];
    for (number, script) in other.into_iter().enumerate() {
        let error = server(script).await.mailer.send(&mail()).await.unwrap_err();
        assert!(matches!(error, MailError::Other(_)), "{number}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// As a server that takes so many mails on one connection, or that restarts.
#[tokio::test]
async fn a_server_that_has_enough_of_a_connection_gets_the_mail_on_another_at_once() {
    static MAILS: AtomicUsize = AtomicUsize::new(0);
    let mut server = server(|line| match line.split(' ').next() {
        Some("MAIL") if MAILS.fetch_add(1, Ordering::SeqCst) == 1 => Some("421 too many mails"),
        _ => friendly(line),
    })
    .await;
    let [first, second] = [mail(), mail()];
    server.mailer.send(&first).await.unwrap();
    server.mailer.send(&second).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    for mail in [first, second] {
        assert!(server.taken.recv().await.unwrap().contains(&mail.message_id_of.to_string()));
    }
    assert!(server.taken.try_recv().is_err(), "each once");
}

#[tokio::test]
async fn a_closed_port_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mailer = SmtpMailer::new(format!("smtp://127.0.0.1:{port}").parse().unwrap(), sender()).unwrap();
    assert!(matches!(mailer.send(&mail()).await, Err(MailError::Unavailable(_))));
}

#[tokio::test]
async fn a_connection_that_was_given_up_on_is_never_used_again() {
    // The second mail of a connection is never answered.
    static MESSAGES: AtomicUsize = AtomicUsize::new(0);
    let mut server = server(|line| match line {
        "." if MESSAGES.fetch_add(1, Ordering::SeqCst) == 1 => None,
        line => friendly(line),
    })
    .await;
    let [first, lost, third] = [mail(), mail(), mail()];
    server.mailer.send(&first).await.unwrap();
    assert!(matches!(server.mailer.send(&lost).await, Err(MailError::Unanswered(_))));
    server.mailer.send(&third).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    for mail in [first, third] {
        assert!(server.taken.recv().await.unwrap().contains(&mail.message_id_of.to_string()));
    }
}

#[tokio::test]
async fn without_the_starttls_that_is_required_no_mail_is_sent() {
    let mut server = server_at("smtp://127.0.0.1?tls=required", friendly).await;
    assert!(matches!(server.mailer.send(&mail()).await, Err(MailError::Other(_))));
    assert!(server.taken.try_recv().is_err());
}
