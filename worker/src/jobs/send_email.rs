use std::time::Duration;

use serde_json::json;
use shared::blobs::{BlobError, BlobPath};
use shared::db::mails::{self, Place};
use shared::db::orders::{self, Order, OrderLine};
use shared::db::photos;
use shared::domain::EmailAddress;
use shared::domain::photo::Variant;
use shared::jobs::{EmailTemplate, SendEmail};
use shared::mail::{MailError, OutgoingMail};

use super::Handle;
use crate::context::JobContext;
use crate::mail::{self, OrderMail, OrderMailLine, Thumb};
use crate::outcome::{Dependency, JobError, Outcome};

/// The most mails to one recipient …
const RECIPIENT_LIMIT: i64 = 10;

/// … within this time; more wait.
pub(super) const RECIPIENT_WINDOW: Duration = Duration::from_secs(60);

/// How long the signed link in a mail works.
const LINK_LIFETIME: chrono::TimeDelta = chrono::TimeDelta::days(30);

impl Handle for SendEmail {
    /// Compose → take a place → hand over → write down, in this order: a crash after the mail server said
    /// yes and before that is written down sends the mail again, under the same `Message-ID`. The place
    /// that nobody gave back tells that it may be so, and such mails are counted.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let services = &context.services;
        let mut conn = services.db.read().await?;
        let Some(order) = orders::find(&mut conn, self.order_id).await? else {
            return Ok(Outcome::Done(json!({"mail": "the order is gone"})));
        };
        let lines = orders::lines(&mut conn, &[order.id]).await?;
        drop(conn);
        let Ok(recipient) = order.email.parse::<EmailAddress>() else {
            return Ok(Outcome::Discard("the order's e-mail address is not one".into()));
        };
        let job = context.job.id;
        let lines: Vec<OrderLine> = lines.into_iter().map(|(_, line)| line).collect();
        let mut shown = Vec::with_capacity(lines.len());
        for line in lines {
            shown.push(mail_line(&context, line).await?);
        }
        let link_expires_at = chrono::Utc::now() + LINK_LIFETIME;
        let path = services.keys.sign_path(&format!("/orders/{}", order.id), link_expires_at);
        let composed = mail::compose(OrderMail {
            job,
            to: recipient.clone(),
            order_number: order.id.short(),
            outcome: outcome(self.template, &order),
            lines: shown,
            total_cents: order.total_cents,
            link: format!("{}{path}", services.base_url.as_str().trim_end_matches('/')),
            link_expires_at,
        })
        .map_err(JobError::failed)?;
        let mut tx = context.begin().await?;
        let place = mails::take_place(&mut tx, job, &recipient, RECIPIENT_LIMIT, RECIPIENT_WINDOW).await?;
        tx.commit().await?;
        match place {
            Place::Taken | Place::PerhapsSent => {}
            Place::Sent => return Ok(Outcome::Done(json!({"mail": "sent"}))),
            Place::Full => {
                tracing::info!("the recipient got many mails just now; this one waits");
                return Ok(Outcome::Snooze(RECIPIENT_WINDOW / 2));
            }
        }
        match hand_over(&context, &composed).await {
            HandedOver::Sent => {
                if place == Place::PerhapsSent {
                    metrics::counter!("mails_perhaps_sent_twice_total").increment(1);
                    tracing::warn!("an earlier try may have sent this mail already");
                }
                let mut conn = services.db.read().await?;
                mails::mark_sent(&mut conn, job).await?;
                Ok(Outcome::Done(json!({"mail": "sent"})))
            }
            HandedOver::Unknown(error) => Err(error),
            HandedOver::NotSent(ended) => {
                // This try did not send it; what an earlier one did is as unknown as before.
                if place == Place::Taken {
                    let mut tx = context.begin().await?;
                    mails::give_place_back(&mut tx, job).await?;
                    tx.commit().await?;
                }
                ended
            }
        }
    }
}

/// What became of a mail.
enum HandedOver {
    /// The server has it.
    Sent,
    /// The server did not say.
    Unknown(JobError),
    /// The server does not have it, and so the job ends.
    NotSent(Result<Outcome, JobError>),
}

async fn hand_over(context: &JobContext, mail: &OutgoingMail) -> HandedOver {
    let services = &context.services;
    let mut unknown = false;
    let sent = services.breakers.call(Dependency::Mail, async {
        match services.mailer.send(mail).await {
            Ok(()) => Ok(None),
            Err(MailError::Rejected(why)) => Ok(Some(why)),
            Err(MailError::Unavailable(why)) => Err(JobError::unavailable(Dependency::Mail, why)),
            Err(MailError::Unanswered(why)) => {
                unknown = true;
                Err(JobError::unavailable(Dependency::Mail, why))
            }
            Err(error @ MailError::Other(_)) => Err(JobError::failed(error)),
        }
    });
    match sent.await {
        Ok(None) => HandedOver::Sent,
        Ok(Some(why)) => HandedOver::NotSent(Ok(Outcome::Discard(why))),
        Err(error) if unknown => HandedOver::Unknown(error),
        Err(error) => HandedOver::NotSent(Err(error)),
    }
}

fn outcome(template: EmailTemplate, order: &Order) -> mail::Outcome {
    match (template, order.reason) {
        (EmailTemplate::OrderRejected, Some(reason)) => mail::Outcome::Rejected(reason),
        (EmailTemplate::OrderCancelled, _) => mail::Outcome::Cancelled,
        (EmailTemplate::ReviewRequest, _) => mail::Outcome::Review,
        _ => mail::Outcome::Confirmed,
    }
}

/// A line with its thumbnail, if the photo has one: a mail without a picture is better than none.
async fn mail_line(context: &JobContext, line: OrderLine) -> Result<OrderMailLine, JobError> {
    let services = &context.services;
    let variants = {
        let mut conn = services.db.read().await?;
        photos::variants(&mut conn, &[line.photo_id]).await?
    };
    let mut thumb = None;
    if let Some(variant) = variants.into_iter().find(|variant| variant.name == Variant::Thumb) {
        match services.blobs.get(BlobPath::Sized(line.photo_id, Variant::Thumb)).await {
            Ok(bytes) => thumb = Some(Thumb { kind: variant.content_type, bytes: bytes.to_vec() }),
            Err(BlobError::Missing) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(OrderMailLine {
        product: line.product_name,
        quantity: line.quantity,
        price_cents: line.price_cents,
        thumb,
    })
}
