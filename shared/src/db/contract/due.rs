//! What a row says beside its state: when somebody looks at it, whether it is parked, which keys it holds.
//! Each step of a job's life writes all of it: whoever is to go on with the job finds it, and nobody else does.

use crate::jobs::queues;
use std::time::Duration;

use super::bench::{Bench, end_lapsed, own};
use super::cancelling::ask;
use super::coordination::{due, in_line, new, owned};
use super::dead::redriven;
use super::pauses::{open, pause, resume};
use super::promises;
use crate::domain::{CustomerId, PhotoId};
use crate::jobs::MakeThumbnails;
use ::jobs::Job;
use ::jobs::cancel::CancelOutcome;
use ::jobs::enqueue::{Options, enqueue_unique};
use ::jobs::settle::{Ended, Note, Progress, checkpoint, settle_given_up};
use ::jobs::share::{SHARE, promote};
use ::jobs::sweep::Swept;
use ::jobs::unpublished::not_published;
use model::JobId;
use model::Lane;
use model::job::{Ending, JobState};

promises!(both:
    a_new_job_is_out_parked_or_due_at_its_time,
    the_first_of_a_line_is_due_and_those_behind_it_are_not,
    each_end_of_a_run_leaves_a_row_that_says_what_comes_next,
    a_cancel_leaves_a_row_that_says_what_comes_next,
    a_parked_job_that_is_cancelled_is_not_promoted,
    a_parked_job_that_has_begun_is_due_when_it_is_to_be_undone,
    a_retry_is_due_at_once_if_it_is_to_be_undone_and_an_undo_keeps_its_backoff,
    whoever_ends_the_head_of_a_line_makes_the_next_one_due_at_its_own_time,
    one_that_leaves_a_line_from_behind_the_head_makes_nobody_due,
    a_redriven_job_behind_others_keeps_its_place_when_it_is_to_be_undone,
    whoever_makes_room_for_what_is_parked_says_so,
    as_many_are_promoted_as_there_is_room_for_and_nobody_elses,
    what_nobody_was_told_of_is_found_by_the_sweep,
    a_word_of_a_message_makes_nothing_due_but_what_is_queued,
    a_pause_puts_each_row_off_once_and_its_end_brings_it_back,
    what_is_put_off_after_the_end_of_the_pause_is_brought_back_by_the_sweep,
    a_queued_job_that_nobody_took_for_hours_is_published_again_and_a_running_one_is_not,
);

pub(super) const IMAGES: Lane = Lane::ordinary(queues::IMAGES);

const HOUR: Duration = Duration::from_secs(3600);

/// Whether this holds of a job's row.
pub(super) async fn holds(bench: &Bench, id: JobId, what: &str) -> bool {
    bench.number(&format!("SELECT count(*) FROM jobs WHERE id = '{id}' AND {what}")).await == 1
}

/// What the row of a job with both keys says in this state.
fn says(state: JobState) -> &'static str {
    match state {
        JobState::Pending | JobState::Queued | JobState::Running => {
            "due_at IS NOT NULL AND parked IS NULL AND waiting_since IS NULL AND dead_at IS NULL \
             AND unique_open = unique_key AND ordering_open = ordering_key"
        }
        JobState::Waiting => {
            "due_at IS NULL AND parked IS NULL AND waiting_since IS NOT NULL AND dead_at IS NULL \
             AND unique_open = unique_key AND ordering_open = ordering_key"
        }
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => {
            "due_at IS NULL AND parked IS NULL AND waiting_since IS NULL \
             AND unique_open IS NULL AND ordering_open IS NULL \
             AND unique_key IS NOT NULL AND ordering_key IS NOT NULL \
             AND (dead_at IS NOT NULL) = (COALESCE(failure, '') IN ('exhausted', 'crashed'))"
        }
    }
}

async fn is_now(bench: &Bench, id: JobId, state: JobState, what: &str) {
    assert_eq!(bench.state(id).await, state, "{what}");
    assert!(holds(bench, id, says(state)).await, "{what}");
}

/// A job with both keys, the first and last of its line.
async fn keyed(bench: &Bench) -> Job {
    let key = JobId::new().to_string();
    let options = Options { ordering_key: Some(key.clone()), ..Options::default() };
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let mut tx = bench.db.begin().await.unwrap();
    let job = new(enqueue_unique(&mut tx, &key, &args, options).await.unwrap());
    tx.commit().await.unwrap();
    job
}

async fn running(bench: &Bench) -> Job {
    let job = keyed(bench).await;
    bench.run_again(job.id).await
}

/// An owner's full share of a lane, and so many parked jobs.
pub(super) async fn full(
    bench: &Bench,
    owner: CustomerId,
    express: bool,
    parked: usize,
) -> (Vec<Job>, Vec<Job>) {
    let share = usize::try_from(SHARE).unwrap();
    let mut all = Vec::new();
    for _ in 0..share + parked {
        all.push(bench.enqueue_with(Options { owner: Some(owner), express, ..Options::default() }).await);
    }
    let parked = all.split_off(share);
    (all, parked)
}

async fn a_new_job_is_out_parked_or_due_at_its_time(bench: &mut Bench) {
    open(bench).await;
    let (ada, bob) = (CustomerId::new(), CustomerId::new());
    let (out, parked) = full(bench, ada, false, 1).await;
    let last = out.last().unwrap().id;
    assert!(holds(bench, last, "state = 'queued' AND published = 1 AND parked IS NULL").await);
    assert_eq!(bench.looked_at_again_in(last).await, Some(60));
    assert!(holds(bench, parked[0].id, "state = 'pending' AND published = 0 AND parked = 'images'").await);
    assert_eq!(bench.looked_at_again_in(parked[0].id).await, None);
    // Whether there is room is seen when its time comes.
    let planned = Options { owner: Some(ada), delay: HOUR, ..Options::default() };
    let planned = bench.enqueue_with(planned).await;
    assert!(holds(bench, planned.id, "state = 'pending' AND parked IS NULL AND due_at = run_at").await);
    // Another lane, another owner, nobody's.
    let express = Options { owner: Some(ada), express: true, ..Options::default() };
    for job in [bench.enqueue_with(express).await, owned(bench, bob).await, bench.enqueue().await] {
        assert_eq!((job.state, bench.looked_at_again_in(job.id).await), (JobState::Queued, Some(60)));
    }
    pause(bench, "images").await;
    for job in [owned(bench, bob).await, bench.enqueue().await] {
        assert!(holds(bench, job.id, "state = 'pending' AND parked IS NULL AND due_at = run_at").await);
    }
}

async fn the_first_of_a_line_is_due_and_those_behind_it_are_not(bench: &mut Bench) {
    let delay = |delay| Options { ordering_key: Some("a".into()), delay, ..Options::default() };
    let first = bench.enqueue_with(delay(HOUR)).await;
    let second = bench.enqueue_with(delay(Duration::ZERO)).await;
    assert_eq!(bench.looked_at_again_in(first.id).await, Some(3600));
    assert_eq!(bench.looked_at_again_in(second.id).await, None);
    for job in [&first, &second] {
        assert!(holds(bench, job.id, "parked IS NULL AND ordering_open = 'a'").await);
    }
    // Above its owner's share the first is parked: it is the first all the same.
    let ada = CustomerId::new();
    full(bench, ada, false, 0).await;
    let owned = || Options { owner: Some(ada), ordering_key: Some("b".into()), ..Options::default() };
    let first = bench.enqueue_with(owned()).await;
    assert_eq!(due(bench).await, []);
    let second = bench.enqueue_with(owned()).await;
    assert!(holds(bench, first.id, "parked = 'images' AND ordering_open = 'b'").await);
    assert!(holds(bench, second.id, "parked IS NULL AND due_at IS NULL").await);
    assert_eq!(bench.sweep().await, Swept::default(), "nothing is to be made good");
}

async fn each_end_of_a_run_leaves_a_row_that_says_what_comes_next(bench: &mut Bench) {
    use JobState as S;
    for (ending, state, due_in) in [
        (Ending::Succeeded, S::Succeeded, None),
        (Ending::Cancelled, S::Cancelled, None),
        (Ending::Discarded, S::Failed, None),
        (Ending::Exhausted, S::Failed, None),
        (Ending::Retry(Some(HOUR)), S::Pending, Some(3600)),
        (Ending::Snooze(HOUR), S::Pending, Some(3600)),
        (Ending::Unavailable { delay: HOUR, too_long: false }, S::Pending, Some(3600)),
        (Ending::Release, S::Pending, Some(0)),
        (Ending::Forgotten, S::Pending, Some(0)),
    ] {
        let run = running(bench).await;
        is_now(bench, run.id, S::Running, "it runs").await;
        bench.settle(&run, ending).await;
        is_now(bench, run.id, state, &format!("{ending:?}")).await;
        assert_eq!(bench.looked_at_again_in(run.id).await, due_in, "{ending:?}");
    }
    let last = running(bench).await;
    bench.set(last.id, "attempt = max_attempts").await;
    bench.settle(&last, Ending::Retry(None)).await;
    is_now(bench, last.id, S::Failed, "the last attempt").await;

    let awaited = bench.enqueue().await;
    let waiter = running(bench).await;
    bench.wait_for(&waiter, &[awaited.id]).await;
    is_now(bench, waiter.id, S::Waiting, "it waits").await;
    assert!(holds(bench, awaited.id, "awaited").await);
    ask(bench, awaited.id).await;
    is_now(bench, waiter.id, S::Pending, "it is woken").await;
    assert_eq!(bench.looked_at_again_in(waiter.id).await, Some(0));
    let waiter = running(bench).await;
    bench.wait_for(&waiter, &[awaited.id]).await;
    is_now(bench, waiter.id, S::Pending, "it waits for what is over").await;
    assert_eq!(bench.looked_at_again_in(waiter.id).await, Some(0));
    let needs = running(bench).await;
    let ended = Ended::by(Ending::Exhausted, Note::None);
    settle_given_up(&bench.db, own(&needs), &[awaited.id], ended).await.unwrap();
    is_now(bench, needs.id, S::Failed, "it gives up").await;

    let (once, often) = (running(bench).await, running(bench).await);
    bench.set(often.id, "lapses = 4").await;
    bench.process_dies().await;
    end_lapsed(&bench.db, 10).await.unwrap();
    is_now(bench, once.id, S::Pending, "it lapsed").await;
    assert!(holds(bench, once.id, "due_at = run_at").await);
    is_now(bench, often.id, S::Failed, "it lapsed too often").await;
}

async fn a_cancel_leaves_a_row_that_says_what_comes_next(bench: &mut Bench) {
    for state in [JobState::Pending, JobState::Queued] {
        let job = keyed(bench).await;
        bench.put(job.id, state).await;
        assert!(matches!(ask(bench, job.id).await, CancelOutcome::Cancelled(_)));
        is_now(bench, job.id, JobState::Cancelled, "it never ran").await;
    }
    for state in [JobState::Queued, JobState::Running] {
        let job = running(bench).await;
        bench.put(job.id, state).await;
        assert!(matches!(ask(bench, job.id).await, CancelOutcome::Requested(_)));
        is_now(bench, job.id, state, "it goes on to undo").await;
        assert_eq!(bench.looked_at_again_in(job.id).await, Some(60), "as before");
    }
    let awaited = bench.enqueue().await;
    let waiter = running(bench).await;
    bench.wait_for(&waiter, &[awaited.id]).await;
    let later = running(bench).await;
    bench.settle(&later, Ending::Snooze(HOUR)).await;
    for job in [waiter, later] {
        assert!(matches!(ask(bench, job.id).await, CancelOutcome::Requested(_)));
        is_now(bench, job.id, JobState::Pending, "it need not wait to undo").await;
        assert_eq!(bench.looked_at_again_in(job.id).await, Some(0));
    }
}

async fn a_parked_job_that_is_cancelled_is_not_promoted(bench: &mut Bench) {
    let ada = CustomerId::new();
    let (out, parked) = full(bench, ada, false, 2).await;
    assert!(matches!(ask(bench, parked[0].id).await, CancelOutcome::Cancelled(_)));
    assert!(holds(bench, parked[0].id, "parked IS NULL AND due_at IS NULL").await);
    for job in &out[..2] {
        bench.put(job.id, JobState::Succeeded).await;
    }
    assert_eq!(bench.promote(ada).await, 1);
    assert_eq!(due(bench).await, [parked[1].id]);
    assert_eq!(bench.state(parked[0].id).await, JobState::Cancelled);
}

async fn a_parked_job_that_has_begun_is_due_when_it_is_to_be_undone(bench: &mut Bench) {
    let ada = CustomerId::new();
    let begun = owned(bench, ada).await;
    let run = bench.claim(begun.id).await;
    bench.settle(&run, Ending::Snooze(Duration::from_secs(60))).await;
    full(bench, ada, false, 0).await;
    bench.time_passes(61).await;
    assert!(!due(bench).await.contains(&begun.id));
    assert!(holds(bench, begun.id, "state = 'pending' AND parked = 'images' AND due_at IS NULL").await);
    assert!(matches!(ask(bench, begun.id).await, CancelOutcome::Requested(_)));
    assert!(holds(bench, begun.id, "state = 'pending' AND parked IS NULL").await);
    assert_eq!(bench.looked_at_again_in(begun.id).await, Some(0));
}

async fn a_retry_is_due_at_once_if_it_is_to_be_undone_and_an_undo_keeps_its_backoff(bench: &mut Bench) {
    for undoing in [false, true] {
        let run = bench.running().await;
        let mut tx = bench.db.begin().await.unwrap();
        let position = serde_json::json!({});
        checkpoint(&mut tx, own(&run), &position, undoing, &Progress::default()).await.unwrap();
        tx.commit().await.unwrap();
        ask(bench, run.id).await;
        bench.settle(&run, Ending::Retry(Some(HOUR))).await;
        let due_in = if undoing { 3600 } else { 0 };
        assert_eq!(bench.looked_at_again_in(run.id).await, Some(due_in), "undoing: {undoing}");
    }
}

async fn whoever_ends_the_head_of_a_line_makes_the_next_one_due_at_its_own_time(bench: &mut Bench) {
    for way in ["succeed", "discard", "exhaust", "undo", "crash", "cancel"] {
        let head = in_line(bench, way).await;
        let key = Some(way.to_owned());
        let next = Options { ordering_key: key, delay: HOUR, ..Options::default() };
        let next = bench.enqueue_with(next).await;
        if way == "cancel" {
            ask(bench, head.id).await;
        } else {
            let run = bench.run_again(head.id).await;
            assert_eq!(bench.looked_at_again_in(next.id).await, None, "{way}");
            match way {
                "succeed" => _ = bench.settle(&run, Ending::Succeeded).await,
                "discard" => _ = bench.settle(&run, Ending::Discarded).await,
                "exhaust" => _ = bench.settle(&run, Ending::Exhausted).await,
                "undo" => _ = bench.settle(&run, Ending::Cancelled).await,
                _ => {
                    bench.set(run.id, "lapses = 4").await;
                    bench.process_dies().await;
                    end_lapsed(&bench.db, 10).await.unwrap();
                }
            }
        }
        assert!(bench.state(head.id).await.is_final(), "{way}");
        assert!(holds(bench, next.id, "due_at = run_at").await, "{way}");
        assert_eq!(bench.sweep().await, Swept::default(), "{way}: nothing is to be made good");
    }
}

async fn one_that_leaves_a_line_from_behind_the_head_makes_nobody_due(bench: &mut Bench) {
    let line = [in_line(bench, "a").await, in_line(bench, "a").await, in_line(bench, "a").await];
    let run = bench.run_again(line[0].id).await;
    ask(bench, line[1].id).await;
    assert_eq!(bench.looked_at_again_in(line[2].id).await, None);
    bench.settle(&run, Ending::Retry(Some(HOUR))).await;
    assert_eq!(bench.looked_at_again_in(line[2].id).await, None, "the head is in backoff");
    let run = bench.run_again(line[0].id).await;
    bench.settle(&run, Ending::Succeeded).await;
    assert!(holds(bench, line[2].id, "due_at = run_at").await);
}

async fn a_redriven_job_behind_others_keeps_its_place_when_it_is_to_be_undone(bench: &mut Bench) {
    let job = in_line(bench, "a").await;
    let run = bench.run_again(job.id).await;
    bench.settle(&run, Ending::Exhausted).await;
    let head = in_line(bench, "a").await;
    redriven(bench, job.id).await.unwrap();
    let stands_behind = "state = 'pending' AND due_at IS NULL AND parked IS NULL AND ordering_open = 'a'";
    assert!(holds(bench, job.id, stands_behind).await);
    assert!(matches!(ask(bench, job.id).await, CancelOutcome::Requested(_)));
    assert!(holds(bench, job.id, stands_behind).await);
    let run = bench.run_again(head.id).await;
    bench.settle(&run, Ending::Succeeded).await;
    assert_eq!(due(bench).await, [job.id]);
}

async fn whoever_makes_room_for_what_is_parked_says_so(bench: &mut Bench) {
    let ada = CustomerId::new();
    let (out, _) = full(bench, ada, false, 1).await;
    let awaited = bench.enqueue().await;
    bench.signals.rooms.take();
    let mut out = out.into_iter();
    for ending in [Ending::Succeeded, Ending::Exhausted, Ending::Snooze(HOUR), Ending::Retry(None)] {
        let run = bench.claim(out.next().unwrap().id).await;
        assert_eq!(bench.signals.rooms.take(), [], "one that is taken makes none");
        bench.settle(&run, ending).await;
        assert_eq!(bench.signals.rooms.take(), [(ada, IMAGES)], "{ending:?}");
    }
    let run = bench.claim(out.next().unwrap().id).await;
    bench.wait_for(&run, &[awaited.id]).await;
    assert_eq!(bench.signals.rooms.take(), [(ada, IMAGES)], "it waits");
    ask(bench, out.next().unwrap().id).await;
    assert_eq!(bench.signals.rooms.take(), [(ada, IMAGES)], "it is cancelled");
    let others = bench.running().await;
    bench.settle(&others, Ending::Succeeded).await;
    assert_eq!(bench.signals.rooms.take(), []);
}

async fn as_many_are_promoted_as_there_is_room_for_and_nobody_elses(bench: &mut Bench) {
    let (ada, bob) = (CustomerId::new(), CustomerId::new());
    for express in [false, true] {
        let lane = Lane { queue: queues::IMAGES, express };
        let (out, parked) = full(bench, ada, express, 4).await;
        let (_, of_bob) = full(bench, bob, express, 1).await;
        assert_eq!(promote(&bench.db, &[(ada, lane), (bob, lane)]).await.unwrap(), 0, "{lane}");
        for job in &out[..2] {
            bench.put(job.id, JobState::Succeeded).await;
        }
        bench.set(parked[3].id, "woken = true").await;
        assert_eq!(promote(&bench.db, &[(ada, lane), (bob, lane)]).await.unwrap(), 2, "{lane}");
        let mut found = due(bench).await;
        found.sort();
        assert_eq!(found, [parked[0].id, parked[3].id], "{lane}: who has begun, and the oldest other");
        assert_eq!(promote(&bench.db, &[(ada, lane), (bob, lane)]).await.unwrap(), 0, "{lane}");
        for job in [&parked[1], &parked[2], &of_bob[0]] {
            assert!(holds(bench, job.id, &format!("state = 'pending' AND parked = '{lane}'")).await);
        }
    }
}

async fn what_nobody_was_told_of_is_found_by_the_sweep(bench: &mut Bench) {
    let (ada, bob) = (CustomerId::new(), CustomerId::new());
    let (out, parked) = full(bench, ada, false, 1).await;
    let (of_bob, parked_of_bob) = full(bench, bob, true, 1).await;
    let line = [in_line(bench, "a").await, in_line(bench, "a").await];
    assert_eq!(due(bench).await, [line[0].id]);
    assert_eq!(bench.sweep().await, Swept::default());
    // By a program that died before it could say so.
    for job in [&out[0], &of_bob[0], &line[0]] {
        bench.put(job.id, JobState::Succeeded).await;
    }
    assert_eq!(due(bench).await, []);
    let swept = bench.sweep().await;
    assert_eq!((swept.promoted, swept.lines, swept.brought_back), (2, 1, 0));
    let mut found = due(bench).await;
    found.sort();
    assert_eq!(found, [parked[0].id, parked_of_bob[0].id, line[1].id]);
}

async fn a_word_of_a_message_makes_nothing_due_but_what_is_queued(bench: &mut Bench) {
    for state in JobState::ALL.into_iter().filter(|state| *state != JobState::Queued) {
        let job = bench.enqueue().await;
        let message = bench.signals.publications.try_recv().unwrap();
        bench.put(job.id, state).await;
        if state == JobState::Pending {
            let later = bench.in_seconds(3600);
            bench.set(job.id, &format!("run_at = {later}, due_at = {later}")).await;
        }
        let before = bench.looked_at_again_in(job.id).await;
        assert_ne!(before, Some(0), "{state:?}");
        not_published(&bench.db, &[message], Duration::ZERO).await.unwrap();
        assert_eq!(bench.looked_at_again_in(job.id).await, before, "{state:?}");
    }
    for (stands, changes) in [("parked", "parked = 'images'"), ("in a line", "ordering_open = 'a'")] {
        let job = bench.enqueue().await;
        let message = bench.signals.publications.try_recv().unwrap();
        bench.set(job.id, &format!("state = 'pending', due_at = NULL, {changes}")).await;
        not_published(&bench.db, &[message], Duration::ZERO).await.unwrap();
        assert_eq!(bench.looked_at_again_in(job.id).await, None, "{stands}");
    }
    assert_eq!(due(bench).await, []);
}

/// How many are due so late that no look comes to them.
async fn put_off(bench: &Bench) -> i64 {
    let far = bench.in_seconds(10 * 365 * 24 * 3600);
    bench.number(&format!("SELECT count(*) FROM jobs WHERE due_at > {far}")).await
}

async fn a_pause_puts_each_row_off_once_and_its_end_brings_it_back(bench: &mut Bench) {
    open(bench).await;
    let queued = bench.enqueue().await;
    let running = bench.running().await;
    pause(bench, "images").await;
    let pending = bench.enqueue().await;
    assert_eq!(put_off(bench).await, 0, "by the look only");
    bench.time_passes(61).await;
    assert_eq!((due(bench).await, put_off(bench).await), (vec![], 2));
    assert_eq!(bench.looked_at_again_in(running.id).await, Some(3600), "what runs goes on");
    let due_now = format!("SELECT count(*) FROM jobs WHERE due_at <= {}", bench.in_seconds(1));
    assert_eq!(bench.number(&due_now).await, 0, "no look comes to them again");
    assert_eq!(bench.sweep().await, Swept::default());
    assert_eq!(put_off(bench).await, 2);
    resume(bench, "images").await;
    assert_eq!(put_off(bench).await, 0);
    let mut found = due(bench).await;
    found.sort();
    assert_eq!(found, [queued.id, pending.id]);
}

async fn what_is_put_off_after_the_end_of_the_pause_is_brought_back_by_the_sweep(bench: &mut Bench) {
    open(bench).await;
    pause(bench, "images").await;
    let job = bench.enqueue().await;
    assert_eq!(due(bench).await, []);
    assert_eq!(put_off(bench).await, 1);
    // As if that look had begun before the end of the pause, and been committed after it.
    bench.sql("UPDATE queues SET paused_at = NULL").await;
    assert_eq!(due(bench).await, []);
    assert_eq!(bench.sweep().await.brought_back, 1);
    assert_eq!(due(bench).await, [job.id]);
}

async fn a_queued_job_that_nobody_took_for_hours_is_published_again_and_a_running_one_is_not(
    bench: &mut Bench,
) {
    let ada = CustomerId::new();
    let (queued, taken) = (owned(bench, ada).await, owned(bench, ada).await);
    bench.claim(taken.id).await;
    for _ in 0..2 {
        bench.time_passes(3 * 3600).await;
        assert_eq!(due(bench).await, [queued.id]);
        assert_eq!(due(bench).await, []);
        assert_eq!(bench.looked_at_again_in(taken.id).await, Some(3600));
        assert_eq!(bench.state(taken.id).await, JobState::Running);
    }
}

/// Two at once, stepped by hand.
mod races {
    use super::super::bench::done;
    use super::*;
    use ::jobs::cancel::cancel;

    promises!(postgres:
        the_next_of_a_line_that_somebody_holds_is_not_waited_for_and_found_by_the_sweep,
        the_end_of_a_head_and_a_cancel_of_the_next_one_do_not_wait_for_each_other,
        a_cancel_of_a_parked_job_that_is_not_committed_yet_leaves_the_room_to_the_next,
    );

    async fn the_next_of_a_line_that_somebody_holds_is_not_waited_for_and_found_by_the_sweep(
        bench: &mut Bench,
    ) {
        let (head, next) = (in_line(bench, "a").await, in_line(bench, "a").await);
        let run = bench.run_again(head.id).await;
        let held = bench.hold(&[next.id]).await;
        assert_eq!(done(bench.settle_later(&run, Ending::Succeeded)).await.unwrap(), JobState::Succeeded);
        assert_eq!(bench.looked_at_again_in(next.id).await, None);
        held.commit().await.unwrap();
        assert_eq!(bench.sweep().await.lines, 1);
        assert_eq!(due(bench).await, [next.id]);
    }

    async fn the_end_of_a_head_and_a_cancel_of_the_next_one_do_not_wait_for_each_other(bench: &mut Bench) {
        let line = [in_line(bench, "a").await, in_line(bench, "a").await, in_line(bench, "a").await];
        let run = bench.run_again(line[0].id).await;
        let mut held = bench.db.begin().await.unwrap();
        held.conn().postgres("SELECT FROM ordering_keys WHERE key = 'a' FOR UPDATE").await.unwrap();
        // Each has written its own row, and wants the line's.
        let ended = bench.settle_later(&run, Ending::Succeeded);
        bench.until_blocked(1).await;
        let (db, next) = (bench.db.clone(), line[1].id);
        let cancelled = tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            cancel(&mut tx, next).await.unwrap();
            tx.commit().await.unwrap();
        });
        bench.until_blocked(2).await;
        held.commit().await.unwrap();
        assert_eq!(done(ended).await.unwrap(), JobState::Succeeded);
        done(cancelled).await;
        assert_eq!(bench.state(line[1].id).await, JobState::Cancelled);
        assert_eq!(due(bench).await, [line[2].id]);
    }

    async fn a_cancel_of_a_parked_job_that_is_not_committed_yet_leaves_the_room_to_the_next(
        bench: &mut Bench,
    ) {
        let ada = CustomerId::new();
        let (out, parked) = full(bench, ada, false, 2).await;
        bench.put(out[0].id, JobState::Succeeded).await;
        let mut tx = bench.db.begin().await.unwrap();
        assert!(matches!(cancel(&mut tx, parked[0].id).await.unwrap(), CancelOutcome::Cancelled(_)));
        assert_eq!(bench.promote(ada).await, 1);
        tx.commit().await.unwrap();
        assert_eq!(due(bench).await, [parked[1].id]);
        assert_eq!(bench.state(parked[0].id).await, JobState::Cancelled);
    }
}
