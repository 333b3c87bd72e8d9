//! The demo's mailbox: what the shop sent, as files.

use actix_web::HttpResponse;
use shared::domain::JobId;
use shared::mail::MailSummary;

use super::{Shop, html, shell};
use crate::error::ApiError;
use crate::extract::{OptionalCustomer, PathId};
use crate::pages::Section;
use crate::pages::mailbox::{MailPage, MailRow, MailboxPage};

/// Mails on the page.
const SHOWN: usize = 100;

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
    html(&MailPage {
        shell: shell(&app, customer, Section::Mailbox),
        from: mail.summary.from,
        to: mail.summary.to,
        subject: mail.summary.subject,
        sent_at: mail.summary.date.to_rfc3339(),
        text: mail.text,
        html: Some(mail.html).filter(|html| !html.is_empty()),
    })
}

fn unreadable(error: std::io::Error) -> ApiError {
    ApiError::Internal(format!("the mailbox can't be read: {error}"))
}
