//! The pieces of SQL that PostgreSQL and SQLite spell differently and that every module needs: the database's own
//! clock, row locks, and lists of jobs.

use std::time::Duration;

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool};
use diesel::sqlite::Sqlite;

use model::JobId;
use model::sql_types::{Id, Instant};

/// The time of this statement by the database's clock, plus an offset.
///
/// Every time that is compared with a time in the database comes from here: the clocks of the
/// processes may differ, the database has one. (`statement_timestamp()`, unlike `clock_timestamp()`,
/// is stable within a statement, so an index can serve a comparison with it.)
#[derive(Debug, Clone, Copy)]
pub struct Now {
    offset_micros: i64,
}

/// The database's time.
pub fn now() -> Now {
    Now { offset_micros: 0 }
}

/// The database's time, `delay` from now.
pub fn now_plus(delay: Duration) -> Now {
    Now { offset_micros: i64::try_from(delay.as_micros()).unwrap_or(i64::MAX / 2) }
}

/// The database's time, `age` ago.
pub fn now_minus(age: Duration) -> Now {
    Now { offset_micros: -now_plus(age).offset_micros }
}

impl Expression for Now {
    type SqlType = Instant;
}

impl QueryId for Now {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<G> ValidGrouping<G> for Now {
    type IsAggregate = diesel::expression::is_aggregate::Never;
}

impl<Source> AppearsOnTable<Source> for Now {}
impl<Source> SelectableExpression<Source> for Now {}

impl QueryFragment<Pg> for Now {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(statement_timestamp() + ");
        out.push_bind_param::<BigInt, _>(&self.offset_micros)?;
        out.push_sql(" * interval '1 microsecond')");
        Ok(())
    }
}

impl QueryFragment<Sqlite> for Now {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("(CAST(unixepoch('subsec') * 1000000 AS INTEGER) + ");
        out.push_bind_param::<BigInt, _>(&self.offset_micros)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Whether a job is one of these.
///
/// As `eq_any` of their ids, but of an array whose length PostgreSQL does not see when it plans: for each short one it
/// would take a plan made for that length to be cheaper than the one that it has, and plan the statement anew each
/// time.
#[derive(Debug, Clone)]
pub struct IsOneOf {
    ids: Vec<JobId>,
}

/// The row's job is one of these.
pub fn is_one_of(ids: &[JobId]) -> IsOneOf {
    IsOneOf { ids: ids.to_vec() }
}

impl Expression for IsOneOf {
    type SqlType = Bool;
}

impl QueryId for IsOneOf {
    type QueryId = ();
    // SQLite's text has a parameter for each.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<G> ValidGrouping<G> for IsOneOf {
    type IsAggregate = diesel::expression::is_aggregate::Never;
}

impl<Source> AppearsOnTable<Source> for IsOneOf {}
impl<Source> SelectableExpression<Source> for IsOneOf {}

impl QueryFragment<Pg> for IsOneOf {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("jobs.id = ANY (ARRAY (SELECT unnest(");
        out.push_bind_param::<Array<Id>, _>(&self.ids)?;
        out.push_sql(")))");
        Ok(())
    }
}

impl QueryFragment<Sqlite> for IsOneOf {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("jobs.id IN (");
        for (place, id) in self.ids.iter().enumerate() {
            if place > 0 {
                out.push_sql(", ");
            }
            out.push_bind_param::<Id, _>(id)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

/// A query whose rows stay locked until the transaction ends.
///
/// SQLite needs no row locks: a writing transaction is alone from its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Locked<Q> {
    query: Q,
    clause: &'static str,
}

/// Nobody else may change or lock the rows; waits for whoever holds one.
pub fn for_update<Q>(query: Q) -> Locked<Q> {
    Locked { query, clause: " FOR UPDATE" }
}

/// Nobody else may change the rows; others may still refer to them by a foreign key.
///
/// For rows that many others refer to: a new reference to a row waits for [`for_update`], and so does
/// it the other way round.
pub fn for_no_key_update<Q>(query: Q) -> Locked<Q> {
    Locked { query, clause: " FOR NO KEY UPDATE" }
}

/// As [`for_update`], but leaves out rows that somebody else holds.
pub fn for_update_skip_locked<Q>(query: Q) -> Locked<Q> {
    Locked { query, clause: " FOR UPDATE SKIP LOCKED" }
}

/// Nobody may delete the rows; others may change them, or lock them in the same way.
pub fn for_key_share<Q>(query: Q) -> Locked<Q> {
    Locked { query, clause: " FOR KEY SHARE" }
}

/// Nobody may change the rows; others may lock them in the same way.
pub fn for_share<Q>(query: Q) -> Locked<Q> {
    Locked { query, clause: " FOR SHARE" }
}

impl<Q: Query> Query for Locked<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Locked<Q> {
    type QueryId = ();
    // The clause is part of the text: the statement is cached by its text, not by its type.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Locked<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(self.clause);
        Ok(())
    }
}

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Locked<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }
}

diesel::define_sql_function! {
    /// The first of the two that is not null.
    fn coalesce(a: diesel::sql_types::Nullable<Instant>, b: Instant) -> Instant;
}

diesel::define_sql_function! {
    /// The earliest.
    #[aggregate]
    #[sql_name = "min"]
    fn first(at: Instant) -> Instant;
}

diesel::define_sql_function! {
    /// The latest.
    #[aggregate]
    #[sql_name = "max"]
    fn last(at: Instant) -> Instant;
}

/// A full minute by the database's clock.
#[derive(Debug, Clone, Copy)]
pub struct Minute {
    ago: i64,
}

/// The beginning of the minute that it is by the database's clock.
pub fn this_minute() -> Minute {
    Minute { ago: 0 }
}

/// The beginning of the minute so many minutes before this one.
pub fn minutes_ago(ago: i64) -> Minute {
    Minute { ago }
}

impl Expression for Minute {
    type SqlType = Instant;
}

impl QueryId for Minute {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<G> ValidGrouping<G> for Minute {
    type IsAggregate = diesel::expression::is_aggregate::Never;
}

impl<Source> AppearsOnTable<Source> for Minute {}
impl<Source> SelectableExpression<Source> for Minute {}

impl QueryFragment<Pg> for Minute {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(date_trunc('minute', statement_timestamp()) - ");
        out.push_bind_param::<BigInt, _>(&self.ago)?;
        out.push_sql(" * interval '1 minute')");
        Ok(())
    }
}

impl QueryFragment<Sqlite> for Minute {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("((CAST(unixepoch() AS INTEGER) / 60 - ");
        out.push_bind_param::<BigInt, _>(&self.ago)?;
        out.push_sql(") * 60000000)");
        Ok(())
    }
}
