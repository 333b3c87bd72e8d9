//! Operations on many jobs: what they report, what they leave, and what the audit says.

use serde_json::{Value, json};
use uuid::Uuid;

use super::bench::{Bench, own};
use super::dead::dead;
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue_all};
use ::jobs::filter::JobFilter;
use ::jobs::queues;
use ::jobs::relay::due::take_due;
use ::jobs::settle::{Ended, Note, settle};
use model::JobId;
use model::Queue;
use model::job::{Ending, JobState};
use operations::OperationError;
use operations::db::audit;
use operations::dead::{How, Which, discard, discard_messages, letters, messages, redrive};
use operations::operator::{Actor, Via};
use operations::queues::{list, pause, resume};

promises!(both:
    a_redrive_reports_each_refusal_and_a_second_one_does_nothing,
    a_dry_run_says_the_same_and_changes_nothing,
    a_filter_finds_its_dead_and_no_others,
    a_redrive_with_a_rate_is_spread_and_goes_on_where_it_ended,
    dead_letters_are_grouped_by_reason,
    unreadable_messages_are_shown_and_removed_by_reason,
    a_discard_says_what_it_did,
    whoever_may_only_look_changes_nothing,
    a_pause_stands_in_the_list_and_in_the_audit,
    a_resume_brings_back_all_that_was_put_off,
);

async fn a_redrive_reports_each_refusal_and_a_second_one_does_nothing(bench: &mut Bench) {
    let (one, other) = (dead(bench).await, dead(bench).await);
    let alive = bench.running().await;
    let unknown = JobId::new();
    let ids = vec![one.id, alive.id, unknown, other.id];
    let report = redrive(&bench.db, &ada(), Which::These(ids.clone()), How::default()).await.unwrap();
    assert_eq!((report.done, report.needed, report.dry_run, report.next), (2, 0, false, None));
    let refused: Vec<(Uuid, &str)> = report.refused.iter().map(|row| (row.job, row.why.as_str())).collect();
    assert_eq!(refused, [(alive.id.0, "it is running"), (unknown.0, "there is no such job")]);
    let again = redrive(&bench.db, &ada(), Which::These(ids.clone()), How::default()).await.unwrap();
    assert_eq!((again.done, again.refused.len()), (0, 4));
    assert_eq!(
        audited(bench).await,
        [
            ("dead.redrive".to_owned(), json!({"jobs": ids}), Some(0), Some(4)),
            ("dead.redrive".to_owned(), json!({"jobs": ids}), Some(2), Some(2)),
        ]
    );
}

async fn a_dry_run_says_the_same_and_changes_nothing(bench: &mut Bench) {
    let (job, alive) = (dead(bench).await, bench.running().await);
    let row = bench.job(job.id).await;
    let how = How { dry_run: true, ..How::default() };
    let which = || Which::These(vec![job.id, alive.id]);
    let tried = redrive(&bench.db, &ada(), which(), how).await.unwrap();
    assert_eq!((tried.done, tried.refused.len(), tried.dry_run), (1, 1, true));
    let tried = discard(&bench.db, &ada(), which(), true).await.unwrap();
    assert_eq!((tried.done, tried.refused.len(), tried.dry_run), (1, 1, true));
    assert_eq!(bench.job(job.id).await.version, row.version);
    assert_eq!(audited(bench).await, []);
}

async fn a_filter_finds_its_dead_and_no_others(bench: &mut Bench) {
    let (mine, others) = (dead(bench).await, dead(bench).await);
    bench.set(mine.id, "dead_reason = 'no route'").await;
    bench.set(others.id, "dead_reason = 'declined'").await;
    let hopeless = bench.running().await;
    bench.settle(&hopeless, Ending::Discarded).await;
    let report = redrive(&bench.db, &ada(), all(json!({"reason": "no route"}), None), How::default()).await;
    assert_eq!(report.unwrap().done, 1);
    assert_eq!(
        (bench.state(mine.id).await, bench.state(others.id).await),
        (JobState::Pending, JobState::Failed)
    );
    // Without any condition: every dead one, and not what no retry can help.
    let report = redrive(&bench.db, &ada(), all(json!({}), None), How::default()).await.unwrap();
    assert_eq!((report.done, report.refused.len()), (1, 0));
}

async fn a_redrive_with_a_rate_is_spread_and_goes_on_where_it_ended(bench: &mut Bench) {
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(dead(bench).await.id);
    }
    let how = How { per_second: Some(1), already: 10, dry_run: false };
    let report = redrive(&bench.db, &ada(), all(json!({}), Some(ids[0])), how).await.unwrap();
    assert_eq!((report.done, report.next), (3, None));
    assert_eq!(bench.state(ids[0]).await, JobState::Failed);
    for (place, id) in ids[1..].iter().enumerate() {
        let due = bench.due_in(*id).await;
        assert!((due - 10 - place as i64).abs() <= 1, "{due}");
    }
}

async fn dead_letters_are_grouped_by_reason(bench: &mut Bench) {
    for message in ["photo 1: HTTP 500", "photo 2: HTTP 500", "no space left"] {
        let job = bench.running().await;
        settle(&bench.db, own(&job), Ended::by(Ending::Exhausted, Note::Failure(message.into())))
            .await
            .unwrap();
    }
    let groups = letters(&bench.db).await.unwrap().groups;
    let found: Vec<(&str, &str, &str, i64)> = groups
        .iter()
        .map(|group| (group.kind.as_str(), group.failure.as_str(), group.reason.as_str(), group.jobs))
        .collect();
    let kind = "make_thumbnails";
    assert_eq!(found, [(kind, "exhausted", "photo …: HTTP …", 2), (kind, "exhausted", "no space left", 1)]);
    assert!(groups[0].oldest <= groups[0].newest);
}

async fn unreadable_messages_are_shown_and_removed_by_reason(bench: &mut Bench) {
    let mut conn = bench.db.conn().await.unwrap();
    for (body, error) in [(&b"hello \xff"[..], "not JSON"), (b"{}", "no job"), (b"[]", "no job")] {
        ::jobs::dead_messages::keep(&mut conn, "images", body, error).await.unwrap();
    }
    drop(conn);
    let groups = letters(&bench.db).await.unwrap().messages;
    let found: Vec<(&str, i64)> =
        groups.iter().map(|group| (group.reason.as_str(), group.messages)).collect();
    assert_eq!(found, [("no job", 2), ("not JSON", 1)]);
    let page = messages(&bench.db, None).await.unwrap();
    assert_eq!(
        (page.len(), page[0].beginning.as_str(), page[2].beginning.as_str()),
        (3, "[]", "hello \u{fffd}")
    );
    assert_eq!(messages(&bench.db, Some(page[1].id)).await.unwrap().len(), 1);
    for removed in [2, 0] {
        assert_eq!(discard_messages(&bench.db, &ada(), "images", "no job").await.unwrap(), removed);
    }
    assert_eq!(messages(&bench.db, None).await.unwrap().len(), 1);
}

async fn a_discard_says_what_it_did(bench: &mut Bench) {
    let job = dead(bench).await;
    let report = discard(&bench.db, &ada(), all(json!({}), None), false).await.unwrap();
    assert_eq!((report.done, report.refused.len()), (1, 0));
    assert_eq!(bench.state(job.id).await, JobState::Cancelled);
    let subject = json!({"filter": {}, "after": null});
    assert_eq!(audited(bench).await, [("dead.discard".to_owned(), subject, Some(1), Some(0))]);
}

async fn whoever_may_only_look_changes_nothing(bench: &mut Bench) {
    let job = dead(bench).await;
    let guest = Actor { name: "guest".into(), via: Via::Page, read_only: true };
    let which = || Which::These(vec![job.id]);
    let tried = How { dry_run: true, ..How::default() };
    assert_eq!(redrive(&bench.db, &guest, which(), tried).await.unwrap().done, 1);
    let refusals = [
        redrive(&bench.db, &guest, which(), How::default()).await.map(drop),
        discard(&bench.db, &guest, which(), false).await.map(drop),
        discard_messages(&bench.db, &guest, "images", "no job").await.map(drop),
        pause(&bench.db, &guest, "images").await.map(drop),
        resume(&bench.db, &guest, "images").await.map(drop),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(OperationError::ReadOnly(_))), "{refusal:?}");
    }
    assert_eq!(bench.state(job.id).await, JobState::Failed);
    assert_eq!(audited(bench).await, []);
}

async fn a_resume_brings_back_all_that_was_put_off(bench: &mut Bench) {
    super::pauses::open(bench).await;
    pause(&bench.db, &ada(), "images").await.unwrap();
    // More than one transaction takes.
    let photos: Vec<_> = (0..1200).map(|_| MakeThumbnails { photo_id: PhotoId::new() }).collect();
    let mut tx = bench.db.begin().await.unwrap();
    enqueue_all(&mut tx, &photos, Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(take_due(&bench.db, 2000).await.unwrap().is_empty());
    let put_off = "SELECT count(*) FROM jobs WHERE due_at > (SELECT max(updated_at) FROM jobs)";
    assert_eq!(bench.number(put_off).await, 1200);
    assert!(resume(&bench.db, &ada(), "images").await.unwrap());
    assert_eq!(bench.number(put_off).await, 0);
}

async fn a_pause_stands_in_the_list_and_in_the_audit(bench: &mut Bench) {
    queues::register(&mut bench.db.conn().await.unwrap(), Queue::all()).await.unwrap();
    assert!(pause(&bench.db, &ada(), "images").await.unwrap());
    assert!(!pause(&bench.db, &ada(), "images").await.unwrap());
    bench.enqueue().await;
    let images = async || {
        let all = list(&bench.db).await.unwrap();
        all.into_iter().find(|queue| queue.name == "images").unwrap()
    };
    let paused = images().await;
    assert_eq!((paused.paused_since.is_some(), paused.pending, paused.queued), (true, 1, 0));
    assert!(resume(&bench.db, &ada(), "images").await.unwrap());
    assert_eq!(images().await.paused_since, None);
    for unknown in ["nowhere", "images\0", "\0", ""] {
        let refused = pause(&bench.db, &ada(), unknown).await;
        assert!(matches!(refused, Err(OperationError::Unknown("queue"))), "{unknown:?}: {refused:?}");
    }
    let subject = json!({"queue": "images"});
    let expected = [("queue.resume", 1), ("queue.pause", 0), ("queue.pause", 1)];
    let expected = expected.map(|(action, done)| (action.to_owned(), subject.clone(), Some(done), Some(0)));
    assert_eq!(audited(bench).await, expected);
}

fn ada() -> Actor {
    Actor { name: "ada".into(), via: Via::Api, read_only: false }
}

fn all(filter: Value, after: Option<JobId>) -> Which {
    let filter: JobFilter = serde_json::from_value(filter).unwrap();
    Which::All { filter: Box::new(filter), after }
}

/// The audit, the newest first: what, to what, how many were changed and how many refused.
async fn audited(bench: &Bench) -> Vec<(String, Value, Option<i64>, Option<i64>)> {
    let entries = audit::page(&mut bench.db.conn().await.unwrap(), None, 100).await.unwrap();
    for entry in &entries {
        assert_eq!((entry.operator.as_str(), entry.via), ("ada", Via::Api));
    }
    entries.into_iter().map(|entry| (entry.action, entry.subject, entry.done, entry.refused)).collect()
}
