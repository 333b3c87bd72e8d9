//! What the shop's jobs are about: photos and orders.

use ::jobs::Job;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::subject::Subjects;
use database::{DbError, Tx};
use futures_util::future::BoxFuture;
use model::Kind;

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
