//! The contract of each job kind (what web and worker agree on), and the list of all of them.
//!
//! A new kind: a struct with consts in a file of its own here, a handler in `worker/src/jobs/`, and a
//! line in each of the two lists ([`KINDS`] and the worker's `HANDLERS`). A line forgotten in one of
//! them refuses to start. What it writes is recorded in `recorded/`.

mod also_bought;
mod consistency_check;
mod fulfil_order;
mod ingest_file;
mod make_thumbnails;
pub mod queues;
#[cfg(test)]
mod recorded;
mod remake_thumbnails;
mod render_print;
mod retention;
mod sales_report;
pub mod schedule;
mod send_email;
mod subjects;

use ::jobs::kinds::{DeliverCallback, SendReply};
use model::KindInfo;

pub use also_bought::AlsoBought;
pub use consistency_check::ConsistencyCheck;
pub use fulfil_order::FulfilOrder;
pub use ingest_file::IngestFile;
pub use make_thumbnails::MakeThumbnails;
pub use remake_thumbnails::RemakeThumbnails;
pub use render_print::RenderPrint;
pub use retention::Retention;
pub use sales_report::SalesReport;
pub use send_email::{EmailTemplate, SendEmail};

/// Tells the engine what there is. Every program does this first; so does a test that meets kinds by their names.
pub fn register() {
    ::jobs::register(::jobs::Application {
        kinds: KINDS,
        queues: queues::QUEUES,
        schedule: schedule::SCHEDULE,
        subjects: &subjects::Shop,
    });
}

/// Every kind. Queues, metrics and the worker's handlers are checked against this list at the start.
pub const KINDS: &[KindInfo] = &[
    KindInfo::of::<MakeThumbnails>(),
    KindInfo::of::<FulfilOrder>(),
    KindInfo::of::<SendEmail>(),
    KindInfo::of::<RenderPrint>(),
    KindInfo::of::<AlsoBought>(),
    KindInfo::of::<DeliverCallback>(),
    KindInfo::of::<RemakeThumbnails>(),
    KindInfo::of::<SendReply>(),
    KindInfo::of::<SalesReport>(),
    KindInfo::of::<ConsistencyCheck>(),
    KindInfo::of::<IngestFile>(),
    KindInfo::of::<Retention>(),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Kind, Queue, check_waits};
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_unique_and_every_queue_exists() {
        register();
        for (index, kind) in KINDS.iter().enumerate() {
            for name in kind.names() {
                assert!(KINDS[index + 1..].iter().all(|other| !other.is_called(name)), "{name}");
            }
            assert!(Queue::all().any(|queue| queue == kind.queue), "{}", kind.name);
        }
    }

    #[test]
    fn no_try_outlives_the_brokers_patience() {
        for kind in KINDS {
            assert!(kind.timeout <= Duration::from_secs(25 * 60), "{}", kind.name);
        }
    }

    #[test]
    fn no_kinds_wait_for_each_other() {
        assert_eq!(check_waits(KINDS), Ok(()));
    }

    #[test]
    fn only_what_says_so_may_be_started_from_outside() {
        register();
        assert!(KindInfo::task(RemakeThumbnails::NAME).is_ok());
        let refusal = KindInfo::task(FulfilOrder::NAME).unwrap_err().to_string();
        assert!(refusal.contains("fulfil_order") && refusal.contains(RemakeThumbnails::NAME), "{refusal}");
    }

    #[test]
    fn wrong_arguments_are_named() {
        let task = KindInfo::of::<RemakeThumbnails>();
        let id = "0190d1f2-0000-7000-8000-000000000000";
        let table = [
            (json!({}), "photo_id"),
            (json!({"photo_id": "x"}), "photo_id"),
            (json!({"photo_id": 1}), "photo_id"),
            (json!({"photo_id": id, "colour": "red"}), "colour"),
            (json!({"photo_id": [id]}), "photo_id"),
            (json!({"unknown field `x`": 1, "photo_id": id}), "unknown field `x`"),
            (json!("x"), "body"),
            (json!(null), "body"),
        ];
        for (args, field) in table {
            assert_eq!((task.read_args)(&args).unwrap_err().field, field, "{args}");
        }
        let good = json!({"photo_id": id});
        assert_eq!((task.read_args)(&good).unwrap(), good);
    }

    #[test]
    fn every_task_denies_fields_that_it_does_not_know() {
        register();
        for kind in KindInfo::tasks() {
            let error = (kind.read_args)(&json!({"a_field_that_no_task_has": 1})).unwrap_err();
            assert_eq!(error.field, "a_field_that_no_task_has", "{}", kind.name);
        }
    }
}
