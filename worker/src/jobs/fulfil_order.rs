use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::blobs::BlobPath;
use shared::db::jobs::enqueue::Options;
use shared::db::jobs::status::children;
use shared::db::orders::{self, Order, OrderLine};
use shared::db::stock::{self, Reserved};
use shared::db::{Tx, photos};
use shared::domain::JobId;
use shared::domain::job::{Failure, JobState};
use shared::domain::order::{OrderStatus, RejectReason};
use shared::domain::photo::PhotoStatus;
use shared::jobs::{EmailTemplate, FulfilOrder, Kind, RenderPrint, SendEmail};
use shared::payments::{Charge, PaymentError};

use super::{Handle, picture};
use crate::context::{JobContext, StepTx};
use crate::crash_points::{self, MOMENTS};
use crate::outcome::{Dependency, JobError, Outcome};
use crate::saga::{Saga, Step, StepContext, StepEnd, StepFuture};

/// Fulfilment, as data.
const FULFILMENT: Saga<Subject, RejectReason> = Saga {
    steps: &[
        Step { name: "waiting for photos", run: photos_ready, undo: None },
        Step { name: "reserving stock", run: reserve, undo: Some(release) },
        Step { name: "charging", run: charge, undo: Some(refund) },
        Step { name: "rendering prints", run: render, undo: Some(discard_prints) },
        Step { name: "confirming", run: confirm, undo: None },
    ],
    undone,
    done: |subject| json!({"order_id": subject.order.id, "order_status": "confirmed"}),
    refused: |subject, reason| json!({"order_id": subject.order.id, "order_status": "rejected", "reason": reason}),
};

/// The commit in the middle of a step, as its crash points are named.
const FAN_OUT: (&str, &str) = ("fan_out", "prints");

/// The names of the places where a program with `crash-points` can be made to die in the middle of an order.
pub fn crash_points() -> Vec<String> {
    let fan_out = MOMENTS.map(|moment| crash_points::name(FAN_OUT.0, FAN_OUT.1, moment));
    FULFILMENT.crash_points().into_iter().chain(fan_out).collect()
}

/// What the steps work on.
struct Subject {
    order: Order,
    lines: Vec<OrderLine>,
}

impl Handle for FulfilOrder {
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let found = {
            // The embedded database has one connection: the steps need it.
            let mut conn = context.services.db.conn().await?;
            orders::find_with_lines(&mut conn, self.order_id).await?
        };
        let Some((order, lines)) = found else { return Ok(Outcome::Done(Value::Null)) };
        FULFILMENT.run(&context, &Subject { order, lines }).await
    }
}

type End<'a> = StepFuture<'a, StepEnd<RejectReason>>;

/// Every photo of the order is a picture; else wait for the jobs that make them.
fn photos_ready<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> End<'a> {
    Box::pin(async move {
        let mut ids: Vec<_> = subject.lines.iter().map(|line| line.photo_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut conn = context.services.db.conn().await?;
        let found = photos::find_many(&mut conn, &ids).await?;
        let unready: Vec<JobId> = found
            .iter()
            .filter(|photo| photo.status == PhotoStatus::Processing)
            .map(|photo| photo.job_id)
            .collect();
        let outcomes = shared::db::jobs::waits::outcomes(&mut conn, &unready).await?;
        drop(conn);
        let rejected = found.len() < ids.len()
            || found.iter().any(|photo| photo.status == PhotoStatus::Rejected)
            || outcomes.iter().any(is_refusal)
            // A job that is gone makes no photo.
            || outcomes.len() < unready.len();
        if rejected {
            return Ok(StepEnd::Refuse(RejectReason::PhotoRejected));
        }
        if let Some((job, ..)) = outcomes.iter().find(|(_, state, _)| *state == JobState::Failed) {
            return Ok(StepEnd::GiveUp(format!("the photo's job {job} failed"), unready));
        }
        if unready.is_empty() {
            return Ok(StepEnd::Next(context.begin_last().await?));
        }
        let mut tx = context.begin().await?;
        orders::set_status(&mut tx, subject.order.id, OrderStatus::AwaitingPhotos, None).await?;
        tx.commit().await?;
        Ok(StepEnd::Wait(unready))
    })
}

/// Whether a job that was waited for ended in a way that no redrive mends.
fn is_refusal((_, state, failure): &(JobId, JobState, Option<Failure>)) -> bool {
    *state == JobState::Cancelled || *failure == Some(Failure::Discarded)
}

fn reserve<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> End<'a> {
    Box::pin(async move {
        let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
        for line in &subject.lines {
            *wanted.entry(line.product_id.clone()).or_default() += line.quantity;
        }
        let mut tx = context.begin_last().await?;
        orders::set_status(&mut tx, subject.order.id, OrderStatus::Reserved, None).await?;
        // Last, as everybody who orders the same product wants its row.
        match stock::reserve(&mut tx, subject.order.id, &wanted).await? {
            Reserved::Yes => Ok(StepEnd::Next(tx)),
            Reserved::Short => {
                tx.rollback().await?;
                Ok(StepEnd::Refuse(RejectReason::OutOfStock))
            }
        }
    })
}

fn release<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        let mut tx = context.begin_last().await?;
        stock::release(&mut tx, subject.order.id).await?;
        Ok(tx)
    })
}

/// The gateway is asked with the order as key: asked twice, it charges once.
fn charge<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> End<'a> {
    Box::pin(async move {
        let services = &context.services;
        let order = &subject.order;
        let token = order.payment_token.parse().map_err(JobError::failed)?;
        context.before_effect()?;
        let charge = Charge { order_id: order.id, amount_cents: order.total_cents, token };
        let charged = services.breakers.call(Dependency::Payments, async {
            match services.gateway.charge(&charge).await {
                Ok(()) => Ok(true),
                Err(PaymentError::Declined) => Ok(false),
                Err(error) => Err(payment_error(error)),
            }
        });
        if !charged.await? {
            return Ok(StepEnd::Refuse(RejectReason::Declined));
        }
        let mut tx = context.begin_last().await?;
        orders::set_status(&mut tx, order.id, OrderStatus::Paid, None).await?;
        Ok(StepEnd::Next(tx))
    })
}

fn refund<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        let services = &context.services;
        context.before_effect()?;
        let refund = async { services.gateway.refund(subject.order.id).await.map_err(payment_error) };
        services.breakers.call(Dependency::Payments, refund).await?;
        context.begin_last().await
    })
}

fn payment_error(error: PaymentError) -> JobError {
    match error {
        PaymentError::Unavailable { reason: message, retry_after } => {
            JobError::Unavailable { dependency: Dependency::Payments, message, retry_after }
        }
        other => JobError::failed(other),
    }
}

/// One child job a line renders its print; the order waits for all of them without holding a worker.
///
/// They are enqueued in one transaction, so there is a whole set or none: a run after a crash finds the set.
fn render<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> End<'a> {
    Box::pin(async move {
        // No other run makes any: each is made by a transaction that locks the job's own row by its fence.
        let prints = {
            let mut conn = context.services.db.conn().await?;
            children(&mut conn, context.job.id, RenderPrint::NAME).await?
        };
        if prints.is_empty() {
            return fan_out(context, subject).await;
        }
        if prints.iter().any(|(_, state, _)| !state.is_final()) {
            return Ok(StepEnd::Wait(prints.into_iter().map(|(job, ..)| job).collect()));
        }
        if prints.iter().any(is_refusal) {
            return Ok(StepEnd::Refuse(RejectReason::PhotoRejected));
        }
        if let Some((job, ..)) = prints.iter().find(|(_, state, _)| *state == JobState::Failed) {
            let reason = format!("the print's job {job} failed");
            return Ok(StepEnd::GiveUp(reason, prints.into_iter().map(|(job, ..)| job).collect()));
        }
        Ok(StepEnd::Next(context.begin_last().await?))
    })
}

async fn fan_out(context: &JobContext, subject: &Subject) -> Result<StepEnd<RejectReason>, JobError> {
    let order_id = subject.order.id;
    let mut tx = context.begin().await?;
    orders::set_status(&mut tx, order_id, OrderStatus::Rendering, None).await?;
    let mut prints = Vec::with_capacity(subject.lines.len());
    for position in positions(subject) {
        prints.push(context.enqueue_child(&mut tx, &RenderPrint { order_id, position }).await?.id);
    }
    crash_points::pass(FAN_OUT.0, FAN_OUT.1, MOMENTS[0]);
    tx.commit().await?;
    crash_points::pass(FAN_OUT.0, FAN_OUT.1, MOMENTS[1]);
    Ok(StepEnd::Wait(prints))
}

/// The jobs that render are over by now: the saga has cancelled them and waited.
fn discard_prints<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        for position in positions(subject) {
            // The money is given back next: it must not wait for a file that can't be removed.
            picture::remove(&context.services, BlobPath::Print(subject.order.id, position)).await?;
        }
        context.begin_last().await
    })
}

/// The places of the order's lines.
fn positions(subject: &Subject) -> impl Iterator<Item = u16> {
    (0..).take(subject.lines.len())
}

fn confirm<'a>(context: &'a StepContext<'a>, subject: &'a Subject) -> End<'a> {
    Box::pin(async move {
        let mut tx = context.begin_last().await?;
        orders::set_status(&mut tx, subject.order.id, OrderStatus::Confirmed, None).await?;
        send_mail(context, &mut tx, subject, EmailTemplate::OrderConfirmed).await?;
        if let Some(delay) = context.services.review_after {
            let review = SendEmail { order_id: subject.order.id, template: EmailTemplate::ReviewRequest };
            let options = Options { delay, ..Options::default() };
            context.enqueue_with(&mut tx, &review, options).await?;
        }
        Ok(StepEnd::Next(tx))
    })
}

/// Everything is undone: the order says so, and so does a mail.
fn undone<'a>(
    context: &'a StepContext<'a>,
    subject: &'a Subject,
    reason: Option<RejectReason>,
) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        let (status, template) = match reason {
            Some(_) => (OrderStatus::Rejected, EmailTemplate::OrderRejected),
            None => (OrderStatus::Cancelled, EmailTemplate::OrderCancelled),
        };
        let mut tx = context.begin_last().await?;
        orders::set_status(&mut tx, subject.order.id, status, reason).await?;
        send_mail(context, &mut tx, subject, template).await?;
        Ok(tx)
    })
}

/// An order's mails go out in the order in which they were caused.
async fn send_mail(
    context: &JobContext,
    tx: &mut Tx,
    subject: &Subject,
    template: EmailTemplate,
) -> Result<(), JobError> {
    let order_id = subject.order.id;
    let options = Options { ordering_key: Some(SendEmail::line(order_id)), ..Options::default() };
    context.enqueue_with(tx, &SendEmail { order_id, template }, options).await?;
    Ok(())
}
