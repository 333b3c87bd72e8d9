//! How every mail of ours is sent, whatever it says.

use crate::services::MAIL_SERVER;
use std::time::Duration;

use database::{DbError, in_time};
use model::job::JobState;
use platform::backoff::Backoff;
use platform::mail::{MailError, OutgoingMail};
use serde_json::Value;
use shared::db::mails::{self, Place};

use crate::context::JobContext;
use runtime::outcome::{JobError, Outcome};

/// The most mails to one recipient …
const RECIPIENT_LIMIT: i64 = 10;

/// … within this time; more wait.
pub(super) const RECIPIENT_WINDOW: Duration = Duration::from_secs(60);

/// How long the database may take to write down that a mail is sent.
const ANSWER: Duration = Duration::from_secs(10);

/// The pauses before that is written again.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));

/// Take a place → hand over → write down, in this order: a crash after the mail server said yes and before
/// that is written down sends the mail again, under the same `Message-ID`. The place that nobody gave back
/// tells that it may be so, and such mails are counted.
///
/// The job is done, with this result, when the mail is sent, by this try or an earlier one of the job.
///
/// # Errors
/// The mail is not sent, or perhaps: the job is to be tried again.
pub(super) async fn send(
    context: &JobContext,
    mail: &OutgoingMail,
    result: Value,
) -> Result<Outcome, JobError> {
    let job = context.job.id;
    let tx = context.begin().await?;
    let place = mails::take_place(tx, job, &mail.to, RECIPIENT_LIMIT, RECIPIENT_WINDOW).await?;
    match place {
        Place::Taken | Place::PerhapsSent => {}
        Place::Sent => return Ok(Outcome::Done(result)),
        Place::Full => {
            tracing::info!("the recipient got many mails just now; this one waits");
            return Ok(Outcome::Snooze(RECIPIENT_WINDOW / 2));
        }
    }
    match hand_over(context, mail).await {
        HandedOver::Sent => {
            if place == Place::PerhapsSent {
                metrics::counter!("mails_perhaps_sent_twice_total").increment(1);
                tracing::warn!("an earlier try may have sent this mail already");
            }
            mark_sent(context, result).await
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

/// The server has the mail. Were that not written down because the database is busy, the next try would send it again:
/// so it is written until it is, or the run must end. The job is done in the same transaction; where that can't be (it is
/// somebody else's by now, or the database refuses its end) it is written alone.
async fn mark_sent(context: &JobContext, result: Value) -> Result<Outcome, JobError> {
    let mut pauses = PAUSES;
    loop {
        let error = match tokio::time::timeout(ANSWER, done(context, &result)).await {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(error @ JobError::Unavailable { .. })) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
            Ok(Err(refused)) => match in_time(ANSWER, mark_alone(context)).await {
                Ok(()) => {
                    return match refused {
                        JobError::LostLease(_) => Err(refused),
                        _ => Ok(Outcome::Done(result)),
                    };
                }
                Err(error) if error.may_pass() => error.to_string(),
                Err(error) => return Err(error.into()),
            },
        };
        tracing::warn!(error, "the mail is sent, and that is not written down yet");
        tokio::select! {
            () = tokio::time::sleep(pauses.pause()) => {}
            why = context.must_stop() => return Err(JobError::Stopped(why)),
        }
    }
}

async fn mark_alone(context: &JobContext) -> Result<(), DbError> {
    mails::mark_sent(&mut context.services.db.conn().await?, context.job.id).await
}

async fn done(context: &JobContext, result: &Value) -> Result<Outcome, JobError> {
    let mut tx = context.begin_success(result.clone()).await?;
    mails::mark_sent(&mut tx, context.job.id).await?;
    tx.commit().await?;
    Ok(Outcome::Ended(JobState::Succeeded))
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
    if let Err(error) = context.begin_hand_over() {
        return HandedOver::NotSent(Err(error));
    }
    let mut unknown = false;
    let sent = services.breakers.call(MAIL_SERVER, async {
        match services.mailer.send(mail).await {
            Ok(()) => Ok(None),
            Err(MailError::Rejected(why)) => Ok(Some(why)),
            Err(MailError::Unavailable(why)) => Err(JobError::unavailable(MAIL_SERVER, why)),
            Err(MailError::Unanswered(why)) => {
                unknown = true;
                Err(JobError::unavailable(MAIL_SERVER, why))
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
