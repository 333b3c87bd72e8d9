//! `/mailbox`: every mail, and one.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use askama::Template;
use model::JobId;
use platform::mail::MailSummary;

use crate::App;
use crate::auth::customer::OptionalCustomer;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::pages::{Section, Shell, format, html};

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

/// Mails on the page.
const SHOWN: usize = 100;

/// As strict as the other pages', but for styles.
const MAIL_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
     script-src 'self'; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// `GET /mailbox`
pub async fn list(
    app: Data<App>,
    OptionalCustomer(customer): OptionalCustomer,
) -> Result<HttpResponse, ApiError> {
    let mailbox = app.config.mailbox.as_ref().ok_or(ApiError::NotFound("mailbox"))?;
    let mails = mailbox.list(SHOWN).await.map_err(unreadable)?;
    html(&MailboxPage {
        shell: Shell::of(&app, customer, Section::Mailbox),
        mails: mails.into_iter().map(row).collect(),
    })
}

fn row(mail: MailSummary) -> MailRow {
    MailRow { id: mail.id.to_string(), to: mail.to, subject: mail.subject, sent_at: mail.date.to_rfc3339() }
}

/// `GET /mailbox/{id}`
pub async fn mail(
    app: Data<App>,
    OptionalCustomer(customer): OptionalCustomer,
    id: PathId<JobId>,
) -> Result<HttpResponse, ApiError> {
    let mailbox = app.config.mailbox.as_ref().ok_or(ApiError::NotFound("mailbox"))?;
    let mail = mailbox.read(id.0.0).await.map_err(unreadable)?.ok_or(ApiError::NotFound("mail"))?;
    let page = MailPage {
        shell: Shell::of(&app, customer, Section::Mailbox),
        from: mail.summary.from,
        to: mail.summary.to,
        subject: mail.summary.subject,
        sent_at: mail.summary.date.to_rfc3339(),
        text: mail.text,
        html: Some(mail.html).filter(|html| !html.is_empty()),
    };
    let mut response = html(&page)?;
    // The frame with the mail inherits the page's policy, and mail can only be styled inline.
    let policy = HeaderValue::from_static(MAIL_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

fn unreadable(error: std::io::Error) -> ApiError {
    ApiError::Internal(format!("the mailbox can't be read: {error}"))
}
