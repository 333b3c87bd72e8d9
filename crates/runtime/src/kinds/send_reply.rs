use ::jobs::kinds::{Refusal, Reply, SendReply};
use ::jobs::status;
use ::jobs::view::JobView;
use broker::{Answer, PublishError};
use platform::problem::Problem;
use serde_json::json;

use crate::context::JobContext;
use crate::outcome::{Dependency, JobError, Outcome};

/// Whoever does not wait any more is not run after: a queue that is gone will not come back.
pub(super) async fn run(args: SendReply, context: JobContext) -> Result<Outcome, JobError> {
    let (content_type, body) = match &args.about {
        Reply::Refused(refusal) => ("application/problem+json", json!(problem(refusal))),
        Reply::Job(id) => {
            let job = status::find(&mut context.services.db.conn().await?, *id).await?;
            let Some(job) = job else { return Ok(Outcome::Discard("its job is gone".into())) };
            ("application/json", json!(JobView::from(&job)))
        }
    };
    let body = body.to_string();
    let correlation_id = args.correlation_id.as_deref();
    let message_id = context.job.id.to_string();
    let answer = Answer { message_id: &message_id, correlation_id, content_type, body: body.as_bytes() };
    context.before_effect()?;
    match context.services.broker.reply(&args.reply_to, answer).await {
        Ok(()) => Ok(Outcome::Done(json!({"reply": "sent"}))),
        Err(PublishError::Unroutable) => Ok(Outcome::Discard("the reply queue is gone".into())),
        Err(error) => Err(JobError::unavailable(Dependency::BROKER, error)),
    }
}

/// RFC 9457.
fn problem(refusal: &Refusal) -> Problem {
    Problem {
        kind: "about:blank".into(),
        title: "The submission was refused".into(),
        status: refusal.status,
        detail: refusal.detail.clone(),
        instance: None,
        request_id: None,
        errors: Vec::new(),
    }
}
