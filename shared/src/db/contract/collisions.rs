//! Work that collided is done again; processes that migrate at once do it once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bench::{Bench, done};
use super::promises;
use database::DbError;

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

    promises!(postgres: processes_that_migrate_at_once_do_it_once);

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
