//! Polls: most of what is asked, and each the same small look.
//!
//! On PostgreSQL each of the server's threads has connections of its own for them, and waits for the answer itself:
//! a hop to the main runtime and back would cost as much as the statement. A look may be dropped half-way, when the
//! client hangs up: its connection is then closed. (SQLite's one connection is shared, and belongs to the main
//! runtime.)

use std::sync::Arc;
use std::time::Duration;

use ::jobs::Job;
use database::{Conn, Db, DbError};
use model::JobId;
use shared::db::customers;

/// The connections of a thread.
const CONNECTIONS: usize = 2;

/// How long a look may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How polls reach the database.
#[derive(Clone)]
pub struct Reads(Db);

impl Reads {
    /// Over the connections that everything else uses.
    pub fn shared(db: &Db) -> Self {
        Self(db.clone())
    }

    /// Over connections of this thread. They are made when they are needed.
    pub fn of_this_thread(&self) -> Self {
        match self.0.apart(CONNECTIONS) {
            Ok(apart) => Self(apart),
            Err(error) => {
                tracing::warn!(%error, "a thread has no connections of its own");
                self.clone()
            }
        }
    }

    /// See [`customers::job_by_token`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn job(&self, id: JobId, token_hash: Arc<str>) -> Result<Option<Job>, DbError> {
        if self.0.is_postgres() {
            let look = async |conn: &mut Conn| customers::job_by_token(conn, id, &token_hash).await;
            return self.0.look_in_time(DEADLINE, look).await;
        }
        let look = move |db: Db| {
            let token_hash = token_hash.clone();
            async move { customers::job_by_token(&mut db.conn().await?, id, &token_hash).await }
        };
        self.0.run(look).await
    }
}
