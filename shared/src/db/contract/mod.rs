//! What the database layer promises, as tests: the same against SQLite and PostgreSQL, and for
//! PostgreSQL alone what only several connections can show.
//!
//! - [`life`], [`relaying`], [`publishing`], [`claims`], [`runs`], [`leases`], [`waiting`], [`cancelling`]: the job core.
//! - [`coordination`]: order, uniqueness, fairness, express, parts of a job. [`due`]: what a row says of it.
//! - [`together`]: what several workers ask at once.
//! - [`schedules`]: what happens at set times.
//! - [`acts`], [`dead`], [`pauses`], [`operations`]: what operators do.
//! - [`callbacks`]: what is told of a job.
//! - [`listing`], [`deep_lists`], [`stories`]: what operators find. [`retention`]: what is removed when it is old. [`migrations`]: how a database in use changes.
//! - [`presence`]: signs of life, samples of the queues, what an operator counts.
//! - [`operators`]: who gets in at /admin.
//! - [`shop`], [`accepting`], [`keys`], [`reading`]: the business rows.
//! - [`races`], [`fan_in_races`], [`shop_races`], [`coordination_races`], [`dead_races`]: two transactions, stepped by hand into each order.
//! - [`deadlocks`]: pairs that would wait for each other, did they not lock in one order.
//! - [`codes`]: errors of PostgreSQL are told apart by their codes, in whatever language they are told.
//! - [`collisions`], [`faults`], [`given_up`], [`limits`]: what is sacrificed, frozen, dropped, cut or not waited for.
//!
//! Nothing sleeps: time passes by moving the rows' times into the past, and a race is stepped by
//! holding a row until PostgreSQL says that everybody waits for it.

mod accepting;
mod acts;
mod bench;
mod callbacks;
mod cancelling;
mod claims;
mod codes;
mod collisions;
mod coordination;
mod coordination_races;
mod core_load;
mod cost;
mod dead;
mod dead_races;
mod deadlocks;
mod deep_lists;
mod due;
mod fan_in_races;
mod faults;
mod given_up;
mod keys;
mod leases;
mod life;
mod limits;
mod listing;
mod migrations;
mod operations;
mod operators;
mod pauses;
mod presence;
mod publishing;
mod races;
mod reading;
mod relaying;
mod remaining;
mod retention;
mod runs;
mod schedules;
mod shop;
mod shop_races;
mod stories;
mod telling;
mod together;
mod waiting;

/// Makes a test of each promise: `promises!(both: …)` one a database, `promises!(postgres: …)` one.
macro_rules! promises {
    (both: $($promise:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    let mut bench = $crate::db::contract::bench::Bench::sqlite().await;
                    super::$promise(&mut bench).await;
                }
            )+
        }
        promises!(postgres: $($promise),+);
    };
    (postgres: $($promise:ident),+ $(,)?) => {
        promises!(postgres in postgres: $($promise),+);
    };
    (postgres_in_german: $($promise:ident),+ $(,)?) => {
        promises!(postgres_in_german in postgres_in_german: $($promise),+);
    };
    ($bench:ident in $module:ident: $($promise:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs servers: scripts/test"]
                async fn $promise() {
                    use futures_util::FutureExt;
                    let mut bench = $crate::db::contract::bench::Bench::$bench().await;
                    let promise = std::panic::AssertUnwindSafe(super::$promise(&mut bench));
                    let outcome = promise.catch_unwind().await;
                    bench.drop_database().await;
                    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                }
            )+
        }
    };
}
use promises;
