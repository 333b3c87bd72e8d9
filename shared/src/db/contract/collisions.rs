//! Work that collided is done again; processes that migrate at once do it once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bench::{Bench, done, own};
use super::promises;
use crate::db::DbError;
use crate::db::jobs::FencedError;
use crate::db::jobs::lease::lock_own;

promises!(both:
    work_that_collided_is_done_again_and_not_for_ever,
    a_migrated_database_lacks_nothing,
);

async fn work_that_collided_is_done_again_and_not_for_ever(bench: &mut Bench) {
    for (collisions, succeeds) in [(0, true), (2, true), (5, true), (6, false)] {
        let tries = Arc::new(AtomicU32::new(0));
        let outcome =
            bench.db.run(move |_| {
                let earlier = tries.fetch_add(1, Ordering::Relaxed);
                async move {
                    if earlier < collisions { Err(DbError::Collision("deadlock".into())) } else { Ok(()) }
                }
            });
        assert_eq!(outcome.await.is_ok(), succeeds, "{collisions}");
    }
}

async fn a_migrated_database_lacks_nothing(bench: &mut Bench) {
    assert!(bench.db.pending_migrations().await.unwrap().is_empty());
    assert_eq!(bench.db.migrate().await.unwrap(), 0);
}

mod servers {
    use super::*;

    promises!(postgres: a_deadlock_is_a_collision, processes_that_migrate_at_once_do_it_once);

    async fn a_deadlock_is_a_collision(bench: &mut Bench) {
        let (one, two) = (bench.running().await, bench.running().await);
        let mut first = bench.db.begin().await.unwrap();
        lock_own(&mut first, own(&one)).await.unwrap();
        let mut second = bench.db.begin().await.unwrap();
        lock_own(&mut second, own(&two)).await.unwrap();
        let wanted = own(&two);
        let crossing = tokio::spawn(async move { lock_own(&mut first, wanted).await.map(|_| ()) });
        bench.until_blocked(1).await;
        let outcome = lock_own(&mut second, own(&one)).await.map(|_| ());
        drop(second);
        let outcomes = [outcome, done(crossing).await];
        let collided = |outcome: &&Result<(), FencedError>| {
            matches!(outcome, Err(FencedError::Db(DbError::Collision(_))))
        };
        assert_eq!(outcomes.iter().filter(collided).count(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }

    async fn processes_that_migrate_at_once_do_it_once(bench: &mut Bench) {
        bench.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        let all = bench.db.pending_migrations().await.unwrap().len();
        assert!(all > 1);
        let (one, two) = (bench.another_process(|_| {}), bench.another_process(|_| {}));
        let one = tokio::spawn(async move { one.migrate().await.unwrap() });
        let two = tokio::spawn(async move { two.migrate().await.unwrap() });
        assert_eq!(done(one).await + done(two).await, all);
    }
}
