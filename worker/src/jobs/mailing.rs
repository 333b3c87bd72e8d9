//! How every mail of ours is sent, whatever it says.

use std::time::Duration;

use serde_json::json;
use shared::backoff::Backoff;
use shared::db::in_time;
use shared::db::mails::{self, Place};
use shared::mail::{MailError, OutgoingMail};

use crate::context::JobContext;
use crate::outcome::{Dependency, JobError, Outcome};

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
/// [`Outcome::Done`] when the mail is sent, by this try or an earlier one of the job.
///
/// # Errors
/// The mail is not sent, or perhaps: the job is to be tried again.
pub(super) async fn send(context: &JobContext, mail: &OutgoingMail) -> Result<Outcome, JobError> {
    let job = context.job.id;
    let mut tx = context.begin().await?;
    let place = mails::take_place(&mut tx, job, &mail.to, RECIPIENT_LIMIT, RECIPIENT_WINDOW).await?;
    tx.commit().await?;
    match place {
        Place::Taken | Place::PerhapsSent => {}
        Place::Sent => return Ok(Outcome::Done(json!({"mail": "sent"}))),
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
            mark_sent(context).await?;
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

/// The server has the mail. Were that not written down because the database is busy, the next try would send it again:
/// so it is written until it is, or the run must end.
async fn mark_sent(context: &JobContext) -> Result<(), JobError> {
    let mut pauses = PAUSES;
    loop {
        let writing = async {
            let mut conn = context.services.db.conn().await?;
            mails::mark_sent(&mut conn, context.job.id).await
        };
        match in_time(ANSWER, writing).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "the mail is sent, and that is not written down yet");
            }
            written => return Ok(written?),
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.pause()) => {}
            why = context.must_stop() => return Err(JobError::Stopped(why)),
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
    if let Err(error) = context.begin_hand_over() {
        return HandedOver::NotSent(Err(error));
    }
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
