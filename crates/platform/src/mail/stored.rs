//! Reading back a message that [`FileMailer`](crate::mail::FileMailer) wrote, for a page that shows it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use mail_parser::{Message, MessageParser, MimeHeaders};

use uuid::Uuid;

/// A line of the list of mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSummary {
    /// The job that sent it.
    pub id: Uuid,
    /// The sender, as the recipient sees them.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// When it was written.
    pub date: DateTime<Utc>,
}

/// A mail as its recipient would see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMail {
    /// Whose, what about, when.
    pub summary: MailSummary,
    /// The plain text.
    pub text: String,
    /// The HTML, its inline pictures turned into `data:` URLs. Show it in a sandboxed frame only: to the
    /// page around it, it is somebody else's HTML.
    pub html: String,
}

/// Reads the headers of a message; `None` when the bytes are no message.
pub(super) fn summary(id: Uuid, raw: &[u8]) -> Option<MailSummary> {
    MessageParser::default().parse_headers(raw).map(|message| summary_of(id, &message))
}

/// Reads a whole message; `None` when the bytes are no message.
pub(super) fn mail(id: Uuid, raw: &[u8]) -> Option<StoredMail> {
    let message = MessageParser::default().parse(raw)?;
    let text = message.body_text(0).unwrap_or_default().into_owned();
    let html = with_pictures(message.body_html(0).unwrap_or_default().into_owned(), &message);
    Some(StoredMail { summary: summary_of(id, &message), text, html })
}

fn summary_of(id: Uuid, message: &Message<'_>) -> MailSummary {
    let to = message.to().and_then(|to| to.first()).and_then(|first| first.address()).unwrap_or_default();
    let sender = message.from().and_then(|from| from.first());
    let from = sender.and_then(|first| first.name().or(first.address())).unwrap_or_default();
    let date = message.date().and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0));
    MailSummary {
        id,
        from: from.to_owned(),
        to: to.to_owned(),
        subject: message.subject().unwrap_or_default().to_owned(),
        date: date.unwrap_or(DateTime::UNIX_EPOCH),
    }
}

/// Puts the inline pictures where the HTML names them: a browser knows no `cid:` URLs.
fn with_pictures(mut html: String, message: &Message<'_>) -> String {
    for part in &message.parts {
        let (Some(content_id), Some(kind)) = (part.content_id(), part.content_type()) else { continue };
        if kind.ctype() != "image" {
            continue;
        }
        let subtype = kind.subtype().unwrap_or_default();
        let data = format!("\"data:image/{subtype};base64,{}\"", STANDARD.encode(part.contents()));
        html = html.replace(&format!("\"cid:{content_id}\""), &data);
    }
    html
}
