//! What the shop's jobs are about: photos and orders.

use ::jobs::Job;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::subject::{Happened, Subjects};
use database::{Conn, DbError, Tx};
use futures_util::future::BoxFuture;
use model::Kind;
use serde_json::Value;

use super::{EmailTemplate, FulfilOrder, MakeThumbnails, RenderPrint, SendEmail};
use crate::db::{orders, photos};
use crate::domain::order::OrderStatus;
use crate::domain::{OrderId, PhotoId};

/// See [`Subjects`].
pub struct Shop;

impl Subjects for Shop {
    fn path(&self, job: &Job) -> Option<String> {
        let photo = |id: PhotoId| format!("/api/photos/{id}");
        let order = |id: OrderId| format!("/api/orders/{id}");
        match job.kind_name() {
            MakeThumbnails::NAME => job.read_args::<MakeThumbnails>().ok().map(|args| photo(args.photo_id)),
            FulfilOrder::NAME => job.read_args::<FulfilOrder>().ok().map(|args| order(args.order_id)),
            RenderPrint::NAME => job.read_args::<RenderPrint>().ok().map(|args| order(args.order_id)),
            _ => None,
        }
    }

    fn cancelled<'a>(&'a self, tx: &'a mut Tx, job: &'a Job) -> BoxFuture<'a, Result<(), DbError>> {
        Box::pin(mark_cancelled(tx, job))
    }

    fn events<'a>(
        &'a self,
        conn: &'a mut Conn,
        job: &'a Job,
    ) -> BoxFuture<'a, Result<Vec<Happened>, DbError>> {
        Box::pin(events(conn, job))
    }

    fn job_of(&self) -> &'static [&'static str] {
        &[
            "SELECT photos.job_id FROM photos WHERE photos.id = ",
            "SELECT orders.job_id FROM orders WHERE orders.id = ",
        ]
    }
}

async fn mark_cancelled(tx: &mut Tx, job: &Job) -> Result<(), DbError> {
    match job.kind_name() {
        MakeThumbnails::NAME => {
            if let Ok(args) = job.read_args::<MakeThumbnails>() {
                photos::set_rejected(tx, args.photo_id, "cancelled").await?;
            }
        }
        FulfilOrder::NAME => {
            if let Ok(args) = job.read_args::<FulfilOrder>() {
                orders::set_status(tx, args.order_id, OrderStatus::Cancelled, None).await?;
                let mail = SendEmail { order_id: args.order_id, template: EmailTemplate::OrderCancelled };
                let options = Options {
                    owner: job.owner,
                    traceparent: job.traceparent.clone(),
                    ordering_key: Some(SendEmail::line(args.order_id)),
                    ..Options::default()
                };
                enqueue(tx, &mail, options).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What happened to the photo or order that a job was made for.
async fn events(conn: &mut Conn, job: &Job) -> Result<Vec<Happened>, DbError> {
    let argument = |name: &str| job.args.get(name).and_then(Value::as_str);
    let mut events = Vec::new();
    match job.kind.as_str() {
        FulfilOrder::NAME => {
            if let Some(order) = argument("order_id").and_then(|id| id.parse::<OrderId>().ok()) {
                for (_, event) in orders::timeline(conn, &[order]).await? {
                    let (what, detail) = (format!("order {}", event.event), event.detail);
                    events.push(Happened { at: event.at, what, detail });
                }
            }
        }
        MakeThumbnails::NAME => {
            if let Some(id) = argument("photo_id").and_then(|id| id.parse::<PhotoId>().ok())
                && let Some(photo) = photos::find(conn, id).await?
            {
                let detail = photo.reason.map(|reason| format!("it is {}: {reason}", photo.status.name()));
                let detail = detail.or_else(|| Some(format!("it is {}", photo.status.name())));
                events.push(Happened { at: photo.created_at, what: "photo accepted".into(), detail });
            }
        }
        _ => {}
    }
    Ok(events)
}
