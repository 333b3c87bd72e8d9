//! Sending mail: a finished [`OutgoingMail`] becomes an Internet message (RFC 5322) and leaves by SMTP
//! or stays as a file.
//!
//! What a mail says is none of this module's business: the application's templates write it. Nor are
//! retries: a mail is sent by a job, and [`MailError`] tells the job what to do about a failure.
//!
//! A mail is sent at least once. When the server takes the message and its answer is lost, the next
//! attempt sends it again, under the same `Message-ID`, by which most mail programs show it once.

pub mod files;
mod message;
mod sender;
pub mod smtp;
mod stored;

pub use files::FileMailer;
pub use sender::{InvalidSender, Sender};
pub use smtp::SmtpMailer;
pub use stored::{MailSummary, StoredMail};

use crate::EmailAddress;
use uuid::Uuid;

/// A mail that is ready to go, to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingMail {
    /// The job that sends it. Names the mail (`Message-ID`, file name), so that a second attempt is the
    /// same mail and not another.
    pub message_id_of: Uuid,
    /// Who gets it.
    pub to: EmailAddress,
    /// One line; control characters become spaces and what is beyond 200 characters is cut off.
    pub subject: String,
    /// The whole message for those who read plain text.
    pub text: String,
    /// The whole message as HTML; shows an [`InlinePicture`] by `<img src="cid:…">`.
    pub html: String,
    /// The pictures that the HTML shows.
    pub inline: Vec<InlinePicture>,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
}

/// A picture inside the HTML of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlinePicture {
    /// Its name in `cid:` URLs (RFC 2392): letters, digits, `.`, `_`, `-` and `@`.
    pub content_id: String,
    /// Its media type.
    pub content_type: String,
    /// The picture.
    pub bytes: Vec<u8>,
}

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name that the recipient sees; control characters and path separators become `_`.
    pub file_name: String,
    /// Its media type.
    pub content_type: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Why a mail was not sent, as far as the job that sends it must know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Nobody's mail gets through at present: refused, timed out, the server closes (421). Ask again
    /// later, and hold other mails back meanwhile.
    #[error("the mail server is unavailable: {0}")]
    Unavailable(String),
    /// The server fell silent or was lost while the mail was handed over: it may have taken it. Treat it
    /// as [`MailError::Unavailable`], but for this doubt; with every other error the mail is not sent.
    #[error("the mail server is unavailable: {0}")]
    Unanswered(String),
    /// This mail will never be taken (55x), or can't even be written down. No retry can help.
    #[error("the mail was refused for good: {0}")]
    Rejected(String),
    /// Anything else: a greylisted recipient, wrong credentials, a full disk. Worth a retry.
    #[error("the mail could not be sent: {0}")]
    Other(String),
}

/// The way out that the settings chose.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one of these")]
pub enum Mailer {
    /// Every mail is a file.
    Files(FileMailer),
    /// Every mail goes to a mail server.
    Smtp(SmtpMailer),
}

impl Mailer {
    /// Sends one mail; when this returns, it is on disk or the server has taken it.
    ///
    /// # Errors
    /// See [`MailError`]. After [`MailError::Unanswered`] the server may nevertheless have taken the mail.
    pub async fn send(&self, mail: &OutgoingMail) -> Result<(), MailError> {
        match self {
            Self::Files(mailer) => mailer.send(mail).await,
            Self::Smtp(mailer) => mailer.send(mail).await,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// An ordinary mail with one inline picture.
    pub(crate) fn mail() -> OutgoingMail {
        OutgoingMail {
            message_id_of: Uuid::now_v7(),
            to: "ada@example.org".parse().unwrap(),
            subject: "Your letter is on its way".to_owned(),
            text: "Hello Ada,\n.\nall is well.\n".to_owned(),
            html: "<p>Hello Ada <img src=\"cid:line-1@example.org\"></p>".to_owned(),
            inline: vec![InlinePicture {
                content_id: "line-1@example.org".to_owned(),
                content_type: "image/png".to_owned(),
                bytes: b"\x89PNG picture".to_vec(),
            }],
            attachments: Vec::new(),
        }
    }

    /// Who sends.
    pub(crate) fn sender() -> Sender {
        "Our team <team@notes.example>".parse().unwrap()
    }
}
