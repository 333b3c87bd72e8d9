//! Waits that are given up: by the caller, by the deadline of a request, by the limit of a statement.

use std::sync::Arc;
use std::time::Duration;

use diesel::query_builder::SqlQuery;
use diesel_async::RunQueryDsl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, oneshot};
use url::Url;

use super::bench::{Bench, PATIENCE, own};
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::lease::lock_own;
use database::{DatabaseSettings, DatabaseUrl, Db, with};
use model::job::{Ending, JobState};

promises!(both:
    a_statement_that_is_given_up_half_way_harms_nobody,
    a_transaction_that_is_given_up_half_way_harms_nobody,
);

/// A statement that takes longer than this test waits for it.
fn slow(bench: &Bench) -> SqlQuery {
    diesel::sql_query(if bench.is_postgres() {
        "SELECT pg_sleep(5)"
    } else {
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000000) \
         SELECT max(n) FROM numbers"
    })
}

/// Long enough for a statement to be sent.
const A_MOMENT: Duration = Duration::from_millis(50);

async fn a_statement_that_is_given_up_half_way_harms_nobody(bench: &mut Bench) {
    let asking = async {
        let mut conn = bench.db.conn().await.unwrap();
        with!(&mut conn, |c| slow(bench).execute(c).await)
    };
    tokio::time::timeout(A_MOMENT, asking).await.expect_err("it was not slow");
    let next = tokio::time::timeout(PATIENCE, bench.db.ping());
    next.await.expect("the next caller waits for the answer to another's question").unwrap();
    let job = bench.running().await;
    assert_eq!(bench.settle(&job, Ending::Succeeded).await, JobState::Succeeded);
}

async fn a_transaction_that_is_given_up_half_way_harms_nobody(bench: &mut Bench) {
    let job = bench.running().await;
    let (sending, sent) = oneshot::channel();
    let asking = async {
        let mut tx = bench.db.begin().await.unwrap();
        lock_own(&mut tx, own(&job)).await.unwrap();
        let args = MakeThumbnails { photo_id: PhotoId::new() };
        enqueue(&mut tx, &args, Options::default()).await.unwrap();
        sending.send(()).unwrap();
        with!(tx.conn(), |c| slow(bench).execute(c).await)
    };
    let a_moment_later = async {
        sent.await.unwrap();
        tokio::time::sleep(A_MOMENT).await;
    };
    tokio::select! {
        _ = asking => panic!("it was not slow"),
        () = a_moment_later => {}
    }
    assert_eq!(bench.settle(&job, Ending::Succeeded).await, JobState::Succeeded);
    assert_eq!(bench.number("SELECT count(*) FROM jobs").await, 1, "what was begun is undone");
}

mod silence {
    use super::*;

    promises!(postgres:
        a_statement_that_nobody_answers_is_given_up,
        a_request_is_answered_in_time_though_the_database_is_not,
    );

    /// The database as another process sees it through a proxy that passes nothing on while the lock is held.
    async fn behind_a_proxy(
        bench: &Bench,
        change: impl FnOnce(&mut DatabaseSettings),
    ) -> (Db, Arc<RwLock<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = None;
        let db = bench.another_process(|settings| {
            let DatabaseUrl::Postgres(url) = &settings.url else { unreachable!() };
            let mut url = Url::parse(url).unwrap();
            server = Some(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()));
            url.set_port(Some(port)).unwrap();
            settings.url = DatabaseUrl::Postgres(url.into());
            change(settings);
        });
        let (server, silent) = (server.unwrap(), Arc::new(RwLock::new(())));
        let passing = silent.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let (near, far) =
                    (near.into_split(), TcpStream::connect(&server).await.unwrap().into_split());
                tokio::spawn(pass_on(near.0, far.1, passing.clone()));
                tokio::spawn(pass_on(far.0, near.1, passing.clone()));
            }
        });
        (db, silent)
    }

    async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passing: Arc<RwLock<()>>) {
        let mut bytes = vec![0; 8192];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let _passing = passing.read().await;
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }

    async fn a_statement_that_nobody_answers_is_given_up(bench: &mut Bench) {
        let (db, silent) = behind_a_proxy(bench, |s| s.limits.statement = A_MOMENT).await;
        let mut tx = db.begin().await.unwrap();
        let silence = silent.write().await;
        let answer = tokio::time::timeout(PATIENCE, tx.conn().postgres("SELECT 1"));
        let error = answer.await.expect("it waits for ever").unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        drop(silence);
        let error = tx.commit().await.expect_err("what was given up is not committed");
        assert!(error.is_unavailable(), "{error:?}");
        db.ping().await.unwrap();
    }

    async fn a_request_is_answered_in_time_though_the_database_is_not(bench: &mut Bench) {
        let (db, silent) = behind_a_proxy(bench, |_| {}).await;
        let requests = db.for_requests();
        let ask = || requests.run(|db| async move { db.ping().await });
        ask().await.unwrap();
        let silence = silent.write().await;
        let error = tokio::time::timeout(PATIENCE, ask()).await.expect("the request waits").unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        drop(silence);
        ask().await.unwrap();
    }
}
