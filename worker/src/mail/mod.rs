//! What the shop's mails say: from a view of an order to a mail that is ready to go.
//!
//! Pure: no database, no clock, no network. The wording is in `templates/mail/`, once as plain text
//! and once as HTML; `order.txt` and `order.html` hold what all mails share.

#[cfg(test)]
mod tests;

pub mod report;

use askama::Template;
use chrono::{DateTime, Utc};
use model::JobId;
use platform::EmailAddress;
use platform::mail::{InlinePicture, OutgoingMail};
use shared::domain::money::euros;
use shared::domain::order::RejectReason;
use shared::domain::photo::ImageType;

/// An order as its mail shows it.
#[derive(Debug, Clone)]
pub struct OrderMail {
    /// The job that sends the mail.
    pub job: JobId,
    /// The customer.
    pub to: EmailAddress,
    /// What the customer calls the order.
    pub order_number: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What was ordered.
    pub lines: Vec<OrderMailLine>,
    /// The sum of all lines, in cents.
    pub total_cents: i64,
    /// Where the order can be seen, absolute and signed.
    pub link: String,
    /// Until when the link opens.
    pub link_expires_at: DateTime<Utc>,
}

/// One line of the order.
#[derive(Debug, Clone)]
pub struct OrderMailLine {
    /// The product's name.
    pub product: String,
    /// How many prints.
    pub quantity: i32,
    /// The price of one print when the order was placed, in cents.
    pub price_cents: i64,
    /// The photo, small; none when there is no picture of it.
    pub thumb: Option<Thumb>,
}

/// A small picture of a photo.
#[derive(Debug, Clone)]
pub struct Thumb {
    /// Its format.
    pub kind: ImageType,
    /// The file.
    pub bytes: Vec<u8>,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The prints are on their way.
    Confirmed,
    /// The shop said no.
    Rejected(RejectReason),
    /// The customer said no.
    Cancelled,
    /// They should have arrived: are they any good?
    Review,
}

/// What the templates see.
struct View<'a> {
    order: &'a OrderMail,
    lines: Vec<LineView<'a>>,
    total: String,
    link_expires: String,
}

struct LineView<'a> {
    product: &'a str,
    quantity: i32,
    price: String,
    total: String,
    /// The content id of its picture.
    picture: Option<String>,
}

#[derive(Template)]
#[template(path = "mail/confirmed.html")]
struct ConfirmedHtml<'a>(&'a View<'a>);

#[derive(Template)]
#[template(path = "mail/confirmed.txt")]
struct ConfirmedText<'a>(&'a View<'a>);

#[derive(Template)]
#[template(path = "mail/rejected.html")]
struct RejectedHtml<'a>(&'a View<'a>, &'a str);

#[derive(Template)]
#[template(path = "mail/rejected.txt")]
struct RejectedText<'a>(&'a View<'a>, &'a str);

#[derive(Template)]
#[template(path = "mail/cancelled.html")]
struct CancelledHtml<'a>(&'a View<'a>);

#[derive(Template)]
#[template(path = "mail/cancelled.txt")]
struct CancelledText<'a>(&'a View<'a>);

#[derive(Template)]
#[template(path = "mail/review.html")]
struct ReviewHtml<'a>(&'a View<'a>);

#[derive(Template)]
#[template(path = "mail/review.txt")]
struct ReviewText<'a>(&'a View<'a>);

/// Writes the mail about an order.
///
/// # Errors
/// A template failed; with these inputs none can.
pub fn compose(order: OrderMail) -> Result<OutgoingMail, askama::Error> {
    let view = View {
        order: &order,
        lines: order.lines.iter().enumerate().map(|(index, line)| line_view(&order, index, line)).collect(),
        total: euros(order.total_cents),
        link_expires: order.link_expires_at.format("%-d %B %Y, %H:%M UTC").to_string(),
    };
    let number = &order.order_number;
    let (subject, text, html) = match order.outcome {
        Outcome::Confirmed => (
            format!("Order {number}: your prints are on their way"),
            ConfirmedText(&view).render()?,
            ConfirmedHtml(&view).render()?,
        ),
        Outcome::Rejected(reason) => (
            format!("Order {number}: we could not take your order"),
            RejectedText(&view, reason.sentence()).render()?,
            RejectedHtml(&view, reason.sentence()).render()?,
        ),
        Outcome::Cancelled => (
            format!("Order {number}: cancelled as you asked"),
            CancelledText(&view).render()?,
            CancelledHtml(&view).render()?,
        ),
        Outcome::Review => (
            format!("Order {number}: how are your prints?"),
            ReviewText(&view).render()?,
            ReviewHtml(&view).render()?,
        ),
    };
    let inline = pictures(&order);
    Ok(OutgoingMail {
        message_id_of: order.job.0,
        to: order.to,
        subject,
        text,
        html,
        inline,
        attachments: vec![],
    })
}

fn line_view<'a>(order: &OrderMail, index: usize, line: &'a OrderMailLine) -> LineView<'a> {
    LineView {
        product: &line.product,
        quantity: line.quantity,
        price: euros(line.price_cents),
        total: euros(line.price_cents.saturating_mul(i64::from(line.quantity))),
        picture: line.thumb.as_ref().map(|_| content_id(order, index)),
    }
}

fn pictures(order: &OrderMail) -> Vec<InlinePicture> {
    let picture = |(index, line): (usize, &OrderMailLine)| {
        let thumb = line.thumb.as_ref()?;
        Some(InlinePicture {
            content_id: content_id(order, index),
            content_type: thumb.kind.content_type().to_owned(),
            bytes: thumb.bytes.clone(),
        })
    };
    order.lines.iter().enumerate().filter_map(picture).collect()
}

/// Content ids are unique in the world (RFC 2045 §7), as job ids are.
fn content_id(order: &OrderMail, index: usize) -> String {
    format!("line-{}@{}", index + 1, order.job)
}
