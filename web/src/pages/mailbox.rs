//! The demo's mailbox: what the shop sent, readable without a mail server.

use askama::Template;

use super::{Shell, format};

/// `GET /mailbox`: every mail, newest first.
#[derive(Debug, Template)]
#[template(path = "mailbox.html")]
pub struct MailboxPage {
    /// Around the content.
    pub shell: Shell,
    /// The mails.
    pub mails: Vec<MailRow>,
}

/// One mail in the list.
#[derive(Debug, Clone)]
pub struct MailRow {
    /// The mail's id, as in its URL; percent-encoded where it needs to be.
    pub id: String,
    /// Its recipient.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// When it was sent (RFC 3339).
    pub sent_at: String,
}

impl MailRow {
    /// When it was sent, readable.
    pub fn sent(&self) -> String {
        format::readable_time(&self.sent_at)
    }
}

/// `GET /mailbox/{id}`: one mail.
///
/// The HTML part is shown in a frame that runs no script, has no origin, and inherits the page's content
/// security policy; its links open new windows.
#[derive(Debug, Template)]
#[template(path = "mail.html")]
pub struct MailPage {
    /// Around the content.
    pub shell: Shell,
    /// Its sender.
    pub from: String,
    /// Its recipient.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// When it was sent (RFC 3339).
    pub sent_at: String,
    /// The text part, decoded.
    pub text: String,
    /// The HTML part, decoded.
    pub html: Option<String>,
}

impl MailPage {
    /// The text part with its links.
    pub fn parts(&self) -> Vec<format::TextPart> {
        format::linkify(&self.text)
    }

    /// When it was sent, readable.
    pub fn sent(&self) -> String {
        format::readable_time(&self.sent_at)
    }
}
