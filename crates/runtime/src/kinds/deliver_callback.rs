use std::time::{Duration, Instant};

use ::jobs::deliveries::{self, Call};
use ::jobs::kinds::DeliverCallback;
use platform::callbacks::{Answer, DeliveryError, Message};
use serde_json::json;

use crate::context::JobContext;
use crate::outcome::{JobError, Outcome};

/// About when a host that has no place free is tried again.
const BUSY_PAUSE: Duration = Duration::from_secs(3);

/// Send → write down → answer, in this order: a crash in between sends the message again, under the same
/// `webhook-id`.
pub(super) async fn run(args: DeliverCallback, context: JobContext) -> Result<Outcome, JobError> {
    let services = &context.services;
    let receiver = {
        let mut conn = services.db.conn().await?;
        deliveries::receiver(&mut conn, args.job_id).await?
    };
    let Some(receiver) = receiver.filter(|receiver| receiver.stopped_at.is_none()) else {
        return Ok(Outcome::Done(json!({"callback": "not wanted any more"})));
    };
    let url = match services.callbacks.read(&receiver.url) {
        Ok(url) => url,
        Err(why) => return Ok(Outcome::Discard(format!("the callback's address {why}"))),
    };
    let Some(customer) = context.job.owner else {
        return Ok(Outcome::Discard("nobody's callback can't be signed".into()));
    };
    let (id, timestamp) = (context.job.id.to_string(), chrono::Utc::now().timestamp());
    let body = serde_json::to_vec(&args.event).map_err(JobError::failed)?;
    let signature = services.keys.sign_webhook(customer.0, &id, timestamp, &body);
    let begun = Instant::now();
    context.before_effect()?;
    let answer = services.callbacks.deliver(&url, Message { id, timestamp, signature, body }).await;
    let took = begun.elapsed();
    if answer == Err(DeliveryError::Busy) {
        return Ok(Outcome::Snooze(BUSY_PAUSE.mul_f64(0.5 + rand::random::<f64>())));
    }
    let verdict = Verdict::of(&answer);
    metrics::counter!("callbacks_total", "outcome" => verdict.name()).increment(1);
    metrics::histogram!("callback_seconds").record(took.as_secs_f64());
    let error = answer.as_ref().err().map(ToString::to_string);
    let mut tx = context.begin().await?;
    let call = Call {
        delivery_id: context.job.id,
        fence: context.claim.fence,
        attempt: context.job.attempt,
        job_id: args.job_id,
        told: args.told(),
        answer: answer.map(|answer| answer.status).map_err(|_| error.as_deref().unwrap_or_default()),
        took,
    };
    deliveries::record(&mut tx, call, verdict == Verdict::Stop).await?;
    tx.commit().await?;
    match verdict {
        Verdict::Delivered => Ok(Outcome::Done(json!({"callback": "delivered"}))),
        Verdict::Stop => Ok(Outcome::Done(json!({"callback": "the receiver wants no more"}))),
        Verdict::Again { why, retry_after: None } => Err(JobError::failed(why)),
        Verdict::Again { why, retry_after: Some(delay) } => {
            Err(JobError::TryAgain { message: why, retry_after: delay })
        }
    }
}

/// What an answer means (Standard Webhooks): 2xx is yes, 410 is never again, everything else is not yet.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Delivered,
    Stop,
    Again { why: String, retry_after: Option<Duration> },
}

impl Verdict {
    fn of(answer: &Result<Answer, DeliveryError>) -> Self {
        match answer {
            Ok(Answer { status: 200..=299, .. }) => Self::Delivered,
            Ok(Answer { status: 410, .. }) => Self::Stop,
            Ok(Answer { status: status @ 300..=399, .. }) => Self::Again {
                why: format!("the receiver answered {status}: no redirect is followed"),
                retry_after: None,
            },
            Ok(Answer { status, retry_after }) => {
                Self::Again { why: format!("the receiver answered {status}"), retry_after: *retry_after }
            }
            Err(error) => {
                Self::Again { why: format!("the receiver can't be asked: {error}"), retry_after: None }
            }
        }
    }

    /// The name in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Stop => "stopped",
            Self::Again { .. } => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_meaning() {
        let minute = Some(Duration::from_secs(60));
        let answered = |status, retry_after| Verdict::of(&Ok(Answer { status, retry_after }));
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(answered(status, None), Verdict::Delivered, "{status}");
        }
        assert_eq!(answered(410, minute), Verdict::Stop);
        for status in [400, 401, 404, 408, 429, 500, 503] {
            let Verdict::Again { why, retry_after } = answered(status, minute) else { panic!("{status}") };
            assert_eq!((why, retry_after), (format!("the receiver answered {status}"), minute));
        }
        for status in [301, 302, 307, 308] {
            let verdict = answered(status, minute);
            assert!(matches!(verdict, Verdict::Again { retry_after: None, .. }), "{status}: {verdict:?}");
        }
        for error in [DeliveryError::Forbidden, DeliveryError::Failed("timed out".into())] {
            assert!(matches!(Verdict::of(&Err(error)), Verdict::Again { retry_after: None, .. }));
        }
    }
}
