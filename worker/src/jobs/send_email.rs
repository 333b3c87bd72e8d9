use platform::BlobError;
use platform::EmailAddress;
use serde_json::json;
use shared::blobs::BlobPath;
use shared::db::orders::{self, LineWithThumb, Order};
use shared::domain::photo::Variant;
use shared::jobs::{EmailTemplate, SendEmail};

use super::{Handle, mailing};
use crate::context::JobContext;
use crate::mail::{self, OrderMail, OrderMailLine, Thumb};
use runtime::outcome::{JobError, Outcome};

/// How long the signed link in a mail works.
const LINK_LIFETIME: chrono::TimeDelta = chrono::TimeDelta::days(30);

impl Handle for SendEmail {
    /// Composes the mail, and sends it as every mail of ours is sent.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let services = &context.services;
        let mut conn = services.db.conn().await?;
        let found = orders::find_with_thumbs(&mut conn, self.order_id).await?;
        drop(conn);
        let Some((order, lines)) = found else {
            return Ok(Outcome::Done(json!({"mail": "the order is gone"})));
        };
        let Ok(recipient) = order.email.parse::<EmailAddress>() else {
            return Ok(Outcome::Discard("the order's e-mail address is not one".into()));
        };
        let job = context.job.id;
        let mut shown = Vec::with_capacity(lines.len());
        for line in lines {
            shown.push(mail_line(&context, line).await?);
        }
        let link_expires_at = chrono::Utc::now() + LINK_LIFETIME;
        let path = services.keys.sign_path(&format!("/orders/{}", order.id), link_expires_at);
        let composed = mail::compose(OrderMail {
            job,
            to: recipient,
            order_number: order.id.short(),
            outcome: outcome(self.template, &order),
            lines: shown,
            total_cents: order.total_cents,
            link: format!("{}{path}", services.base_url.as_str().trim_end_matches('/')),
            link_expires_at,
        })
        .map_err(JobError::failed)?;
        mailing::send(&context, &composed, json!({"mail": "sent"})).await
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
async fn mail_line(
    context: &JobContext,
    LineWithThumb { line, thumb }: LineWithThumb,
) -> Result<OrderMailLine, JobError> {
    let mut picture = None;
    if let Some(kind) = thumb {
        match context.services.blobs.get(BlobPath::Sized(line.photo_id, Variant::Thumb)).await {
            Ok(bytes) => picture = Some(Thumb { kind, bytes: bytes.to_vec() }),
            Err(BlobError::Missing) => {}
            Err(error @ BlobError::Refused(_)) => {
                tracing::warn!(photo = %line.photo_id, %error, "a mail goes without a picture");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(OrderMailLine {
        product: line.product_name,
        quantity: line.quantity,
        price_cents: line.price_cents,
        thumb: picture,
    })
}
