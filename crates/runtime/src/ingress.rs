//! The entrance by AMQP: programs elsewhere put `{"token", "kind", "args"}` on the queue `submit`, and may
//! name a queue that the job's end is told to.
//!
//! The row comes first, then the ack: a message that comes twice finds its job by `message_id`. What can't
//! be taken goes to `dead_messages`, without its token, and its sender is told why.

use std::sync::Arc;

use ::jobs::dead_messages;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::kinds::{Refusal, Reply, SendReply};
use ::jobs::replies;
use ::jobs::triggers::{self, Trigger, Triggered};
use broker::{Broker, Delivery, Properties, Subscription};
use database::{Db, DbError};
use model::KindInfo;
use model::{JobId, StoredText};
use platform::signing::MachineTokens;
use serde::Deserialize;
use serde_json::Value;

use crate::Worker;
use crate::consumer::SIGN_OF_LIFE;
use crate::runner::{NotWritten, patiently};

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "ingress";

/// The queue's name in `dead_messages`.
const QUEUE: &str = "submit";

/// Messages that wait here while one is written down.
const PREFETCH: u16 = 16;

/// The longest body: arguments are ids and small facts.
const MAX_BODY: usize = 64 * 1024;

/// The body of a submission.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission {
    token: String,
    kind: String,
    args: Value,
}

/// The entrance, if there is a broker that programs can come by. It is open where no machine may submit anything, too:
/// whoever tries is told so, and nothing lies unread.
pub fn open(worker: &Worker) -> Option<Subscription> {
    let broker: &Broker = &worker.services.broker;
    if worker.ingress { broker.submissions(PREFETCH) } else { None }
}

/// Takes submissions until the worker stops.
pub async fn run(worker: Arc<Worker>, mut submissions: Subscription) {
    loop {
        if submissions.is_consuming() || !worker.services.broker.connected() {
            worker.pulse.beat(PART);
        }
        tokio::select! {
            () = worker.stop.cancelled() => break,
            delivery = submissions.next() => match delivery {
                Some(delivery) => take(&worker, delivery).await,
                None => break,
            },
            () = tokio::time::sleep(SIGN_OF_LIFE) => {}
        }
    }
    submissions.cancel().await;
}

async fn take(worker: &Worker, delivery: Delivery) {
    let services = &worker.services;
    let read = read(&services.machines, &delivery.properties, &delivery.body);
    let taken = patiently(worker, || async {
        let refusal = match &read {
            Ok(trigger) => match accept(&services.db, trigger, &delivery.properties).await? {
                Some(job) => return Ok(Ok(job)),
                None => refuse(422, "the message_id was used for another request"),
            },
            Err(refusal) => refusal.clone(),
        };
        put_aside(&services.db, &delivery, &refusal).await?;
        Ok(Err(refusal))
    });
    let outcome = match taken.await {
        // Not written down: the message must not be forgotten.
        Err(NotWritten) => {
            delivery.give_back().await;
            return;
        }
        Ok(Ok(job)) => {
            let machine = read.as_ref().map(|trigger| trigger.source.as_str()).unwrap_or_default();
            tracing::info!(machine, %job, "a machine submitted a job");
            "accepted"
        }
        Ok(Err(refusal)) => {
            tracing::warn!(status = refusal.status, reason = refusal.detail, "a submission was refused");
            metrics::counter!("dead_messages_total").increment(1);
            "refused"
        }
    };
    metrics::counter!("submissions_total", "outcome" => outcome).increment(1);
    delivery.ack().await;
}

/// The detail may repeat what came.
fn refuse(status: u16, detail: impl Into<StoredText>) -> Refusal {
    Refusal { status, detail: detail.into().into() }
}

/// A text that can be stored: a message whose row can't be written would lie here unacked for ever.
fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// What is asked for, by whom; or why not.
fn read(machines: &MachineTokens, properties: &Properties, body: &[u8]) -> Result<Trigger, Refusal> {
    if body.len() > MAX_BODY {
        return Err(refuse(413, format!("the body has more than {MAX_BODY} bytes")));
    }
    let submission: Submission = serde_json::from_slice(body)
        .map_err(|error| refuse(400, format!("the body is not a submission: {error}")))?;
    let machine = machines.identify(&submission.token).ok_or_else(|| refuse(401, "no valid token"))?;
    let texts = [&properties.message_id, &properties.reply_to, &properties.correlation_id];
    if !texts.into_iter().flatten().all(|text| is_plain(text)) {
        return Err(refuse(400, "message_id, reply_to or correlation_id has control characters"));
    }
    let key = properties.message_id.clone().filter(|id| !id.is_empty());
    let key = key.ok_or_else(|| refuse(400, "there is no message_id"))?;
    if properties.reply_to.as_deref().is_some_and(|queue| !may_be_replied_to(queue)) {
        return Err(refuse(403, "reply_to must begin with amq. or reply."));
    }
    let kind = KindInfo::task(&submission.kind).map_err(|error| refuse(404, error.to_string()))?;
    let args = (kind.read_args)(&submission.args).map_err(|error| refuse(422, error.to_string()))?;
    Ok(Trigger { source: machine.to_owned(), key: Some(key), kind, args, traceparent: None })
}

/// Queues of the broker's own naming, and those that are named for replies: nobody makes us write to others.
fn may_be_replied_to(queue: &str) -> bool {
    let named =
        ["amq.", "reply."].iter().any(|prefix| queue.len() > prefix.len() && queue.starts_with(prefix));
    named && is_plain(queue)
}

/// `None`: the key belongs to another request.
async fn accept(db: &Db, trigger: &Trigger, properties: &Properties) -> Result<Option<JobId>, DbError> {
    let mut tx = db.begin().await?;
    let job = match triggers::trigger(&mut tx, trigger).await? {
        Triggered::New(job) | Triggered::Existing(job) => job,
        Triggered::Misused => {
            tx.rollback().await?;
            return Ok(None);
        }
    };
    if let Some(reply_to) = &properties.reply_to {
        replies::when_over(&mut tx, job.id, reply_to, properties.correlation_id.as_deref()).await?;
    }
    tx.commit().await?;
    Ok(Some(job.id))
}

/// Keeps what was refused for a person to look at, and has its sender told.
async fn put_aside(db: &Db, delivery: &Delivery, refusal: &Refusal) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    dead_messages::keep(&mut tx, QUEUE, &without_token(&delivery.body), &refusal.detail).await?;
    let properties = &delivery.properties;
    if let Some(reply_to) = properties.reply_to.as_deref().filter(|queue| may_be_replied_to(queue)) {
        let reply = SendReply {
            reply_to: reply_to.to_owned(),
            correlation_id: properties.correlation_id.clone().filter(|id| is_plain(id)),
            about: Reply::Refused(refusal.clone()),
        };
        enqueue(&mut tx, &reply, Options::default()).await?;
    }
    tx.commit().await
}

/// A secret must not lie in a table of curiosities. Of what can't be read, or is too long to be kept whole,
/// nothing is kept where a token may be in it.
fn without_token(body: &[u8]) -> Vec<u8> {
    let readable = if body.len() <= MAX_BODY { serde_json::from_slice::<Value>(body).ok() } else { None };
    let Some(mut value) = readable else {
        let may_hold_one = body.windows(5).any(|part| part.eq_ignore_ascii_case(b"token"));
        let left_out = || format!("{} bytes, left out: a token may be among them", body.len()).into_bytes();
        return if may_hold_one { left_out() } else { body[..body.len().min(MAX_BODY)].to_vec() };
    };
    if let Some(token) = value.get_mut("token") {
        *token = "removed".into();
    }
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use model::{Kind, Queue, registry};
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    /// A task.
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Copy {
        from: JobId,
    }

    impl Kind for Copy {
        const NAME: &'static str = "copy";
        const QUEUE: Queue = Queue::CALLBACKS;
        const TRIGGERABLE: bool = true;
    }

    const KINDS: &[KindInfo] = &[KindInfo::of::<Copy>(), KindInfo::of::<SendReply>()];

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn status(properties: &Properties, body: &Value) -> Result<(), u16> {
        let machines = format!("nightly:{SECRET}").parse().unwrap();
        read(&machines, properties, body.to_string().as_bytes()).map(|_| ()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn each_reason_to_refuse_has_its_status() {
        registry::register(KINDS, &[]);
        let good = || json!({"token": SECRET, "kind": "copy", "args": {"from": JobId::new()}});
        let named = Properties { message_id: Some("1".into()), ..Properties::default() };
        let with = |name: &str, value: Value| {
            let mut body = good();
            body[name] = value;
            body
        };
        assert_eq!(status(&named, &good()), Ok(()));
        let nul = |text: &str| Some(format!("{text}\0"));
        for unstorable in [
            Properties { message_id: nul("1"), ..named.clone() },
            Properties { correlation_id: nul("1"), ..named.clone() },
            Properties { reply_to: nul("reply.1"), ..named.clone() },
        ] {
            assert_eq!(status(&unstorable, &good()), Err(400), "{unstorable:?}");
        }
        assert!(!may_be_replied_to("reply.1\0"));
        let machines = format!("nightly:{SECRET}").parse().unwrap();
        let refusal = read(&machines, &named, br#"{"\u0000": 1}"#).unwrap_err();
        assert!(!refusal.detail.contains('\0'), "{refusal:?}");
        assert_eq!(status(&Properties::default(), &good()), Err(400));
        assert_eq!(status(&named, &json!("hello")), Err(400));
        assert_eq!(status(&named, &with("more", json!(1))), Err(400));
        assert_eq!(status(&named, &with("token", json!("guessed"))), Err(401));
        assert_eq!(status(&named, &with("kind", json!("send_reply"))), Err(404));
        assert_eq!(status(&named, &with("args", json!({}))), Err(422));
        for (queue, expected) in
            [("reply.1", Ok(())), ("amq.gen-1", Ok(())), ("wqw.callbacks", Err(403)), ("reply.", Err(403))]
        {
            let asking = Properties { reply_to: Some(queue.into()), ..named.clone() };
            assert_eq!(status(&asking, &good()), expected, "{queue}");
        }
    }

    #[test]
    fn a_token_is_not_kept() {
        let kept = without_token(json!({"token": SECRET, "kind": 1}).to_string().as_bytes());
        assert!(!String::from_utf8(kept).unwrap().contains(SECRET));
        assert_eq!(without_token(b"\xff"), b"\xff");
        let long = format!(r#"{{"token":"{SECRET}","kind":"{}"}}"#, "x".repeat(MAX_BODY));
        let broken = &long[..60];
        for body in [long.as_str(), broken] {
            assert!(body.contains(SECRET));
            let kept = String::from_utf8(without_token(body.as_bytes())).unwrap();
            assert!(!kept.contains(SECRET) && kept.contains("left out"), "{kept}");
        }
    }
}
