//! Bringing the schema up to date, by the steps that the application has in its binary.

use std::error::Error;

use deadpool::managed::Object;
use diesel::migration::{Migration, MigrationSource};
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use crate::{Conn, Db, DbError};

/// The steps that make the schema, for each database.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// For PostgreSQL.
    pub postgres: fn() -> EmbeddedMigrations,
    /// For SQLite.
    pub sqlite: fn() -> EmbeddedMigrations,
}

/// Any number: whoever migrates this database holds it.
const LOCK: i64 = 0x7771_7700;

/// A statement that waits for a lock on a table keeps everybody who comes after it waiting, too: it gives up,
/// its step is undone, and it can be run again.
const LOCK_TIMEOUT: &str = "5s";

/// Steps that this program does not know, and others missing that it has: two histories.
const STRANGE: &str = "the database was made by a state of this program that was never released: \
                       begin with an empty one";

impl Db {
    fn postgres_steps(&self) -> EmbeddedMigrations {
        (self.inner.settings.migrations.postgres)()
    }

    fn sqlite_steps(&self) -> EmbeddedMigrations {
        (self.inner.settings.migrations.sqlite)()
    }

    /// Brings the schema up to date; several processes may do it at once. Returns how many steps ran.
    ///
    /// # Errors
    /// [`DbError::Migration`] with the step that failed.
    pub async fn migrate(&self) -> Result<usize, DbError> {
        match self.conn().await? {
            Conn::Postgres(object) => {
                // Out of the pool for good: its settings are of this use alone, and its lock ends with it.
                let mut taken = Object::take(object);
                // The wait for another's migration may take long, and so may a step; a step's wait for a lock not.
                let begin = format!(
                    "SET lock_timeout = 0; SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK}); \
                     SET lock_timeout = '{LOCK_TIMEOUT}'"
                );
                let begun = taken.conn.batch_execute(&begin).await;
                begun.map_err(|error| DbError::of_postgres(error, taken.last_error()))?;
                run(&mut AsyncMigrationHarness::new(taken.conn), self.postgres_steps())
            }
            Conn::Sqlite(object) => {
                run(&mut AsyncMigrationHarness::new(Object::take(object).conn), self.sqlite_steps())
            }
        }
    }

    /// The migrations that this program has and the database has not, by name.
    ///
    /// # Errors
    /// When the database can't be asked.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, DbError> {
        match self.conn().await? {
            Conn::Postgres(object) => {
                pending(&mut AsyncMigrationHarness::new(Object::take(object).conn), self.postgres_steps())
            }
            Conn::Sqlite(object) => {
                pending(&mut AsyncMigrationHarness::new(Object::take(object).conn), self.sqlite_steps())
            }
        }
    }
}

fn run<H, DB>(harness: &mut H, source: EmbeddedMigrations) -> Result<usize, DbError>
where
    H: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known: Vec<_> = MigrationSource::<DB>::migrations(&source)
        .map_err(failed)?
        .iter()
        .map(|step| step.name().version().as_owned())
        .collect();
    let applied = harness.applied_migrations().map_err(failed)?;
    let is_strange = applied.iter().any(|version| !known.contains(version));
    if is_strange && known.iter().any(|version| !applied.contains(version)) {
        return Err(DbError::Migration(STRANGE.into()));
    }
    Ok(harness.run_pending_migrations(source).map_err(failed)?.len())
}

fn pending<H, DB>(harness: &mut H, source: EmbeddedMigrations) -> Result<Vec<String>, DbError>
where
    H: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let steps: Vec<Box<dyn Migration<DB>>> = harness.pending_migrations(source).map_err(failed)?;
    Ok(steps.iter().map(|step| step.name().to_string()).collect())
}

fn failed(error: Box<dyn Error + Send + Sync>) -> DbError {
    DbError::Migration(format!("migration failed: {error}"))
}

/// Back in time: for tests.
impl Db {
    /// Takes back this step and those that came later.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn revert_to_before(&self, step: &str) -> Result<(), DbError> {
        match self.conn().await? {
            Conn::Postgres(object) => {
                back(&mut AsyncMigrationHarness::new(Object::take(object).conn), self.postgres_steps(), step)
            }
            Conn::Sqlite(object) => {
                back(&mut AsyncMigrationHarness::new(Object::take(object).conn), self.sqlite_steps(), step)
            }
        }
    }
}

fn back<H, DB>(harness: &mut H, source: EmbeddedMigrations, step: &str) -> Result<(), DbError>
where
    H: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let mut steps = source.migrations().map_err(failed)?;
    steps.sort_by_key(|migration| std::cmp::Reverse(migration.name().to_string()));
    for migration in steps.iter().filter(|migration| migration.name().to_string().as_str() >= step) {
        harness.revert_migration(migration).map_err(failed)?;
    }
    Ok(())
}
