use std::collections::BTreeMap;

use crate::services::PAYMENTS;
use ::jobs::enqueue::Options;
use ::jobs::status::Standing;
use ::jobs::waits::outcomes;
use database::Tx;
use model::job::{Failure, JobState};
use serde_json::{Value, json};
use shared::blobs::BlobPath;
use shared::db::fulfilling::{self, Fulfilment};
use shared::db::orders;
use shared::db::stock::{self, Reserved};
use shared::domain::order::{OrderStatus, RejectReason};
use shared::domain::photo::PhotoStatus;
use shared::jobs::{EmailTemplate, FulfilOrder, RenderPrint, SendEmail};
use shared::payments::{Charge, PaymentError};

use super::{Handle, picture};
use crate::context::JobContext;
use runtime::context::{LastWrite, StepTx};
use runtime::outcome::{JobError, Outcome};
use runtime::saga::{Ready, Saga, Step, StepContext, StepEnd, StepFuture};

/// Fulfilment, as data.
const FULFILMENT: Saga<JobContext, Fulfilment, RejectReason> = Saga {
    steps: &[
        Step { name: "waiting for photos", ready: Some(photos_ready), run: None, undo: None },
        Step { name: "reserving stock", ready: None, run: Some(reserve), undo: Some(release) },
        Step { name: "charging", ready: None, run: Some(charge), undo: Some(refund) },
        Step { name: "rendering prints", ready: None, run: Some(render), undo: Some(discard_prints) },
        Step { name: "confirming", ready: Some(prints_ready), run: Some(confirm), undo: None },
    ],
    undone,
    done: |order| json!({"order_id": order.order.id, "order_status": "confirmed"}),
    refused: |order, reason| json!({"order_id": order.order.id, "order_status": "rejected", "reason": reason}),
};

/// The names of the places where a program with `crash-points` can be made to die in the middle of an order.
pub fn crash_points() -> Vec<String> {
    FULFILMENT.crash_points()
}

impl Handle for FulfilOrder {
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let found = {
            // The embedded database has one connection: the steps need it.
            let mut conn = context.services.db.conn().await?;
            fulfilling::find(&mut conn, self.order_id, context.job.id).await?
        };
        let Some(order) = found else { return Ok(Outcome::Done(Value::Null)) };
        FULFILMENT.run(&context, &order).await
    }
}

type End<'a> = StepFuture<'a, StepEnd<RejectReason>>;

/// Every photo of the order is a picture; else wait for the jobs that make them.
fn photos_ready<'a>(context: &'a JobContext, subject: &'a Fulfilment) -> StepFuture<'a, Ready<RejectReason>> {
    Box::pin(async move {
        let mut unready = Vec::new();
        for (_, photo) in &subject.lines {
            match photo {
                None | Some((PhotoStatus::Rejected, _)) => {
                    return Ok(Ready::Refuse(RejectReason::PhotoRejected));
                }
                Some((PhotoStatus::Processing, job)) => unready.push(*job),
                Some((PhotoStatus::Ready, _)) => {}
            }
        }
        if unready.is_empty() {
            return Ok(Ready::Yes);
        }
        unready.sort_unstable();
        unready.dedup();
        let made = outcomes(&mut context.services.db.conn().await?, &unready).await?;
        // A job that is gone makes no photo.
        if made.iter().any(is_refusal) || made.len() < unready.len() {
            return Ok(Ready::Refuse(RejectReason::PhotoRejected));
        }
        if let Some((job, ..)) = made.iter().find(|(_, state, _)| *state == JobState::Failed) {
            return Ok(Ready::GiveUp(format!("the photo's job {job} failed"), unready));
        }
        let mut tx = context.begin().await?;
        orders::set_status(&mut tx, subject.order.id, OrderStatus::AwaitingPhotos, None).await?;
        tx.commit().await?;
        Ok(Ready::Wait(unready))
    })
}

/// Whether a job that was waited for ended in a way that no redrive mends.
fn is_refusal((_, state, failure): &Standing) -> bool {
    *state == JobState::Cancelled || *failure == Some(Failure::Discarded)
}

fn reserve<'a>(context: &'a StepContext<'a, JobContext>, subject: &'a Fulfilment) -> End<'a> {
    Box::pin(async move {
        let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
        for (line, _) in &subject.lines {
            *wanted.entry(line.product_id.clone()).or_default() += line.quantity;
        }
        let mut tx = context.begin_last().await?;
        orders::set_status(&mut tx, subject.order.id, OrderStatus::Reserved, None).await?;
        let order_id = subject.order.id;
        // Last, as everybody who orders the same product wants its row.
        let take: LastWrite = Box::new(move |tx| {
            Box::pin(async move { Ok(stock::reserve(tx, order_id, &wanted).await? == Reserved::Yes) })
        });
        Ok(StepEnd::NextIf(tx, take, RejectReason::OutOfStock))
    })
}

fn release<'a>(context: &'a StepContext<'a, JobContext>, subject: &'a Fulfilment) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        let mut tx = context.begin_last().await?;
        stock::release(&mut tx, subject.order.id).await?;
        Ok(tx)
    })
}

/// The gateway is asked with the order as key: asked twice, it charges once.
fn charge<'a>(context: &'a StepContext<'a, JobContext>, subject: &'a Fulfilment) -> End<'a> {
    Box::pin(async move {
        let services = &context.services;
        let order = &subject.order;
        let token = order.payment_token.parse().map_err(JobError::failed)?;
        context.before_effect()?;
        let charge = Charge { order_id: order.id, amount_cents: order.total_cents, token };
        let charged = services.breakers.call(PAYMENTS, async {
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

fn refund<'a>(context: &'a StepContext<'a, JobContext>, subject: &'a Fulfilment) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        let services = &context.services;
        context.before_effect()?;
        let refund = async { services.gateway.refund(subject.order.id).await.map_err(payment_error) };
        services.breakers.call(PAYMENTS, refund).await?;
        context.begin_last().await
    })
}

fn payment_error(error: PaymentError) -> JobError {
    match error {
        PaymentError::Unavailable { reason: message, retry_after } => {
            JobError::Unavailable { dependency: PAYMENTS, message, retry_after }
        }
        other => JobError::failed(other),
    }
}

/// One child job a line renders its print; the order waits for all of them without holding a worker.
fn render<'a>(context: &'a StepContext<'a, JobContext>, subject: &'a Fulfilment) -> End<'a> {
    Box::pin(async move {
        let order_id = subject.order.id;
        let mut tx = context.begin_last().await?;
        // An earlier release made them in a transaction of their own, before the checkpoint.
        if !subject.prints.is_empty() {
            return Ok(StepEnd::Next(tx));
        }
        orders::set_status(&mut tx, order_id, OrderStatus::Rendering, None).await?;
        let prints: Vec<_> = positions(subject).map(|position| RenderPrint { order_id, position }).collect();
        let prints = context.enqueue_children(&mut tx, &prints).await?;
        Ok(StepEnd::Made(tx, prints.into_iter().map(|job| job.id).collect()))
    })
}

/// Every print is rendered; else wait for them.
fn prints_ready<'a>(
    _context: &'a JobContext,
    subject: &'a Fulfilment,
) -> StepFuture<'a, Ready<RejectReason>> {
    Box::pin(async move {
        let prints = &subject.prints;
        let jobs = || prints.iter().map(|(job, ..)| *job).collect();
        if prints.iter().any(|(_, state, _)| !state.is_final()) {
            return Ok(Ready::Wait(jobs()));
        }
        if prints.iter().any(is_refusal) {
            return Ok(Ready::Refuse(RejectReason::PhotoRejected));
        }
        Ok(match prints.iter().find(|(_, state, _)| *state == JobState::Failed) {
            Some((job, ..)) => Ready::GiveUp(format!("the print's job {job} failed"), jobs()),
            None => Ready::Yes,
        })
    })
}

/// The jobs that render are over by now: the saga has cancelled them and waited.
fn discard_prints<'a>(
    context: &'a StepContext<'a, JobContext>,
    subject: &'a Fulfilment,
) -> StepFuture<'a, StepTx> {
    Box::pin(async move {
        for position in positions(subject) {
            // The money is given back next: it must not wait for a file that can't be removed.
            picture::remove(&context.services, BlobPath::Print(subject.order.id, position)).await?;
        }
        context.begin_last().await
    })
}

/// The places of the order's lines.
fn positions(subject: &Fulfilment) -> impl Iterator<Item = u16> {
    (0..).take(subject.lines.len())
}

fn confirm<'a>(context: &'a StepContext<'a, JobContext>, subject: &'a Fulfilment) -> End<'a> {
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
    context: &'a StepContext<'a, JobContext>,
    subject: &'a Fulfilment,
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
    subject: &Fulfilment,
    template: EmailTemplate,
) -> Result<(), JobError> {
    let order_id = subject.order.id;
    let options = Options { ordering_key: Some(SendEmail::line(order_id)), ..Options::default() };
    context.enqueue_with(tx, &SendEmail { order_id, template }, options).await?;
    Ok(())
}
