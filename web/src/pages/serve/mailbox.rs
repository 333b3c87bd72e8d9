//! The demo's mailbox: what the shop sent, as files.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use shared::domain::JobId;
use shared::mail::MailSummary;

use super::{Shop, html, shell};
use crate::auth::customer::OptionalCustomer;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::pages::Section;
use crate::pages::mailbox::{MailPage, MailRow, MailboxPage};

/// Mails on the page.
const SHOWN: usize = 100;

/// As strict as the other pages', but for styles.
const MAIL_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
     script-src 'self'; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// `GET /mailbox`
pub async fn list(app: Shop, OptionalCustomer(customer): OptionalCustomer) -> Result<HttpResponse, ApiError> {
    let mailbox = app.config.mailbox.as_ref().ok_or(ApiError::NotFound("mailbox"))?;
    let mails = mailbox.list(SHOWN).await.map_err(unreadable)?;
    html(&MailboxPage {
        shell: shell(&app, customer, Section::Mailbox),
        mails: mails.into_iter().map(row).collect(),
    })
}

fn row(mail: MailSummary) -> MailRow {
    MailRow { id: mail.id.to_string(), to: mail.to, subject: mail.subject, sent_at: mail.date.to_rfc3339() }
}

/// `GET /mailbox/{id}`
pub async fn mail(
    app: Shop,
    OptionalCustomer(customer): OptionalCustomer,
    id: PathId<JobId>,
) -> Result<HttpResponse, ApiError> {
    let mailbox = app.config.mailbox.as_ref().ok_or(ApiError::NotFound("mailbox"))?;
    let mail = mailbox.read(id.0).await.map_err(unreadable)?.ok_or(ApiError::NotFound("mail"))?;
    let page = MailPage {
        shell: shell(&app, customer, Section::Mailbox),
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
